"""One process of the controller: the program's own pieces on simulated spaces, killed, paused, restarted."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from kube_runtime.informer import Pace
from kube_runtime.lease import LeaderElection, Surroundings
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kube_runtime.work_queue import WorkQueue
from tests.simulation.api_server import ApiServer
from tests.simulation.logs import UNEXPECTED
from tests.simulation.network import Plans, SimSpace, Weather
from tests.simulation.world import ProcessLoop, World
from workload_controller.concerns import Request
from workload_controller.main import NAME
from workload_controller.settings import Settings
from workload_controller.wiring import assemble

STALE_SECONDS = 5.0  # how long a server that is behind stays so


class ToldEvents:
    """Kubernetes Events, kept as lines of the run's history."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._said: set[tuple[str, str]] = set()

    def record(self, reference: Mapping[str, str], _type: str, reason: str, message: str) -> None:
        if (reference["uid"], message) not in self._said:
            self._said.add((reference["uid"], message))
            self._world.note(f"  event {reference['name']} {reason}: {message}")


class Replica:
    """``number`` names it; every start is a new process with a new identity and empty memory."""

    def __init__(
        self,
        world: World,
        number: int,
        servers: Mapping[str, ApiServer],
        weather: Mapping[str, Weather],
        settings: Settings,
        sends: Callable[[str, Resource], None],
    ) -> None:
        self.world, self.number, self._servers, self._weather = world, number, servers, weather
        self._settings, self._sends = settings, sends
        self.plans = Plans()
        self.life = 0
        self.alive = False
        self.leading: Callable[[], bool] = lambda: False
        self.spaces: dict[str, SimSpace] = {}
        self.start()

    @property
    def identity(self) -> str:
        return f"controller-{self.number}.{self.life}"

    def start(self, stale: Mapping[str, int] | None = None, *, stale_for: float = STALE_SECONDS) -> None:
        """A new process. ``stale``: servers whose lists and watches are of an older version for a time."""
        if self.alive:
            return
        self.life += 1
        self.alive = True
        self.world.note(f"{self.identity} starts" + (f", stale {dict(stale)}" if stale else ""))
        self.loop = ProcessLoop(self.world)
        self.spaces = {
            name: SimSpace(
                server, self._weather[name], self.loop, self.identity, self.plans, self._crashed, self._sends
            )
            for name, server in self._servers.items()
        }
        for name, version in (stale or {}).items():
            space = self.spaces[name]
            space.stale, space.stale_until = version, self.world.now + stale_for
            self.world.after(stale_for, partial(setattr, space, "stale", None))
        self.loop.create_task(self._run()).add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if self.alive:
            UNEXPECTED.append(f"the process ended: {task.exception()!r}")

    def kill(self, why: str = "") -> None:
        if not self.alive:
            return
        self.world.note(f"{self.identity} killed {why}")
        self.alive = False
        for space in self.spaces.values():
            space.dead = True
            space.streams.clear()
        self.leading = lambda: False
        self.loop.kill()

    def pause(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        if self.alive:
            self.world.note(f"{self.identity} pauses for {seconds:.1f} s")
            self.loop.paused_until = self.world.now + seconds
            self.world.after(seconds, lambda: None)

    def _crashed(self, why: str) -> None:
        self.kill(why)
        self.world.soon(0.1, 3.0, self.start)

    async def _run(self) -> None:
        hub, wds, its = (cast("Space", self.spaces[name]) for name in ("hub", "wds", "its"))
        settings, world = self._settings, self.world
        queue: WorkQueue[Request] = WorkQueue(clock=self.loop.time)
        surroundings = Surroundings(
            clock=self.loop.time,
            wall=lambda: datetime.fromtimestamp(world.wall, UTC),
            holder_is_gone=lambda _identity: False,
        )
        election = LeaderElection(hub, settings.namespace, NAME, self.identity, surroundings=surroundings)
        self.leading = election.is_leader
        parts = assemble(
            settings,
            hub,
            wds,
            its,
            queue=queue,
            events=cast("Any", ToldEvents(world)),
            may_write=election.is_leader,
            clock=lambda: world.wall,
        )
        pace = Pace(clock=self.loop.time)
        for informer in parts.stores.informers:
            informer._pace = pace
            informer._relist_at = self.loop.time()

        async def lead() -> None:
            world.note(f"{self.identity} leads")
            await parts.lead()

        async with asyncio.TaskGroup() as tasks:
            for informer in parts.stores.informers:
                tasks.create_task(informer.run())
            tasks.create_task(election.run(lead, finish=queue.drain))
