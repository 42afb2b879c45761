"""Fields of an object as paths: what server-side apply gives to a manager and takes away.

The lists that we apply into are known (``LIST_KEYS``); every other list is atomic.
"""

from typing import Any

from kube_runtime.objects import Obj
from tests.simulation.json_values import duplicate

LIST_KEYS = {"conditions": "type", "admissionChecks": "name", "podSetUpdates": "name"}
Path = tuple[Any, ...]


def without_status(obj: Obj) -> Obj:
    return {k: v for k, v in obj.items() if k != "status"}


def leaves(obj: Obj) -> dict[Path, Any]:
    found: dict[Path, Any] = {}
    _walk(obj, (), found)
    never = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        path: value
        for path, value in found.items()
        if path[0] not in ("apiVersion", "kind") and not (path[0] == "metadata" and path[1] in never)
    }


def _walk(value: Any, path: Path, found: dict[Path, Any]) -> None:
    key = LIST_KEYS.get(path[-1]) if path and isinstance(path[-1], str) else None
    if isinstance(value, dict):
        for name, inner in value.items():
            _walk(inner, (*path, name), found)
    elif key and isinstance(value, list):
        for entry in value:
            _walk(entry, (*path, (key, entry[key])), found)
    elif path == ("metadata", "finalizers"):
        for finalizer in value:
            found[*path, ("", finalizer)] = finalizer
    elif path:
        found[path] = value


def set_field(obj: Any, path: Path, value: Any) -> None:
    *way, last = path
    here = obj
    for step, following in zip(way, path[1:], strict=True):
        here = _enter(here, step, [] if isinstance(following, tuple) else {})
    if isinstance(last, tuple):  # an entry of a set
        if value not in here:
            here.append(value)
    else:
        here[last] = duplicate(value)


def _enter(here: Any, step: Any, empty: Any) -> Any:
    if isinstance(step, tuple):
        key, name = step
        entry = next((e for e in here if e.get(key) == name), None)
        if entry is None:
            entry = {key: name}
            here.append(entry)
        return entry
    return here.setdefault(step, empty)


def unset_field(obj: Any, path: Path) -> None:
    """Remove one field, and with it what has become empty: a list's entry that is only its key."""
    here = obj
    trail: list[tuple[Any, Any]] = []
    for step in path:
        trail.append((here, step))
        if isinstance(step, tuple):
            here = next((e for e in here if e.get(step[0]) == step[1]), None) if step[0] else step[1]
        elif step in here:
            here = here[step]
        else:
            return
        if here is None:
            return
    parent, last = trail.pop()
    if isinstance(last, tuple):  # an entry of a set
        if last[1] in parent:
            parent.remove(last[1])
    elif not (trail and isinstance(trail[-1][1], tuple) and trail[-1][1][0] == last):
        parent.pop(last)
    for parent, step in reversed(trail):
        if isinstance(step, tuple):
            parent[:] = [e for e in parent if e != {step[0]: step[1]}]
        elif not parent[step] and step != "status":
            parent.pop(step)
        else:
            break
