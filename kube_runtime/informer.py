"""One resource of one API server, kept in memory as small facts.

Guarantees:

* After any faults (broken and truncated streams, lost or repeated events, 410, 429, 5xx, restarts and
  restores of the server) the content equals the server's once a list or watch gets through again.
* Handlers see, per key, a chain: the ``old`` of each call is the ``new`` of the one before.
* What ``observe`` was told is never undone by an older message (see ``store``).
* A server that fails is asked at most twice per wait; waits double from 0.2 s to 5 s, and longer where
  the server asks for it (Retry-After).
* ``run`` never ends by itself, except by an error of a handler, which is a bug of the program.

How: a consistent paged list, then a watch from its resourceVersion. A stream that breaks is continued
where it stopped; 410, silence, and ``Pace.relist_after`` lead to a new list, whose difference to what
was known is told to the handlers.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import structlog

from kube_runtime.backoff import Backoff
from kube_runtime.errors import ApiError, Gone, KubeError, NotFound, Unreachable
from kube_runtime.objects import Key, Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kube_runtime.store import Handler, Store

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

STREAM_SECONDS: Final = (300, 600)
"""Asked lifetime of one watch, at random: client-go's 5 to 10 minutes, so that servers can rebalance."""

STEADY: Final = 5.0
"""Seconds; a stream that the server ended after that long is followed by the next without a wait."""

LONGEST_RETRY_AFTER: Final = 30.0
"""Seconds; a server may ask for more patience than ``Pace.longest_wait``, but not for blindness."""

EVENTS_BEFORE_YIELD: Final = 100
"""Reading buffered events need not suspend; without a pause a burst would starve everything else."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How an informer goes about it; times are in seconds."""

    idle: float = 90.0
    """Silence after which a stream counts as dead: API servers send a bookmark about every 60."""

    relist_after: float = 1800.0
    """At the end of a stream, a list older than this (shortened by up to half at random) is made anew:
    it finds what a server failed to tell."""

    first_wait: float = 0.2
    longest_wait: float = 5.0
    """One request in five seconds per kind is gentle, and a server that is back is noticed within them."""

    served: bool = True
    """False: the kind need not be served. It is looked for now and then, and its absence is no warning."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


DEFAULT_PACE: Final = Pace()
OPTIONAL: Final = Pace(longest_wait=30.0, served=False)
NO_INDEXES: Final[Mapping[str, Callable[[object], Iterable[str]]]] = MappingProxyType({})


class Informer(Generic[T]):
    """Facts about the objects of ``resource`` in ``space``, made by ``transform``.

    ``transform`` gets one decoded object and gives a small frozen fact with ``==``, or None for an object
    that shall count as absent; when it raises, that version of the object is skipped, counted and
    logged, and the fact of an earlier version stays.
    ``indexes`` name functions that give the values under which a fact is found by ``by_index``.
    """

    def __init__(
        self,
        space: Space,
        resource: Resource,
        *,
        transform: Callable[[Obj], T | None],
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, Callable[[T], Iterable[str]]] = NO_INDEXES,
        pace: Pace = DEFAULT_PACE,
    ) -> None:
        self.space = space
        self.resource = resource
        self.relists = 0  # lists after the first one
        self.last_contact: float | None = None
        """``Pace.clock`` (monotonic) of the last page or event; None before the first one."""
        self._namespace = namespace
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        self._params = {key: value for key, value in selectors.items() if value}
        self._pace = pace
        self._store = Store(transform, indexes, name=f"{space.name}: {resource}")
        self._backoff = Backoff(pace.first_wait, pace.longest_wait)
        self._synced = asyncio.Event()
        self._relist_at = pace.clock()

    def __repr__(self) -> str:
        return f"Informer({self.space.name!r}, {str(self.resource)!r})"

    @property
    def synced(self) -> bool:
        """True from the first complete list on."""
        return self._synced.is_set()

    @property
    def skipped(self) -> int:
        """How many versions of objects the transform could not read."""
        return self._store.skipped

    async def wait_synced(self) -> None:
        """Return when the first list is complete and the handlers know it."""
        await self._synced.wait()

    def get(self, key: Key) -> T | None:
        """The fact of one object."""
        return self._store.facts.get(key)

    def items(self) -> Mapping[Key, T]:
        """All facts: a live view, to be copied before an ``await``."""
        return MappingProxyType(self._store.facts)

    def by_index(self, index: str, value: str) -> list[T]:
        """Facts for which ``indexes[index]`` gave ``value``, sorted by key. KeyError: no such index."""
        return self._store.by_index(index, value)

    def add_handler(self, handler: Handler[T]) -> None:
        """Call ``handler(key, old, new)`` for each object already here, then for each change.

        Synchronous, in the middle of an update: it may note the key, and neither raise nor call back.
        A version whose fact equals the one before is no change.
        """
        self._store.add_handler(handler)

    def observe(self, obj: Obj) -> None:
        """Believe the server's answer to a write of our own at once, and nothing older any more.

        Only for objects that this informer's namespace and selector match.
        """
        self._store.observe(obj)

    def observe_deleted(self, key: Key, uid: str) -> None:
        """Forget an object whose deletion the server has accepted; older messages do not bring it back.

        If finalizers keep it, the next event shows it again, with its deletionTimestamp.
        """
        self._store.observe_deleted(key, uid)

    @property
    def unreadable(self) -> list[Key]:
        """Objects whose present version the transform could not read, sorted."""
        return self._store.unreadable

    async def fill(self) -> None:
        """List once, for a program that looks and ends; raises KubeError. Not beside ``run``."""
        await self._list()

    def take(self, objects: Iterable[Obj]) -> None:
        """Take these for the complete list: for a program that reads once, and does not ``run`` this."""
        listing = self._store.begin_list()
        self._store.add_page(listing, objects)
        self._store.end_list(listing, "")
        self._synced.set()

    async def run(self) -> None:
        """List and watch for ever; cancel to stop."""
        while True:
            began = self._pace.clock()
            try:
                if began >= self._relist_at:
                    await self._list()
                await self._watch()
            except KubeError as failed:
                wait = self._wait_after(failed)
            else:
                wait = self._backoff.next() if self._pace.clock() - began < STEADY else 0.0
            await self._pace.sleep(wait)

    def _wait_after(self, failed: KubeError) -> float:
        wait = self._backoff.next()
        if isinstance(failed, ApiError) and failed.retry_after:
            wait = max(wait, min(failed.retry_after, LONGEST_RETRY_AFTER))
        not_served = not self._pace.served and isinstance(failed, NotFound)  # a list is answered so only then
        tell = log.debug if not_served else log.warning
        tell(
            "kind is not served" if not_served else "watch interrupted",
            cluster=self.space.name,
            kind=str(self.resource),
            error=str(failed),
            wait=round(wait, 3),
        )
        return wait

    async def _list(self) -> None:
        listing = self._store.begin_list()
        version = ""
        async with aclosing(self.space.pages(self.resource, self._namespace, self._params)) as pages:
            async for page in pages:
                self.last_contact = self._pace.clock()
                self._store.add_page(listing, page["items"])
                version = page["metadata"].get("resourceVersion", "")
        self._store.end_list(listing, version)
        share = random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
        self._relist_at = self._pace.clock() + share * self._pace.relist_after
        if self.synced:
            self.relists += 1
        self._synced.set()

    async def _watch(self) -> None:
        """Follow one stream to its end; raises KubeError, and demands a new list where that is the remedy."""
        path = self.resource.path(self._namespace)
        seconds = str(random.randint(*STREAM_SECONDS))  # noqa: S311 - jitter, no secret
        params = {**self._params, "resourceVersion": self._store.position, "timeoutSeconds": seconds}
        try:
            async with aclosing(self.space.watch(path, params, idle=self._pace.idle)) as events:
                await self._follow(events)
        except Gone:
            self._relist_at = self._pace.clock()
            raise
        except Unreachable as lost:
            # Silence can mean that the server was restored and has not reached our position yet: it
            # takes the watch, and keeps back everything, bookmarks too, that is older.
            if isinstance(lost.__cause__, TimeoutError):
                self._relist_at = self._pace.clock()
            raise

    async def _follow(self, events: AsyncIterator[Obj]) -> None:
        count = 0
        async for event in events:
            self.last_contact = self._pace.clock()
            self._backoff.reset()
            self._store.event(event["type"], event["object"])
            count += 1
            if count % EVENTS_BEFORE_YIELD == 0:
                await asyncio.sleep(0)
