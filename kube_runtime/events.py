"""Kubernetes Events: what happened to an object, where ``kubectl describe`` shows it.

Events are told on a best effort: they never block or fail the caller, and the oldest are dropped when
the API server cannot keep up. The same text on the same object is one Event whose count grows, also
across restarts, because its name is made of what it says.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog
from prometheus_client import Counter

from kube_runtime.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    KubeError,
    NotFound,
    ServerError,
    TooManyRequests,
    Unreachable,
)
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EVENTS: Final = Resource("", "v1", "events", "Event")
MESSAGE_LIMIT: Final = 1024  # characters, what events.k8s.io/v1 allows (NoteLengthLimit)
QUEUE_LIMIT: Final = 1000  # events; one is about 1 KiB
KNOWN_LIMIT: Final = 4096  # Events that we can count up with one request; an entry is about 200 bytes
ATTEMPTS: Final = 3  # then the event is dropped, so that later ones are not told an hour late
RETRY_PAUSE: Final = 5.0  # seconds, when the server names none

_DROPPED: Final = Counter("kube_runtime_events_dropped_total", "Events that were not told.", ["space"])


@dataclass(frozen=True, slots=True)
class _Statement:
    """What is said of an object; equal statements are one Event."""

    reference: tuple[tuple[str, str], ...]
    type: str
    reason: str
    message: str


@dataclass(slots=True)
class _Times:
    """How often something was said since it was last written; unix seconds."""

    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class _Known:
    """An Event as we last wrote it."""

    uid: str
    count: int


class EventRecorder:
    """Records Events in the background: ``record`` at any time, ``run`` in a task of its own.

    ``clock`` gives unix seconds, ``pause`` waits so many seconds between two attempts.
    """

    def __init__(
        self,
        space: Space,
        component: str,
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._space, self._component, self._clock, self._pause = space, component, clock, pause
        self._waiting: OrderedDict[_Statement, _Times] = OrderedDict()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._wake = asyncio.Event()
        self.dropped = 0

    def record(self, reference: Mapping[str, str], type: str, reason: str, message: str) -> None:  # noqa: A002
        """Say something about an object.

        ``reference`` has apiVersion, kind, name, uid and, when namespaced, namespace; ``type`` is Normal or
        Warning; ``reason`` is CamelCase and public.
        """
        now = self._clock()
        statement = _Statement(tuple(sorted(reference.items())), type, reason, message[:MESSAGE_LIMIT])
        times = self._waiting.setdefault(statement, _Times(0, now, now))
        times.count += 1
        times.last = now
        if len(self._waiting) > QUEUE_LIMIT:
            _, oldest = self._waiting.popitem(last=False)
            self._drop(oldest.count)
        self._wake.set()

    async def run(self) -> None:
        """Write what was recorded, in order, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write what waits: at the end, after ``run`` was cancelled; what was on its way then may be lost."""
        while self._waiting:
            statement, times = self._waiting.popitem(last=False)
            await self._tell(statement, times)

    async def _tell(self, statement: _Statement, times: _Times) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._write(self._event(statement, times))
            except (Unreachable, ServerError, TooManyRequests) as trouble:
                if attempt == ATTEMPTS:
                    self._lose(statement, times, trouble)
                else:
                    asked = trouble.retry_after if isinstance(trouble, ApiError) else None
                    await self._pause(asked or RETRY_PAUSE)
            except KubeError as refusal:
                self._lose(statement, times, refusal)
                return
            else:
                return

    async def _write(self, event: Obj) -> None:
        name, known = event["metadata"]["name"], self._known.pop(event["metadata"]["name"], None)
        if known is not None:
            try:
                written = await self._count_up(event, known)
            except (Conflict, NotFound):  # it has expired (an hour by default) and may even be there again
                written = await self._create_or_count_up(event)
        else:
            written = await self._create_or_count_up(event)
        self._known[name] = _Known(written["metadata"]["uid"], written["count"])
        if len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)

    async def _create_or_count_up(self, event: Obj) -> Obj:
        try:
            return await self._space.create(EVENTS, event)
        except AlreadyExists:
            metadata = event["metadata"]
            present = await self._space.get(EVENTS, metadata["name"], metadata["namespace"])
            return await self._count_up(event, _Known(present["metadata"]["uid"], present.get("count") or 1))

    async def _count_up(self, event: Obj, known: _Known) -> Obj:
        metadata = event["metadata"]
        patch = {
            "metadata": {"uid": known.uid},
            "count": known.count + event["count"],
            "lastTimestamp": event["lastTimestamp"],
        }
        return await self._space.patch(EVENTS, patch, name=metadata["name"], namespace=metadata["namespace"])

    def _lose(self, statement: _Statement, times: _Times, why: KubeError) -> None:
        self._drop(times.count)
        log.debug("event lost", space=self._space.name, reason=statement.reason, why=str(why))

    def _drop(self, count: int) -> None:
        self.dropped += count
        _DROPPED.labels(self._space.name).inc(count)

    def _event(self, statement: _Statement, times: _Times) -> Obj:
        reference = dict(statement.reference)
        text = "\n".join((reference.get("uid", ""), statement.type, statement.reason, statement.message))
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{reference.get('name', 'unnamed')[:200].rstrip('.-')}.{digest}",
                # The API wants Events of cluster-scoped objects in "default".
                "namespace": reference.get("namespace") or "default",
            },
            "involvedObject": reference,
            "type": statement.type,
            "reason": statement.reason,
            "message": statement.message,
            "count": times.count,
            "firstTimestamp": _rfc3339(times.first),
            "lastTimestamp": _rfc3339(times.last),
            "source": {"component": self._component},
            "reportingComponent": self._component,
        }


def _rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
