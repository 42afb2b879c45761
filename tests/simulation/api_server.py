"""An API server in memory: objects, one resourceVersion, the whole history, and the errors of a real one.

What it answers was compared with kube-apiserver 1.36.3 call by call (``test_api_server``). Objects that it
hands to actors must not be changed; ``change`` gives a copy to change and commits it.

Server-side apply works on ``applied_fields``: one that a manager drops goes unless another manager owns it.
Updates and merge patches take no ownership.
"""

import bisect
import marshal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from kube_runtime.errors import AlreadyExists, Conflict, NotFound, error_from_status
from kube_runtime.objects import Key, Obj
from kube_runtime.resources import Resource
from tests.simulation import job_status
from tests.simulation.api_errors import immutable_uid, invalid, not_found, require
from tests.simulation.applied_fields import Path, leaves, set_field, unset_field, without_status
from tests.simulation.json_values import duplicate, merged
from tests.simulation.world import World, rfc3339

__all__ = ["ApiServer", "Event", "Table", "Write", "duplicate"]

STATUS_IS_SUBRESOURCE = frozenset(
    {
        "workloads",
        "jobs",
        "admissionchecks",
        "clusterqueues",
        "workstatuses",
        "manifestworks",
        "managedclusters",
        "bindingpolicies",
        "bindings",
        "namespaces",
    }
)


class Event(NamedTuple):
    version: int
    kind: str  # ADDED | MODIFIED | DELETED
    key: Key
    old: Obj | None
    new: Obj  # of a DELETED: the last state, with the deletion's resourceVersion
    blob: bytes


class Write(NamedTuple):
    """A commit with its author, for the oracle."""

    at: float
    author: str
    server: str
    plural: str
    verb: str
    key: Key
    old: Obj | None
    new: Obj | None


Listener = Callable[[Event], None]


@dataclass
class Table:
    """The objects of one resource."""

    resource: Resource
    objects: dict[Key, Obj] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)
    owners: dict[Key, dict[str, set[Path]]] = field(default_factory=dict)


class ApiServer:
    """One space. ``author`` of a call is who sends it; "" is the server's own components."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.version = 100
        self.compacted = 0
        self.collector_down_until = 0.0
        self.tables: dict[str, Table] = {}
        self.writes: list[Write] = []
        self._reached: list[tuple[float, int]] = []  # when which version was reached
        self._uids = 0
        self._children: dict[str, set[tuple[str, Key]]] = {}

    def table(self, resource: Resource) -> Table:
        path = resource.path()
        if path not in self.tables:
            self.tables[path] = Table(resource)
        return self.tables[path]

    def on_commit(self, resource: Resource, listener: Listener) -> None:
        self.table(resource).listeners.append(listener)

    def compact(self) -> None:
        """Forget the history: a watch from before is Gone."""
        self.compacted = self.version

    # Reading.

    def find(self, resource: Resource, key: Key) -> Obj | None:
        return self.table(resource).objects.get(key)

    def get(self, resource: Resource, key: Key) -> Obj:
        found = self.table(resource).objects.get(key)
        if found is None:
            raise not_found(resource, key)
        return found

    def all(self, resource: Resource) -> Iterable[Obj]:
        return tuple(self.table(resource).objects.values())

    def version_at(self, when: float) -> int:
        """The resourceVersion as it was at a time."""
        place = bisect.bisect_right(self._reached, when, key=lambda reached: reached[0])
        return self._reached[place - 1][1] if place else 100

    def state_at(self, resource: Resource, version: int) -> dict[Key, Obj]:
        """The objects as they were at a version, with the versions they had then."""
        objects: dict[Key, Obj] = {}
        for event in self.table(resource).events:
            if event.version > version:
                break
            if event.kind == "DELETED":
                objects.pop(event.key, None)
            else:
                objects[event.key] = event.new
        return objects

    # Writing.

    def create(self, resource: Resource, obj: Obj, author: str = "") -> Obj:
        new = duplicate(obj)
        metadata = new["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        if key in self.table(resource).objects:
            raise AlreadyExists(
                409, "AlreadyExists", f'{resource} "{key[1]}" already exists', request=self.name
            )
        self._require_namespace(resource, key)
        for server_side in ("uid", "resourceVersion", "deletionTimestamp", "generation"):
            metadata.pop(server_side, None)
        if resource.plural in STATUS_IS_SUBRESOURCE:
            new.pop("status", None)
        self._uids += 1
        metadata["uid"] = f"{self.name}-{self._uids}"
        metadata["creationTimestamp"] = rfc3339(self.world.wall)
        metadata["generation"] = 1
        new.setdefault("apiVersion", resource.api_version)
        new.setdefault("kind", resource.kind)
        return self._commit(resource, key, None, new, "create", author)

    def update(self, resource: Resource, obj: Obj, author: str = "", *, status: bool = False) -> Obj:
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        old = self.get(resource, key)
        require(resource, key, old, uid=metadata.get("uid"), version=metadata.get("resourceVersion"))
        new = duplicate(old)
        if status:
            new["status"] = duplicate(obj.get("status") or {})
        else:
            new = {**duplicate(obj), **({"status": new["status"]} if "status" in new else {})}
        return self._replace(resource, key, old, new, "update", author)

    def patch(
        self, resource: Resource, key: Key, patch: Obj, author: str = "", *, status: bool = False
    ) -> Obj:
        """RFC 7396."""
        old = self.get(resource, key)
        metadata = dict(patch.get("metadata") or {})
        if "uid" in metadata and metadata["uid"] != old["metadata"]["uid"]:
            raise immutable_uid(resource, key)
        require(resource, key, old, version=metadata.get("resourceVersion"))
        new = merged(old, patch)
        if resource.plural in STATUS_IS_SUBRESOURCE:
            if status:
                new = {**duplicate(old), "status": new.get("status") or {}}
            elif "status" in old:
                new["status"] = old["status"]
        return self._replace(resource, key, old, new, "patch", author)

    def apply(
        self, resource: Resource, obj: Obj, manager: str, author: str = "", *, status: bool = False
    ) -> Obj:
        """Server-side apply with force."""
        metadata = obj["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        table = self.table(resource)
        old = table.objects.get(key)
        if old is None:
            if status:
                raise not_found(resource, key)
            if metadata.get("uid"):
                words = f"uid mismatch: the provided object specified uid {metadata['uid']}"
                words += ", and no existing object was found"
                raise Conflict(409, "Conflict", words, request=self.name)
            table.owners[key] = {manager: set(leaves(obj))}
            return self.create(resource, {k: v for k, v in obj.items() if k != "status"}, author)
        if metadata.get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
            raise immutable_uid(resource, key)
        require(resource, key, old, version=metadata.get("resourceVersion"))
        new = duplicate(old)
        owners = table.owners.setdefault(key, {})
        wanted = leaves({"status": obj.get("status") or {}} if status else without_status(obj))
        scope = "status" if status else None
        before = {p for p in owners.get(manager, ()) if (p[0] == "status") == (scope == "status")}
        others = {p for name, paths in owners.items() if name != manager for p in paths}
        for path in before - wanted.keys() - others:
            unset_field(new, path)
        for path, value in wanted.items():
            set_field(new, path, value)
        owners[manager] = (owners.get(manager, set()) - before) | set(wanted)
        return self._replace(resource, key, old, new, "apply", author)

    def own(self, resource: Resource, key: Key, manager: str, paths: Iterable[Path]) -> None:
        """What another manager's apply has made its own, in place of what it owned before."""
        self.table(resource).owners.setdefault(key, {})[manager] = set(paths)

    def delete(
        self,
        resource: Resource,
        key: Key,
        author: str = "",
        *,
        uid: str | None = None,
        version: str | None = None,
    ) -> Obj | None:
        """The object when its finalizers keep it."""
        old = self.get(resource, key)
        require(resource, key, old, uid=uid, version=version, words="Precondition failed: UID")
        if old["metadata"].get("finalizers"):
            if "deletionTimestamp" in old["metadata"]:
                return old
            new = duplicate(old)
            new["metadata"]["deletionTimestamp"] = rfc3339(self.world.wall)
            return self._commit(resource, key, old, new, "delete", author)
        self._commit(resource, key, old, None, "delete", author)
        return None

    def change(
        self, resource: Resource, key: Key, edit: Callable[[Obj], object], author: str = ""
    ) -> Obj | None:
        """An actor's own read-modify-write of spec, metadata and status; None when there is no object."""
        old = self.find(resource, key)
        if old is None:
            return None
        new = duplicate(old)
        edit(new)
        return self._replace(resource, key, old, new, "change", author)

    # Inside.

    def _require_namespace(self, resource: Resource, key: Key) -> None:
        namespaces = self.tables.get("/api/v1/namespaces")
        if not resource.namespaced or namespaces is None or resource.plural == "namespaces":
            return
        found = namespaces.objects.get(("", key[0]))
        if found is None and self.name != "its":
            raise NotFound(404, "NotFound", f'namespaces "{key[0]}" not found', request=self.name)
        if found is not None and "deletionTimestamp" in found["metadata"]:
            words = f'{resource} "{key[1]}" is forbidden: unable to create new content in namespace '
            words += f"{key[0]} because it is being terminated"
            raise error_from_status(403, {"reason": "Forbidden", "message": words})

    def _replace(self, resource: Resource, key: Key, old: Obj, new: Obj, verb: str, author: str) -> Obj:
        kept = old["metadata"]
        metadata = new["metadata"]
        for server_side in ("uid", "creationTimestamp", "deletionTimestamp", "generation"):
            if server_side in kept:
                metadata[server_side] = kept[server_side]
            else:
                metadata.pop(server_side, None)
        metadata["resourceVersion"] = kept["resourceVersion"]
        for empty in ("finalizers", "labels", "annotations"):
            if empty in metadata and not metadata[empty]:
                del metadata[empty]
        added = set(metadata.get("finalizers") or ()) - set(kept.get("finalizers") or ())
        if "deletionTimestamp" in kept and added:
            words = "Forbidden: no new finalizers can be added if the object is being deleted"
            raise invalid(resource, key, [("metadata.finalizers", words)])
        if resource.plural == "jobs" and new.get("status") != old.get("status"):
            found = job_status.refusals(new["spec"], old.get("status") or {}, new.get("status") or {})
            if found and author:
                raise invalid(resource, key, found)
        if new == old:
            return old
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._commit(resource, key, old, None, verb, author)
            return new
        if new.get("spec") != old.get("spec"):
            metadata["generation"] = kept.get("generation", 1) + 1
        return self._commit(resource, key, old, new, verb, author)

    def _commit(
        self, resource: Resource, key: Key, old: Obj | None, new: Obj | None, verb: str, author: str
    ) -> Obj:
        table = self.table(resource)
        self.version += 1
        self._reached.append((self.world.now, self.version))
        kind = "ADDED" if old is None else "MODIFIED"
        if new is None:
            assert old is not None
            kind = "DELETED"
            del table.objects[key]
            table.owners.pop(key, None)
            told = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self.version)}}
        else:
            new["metadata"]["resourceVersion"] = str(self.version)
            table.objects[key] = told = new
        event = Event(self.version, kind, key, old, told, marshal.dumps(told))
        table.events.append(event)
        if author:
            self.writes.append(Write(self.world.now, author, self.name, resource.plural, verb, key, old, new))
        self._collect_garbage(resource, key, event)
        for listener in tuple(table.listeners):
            listener(event)
        return told

    def _collect_garbage(self, resource: Resource, key: Key, event: Event) -> None:
        """Dependents of a deleted object go in the background, as the garbage collector does it."""
        if event.kind == "ADDED":
            for owner in event.new["metadata"].get("ownerReferences") or ():
                self._children.setdefault(owner["uid"], set()).add((resource.path(), key))
        elif event.kind == "DELETED":
            for path, child in sorted(self._children.pop(event.new["metadata"]["uid"], ())):
                down = max(0.0, self.collector_down_until - self.world.now)
                self.world.soon(down + 0.02, down + 0.5, partial(self._delete_child, path, child, event))

    def _delete_child(self, path: str, key: Key, event: Event) -> None:
        table = self.tables[path]
        child = table.objects.get(key)
        owners = child["metadata"].get("ownerReferences") or () if child else ()
        if any(owner["uid"] == event.new["metadata"]["uid"] for owner in owners):
            self.delete(table.resource, key)
