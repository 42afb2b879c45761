"""A space that answers what a test wrote down, and remembers what was written to it.

For what is written and what is not. What an API server makes of it is tested on real ones (tests/fleet).
"""

from copy import deepcopy
from typing import Any, NamedTuple, cast

from kube_runtime.errors import ApiError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space


class Written(NamedTuple):
    """One write: the verb, the plural with its subresource, and the object or the preconditions."""

    verb: str
    plural: str
    body: Any


class ScriptedSpace:
    """Objects to read, by plural and name; ``refusals`` answer a verb and plural instead."""

    def __init__(self, **objects: Obj) -> None:
        """``objects``: plural to the only object of it that is there."""
        self.name = "scripted"
        self.objects = {(plural, obj["metadata"]["name"]): obj for plural, obj in objects.items()}
        self.refusals: dict[tuple[str, str], ApiError] = {}
        self.written: list[Written] = []

    @property
    def as_space(self) -> Space:
        """For what asks for a Space."""
        return cast("Space", cast("object", self))

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Obj:
        del namespace
        if (resource.plural, name) not in self.objects:
            raise NotFound(404, "NotFound", f"{resource.plural} {name} not found")
        return deepcopy(self.objects[resource.plural, name])

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> list[Obj]:
        key, _, value = label_selector.partition("=")
        found = (deepcopy(obj) for (plural, _), obj in self.objects.items() if plural == resource.plural)
        return [
            obj
            for obj in found
            if obj["metadata"].get("namespace") == namespace
            and (obj["metadata"].get("labels") or {}).get(key) == value
        ]

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        return self._write("create", resource.plural, obj)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str | None = None) -> Obj:
        return self._write("update", _path(resource, subresource), obj)

    async def apply(
        self, resource: Resource, obj: Obj, *, field_manager: str, subresource: str | None = None
    ) -> Obj:
        assert field_manager
        return self._write("apply", _path(resource, subresource), obj)

    async def patch(self, resource: Resource, body: Obj, *, name: str, namespace: str | None = None) -> Obj:
        del namespace
        answer = self._write("patch", resource.plural, {**body, "name": name})
        known = self.objects.get((resource.plural, name), {"metadata": {"name": name}})
        return {**known, "metadata": {**known["metadata"], **answer["metadata"]}}

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, uid: str
    ) -> Obj | None:
        del namespace
        self._write("delete", resource.plural, {"metadata": {"name": name, "uid": uid}})
        return None

    def _write(self, verb: str, plural: str, obj: Obj) -> Obj:
        if refusal := self.refusals.get((verb, plural)):
            raise refusal
        self.written.append(Written(verb, plural, deepcopy(dict(obj))))
        metadata = {"uid": "new-uid", "resourceVersion": "99", **obj["metadata"]}
        return {**self.objects.get((plural.partition("/")[0], metadata.get("name", "")), {}), **obj} | {
            "metadata": metadata
        }


def _path(resource: Resource, subresource: str | None) -> str:
    return f"{resource.plural}/{subresource}" if subresource else resource.plural
