"""Virtual time: what is due next, and event loops that live in it.

Nothing here sleeps. A process under test has an event loop of its own, so that it can be paused (its loop
is not stepped while the world goes on) and killed between any two of its instants.
"""

import asyncio
import heapq
import math
import random
from asyncio import events
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

RESOLUTION = 1e-9  # seconds, of asyncio's clock
MANY_TURNS = 2_000
MOST_TURNS = 20_000  # of one event loop at one instant; a healthy one needs some tens
EPOCH = 1_770_000_000.0  # unix seconds at virtual time 0


class Livelock(Exception):
    """Something is so busy that time does not go on."""


class World:
    """The clock, what will happen, and the only source of chance besides the plan."""

    def __init__(self, seed: str) -> None:
        self.now = 0.0
        self.random = random.Random(f"world {seed}")
        self.loops: list[ProcessLoop] = []
        self.trace: list[tuple[float, str]] = []
        self._deeds: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    @property
    def wall(self) -> float:
        """Unix seconds."""
        return EPOCH + self.now

    def at(self, when: float, deed: Callable[[], object]) -> None:
        self._count += 1
        heapq.heappush(self._deeds, (when, self._count, deed))

    def after(self, delay: float, deed: Callable[[], object]) -> None:
        self.at(self.now + delay, deed)

    def soon(self, low: float, high: float, deed: Callable[[], object]) -> None:
        """After a delay by chance, in seconds."""
        self.at(self.now + low + (high - low) * self.random.random(), deed)

    def note(self, text: str) -> None:
        """A line of the run's history."""
        self.trace.append((self.now, text))

    def run(self, until: float, done: Callable[[], bool]) -> None:
        """Let everything happen in order until ``done`` or the time is over."""
        while True:
            due = self._deeds[0][0] if self._deeds else math.inf
            for loop in self.loops:
                due = min(due, loop.next_event())
            if due > until:
                self.now = until
                return
            self.now = max(self.now, due)
            while self._deeds and self._deeds[0][0] <= self.now:
                heapq.heappop(self._deeds)[2]()
            for loop in tuple(self.loops):
                loop.run_due()
            if done():
                return


class Poked:
    """An actor's queue: a key is looked at once, a chance delay after it was first named."""

    def __init__(
        self, world: World, look: Callable[[Any], object], low: float, high: float, *, enabled: bool = True
    ) -> None:
        self.world, self.look, self.low, self.high = world, look, low, high
        self.enabled = enabled
        self._waiting: dict[Any, float] = {}

    def poke(self, key: Any, *, after: float = 0.0) -> None:
        when = self.world.now + after + self.low + (self.high - self.low) * self.world.random.random()
        if key in self._waiting and self._waiting[key] <= when:
            return
        self._waiting[key] = when
        self.world.at(when, lambda: self._ring(key, when))

    def _ring(self, key: Any, when: float) -> None:
        if self._waiting.get(key) != when:
            return
        if not self.enabled:  # the component is down: it looks at everything when it is back
            self._waiting[key] = when + 1.0
            self.world.at(when + 1.0, lambda: self._ring(key, when + 1.0))
            return
        del self._waiting[key]
        self.look(key)


def rfc3339(unix_seconds: float) -> str:
    return datetime.fromtimestamp(int(unix_seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _NoSelector:
    """There are no sockets in this world."""

    def select(self, _timeout: float | None = None) -> list[Any]:
        return []


class _Task(asyncio.Task[Any]):
    """Hashes by birth: asyncio keeps tasks in sets, whose order would otherwise be that of addresses."""

    births = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _Task.births += 1
        self._birth = _Task.births
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self._birth

    def __eq__(self, other: object) -> bool:
        return self is other


class ProcessLoop(asyncio.BaseEventLoop):
    """An event loop whose time is the world's and that runs only when it is stepped."""

    _ready: Any
    _scheduled: Any
    _timer_cancelled_count: int

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.paused_until = 0.0
        self._selector = _NoSelector()
        self.set_task_factory(lambda loop, coro, **kw: _Task(coro, loop=loop, **kw))
        world.loops.append(self)

    def time(self) -> float:
        return self.world.now

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    def next_event(self) -> float:
        if self._ready:
            return max(self.world.now, self.paused_until)
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        return max(scheduled[0]._when, self.paused_until) if scheduled else float("inf")

    def run_due(self) -> None:
        """Everything that is due now; nothing while paused."""
        now = self.world.now
        if now < self.paused_until or self.next_event() > now + RESOLUTION:
            return
        events._set_running_loop(self)
        try:
            for turn in range(1, MOST_TURNS + 1):
                if turn % MANY_TURNS == 0:
                    # A timer may be the last digit of a float ahead: now + (due - now) is not due then.
                    self.world.now = now = now + RESOLUTION
                due = self.next_event()
                if due > now + RESOLUTION:
                    return
                # asyncio fires a timer up to its clock's resolution too early, and whoever then finds that
                # it is not time yet asks for the same timer again: time has to go on that little bit.
                self.world.now = now = max(now, due)
                self._run_once()  # type: ignore[attr-defined]
            msg = f"{MOST_TURNS} turns of the loop at one instant, {now:.3f}"
            raise Livelock(msg)
        finally:
            events._set_running_loop(None)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs again; the tasks are only emptied so that Python stays silent."""
        self.paused_until = 0.0
        for _ in range(20):
            tasks = sorted(asyncio.all_tasks(self), key=hash)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.run_due()
        if self in self.world.loops:
            self.world.loops.remove(self)
        self.close()
