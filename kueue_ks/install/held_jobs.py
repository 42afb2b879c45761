"""Jobs that our finalizers hold: without WorkloadController nobody would ever let them go.

Uninstalling waits for them, or gives them up when that is asked for: then what still runs on a worker is
nobody's any more.
"""

from collections.abc import Iterable

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.errors import CommandError
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import Change
from vocabulary import keys
from vocabulary.resources import JOBS, WORKLOADS

_SHOWN = 5  # names in the message

_FINALIZERS: tuple[tuple[Duty, Resource, str], ...] = (
    (Duty.HUB, JOBS, keys.PODS_MAY_RUN),
    (Duty.HUB, WORKLOADS, keys.PODS_MAY_RUN),
    (Duty.WDS, JOBS, keys.PODS_LEAVING),
)


async def held(spaces: Iterable[tuple[Space, Duty]]) -> list[tuple[Space, Resource, str, Obj]]:
    """Every object that bears one of our finalizers, with its space and that finalizer."""
    found = []
    for space, duty in spaces:
        for where, resource, finalizer in _FINALIZERS:
            if where is not duty:
                continue
            try:
                objects = await space.list(resource)
            except NotFound:  # Kueue has been taken out already
                continue
            found += [
                (space, resource, finalizer, obj)
                for obj in objects
                if finalizer in (obj["metadata"].get("finalizers") or ())
            ]
    return found


def require_none(found: Iterable[tuple[Space, Resource, str, Obj]]) -> None:
    """Raises CommandError naming the jobs that are still ours."""
    names = sorted(
        {
            f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
            for _, resource, _, obj in found
            if resource is JOBS
        }
    )
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        text = f"{len(names)} jobs still run or end on workers: {', '.join(names[:_SHOWN])}{more}"
        raise CommandError(
            text, fix="delete them and wait while the controllers run, or give them up with --abandon-jobs"
        )


async def abandon(found: Iterable[tuple[Space, Resource, str, Obj]]) -> list[Change]:
    """Take our finalizers off; an object that changed or went meanwhile is left to a second call."""
    changes = []
    for space, resource, finalizer, obj in found:
        metadata = obj["metadata"]
        kept = [name for name in metadata["finalizers"] if name != finalizer]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": kept}}
        name = f"{resource.kind.lower()}/{metadata['namespace']}/{metadata['name']}"
        try:
            await space.patch(resource, patch, name=metadata["name"], namespace=metadata["namespace"])
        except (Conflict, NotFound):
            changes.append(Change(space.name, name, "has just changed: run uninstall again"))
        else:
            changes.append(Change(space.name, name, "abandoned"))
    return changes
