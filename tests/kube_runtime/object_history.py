"""Objects with API-server semantics and their whole history: what ``faulty_server`` serves.

Modelled on what kube-apiserver 1.36 answers; where it could be kinder than the real one, it is not.
"""

import copy
import itertools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kube_runtime.objects import Obj


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }


class Place(NamedTuple):
    """``collection`` is "/apis/batch/v1/jobs"; the namespace of cluster-scoped objects is ""."""

    collection: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Event:
    version: int
    kind: str
    place: Place
    obj: Obj


@dataclass
class ObjectHistory:
    objects: dict[Place, Obj] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    version: int = 100
    compacted: int = 0  # watches from before this version are Gone
    _uids: "itertools.count[int]" = field(default_factory=itertools.count)
    _owners: dict[Place, dict[tuple[str, ...], str]] = field(default_factory=dict)

    def select(self, collection: str, namespace: str, labels: dict[str, str]) -> list[Obj]:
        return [
            obj
            for place, obj in sorted(self.objects.items())
            if place.collection == collection and matches(place, obj, namespace, labels)
        ]

    def get(self, place: Place) -> Obj:
        if place not in self.objects:
            raise Refused(404, "NotFound", f"{place.collection} {place.name!r} not found")
        return self.objects[place]

    def create(self, place: Place, obj: Obj, *, strict: bool) -> Obj:
        if not place.name:
            raise Refused(422, "Invalid", "metadata.name: Required value: name or generateName is required")
        if place in self.objects:
            raise Refused(409, "AlreadyExists", f"{place.collection} {place.name!r} already exists")
        if obj.get("metadata", {}).get("resourceVersion"):
            raise Refused(500, "InternalError", "resourceVersion should not be set on objects to be created")
        new = copy.deepcopy(obj)
        new.pop("status", None)
        self._validate(new, strict=strict)
        new["metadata"]["uid"] = f"uid-{next(self._uids)}"
        return self._write("ADDED", place, new)

    def replace(self, place: Place, obj: Obj, subresource: str, *, strict: bool) -> Obj:
        old = self.get(place)
        expect(obj.get("metadata", {}), old)
        new = copy.deepcopy(old)
        if subresource:
            new[subresource] = copy.deepcopy(obj.get(subresource))
        else:
            new = {**copy.deepcopy(obj), **({"status": old["status"]} if "status" in old else {})}
            new["metadata"] = {
                **new["metadata"],
                **{k: old["metadata"][k] for k in ("uid", "deletionTimestamp") if k in old["metadata"]},
            }
        self._validate(new, strict=strict)
        if without_version(new) == without_version(old):
            return old
        if new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers"):
            return self._write("DELETED", place, new)
        return self._write("MODIFIED", place, new)

    def merge(self, place: Place, patch: Obj, subresource: str, *, strict: bool) -> Obj:
        old = self.get(place)
        expect_in_patch(patch.get("metadata") or {}, old)
        return self.replace(place, merged(old, patch), subresource, strict=strict)

    def apply(self, place: Place, obj: Obj, manager: str, subresource: str, *, force: bool) -> Obj:
        old = self.objects.get(place)
        if "unknown" in obj.get("spec", {}):
            raise Refused(
                500, "", "failed to create typed patch object: .spec.unknown: field not declared in schema"
            )
        if old is None and obj["metadata"].get("uid"):
            raise Refused(409, "Conflict", f"uid mismatch: no object {place.name!r} with that uid was found")
        owners = self._owners.setdefault(place, {})
        fields = leaves(obj)
        if old is not None:
            expect_in_patch(obj["metadata"], old)
            before = leaves(old)
            taken = {
                owner
                for path, owner in owners.items()
                if path in fields and owner != manager and before.get(path) != fields[path]
            }
            if taken and not force:
                raise Refused(409, "Conflict", f"conflict with {', '.join(sorted(taken))}")
        owners.update(dict.fromkeys(fields, manager))
        if old is None:
            return self.create(place, obj, strict=True)
        return self.replace(place, merged(old, obj), subresource, strict=True)

    def delete(self, place: Place, preconditions: Obj) -> Obj:
        old = self.get(place)
        expect(preconditions, old)
        new = copy.deepcopy(old)
        if old["metadata"].get("finalizers"):
            if "deletionTimestamp" in old["metadata"]:
                return old
            new["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            return self._write("MODIFIED", place, new)
        return self._write("DELETED", place, new)

    def restore(self, version: int) -> None:
        """Go back in time, as an etcd restored from a backup does."""
        self.events = [event for event in self.events if event.version <= version]
        self.objects = {}
        for event in self.events:
            if event.kind == "DELETED":
                self.objects.pop(event.place, None)
            else:
                self.objects[event.place] = event.obj
        self.version, self.compacted = version, min(self.compacted, version)

    def _write(self, kind: str, place: Place, obj: Obj) -> Obj:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        if kind == "DELETED":
            del self.objects[place]
            self._owners.pop(place, None)
        else:
            self.objects[place] = obj
        self.events.append(Event(self.version, kind, place, obj))
        return obj

    def _validate(self, obj: Obj, *, strict: bool) -> None:
        """A schema of two rules: ``spec.unknown`` does not exist, ``spec.replicas`` is not negative."""
        spec = obj.get("spec") or {}
        if "unknown" in spec:
            if strict:
                raise Refused(400, "BadRequest", 'strict decoding error: unknown field "spec.unknown"')
            del spec["unknown"]
        if spec.get("replicas", 0) < 0:
            raise Refused(422, "Invalid", "spec.replicas: Invalid value: must be 0 or more")


def expect(preconditions: Obj, obj: Obj) -> None:
    for name in ("uid", "resourceVersion"):
        wanted, real = preconditions.get(name), obj["metadata"][name]
        if wanted and wanted != real:
            raise Refused(
                409, "Conflict", f"Precondition failed: {name} in precondition: {wanted}, is: {real}"
            )


def expect_in_patch(metadata: Obj, obj: Obj) -> None:
    """In a patch a wrong uid is taken for an attempt to change it."""
    expect({"resourceVersion": metadata.get("resourceVersion")}, obj)
    if metadata.get("uid", obj["metadata"]["uid"]) != obj["metadata"]["uid"]:
        cause = {"reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid"}
        raise Refused(422, "Invalid", "metadata.uid: Invalid value: field is immutable", causes=[cause])


def matches(place: Place, obj: Obj, namespace: str, labels: dict[str, str]) -> bool:
    carried = obj["metadata"].get("labels") or {}
    return namespace in ("", place.namespace) and labels.items() <= carried.items()


def merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def without_version(obj: Obj) -> Obj:
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}


def leaves(obj: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if path[:1] in (("metadata",), ("apiVersion",), ("kind",)):
        return {}
    if isinstance(obj, dict):
        return {p: v for key, value in obj.items() for p, v in leaves(value, (*path, key)).items()}
    return {path: obj}
