"""Carrying out what is safe, and nothing else.

Safe by docs/design.md, section 3: nothing can be started by it, since no copy exists, and no quota becomes
free by it, since no Workload holds any. Each object is read once more, must still be ours, and is written
with its uid and resourceVersion as preconditions: what has changed since is left alone.
"""

from collections.abc import Iterable
from typing import Final

from kube_runtime.errors import Conflict, KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.audit.look import Spaces
from kueue_ks.audit.report import Repaired
from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, CONFIG_MAPS, JOBS
from workload_controller.audit.finding import Delete, DropFinalizer, Finding, Ref

KINDS: Final = {resource.kind: resource for resource in (BINDING_POLICIES, CONFIG_MAPS, JOBS)}


def plan(findings: Iterable[Finding]) -> list[Finding]:
    """Those of the findings that a repair mends."""
    return [finding for finding in findings if isinstance(finding.remedy, Delete | DropFinalizer)]


async def carry_out(spaces: Spaces, planned: Iterable[Finding]) -> list[Repaired]:
    """Mend each; what refuses is told and does not keep the others."""
    return [await _mend(spaces, finding) for finding in planned]


async def _mend(spaces: Spaces, finding: Finding) -> Repaired:
    remedy = finding.remedy
    assert isinstance(remedy, Delete | DropFinalizer)
    what = remedy.what
    space = spaces.named(what.space)
    assert space is not None
    try:
        found = await space.get(KINDS[what.kind], what.name, what.namespace or None)
        if refusal := _refusal(found, remedy):
            return Repaired(str(what), refusal, done=False)
        if isinstance(remedy, Delete):
            await _delete(space, what, found)
            return Repaired(str(what), "deleted", done=True)
        await _drop(space, KINDS[what.kind], remedy, found)
    except NotFound:
        return Repaired(str(what), "is gone already", done=True)
    except Conflict:
        return Repaired(str(what), "left alone: it has changed meanwhile", done=False)
    except KubeError as failed:
        return Repaired(str(what), f"left alone: {failed}", done=False)
    return Repaired(str(what), "released from our finalizer", done=True)


def _refusal(found: Obj, remedy: Delete | DropFinalizer) -> str:
    """Why the object is no longer the one that was found, "" when it is."""
    metadata = found["metadata"]
    if remedy.what.uid and metadata["uid"] != remedy.what.uid:
        return "left alone: it is another object of the name"
    if isinstance(remedy, DropFinalizer):
        held = remedy.finalizer in (metadata.get("finalizers") or ())
        return "" if held else "left alone: it does not bear our finalizer any more"
    ours = (metadata.get("labels") or {}).get(keys.MANAGED_BY_LABEL) == keys.MANAGED_BY
    return "" if ours else "left alone: it is not ours (I6)"


async def _delete(space: Space, what: Ref, found: Obj) -> None:
    metadata = found["metadata"]
    await space.delete(
        KINDS[what.kind],
        what.name,
        what.namespace or None,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
    )


async def _drop(space: Space, resource: Resource, remedy: DropFinalizer, found: Obj) -> None:
    metadata = found["metadata"]
    others = [each for each in metadata["finalizers"] if each != remedy.finalizer]
    body = {
        "metadata": {
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "finalizers": others,
        }
    }
    await space.patch(resource, body, name=remedy.what.name, namespace=remedy.what.namespace)
