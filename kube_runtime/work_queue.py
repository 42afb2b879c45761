"""The queue between what changed and who looks at it.

Guarantees, those of client-go's workqueue (util/workqueue/queue.go), each held by a property test:

* A key is queued at most once, however often it is added.
* A key is never handed to two workers at a time: added while it is worked on, it is queued again
  by ``done``.
* No key is lost: every ``add`` is followed by a ``get`` of that key that begins after it, also when
  the worker is cancelled in between.
* Of several ``add_after`` of one key the earliest counts.
* From ``drain`` on no key is handed out any more; it returns when those that were are ``done``.

One event loop, no locks.
"""

import asyncio
import heapq
import itertools
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Final, Generic, Protocol, TypeVar

import structlog

from kube_runtime.errors import ApiError, KubeError

K = TypeVar("K", bound=Hashable)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

FIRST_RETRY: Final = 0.005
"""Seconds; client-go's DefaultControllerRateLimiter begins here."""

LONGEST_RETRY: Final = 60.0
"""Seconds; client-go waits up to 1000, too long for somebody who has just repaired the cause."""

TAKES_BEFORE_YIELD: Final = 100
"""``get`` need not suspend while work is ready; without a pause, watches and timers would starve."""

_MAX_DOUBLINGS: Final = 63  # past every sensible cap; 2.0 ** 1024 would raise OverflowError


class QueueMetrics(Protocol):
    """What a queue tells about itself; ``telemetry.WorkQueueMetrics`` is one."""

    def added(self, key: Hashable) -> None:
        """The key was queued (not: it was in the queue already)."""

    def started(self, key: Hashable) -> None:
        """A worker has the key."""

    def finished(self, key: Hashable) -> None:
        """The worker is done with it."""

    def retried(self, key: Hashable) -> None:
        """The key failed and waits for its next turn."""


class WorkQueue(Generic[K]):
    """Deduplicating queue of keys with timers and a back-off per key.

    ``clock`` gives seconds and never goes back; ``jitter`` a number from [0, 1) for each retry.
    """

    def __init__(
        self,
        *,
        first_retry: float = FIRST_RETRY,
        longest_retry: float = LONGEST_RETRY,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        metrics: QueueMetrics | None = None,
    ) -> None:
        self._first_retry, self._longest_retry = first_retry, longest_retry
        self._clock, self._jitter, self._metrics = clock, jitter, metrics
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()  # asked for and not yet taken; a superset of _ready
        self._active: set[K] = set()
        self._timers: list[tuple[float, int, K]] = []  # heap of (due, tie-break, key)
        self._due: dict[K, float] = {}  # the entry of _timers that counts; the others are stale
        self._order = itertools.count()
        self._failures: dict[K, int] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._takes = 0

    def add(self, key: K) -> None:
        """Have the key worked on soon."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if self._metrics:
            self._metrics.added(key)
        if key not in self._active:
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: K, delay: float) -> None:
        """Have the key worked on ``delay`` seconds from now, or earlier if that was asked for before."""
        if delay <= 0:
            self.add(key)
            return
        due = self._clock() + delay
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._timers, (due, next(self._order), key))
            self._wake.set()

    def retry(self, key: K, *, at_least: float = 0.0) -> float:
        """Have a failed key worked on again; the seconds until then.

        They double with each failure, half of them at random so that keys that failed together
        come back apart, and are never fewer than ``at_least`` (a server's Retry-After).
        """
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        full = min(self._longest_retry, self._first_retry * 2.0 ** min(failures - 1, _MAX_DOUBLINGS))
        delay = max(at_least, full * (0.5 + 0.5 * self._jitter()))
        if self._metrics:
            self._metrics.retried(key)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    async def drain(self) -> None:
        """Hand out nothing more, for good, and wait until all that was handed out is done.

        client-go's ShutDownWithDrain, except that keys which wait are left to the next process.
        """
        self._draining = True
        await self._idle.wait()

    async def get(self) -> K:
        """The next key, waited for; ``done`` must follow."""
        self._takes += 1
        if self._takes % TAKES_BEFORE_YIELD == 0:
            await asyncio.sleep(0)
        while True:
            with suppress(asyncio.QueueEmpty):
                return self.get_nowait()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._next_timer()):
                    await self._wake.wait()

    def get_nowait(self) -> K:
        """The next key; raises asyncio.QueueEmpty while none is ready."""
        self._ring_timers()
        if self._draining or not self._ready:
            raise asyncio.QueueEmpty
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._active.add(key)
        self._idle.clear()
        if self._metrics:
            self._metrics.started(key)
        return key

    def done(self, key: K) -> None:
        """The worker has finished with a key that it got."""
        if key not in self._active:
            return
        self._active.discard(key)
        if not self._active:
            self._idle.set()
        if self._metrics:
            self._metrics.finished(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake.set()

    def __len__(self) -> int:
        return len(self._ready)

    def _ring_timers(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            due, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    def _next_timer(self) -> float | None:
        return self._timers[0][0] - self._clock() if self._timers else None


async def run_workers(queue: WorkQueue[K], reconcile: Callable[[K], Awaitable[float | None]], n: int) -> None:
    """Let ``n`` workers reconcile keys until cancelled.

    ``reconcile`` answers with the seconds after which it wants the key again, or None. What it
    raises is logged with the key and retried with back-off; a Retry-After of the server is obeyed.
    Cancelled in the middle of a key, the key stays queued for the next ``run_workers``; to have the work
    that was begun finished, ``drain`` the queue first.
    """
    async with asyncio.TaskGroup() as workers:
        for number in range(n):
            workers.create_task(_work(queue, reconcile), name=f"worker-{number}")


async def _work(queue: WorkQueue[K], reconcile: Callable[[K], Awaitable[float | None]]) -> None:
    while True:
        key = await queue.get()
        try:
            again = await reconcile(key)
        except asyncio.CancelledError:
            queue.add(key)
            raise
        except KubeError as error:
            delay = queue.retry(key, at_least=_retry_after(error))
            log.warning("reconcile failed", key=key, error=str(error), retry_seconds=round(delay, 3))
        except Exception:
            log.exception("reconcile failed", key=key, retry_seconds=round(queue.retry(key), 3))
        else:
            queue.forget(key)
            if again is not None:
                queue.add_after(key, again)
        finally:
            queue.done(key)


def _retry_after(error: KubeError) -> float:
    return (error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0
