"""Model API servers for the lifecycle machine, and one controller process in front of them.

The servers hold the true objects and keep every version of them as a watch would tell it. A process sees of
it what the machine delivers, kind by kind; its writes go to the true objects with the preconditions of a real
API server, and may be lost, come late, or be its last deed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, cast

from kube_runtime.errors import AlreadyExists, Conflict, KubeError, NotFound, Unreachable
from kube_runtime.events import EventRecorder
from kube_runtime.objects import Key, Obj, key_of
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    CONFIG_MAPS,
    JOBS,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
    WORK_STATUSES,
    WORKLOADS,
)
from workload_controller.actions import Writer
from workload_controller.concerns import Concerns, Request
from workload_controller.controller import Controller
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Action, Wait
from workload_controller.stores import Stores
from workload_controller.view import View
from workload_controller.wishes import JobPolicy

Change = Callable[[Obj], object]
WITHOUT_DEADLINE = frozenset({"ClusterLost"})
"""Reasons of waits that may last for ever: a lost cluster under atMostOnce (docs/lifecycle.md)."""


def duplicate(value: Any) -> Any:
    """A deep copy of JSON."""
    if isinstance(value, dict):
        return {name: duplicate(inner) for name, inner in value.items()}
    return [duplicate(inner) for inner in value] if isinstance(value, list) else value


class Clock:
    """The one clock and the one counter of versions and uids."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.count = 100

    def tick(self) -> int:
        self.count += 1
        return self.count


class Server:
    """The true objects of one space, and per resource all their versions in order."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name, self.clock = name, clock
        self.objects: dict[str, dict[Key, Obj]] = {}
        self.versions: dict[str, list[tuple[str, Obj]]] = {}

    def all(self, resource: Resource) -> list[Obj]:
        return [obj for _, obj in sorted(self.objects.get(resource.plural, {}).items())]

    def find(self, resource: Resource, key: Key) -> Obj | None:
        return self.objects.get(resource.plural, {}).get(key)

    def get(self, resource: Resource, key: Key) -> Obj:
        obj = self.find(resource, key)
        if obj is None:
            raise NotFound(404, "NotFound", f"{resource.plural} {key}")
        return obj

    def create(self, resource: Resource, obj: Obj) -> Obj:
        key = key_of(obj)
        if self.find(resource, key) is not None:
            raise AlreadyExists(409, "AlreadyExists", f"{resource.plural} {key}")
        obj = duplicate(obj)
        number = str(self.clock.tick())
        obj["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": number}
        return self._store("ADDED", resource, obj)

    def change(self, resource: Resource, key: Key, change: Change) -> Obj:
        """A write that is no news makes no version; one that takes the last finalizer ends the object."""
        present = self.get(resource, key)
        changed = duplicate(present)
        change(changed)
        if changed == present:
            return present
        changed["metadata"]["resourceVersion"] = str(self.clock.tick())
        gone = "deletionTimestamp" in changed["metadata"] and not changed["metadata"].get("finalizers")
        return self._store("DELETED" if gone else "MODIFIED", resource, changed)

    def delete(self, resource: Resource, key: Key) -> Obj | None:
        """Returns the object while finalizers keep it."""
        at = rfc3339(self.clock.now)
        self.change(resource, key, lambda obj: obj["metadata"].setdefault("deletionTimestamp", at))
        return self.find(resource, key)

    def _store(self, kind: str, resource: Resource, obj: Obj) -> Obj:
        self.versions.setdefault(resource.plural, []).append((kind, obj))
        objects = self.objects.setdefault(resource.plural, {})
        if kind == "DELETED":
            objects.pop(key_of(obj), None)
        else:
            objects[key_of(obj)] = obj
        return obj


class Crash(BaseException):
    """The process is killed here."""


class Fate(Enum):
    """What happens to a write."""

    DONE = "done"
    LOST = "done, but no answer comes"
    LATE = "no answer comes, and it arrives later"
    CRASH_BEFORE = "the process dies before it"
    CRASH_AFTER = "the process dies after it"


@dataclass
class Network:
    """Between the processes and the servers: the fate of the next write, and the writes that sleep in it."""

    fate: Fate = Fate.DONE
    sleeping: list[Callable[[], object]] = field(default_factory=list)

    def write(self, what: Callable[[], Any]) -> Any:
        fate, self.fate = self.fate, Fate.DONE
        if fate is Fate.CRASH_BEFORE:
            raise Crash
        if fate is Fate.LATE:
            self.sleeping.append(what)
            raise Unreachable("no answer")
        answer = what()
        if fate is Fate.CRASH_AFTER:
            raise Crash
        if fate is Fate.LOST:
            raise Unreachable("no answer")
        return duplicate(answer)

    def wake(self) -> None:
        """The oldest sleeping write arrives; nobody hears what became of it."""
        if self.sleeping:
            try:
                self.sleeping.pop(0)()
            except KubeError:
                return


class ModelSpace:
    """``Space`` as far as ``Writer`` uses it."""

    def __init__(self, server: Server, network: Network) -> None:
        self.name, self._server, self._network = server.name, server, network

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Obj:
        answer: Obj = duplicate(self._server.get(resource, (namespace or "", name)))
        return answer

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = ""
    ) -> list[Obj]:
        key, _, value = label_selector.partition("=")
        return [
            duplicate(obj)
            for obj in self._server.all(resource)
            if obj["metadata"].get("namespace", "") == namespace
            and (obj["metadata"].get("labels") or {}).get(key) == value
        ]

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        body = duplicate(obj)
        return cast("Obj", self._network.write(lambda: self._server.create(resource, body)))

    async def update(self, resource: Resource, obj: Obj, *, subresource: str | None = None) -> Obj:
        assert subresource == "status"
        body = duplicate(obj)

        def write() -> Obj:
            self._expect(resource, body)
            return self._server.change(
                resource, key_of(body), lambda present: present.update(status=body["status"])
            )

        return cast("Obj", self._network.write(write))

    async def patch(
        self, resource: Resource, obj_patch: Obj, *, name: str, namespace: str | None = None
    ) -> Obj:
        body = {"metadata": obj_patch["metadata"] | {"name": name, "namespace": namespace or ""}}

        def write() -> Obj:
            self._expect(resource, body)
            return self._server.change(
                resource, key_of(body), lambda present: present["metadata"].pop("finalizers", None)
            )

        return cast("Obj", self._network.write(write))

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, uid: str
    ) -> Obj | None:
        body = {"metadata": {"name": name, "namespace": namespace or "", "uid": uid}}

        def write() -> Obj | None:
            self._expect(resource, body)
            return self._server.delete(resource, key_of(body))

        return cast("Obj | None", self._network.write(write))

    async def apply(
        self, resource: Resource, obj: Obj, *, field_manager: str, subresource: str | None = None
    ) -> Obj:
        assert field_manager == keys.CONTROLLER_NAME
        body = duplicate(obj)

        def write() -> Obj:
            if resource not in (WORKLOADS, JOBS):
                return self._apply_whole(resource, body)
            self._expect(resource, body)
            merge = _merge_check if subresource == "status" else _merge_finalizers
            return self._server.change(resource, key_of(body), lambda present: merge(present, body))

        return cast("Obj", self._network.write(write))

    def _expect(self, resource: Resource, body: Obj) -> None:
        present = self._server.get(resource, key_of(body))["metadata"]
        for precondition in ("uid", "resourceVersion"):
            if body["metadata"].get(precondition, present[precondition]) != present[precondition]:
                raise Conflict(409, "Conflict", f"{resource.plural} {key_of(body)}: {precondition}")

    def _apply_whole(self, resource: Resource, body: Obj) -> Obj:
        if self._server.find(resource, key_of(body)) is None:
            return self._server.create(resource, body)
        rest = {name: value for name, value in body.items() if name != "metadata"}
        return self._server.change(resource, key_of(body), lambda present: present.update(rest))


def _merge_check(present: Obj, body: Obj) -> None:
    """Our entry; podSetUpdates that Kueue's Admitted took over stay beside ours until the next eviction."""
    (entry,) = body["status"]["admissionChecks"]
    checks = present["status"]["admissionChecks"]
    for i, check in enumerate(checks):
        if check["name"] == entry["name"]:
            kept = {name: check[name] for name in ("retryCount",) if name in check}
            if present["status"].get("ownsUpdates") and "podSetUpdates" in check:
                ours = (entry.get("podSetUpdates") or [{"annotations": {}}])[0]["annotations"]
                both = check["podSetUpdates"][0]["annotations"] | ours
                entry = entry | {"podSetUpdates": [{"name": "main", "annotations": both}]}
            checks[i] = kept | entry


def _merge_finalizers(present: Obj, body: Obj) -> None:
    others = [f for f in present["metadata"].get("finalizers") or () if f != keys.PODS_MAY_RUN]
    present["metadata"]["finalizers"] = others + body["metadata"]["finalizers"]


@dataclass
class Watched:
    """What a process knows of one resource: a cursor into its versions, or a list that is on its way."""

    server: Server
    resource: Resource
    informer: Any
    selects: Callable[[Obj], bool] = lambda _obj: True
    cursor: int = 0
    listing: tuple[Any, list[Obj], int, str] | None = None

    @property
    def behind(self) -> int:
        return len(self.server.versions.get(self.resource.plural, ())) - self.cursor

    def begin_list(self, back: int = 0) -> None:
        """The server has read the list, as it was so many versions ago; it has not arrived yet."""
        versions = self.server.versions.get(self.resource.plural, [])
        upto = max(0, len(versions) - back)
        objects: dict[Key, Obj] = {}
        for kind, obj in versions[:upto]:
            objects.pop(key_of(obj), None)
            if kind != "DELETED" and self.selects(obj):
                objects[key_of(obj)] = obj
        version = versions[upto - 1][1]["metadata"]["resourceVersion"] if upto else "1"
        self.listing = (self.informer._store.begin_list(), list(objects.values()), upto, version)

    def deliver(self, count: int) -> None:
        """The list that is on its way, or the next events."""
        store = self.informer._store
        if self.listing is not None:
            listing, objects, self.cursor, version = self.listing
            store.add_page(listing, [duplicate(obj) for obj in objects])
            store.end_list(listing, version)
            self.listing = None
        versions = self.server.versions.get(self.resource.plural, [])
        for kind, obj in versions[self.cursor : self.cursor + count]:
            self.cursor += 1
            if self.selects(obj):
                store.event(kind, duplicate(obj))

    def repeat(self, count: int) -> None:
        """The last events come once more, as after a reconnect."""
        if self.listing is None:
            versions = self.server.versions.get(self.resource.plural, [])
            for kind, obj in versions[max(0, self.cursor - count) : self.cursor]:
                if self.selects(obj):
                    self.informer._store.event(kind, duplicate(obj))


def _ours(obj: Obj) -> bool:
    return (obj["metadata"].get("labels") or {}).get(keys.MANAGED_BY_LABEL) == keys.MANAGED_BY


class Observed(Controller):
    """The real controller; each decision is noted, and each wait must have a reason and an end (I5)."""

    last: tuple[Situation, Action] | None = None
    note: Callable[[Situation, Action], None]

    async def _act(self, s: Situation, action: Action) -> float | None:
        self.last = (s, action)
        self.note(s, action)
        if isinstance(action, Wait):
            assert action.reason, "I5: a wait without a reason"
            assert action.message, f"I5: {action.reason} says nothing"
            endless = action.until is None and action.reason not in WITHOUT_DEADLINE
            assert not endless, f"I5: {action.reason} has no deadline: {action.message}"
        return await super()._act(s, action)


class Silence:
    """An EventRecorder that nobody reads."""

    def record(self, *_: Any) -> None:
        return


class Process:
    """One controller process: what it knows, and whom it still has to look at."""

    def __init__(
        self,
        servers: Mapping[str, Server],
        clock: Clock,
        network: Network,
        timing: Timing,
        note: Callable[[Situation, Action], None],
        hub_lags: int = 0,
    ) -> None:
        """``hub_lags``: the hub's API server that it lists from is so many versions behind."""
        self._clock = clock
        spaces = {
            name: cast("Space", cast("object", ModelSpace(server, network)))
            for name, server in servers.items()
        }
        self.stores = Stores(spaces["hub"], spaces["wds"], spaces["its"])
        self.view = View(self.stores, stale_after=120.0, timing=timing, defaults=JobPolicy())
        writer = Writer(spaces["hub"], spaces["wds"], spaces["its"], lambda: True, lambda: clock.now)
        recorder = cast("EventRecorder", cast("object", Silence()))
        self.controller = Observed(
            self.stores, self.view, writer, recorder, timing=timing, clock=lambda: clock.now
        )
        self.controller.note = note
        self.dirty: set[Request] = set()
        self.timers: dict[Request, float] = {}
        self.kinds = {
            "workloads": Watched(servers["hub"], WORKLOADS, self.stores.workloads),
            "jobs": Watched(servers["hub"], JOBS, self.stores.jobs),
            "copies": Watched(servers["wds"], JOBS, self.stores.copies, _ours),
            "policies": Watched(
                servers["wds"],
                BINDING_POLICIES,
                self.stores.policies,
                lambda o: _ours(o) and keys.WORKLOAD_UID in o["metadata"]["labels"],
            ),
            "bindings": Watched(servers["wds"], BINDINGS, self.stores.bindings),
            "works": Watched(servers["its"], MANIFEST_WORKS, self.stores.works),
            "reports": Watched(servers["its"], WORK_STATUSES, self.stores.reports),
            "clusters": Watched(servers["its"], MANAGED_CLUSTERS, self.stores.clusters),
            "beats": Watched(servers["wds"], CONFIG_MAPS, self.stores.beats),
            "checks": Watched(servers["hub"], ADMISSION_CHECKS, self.stores.checks),
        }
        for kind, watched in self.kinds.items():
            watched.begin_list(hub_lags if kind in ("workloads", "jobs") else 0)
            watched.deliver(0)
        concerns = Concerns(self.stores, self._changed)
        concerns.enqueue_all()

    def _changed(self, request: Request) -> None:
        if request.kind in ("workload", "job", "beat"):
            self.dirty.add(request)

    def due(self) -> list[Request]:
        """Whom it would look at by itself now."""
        timed = {request for request, at in self.timers.items() if at <= self._clock.now}
        return sorted(self.dirty | timed)

    def reconcile(self, request: Request) -> None:
        """One look, to the end; Crash passes through."""
        self.dirty.discard(request)
        self.timers.pop(request, None)
        try:
            after = _run(self.controller.reconcile(request))
        except KubeError:
            after = 0.2
        if after is not None:
            self.timers[request] = self._clock.now + after

    def deliver_all(self) -> None:
        for watched in self.kinds.values():
            watched.deliver(watched.behind + 1)


def _run(coroutine: Any) -> float | None:
    """Nothing in the model waits, so a coroutine ends at its first step."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("float | None", end.value)
    raise AssertionError("the model never suspends")


def rfc3339(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
