"""A world with one Lease, in which processes can be paused, cut off and killed.

Each elector lives in an event loop of its own, whose time is the world's. A paused process is a loop
that is not stepped: its timers, answers and cancellations wait while the world goes on.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from kube_runtime.errors import AlreadyExists, Conflict, KubeError, NotFound, Unreachable
from kube_runtime.lease import LeaderElection, Surroundings
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space

FAST = 0.01  # seconds, one way


class LoopInWorld(asyncio.SelectorEventLoop):
    """An event loop that runs only when it is stepped and takes its time from the world."""

    _ready: Any  # of BaseEventLoop
    _scheduled: Any

    def __init__(self, world: "World") -> None:
        super().__init__()
        self._world = world

    def time(self) -> float:
        return self._world.now

    def run_what_is_due(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()
        while self._ready:
            self.call_soon(self.stop)
            self.run_forever()

    def next_event(self) -> float:
        if self._ready:
            return self._world.now
        return min((timer.when() for timer in self._scheduled if not timer.cancelled()), default=float("inf"))


@dataclass
class World:
    """Time, what is on its way, and a server that keeps one Lease."""

    now: float = 0.0
    lease: Obj | None = None
    versions: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    mail: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    order: "itertools.count[int]" = field(default_factory=itertools.count)

    def at(self, when: float, deed: Callable[[], None]) -> None:
        heapq.heappush(self.mail, (when, next(self.order), deed))

    def store(self, lease: Obj) -> Obj:
        self.lease = lease | {"metadata": lease["metadata"] | {"resourceVersion": str(next(self.versions))}}
        return self.lease

    def answer(self, verb: str, body: Obj) -> Obj:
        if verb == "create":
            if self.lease is not None:
                raise AlreadyExists(409)
            return self.store(body)
        if self.lease is None:
            raise NotFound(404)
        if verb == "update":
            if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                raise Conflict(409)
            return self.store(body)
        return self.lease


@dataclass(frozen=True)
class Fate:
    """Of one request: seconds on the way there and back; what gets lost ends as Unreachable."""

    there: float = FAST
    back: float = FAST
    request_lost: bool = False
    answer_lost: bool = False


class FakeSpace:
    """The server as one elector reaches it. What was sent arrives, also when its sender has given up."""

    name = "fake"

    def __init__(self, world: World) -> None:
        self.world = world
        self.fates: list[Fate] = []
        self.cut_off = False

    async def get(self, _resource: Resource, _name: str, _namespace: str | None = None) -> Obj:
        return await self._send("get", {})

    async def create(self, _resource: Resource, obj: Obj) -> Obj:
        return await self._send("create", obj)

    async def update(self, _resource: Resource, obj: Obj) -> Obj:
        return await self._send("update", obj)

    async def _send(self, verb: str, body: Obj) -> Obj:
        fate = self.fates.pop(0) if self.fates else Fate(request_lost=self.cut_off)
        answered: asyncio.Future[Obj] = asyncio.get_running_loop().create_future()

        def arrive() -> None:
            result: Obj | KubeError
            try:
                result = Unreachable("lost") if fate.request_lost else self.world.answer(verb, body)
            except KubeError as refusal:
                result = refusal
            if fate.answer_lost:
                result = Unreachable("answer lost")
            self.world.at(self.world.now + fate.back, lambda: self._deliver(answered, result))

        self.world.at(self.world.now + fate.there, arrive)
        return await answered

    @staticmethod
    def _deliver(answered: "asyncio.Future[Obj]", result: Obj | KubeError) -> None:
        if answered.done() or answered.get_loop().is_closed():
            return
        if isinstance(result, KubeError):
            answered.set_exception(result)
        else:
            answered.set_result(result)


class Process:
    """One candidate: elector, network and a loop that can be paused."""

    def __init__(self, world: World, identity: str, dead: set[str]) -> None:
        self.world, self.identity = world, identity
        self.loop = LoopInWorld(world)
        self.space = FakeSpace(world)
        self.paused_until = 0.0
        self.leads = 0
        surroundings = Surroundings(
            clock=lambda: world.now,
            wall=lambda: datetime.fromtimestamp(world.now, UTC),
            holder_is_gone=dead.__contains__,
        )
        space = cast("Space", self.space)
        self.elector = LeaderElection(space, "ns", "controller", identity, surroundings=surroundings)
        self.task = self.loop.create_task(self.elector.run(self.lead))

    async def lead(self) -> None:
        self.leads += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.leads -= 1

    @property
    def paused(self) -> bool:
        return self.world.now < self.paused_until

    def next_event(self) -> float:
        return max(self.loop.next_event(), self.paused_until)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs again; the loop is only emptied so that Python stays silent."""
        self.space.cut_off = True
        for _ in range(3):
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_what_is_due()
        self.loop.close()


def run_world(
    world: World,
    processes: Sequence[Process],
    *,
    until: float,
    at_each_instant: Callable[[], None] = lambda: None,
    when_all_had_their_turn: Callable[[], None] = lambda: None,
) -> None:
    """Let everything happen that is due, in order, with checks after each process and after each round."""
    while True:
        arrivals = (world.mail[0][0] if world.mail else float("inf"), *(p.next_event() for p in processes))
        if (moment := min(arrivals)) > until:
            break
        world.now = max(world.now, moment)
        while world.mail and world.mail[0][0] <= world.now:
            heapq.heappop(world.mail)[2]()
        for process in processes:
            if not process.paused:
                process.loop.run_what_is_due()
                at_each_instant()
        when_all_had_their_turn()
    world.now = until
    at_each_instant()
