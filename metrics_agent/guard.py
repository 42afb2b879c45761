"""Ends the Jobs whose lease is over, by suspending them.

Suspended, not deleted: the Job controller ends a suspended Job's pods as it would a deleted one's, and the
work agent, which would make a deleted Job again some minutes later, leaves the content of what it carries
create-only alone. It stays suspended for good; the hub withdraws it.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from prometheus_client import Counter

from kube_runtime.errors import Conflict, Forbidden, KubeError, NotFound
from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from metrics_agent.facts import JobFacts
from metrics_agent.lease import Beat, Instant, expired, next_expiry, silence
from vocabulary import keys
from vocabulary.resources import CONFIG_MAPS, JOBS

CONFLICT_PAUSE: Final = 0.2
"""Seconds after a conflict, for the watch to bring the Job that we did not know."""

EXPIRED = Counter("kueue_ks_leases_expired_total", "Jobs suspended because the hub was silent.")

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


def heartbeat_name(cluster: str) -> str:
    """The ConfigMap in ``keys.SYSTEM_NAMESPACE`` that bears the hub's time."""
    return keys.HEARTBEAT_PREFIX + cluster


def beat_at(heartbeat: Obj) -> float | None:
    """Read the hub's time, unix seconds; None, which is as good as no object, when it cannot be read."""
    try:
        at = float((heartbeat.get("data") or {}).get(keys.BEAT_AT, ""))
    except ValueError:
        return None
    return at if math.isfinite(at) else None


def now_by_both_clocks() -> Instant:
    """The time."""
    return Instant(unix=time.time(), steady=time.monotonic())


class Guard:
    """``check`` may be called at any time; it has to be when a Job or the heartbeat changes."""

    def __init__(
        self,
        space: Space,
        cluster: str,
        *,
        jobs: Informer[JobFacts],
        heartbeat: Informer[float],
        clock: Callable[[], Instant] = now_by_both_clocks,
    ) -> None:
        """``heartbeat`` knows only the object of ``heartbeat_name(cluster)``, as ``beat_at`` reads it."""
        self._space, self._jobs, self._heartbeat, self._clock = space, jobs, heartbeat, clock
        self._key = (keys.SYSTEM_NAMESPACE, heartbeat_name(cluster))
        self._beat: Beat | None = None  # the last that could be read, also when it has vanished since

    async def check(self) -> float | None:
        """Suspend what has to end; the seconds until the next look, None when only an event can bring one.

        Raises the KubeError of a Job that could not be suspended, after all others were.
        """
        self._see()
        if expired(self._jobs.items().values(), self._beat, self._clock()):
            await self._ask()
            await self._suspend_all(expired(self._jobs.items().values(), self._beat, self._clock()))
        rest = next_expiry(self._jobs.items().values(), self._beat, self._clock())
        return None if rest is None else max(rest, CONFLICT_PAUSE)

    def _see(self) -> None:
        at = self._heartbeat.get(self._key)
        if at is not None and (self._beat is None or self._beat.at != at):
            self._beat = Beat(at, self._clock().steady)

    async def _ask(self) -> None:
        """The newest heartbeat: a watch may be silent for a minute before it counts as broken.

        404 and 403: then there is none for us, and the lease runs on.
        """
        namespace, name = self._key
        try:
            self._heartbeat.observe(await self._space.get(CONFIG_MAPS, name, namespace))
        except (NotFound, Forbidden) as missing:
            log.warning("no heartbeat", space=self._space.name, error=str(missing))
        self._see()

    async def _suspend_all(self, jobs: Iterable[JobFacts]) -> None:
        failed: KubeError | None = None
        for job in jobs:
            try:
                await self._suspend(job)
            except KubeError as error:  # one that somebody's webhook protects must not protect the rest
                failed = error
        if failed is not None:
            raise failed

    async def _suspend(self, job: JobFacts) -> None:
        """Suspend the Job that was seen, never another of its name.

        409: it has changed, and we look again at once. 404: it is gone, and its event is on its way.
        """
        patch: Obj = {
            "metadata": {"uid": job.uid, "resourceVersion": job.resource_version},
            "spec": {"suspend": True},
        }
        try:
            written = await self._space.patch(JOBS, patch, name=job.name, namespace=job.namespace)
        except (Conflict, NotFound):
            return
        self._jobs.observe(written)
        EXPIRED.inc()
        log.warning(
            "lease over, job suspended",
            space=self._space.name,
            job=f"{job.namespace}/{job.name}",
            workload=job.workload,
            lease_seconds=job.lease,
            silent_seconds=round(silence(job, self._beat, self._clock()), 3),
        )
