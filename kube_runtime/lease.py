"""Leader election on a ``coordination.k8s.io/v1`` Lease.

The promise: no two electors of one Lease are leader at the same instant. How it is kept:

* A leader counts from before it sent the renewing request, on its own clock, and only for
  ``renew_deadline``. Whatever happens to the request, to the API server or to this process, from
  then on ``is_leader`` is False and ``lead`` is being cancelled.
* A candidate counts from after it saw the record, on its own clock, and takes over once the same
  record has stood for the longer ``lease_duration``. No remote timestamp is compared, so clocks may be
  wrong as long as they run at the same speed; the gap between the two durations is for what was
  sent just before the deadline.
* Every write carries the resourceVersion of the record that it was decided on.
* A holder of the same boot and pid namespace whose process is gone cannot write: the Lease is taken at once.
* Asked to end, a leader first finishes what it has begun, while the Lease is renewed, and then gives the
  Lease away. A leader that could have lost the Lease finishes nothing.

Not covered, as in client-go: somebody deletes the Lease while a leader holds it, and a candidate
starts that has never seen the leader.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

import structlog
from prometheus_client import Gauge

from kube_runtime.errors import Conflict, KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.process_identity import process_is_gone
from kube_runtime.resources import LEASES
from kube_runtime.space import Space

FINISH_WITHIN: Final = 5.0
"""Seconds for what a leader has begun when it is asked to end; with the release it stays below the 10 s that
``docker stop`` gives, and far below the 30 s of a Pod."""

NO_ANNOTATIONS: Final[Mapping[str, str]] = MappingProxyType({})

_MASTER: Final = Gauge(
    "leader_election_master_status", "1 while this process leads by the Lease of that name.", ["name"]
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def _seconds_awake_or_not() -> float:
    # CLOCK_MONOTONIC stands still while the machine sleeps, and the lease does not.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A record of somebody else: ``since`` is when we first saw this version, on our clock."""

    version: str
    since: float
    holder: str
    duration: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an elector learns from its machine.

    ``clock`` gives seconds and never goes back, ``wall`` the times in the Lease, which are for people.
    ``holder_is_gone`` says of another identity that its process has surely ended.
    """

    clock: Callable[[], float] = _seconds_awake_or_not
    wall: Callable[[], datetime] = _utc_now
    holder_is_gone: Callable[[str], bool] = process_is_gone


_THIS_MACHINE: Final = Surroundings()


async def _nothing_to_finish() -> None:
    return


class LeaderElection:
    """One candidate for one Lease. Durations are seconds; client-go's defaults.

    ``identity`` must be unique among the candidates, see ``process_identity``.

    Raises ValueError unless retry_period < renew_deadline < lease_duration.
    """

    def __init__(  # noqa: PLR0913  the last ones have defaults
        self,
        space: Space,
        namespace: str,
        name: str,
        identity: str,
        *,
        lease_duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry_period: float = 2.0,
        surroundings: Surroundings = _THIS_MACHINE,
        annotations: Mapping[str, str] = NO_ANNOTATIONS,
    ) -> None:
        """``annotations`` are what the leader says about itself on the Lease."""
        if not 0 < retry_period < renew_deadline < lease_duration:
            msg = f"{retry_period=} must be shorter than {renew_deadline=}, and that than {lease_duration=}"
            raise ValueError(msg)
        self._space, self._namespace, self._name, self._identity = space, namespace, name, identity
        self._lease_duration, self._renew_deadline, self._retry_period = (
            lease_duration,
            renew_deadline,
            retry_period,
        )
        self._annotations = annotations
        self._clock, self._wall = surroundings.clock, surroundings.wall
        self._holder_is_gone = surroundings.holder_is_gone
        self._leading = False
        self._valid_until = -math.inf  # ours until then, on our clock
        self._ours: Obj | None = None  # the answer of our last successful write
        self._seen: _Seen | None = None
        self._may_hold = False  # a write of ours was sent, so the Lease may carry our name
        self._last_complaint = ""
        self._answered = -math.inf  # when the API server last told us about the Lease, on our clock
        _MASTER.labels(name).set(0)
        self._log = log.bind(lease=f"{namespace}/{name}", space=space.name)

    def is_leader(self) -> bool:
        """Whether we lead now; cheap, so ask right before each write."""
        return self._leading and self._remaining() > 0

    def missing(self) -> list[str]:
        """Why this process neither leads nor stands by: a candidate that cannot read the Lease does not."""
        if self.is_leader() or self._clock() - self._answered < self._renew_deadline:
            return []
        why = self._last_complaint or "not asked yet"
        return [f"{self._space.name}: lease {self._namespace}/{self._name}: {why}"]

    async def run(
        self,
        lead: Callable[[], Awaitable[None]],
        *,
        finish: Callable[[], Awaitable[object]] = _nothing_to_finish,
    ) -> None:
        """Call ``lead`` whenever the Lease is ours; return when it returns, raise what it raises.

        When the Lease could be lost, ``lead`` is cancelled and awaited, and called again once the
        Lease is ours again. Cancelled itself while it leads, it awaits ``finish``, which lets ``lead`` begin
        nothing more and returns when nothing is half done, for ``FINISH_WITHIN`` and while the Lease is
        ours; then ``lead`` is cancelled. At the end the Lease is released, after ``lead`` has ended.
        """
        try:
            while True:
                await self._acquire()
                self._log.info("leading", identity=self._identity)
                if await self._lead_while_held(lead, finish):
                    return
                self._ours = None
                self._log.warning("leadership lost, candidate again", identity=self._identity)
        finally:
            await self._release()

    async def _acquire(self) -> None:
        while True:
            held = await self._try_once(limit=self._renew_deadline / 2)
            if held and self._remaining() > 0:
                return
            await asyncio.sleep(self._retry_period)

    async def _lead_while_held(
        self, lead: Callable[[], Awaitable[None]], finish: Callable[[], Awaitable[object]]
    ) -> bool:
        """Whether ``lead`` came to its own end; False when the Lease was lost."""

        async def leading() -> None:
            await lead()

        async def finishing() -> None:
            await finish()

        self._leading = True
        _MASTER.labels(self._name).set(1)
        keeper = asyncio.create_task(self._keep(), name="lease keeper")
        leader = asyncio.create_task(leading(), name="leader")
        try:
            await asyncio.wait({leader, keeper}, return_when=asyncio.FIRST_COMPLETED)
            ended = leader.done()
        except asyncio.CancelledError:
            last = asyncio.create_task(finishing(), name="finish")
            try:
                await asyncio.wait(
                    {last, leader, keeper}, timeout=FINISH_WITHIN, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                last.cancel()
            raise
        finally:
            leader.cancel()
            try:
                await asyncio.wait({leader})  # what it still writes is covered: the keeper goes on
            finally:
                self._leading = False
                _MASTER.labels(self._name).set(0)
                keeper.cancel()
            await asyncio.wait({keeper})
        if ended or not leader.cancelled():
            leader.result()
        if not keeper.cancelled():
            keeper.result()
        return ended

    async def _keep(self) -> None:
        """Renew, and return when the Lease is lost or could be."""
        while self._remaining() > 0:
            await asyncio.sleep(min(self._retry_period, self._remaining()))
            held = await self._try_once(limit=min(self._renew_deadline / 2, self._remaining()))
            if held is False:
                break
        self._valid_until = -math.inf

    async def _try_once(self, *, limit: float) -> bool | None:
        """Whether the Lease is ours after one more try of at most ``limit`` seconds; None: no answer."""
        try:
            async with asyncio.timeout(limit):
                held = await self._renew_or_look()
        except (KubeError, TimeoutError) as error:
            complaint = str(error) or f"no answer within {limit:.1f} s"
            if complaint != self._last_complaint:
                self._log.warning("lease request failed", error=complaint)
            self._last_complaint = complaint
            return None
        self._last_complaint, self._answered = "", self._clock()
        return held

    async def _renew_or_look(self) -> bool:
        if self._ours is not None:
            try:
                return await self._write(self._ours)
            except (Conflict, NotFound):
                # Somebody else wrote it, or a write of ours came through whose answer we did not get.
                self._ours = None
        lease = await self._read()
        return self._is_free(lease) and await self._write(lease)

    async def _read(self) -> Obj | None:
        try:
            return await self._space.get(LEASES, self._name, self._namespace)
        except NotFound:
            return None

    def _is_free(self, lease: Obj | None) -> bool:
        """Whether nobody else can be leader by this record, which was read just now."""
        now = self._clock()
        if lease is not None:
            seen = _see(lease, now, self._lease_duration)
            if self._seen is None or self._seen.version != seen.version:
                self._seen = seen
        seen_or_none = self._seen  # of a Lease that was deleted: its holder's time runs all the same
        return (
            seen_or_none is None
            or seen_or_none.holder in {"", self._identity}
            or now - seen_or_none.since >= seen_or_none.duration
            or self._holder_is_gone(seen_or_none.holder)
        )

    async def _write(self, lease: Obj | None) -> bool:
        """Put our name and the time into the Lease that was read."""
        sent = self._clock()
        self._may_hold = True
        if lease is None:
            metadata = self._metadata({"namespace": self._namespace, "name": self._name})
            fresh = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
            self._ours = await self._space.create(LEASES, fresh | {"spec": self._record({})})
        else:
            spec = self._record(lease.get("spec") or {})
            metadata = self._metadata(lease["metadata"])
            self._ours = await self._space.update(LEASES, lease | {"metadata": metadata, "spec": spec})
        self._seen = None
        self._valid_until = sent + self._renew_deadline
        return True

    def _metadata(self, old: Obj) -> Obj:
        if not self._annotations:
            return old
        return {**old, "annotations": {**(old.get("annotations") or {}), **self._annotations}}

    def _record(self, old: Obj) -> Obj:
        now = self._wall().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # MicroTime: six digits, UTC
        record = old | {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._lease_duration),
            "renewTime": now,
        }
        if old.get("holderIdentity") != self._identity:
            record["acquireTime"] = now
            record["leaseTransitions"] = int(old.get("leaseTransitions") or 0) + 1 if old else 0
        return record

    async def _release(self) -> None:
        """Clear our name, if it is there; best effort, the others need only wait otherwise."""
        if not self._may_hold:
            return
        try:
            async with asyncio.timeout(self._retry_period):
                lease = await self._space.get(LEASES, self._name, self._namespace)
                if _holder(lease) == self._identity:
                    spec = {key: value for key, value in lease["spec"].items() if key != "holderIdentity"}
                    await self._space.update(LEASES, lease | {"spec": spec})
        except (KubeError, TimeoutError) as error:
            self._log.warning("lease not released", error=str(error) or "no answer in time")
        else:
            self._may_hold = False

    def _remaining(self) -> float:
        return self._valid_until - self._clock()


def _holder(lease: Obj) -> str:
    return (lease.get("spec") or {}).get("holderIdentity") or ""


def _see(lease: Obj, now: float, our_duration: float) -> _Seen:
    promised = (lease.get("spec") or {}).get("leaseDurationSeconds") or 0
    return _Seen(
        version=lease["metadata"]["resourceVersion"],
        since=now,
        holder=_holder(lease),
        duration=max(float(promised), our_duration),
    )
