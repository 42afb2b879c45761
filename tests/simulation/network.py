"""What lies between a process and an API server: delays, losses, refusals, and watches that lag or break.

A request has two ways to go wrong that look alike to the sender: it never arrived, or its answer was lost.
What has been sent arrives even when its sender is dead by then.
"""

import asyncio
import marshal
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field

from kube_runtime.errors import Conflict, KubeError, ServerError, TooManyRequests, Unreachable
from kube_runtime.objects import Key, Obj
from kube_runtime.resources import Resource
from tests.simulation.api_errors import gone
from tests.simulation.api_server import ApiServer, Event, Table
from tests.simulation.world import ProcessLoop

TIMEOUT = 30.0  # seconds, of kube_runtime.space
FAST = (0.001, 0.008)  # seconds, one way
WRITES = frozenset({"create", "update", "patch", "apply", "delete"})


@dataclass
class Weather:
    """What is broken between all processes and one server now; the defaults are health."""

    down_until: float = 0.0  # nothing gets through
    refuse: float = 0.0  # share of requests that are answered 429 or 500
    conflict: float = 0.0  # share of writes that are answered 409
    lose_answer: float = 0.0  # share of writes that happen and are not answered
    sleep: float = 0.0  # share of writes that are on their way for long
    lag: tuple[float, float] = (0.001, 0.05)  # of watch events
    repeat: float = 0.0  # share of watch events that are told twice
    silent: dict[str, float] = field(default_factory=dict)  # plural → until when its watches tell nothing
    late: dict[str, float] = field(default_factory=dict)  # plural → seconds that its next write is on its way


@dataclass
class Plans:
    """Faults of single writes, by the number of the write that this process sends."""

    crash_at: dict[int, str] = field(default_factory=dict)  # number → "before" | "unanswered" | "after"
    writes: int = 0


class SimSpace:
    """The verbs of ``kube_runtime.space.Space``, as one process reaches one server."""

    def __init__(
        self,
        server: ApiServer,
        weather: Weather,
        loop: ProcessLoop,
        identity: str,
        plans: Plans,
        crash: Callable[[str], None],
        sends: Callable[[str, Resource], None] = lambda _identity, _resource: None,
    ) -> None:
        self.api, self.weather, self.loop, self.identity = server, weather, loop, identity
        self.name, self.server = server.name, f"https://{server.name}"
        self.dead = False
        self.stale: int | None = None  # lists and watches begin at this old version
        self.stale_until = 0.0  # and watches tell nothing newer until then
        self._plans, self._crash, self._sends = plans, crash, sends
        self._world = server.world
        self.streams: set[Stream] = set()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Obj:
        key = (namespace or "", name)
        return await self._call("get", lambda: self.api.get(resource, key))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[Obj]:
        assert not field_selector
        params = {"labelSelector": label_selector} if label_selector else {}
        return [item async for page in self.pages(resource, namespace, params) for item in page["items"]]

    async def pages(
        self, resource: Resource, namespace: str | None, params: Mapping[str, str]
    ) -> AsyncGenerator[Obj, None]:
        yield await self._call("list", lambda: self._page(resource, namespace, params))

    def _page(self, resource: Resource, namespace: str | None, params: Mapping[str, str]) -> Obj:
        selector = parse_selector(params.get("labelSelector", ""))
        version = self.api.version if self.stale is None else self.stale
        table = self.api.table(resource)
        objects = table.objects if self.stale is None else self.api.state_at(resource, version)
        chosen = [obj for key, obj in sorted(objects.items()) if _chosen(key, obj, namespace, selector)]
        return {"metadata": {"resourceVersion": str(version)}, "items": chosen}

    async def watch(self, path: str, params: Mapping[str, str], *, idle: float) -> AsyncGenerator[Obj, None]:
        del idle  # a stream here breaks or ends, it never only falls silent
        namespace, path = _namespace_of(path)
        table = self.api.tables[path]
        since = int(params["resourceVersion"])
        await self._call("watch", lambda: self._require_history(since))
        selector = parse_selector(params.get("labelSelector", ""))
        stream = Stream(self, table, namespace, selector, since)
        self.streams.add(stream)
        self._world.after(float(params["timeoutSeconds"]), lambda: stream.end(None))
        try:
            while True:
                while stream.events:
                    yield stream.events.popleft()
                if stream.ended:
                    if stream.error is not None:
                        raise stream.error
                    return
                await stream.wait()
        finally:
            self.streams.discard(stream)

    def _require_history(self, since: int) -> Obj:
        if since < self.api.compacted:
            raise gone(since, self.api.compacted)
        return {}

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        return await self._write(
            "create", resource, obj, lambda: self.api.create(resource, obj, self.identity)
        )

    async def apply(
        self,
        resource: Resource,
        obj: Obj,
        *,
        field_manager: str,
        subresource: str | None = None,
    ) -> Obj:
        return await self._write(
            "apply",
            resource,
            obj,
            lambda: self.api.apply(
                resource, obj, field_manager, self.identity, status=subresource == "status"
            ),
        )

    async def update(self, resource: Resource, obj: Obj, *, subresource: str | None = None) -> Obj:
        if not obj["metadata"].get("resourceVersion"):
            raise ValueError("an update without metadata.resourceVersion would overwrite what others wrote")
        return await self._write(
            "update",
            resource,
            obj,
            lambda: self.api.update(resource, obj, self.identity, status=subresource == "status"),
        )

    async def patch(
        self,
        resource: Resource,
        obj_patch: Obj,
        *,
        name: str,
        namespace: str | None = None,
        subresource: str | None = None,
    ) -> Obj:
        metadata = obj_patch.get("metadata") or {}
        if not (metadata.get("uid") or metadata.get("resourceVersion")):
            raise ValueError("a patch without metadata.uid or resourceVersion could hit a later object")
        key = (namespace or "", name)
        return await self._write(
            "patch",
            resource,
            {"metadata": {"name": name}},
            lambda: self.api.patch(resource, key, obj_patch, self.identity, status=subresource == "status"),
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str,
        resource_version: str | None = None,
    ) -> Obj | None:
        if not uid:
            raise ValueError("a delete without uid could hit a later object of the name")
        key = (namespace or "", name)
        answer = await self._write(
            "delete",
            resource,
            {"metadata": {"name": name}},
            lambda: self.api.delete(resource, key, self.identity, uid=uid, version=resource_version) or {},
        )
        return answer or None

    async def _write(self, verb: str, resource: Resource, obj: Obj, deed: Callable[[], Obj]) -> Obj:
        self._plans.writes += 1
        self._sends(self.identity, resource)
        crash = (
            ""
            if resource.plural in ("leases", "events")
            else self._plans.crash_at.pop(self._plans.writes, "")
        )
        what = f"{verb} {self.name} {resource.plural}/{obj['metadata'].get('name')}"
        late = self.weather.late.pop(resource.plural, 0.0)
        return await self._call(verb, deed, what=what, crash=crash, late=late)

    async def _call(
        self, verb: str, deed: Callable[[], Obj], *, what: str = "", crash: str = "", late: float = 0.0
    ) -> Obj:
        if self.dead:
            msg = f"{self.name}: the process is dead"
            raise Unreachable(msg)
        world, weather = self._world, self.weather
        chance = world.random.random
        if world.now < weather.down_until:
            await asyncio.sleep(min(TIMEOUT, 0.05 + chance() * 3.0))
            msg = f"{self.name}: connection refused"
            raise Unreachable(msg)
        there, back = (FAST[0] + (FAST[1] - FAST[0]) * chance() for _ in range(2))
        writes = verb in WRITES
        if writes and weather.sleep and chance() < weather.sleep:
            there = 1.0 + 60.0 * chance()
        there += late
        fate = self._fate(writes)
        future: asyncio.Future[Obj] = self.loop.create_future()

        def arrive() -> None:
            if crash == "before":
                self._crash(f"before {what}")
                return
            result: Obj | KubeError
            if isinstance(fate, KubeError):
                result = fate
            else:
                result = self._do(deed)
                if what:
                    refused = f" -> {result}" if isinstance(result, KubeError) else ""
                    world.note(f"{self.identity}: {what}{refused}")
            if crash == "unanswered":
                self._crash(f"unanswered {what}")
            elif fate != "lost" and not self.dead:
                world.after(back, lambda: self._deliver(future, result, crash, what))

        world.after(there, arrive)
        if there < TIMEOUT and fate != "lost":
            return await future
        try:
            async with asyncio.timeout(TIMEOUT):
                return await future
        except TimeoutError as waited:
            msg = f"{self.name}: {what}: no answer in time"
            raise Unreachable(msg) from waited

    def _fate(self, writes: bool) -> "KubeError | str":
        weather, chance = self.weather, self._world.random.random
        if weather.refuse and chance() < weather.refuse:
            if chance() < 0.5:
                return TooManyRequests(429, "TooManyRequests", "busy", retry_after=1.0)
            return ServerError(500, "InternalError", "etcdserver: request timed out")
        if writes and weather.conflict and chance() < weather.conflict:
            return Conflict(409, "Conflict", "the object has been modified")
        if writes and weather.lose_answer and chance() < weather.lose_answer:
            return "lost"
        return ""

    @staticmethod
    def _do(deed: Callable[[], Obj]) -> Obj | KubeError:
        try:
            return marshal.loads(marshal.dumps(deed()))  # type: ignore[no-any-return]
        except KubeError as refusal:
            return refusal

    def _deliver(self, future: "asyncio.Future[Obj]", result: Obj | KubeError, crash: str, what: str) -> None:
        if self.dead or future.done():
            return
        if isinstance(result, KubeError):
            future.set_exception(result)
        else:
            future.set_result(result)
        if crash == "after":
            self.loop.run_due()
            self._crash(f"after {what}")

    def cut(self, error: KubeError | None) -> None:
        """Every stream of this space ends now."""
        for stream in sorted(self.streams, key=lambda s: s.table.resource.plural):
            stream.end(error)


class Stream:
    """One watch. Events come in order, a chance lag after their commit."""

    def __init__(
        self, space: SimSpace, table: Table, namespace: str, selector: "Selector", since: int
    ) -> None:
        self.table, self.events = table, deque[Obj]()
        self.ended = False
        self.error: KubeError | None = None
        self._space, self._namespace, self._selector = space, namespace, selector
        self._waiter: asyncio.Future[None] | None = None
        self._ringing = False
        events = table.events
        self._next = len(events)
        while self._next and events[self._next - 1].version > since:
            self._next -= 1
        table.listeners.append(self._committed)
        if self._next < len(events):
            self._ring()

    def end(self, error: KubeError | None) -> None:
        if self.ended:
            return
        self.ended, self.error = True, error
        self.table.listeners.remove(self._committed)
        self._wake()

    async def wait(self) -> None:
        self._waiter = self._space.loop.create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _committed(self, _event: Event) -> None:
        if self._space.dead:
            self.end(None)
        elif not self._ringing:
            self._ring()

    def _ring(self) -> None:
        self._ringing = True
        low, high = self._space.weather.lag
        behind = max(0.0, max(self._space.stale_until, self._silent_until()) - self._space._world.now)
        self._space._world.soon(behind + low, behind + high, self._pump)

    def _silent_until(self) -> float:
        return self._space.weather.silent.get(self.table.resource.plural, 0.0)

    def _pump(self) -> None:
        self._ringing = False
        if self.ended or self._space.dead:
            return
        weather, world = self._space.weather, self._space._world
        if world.now < self._silent_until():  # fell silent while something was on its way
            self._ring()
            return
        if world.now < weather.down_until:
            self.end(Unreachable(f"{self._space.name}: connection reset"))
            return
        for event in self.table.events[self._next :]:
            told = self._selector_event(event)
            if told:
                obj = marshal.loads(event.blob)
                self.events.append({"type": told, "object": obj})
                if weather.repeat and world.random.random() < weather.repeat:
                    self.events.append({"type": told, "object": marshal.loads(event.blob)})
        self._next = len(self.table.events)
        if self.events:
            self._wake()

    def _selector_event(self, event: Event) -> str:
        if self._namespace and event.key[0] != self._namespace:
            return ""
        if not self._selector:
            return event.kind
        had = event.old is not None and _matches(event.old, self._selector)
        has = event.kind != "DELETED" and _matches(event.new, self._selector)
        if has:
            return "MODIFIED" if had else "ADDED"
        return "DELETED" if had else ""


def _namespace_of(path: str) -> tuple[str, str]:
    """The namespace in a collection's path, and the path without it."""
    before, found, rest = path.partition("/namespaces/")
    if not found:
        return "", path
    namespace, _, plural = rest.partition("/")
    return namespace, f"{before}/{plural}"


Selector = tuple[tuple[str, str | None], ...]


def parse_selector(text: str) -> Selector:
    """Equality and existence only; None is existence."""
    parts = [part for part in text.split(",") if part]
    return tuple((p.partition("=")[0], p.partition("=")[2] if "=" in p else None) for p in parts)


def _matches(obj: Obj, selector: Selector) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return all(name in labels and (value is None or labels[name] == value) for name, value in selector)


def _chosen(key: Key, obj: Obj, namespace: str | None, selector: Selector) -> bool:
    return (not namespace or key[0] == namespace) and _matches(obj, selector)


__all__ = ["Plans", "SimSpace", "Weather"]
