"""What must be true of the API servers before a program starts; each failure says the remedy."""

from collections.abc import Iterable

from kube_runtime.errors import Forbidden, KubeError, NotFound
from kube_runtime.resources import Resource
from kube_runtime.space import Space

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


class PreflightFailed(KubeError):
    """The programs cannot work like this; the text says what is wrong and what to do."""


async def require_served(space: Space, resources: Iterable[Resource], remedy: str) -> None:
    """Every resource is served in the version we speak; raises PreflightFailed naming all that are not."""
    missing: list[str] = []
    served: dict[str, set[str]] = {}
    for resource in resources:
        group = resource.path().rpartition("/")[0]
        if group not in served:
            served[group] = await _served_plurals(space, group)
        if resource.plural not in served[group]:
            missing.append(f"{resource} ({resource.version})")
    if missing:
        msg = f"{space.name} ({space.server}) does not serve {', '.join(missing)}. {remedy}"
        raise PreflightFailed(msg)


async def require_readable(space: Space, resources: Iterable[Resource], remedy: str) -> None:
    """Every resource can be listed with our rights; raises PreflightFailed naming the first that cannot."""
    for resource in resources:
        try:
            await space.get_path(resource.path(), {"limit": "1"})
        except Forbidden as refused:
            msg = f"{space.name} ({space.server}): may not list {resource}: {refused.message}. {remedy}"
            raise PreflightFailed(msg) from refused


async def require_different(space: Space, other: Space, remedy: str) -> None:
    """Two spaces are two API servers, told apart by the uid of kube-system; raises PreflightFailed."""
    if await _identity(space) == await _identity(other):
        msg = (
            f"{other.name} ({other.server}) is the same API server as {space.name} ({space.server}). {remedy}"
        )
        raise PreflightFailed(msg)


async def _served_plurals(space: Space, group: str) -> set[str]:
    try:
        document = await space.get_path(group)
    except NotFound:
        return set()
    return {entry["name"] for entry in document.get("resources", ())}


async def _identity(space: Space) -> str:
    namespace = await space.get(NAMESPACES, "kube-system")
    uid: str = namespace["metadata"]["uid"]
    return uid
