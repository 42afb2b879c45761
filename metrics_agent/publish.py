"""When a report is written, and how.

A change goes out at once after a quiet interval and at most once per interval after that: each write
travels worker → ITS → everybody who reads there. Without change there is a heartbeat, so that a reader can
tell silence from sameness; galaxy's agent has none and its staleness cannot be seen.

What was written last and when is read from the object itself: a new process continues where the old
one was killed, and an object that was made anew is filled at once. What somebody else wrote there is replaced
no sooner than an interval after our own last write, whatever time it bears: two writers must not race.

A change is followed by one more report an interval later, also when nothing has changed since. A reader who
waits for the end of pods believes only what was observed after it had seen their withdrawal, and the change
itself is often a moment too early for that.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from vocabulary.cluster_metrics import ClusterReport, format_report
from vocabulary.report_reading import BadReport, parse_report
from vocabulary.resources import CLUSTER_METRICS

CONFLICT_PAUSE: Final = 0.2
"""Seconds after a conflict, for the watch to bring the object that we did not know."""

REPORTS: Final = Counter("kueue_ks_agent_reports_total", "Reports that were written.")
BYTES: Final = Gauge("kueue_ks_agent_report_bytes", "Size of the last report.")
NOT_COUNTED: Final = Gauge(
    "kueue_ks_agent_not_counted", "Things that the amounts of the last report leave out."
)

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two writes: at least ``interval`` with a change, ``heartbeat`` without."""

    interval: float
    heartbeat: float


@dataclass(frozen=True, slots=True)
class Published:
    """The ClusterMetrics object as we saw it last. ``report`` is None while it has none that can be read."""

    uid: str
    resource_version: str
    report: ClusterReport | None


def published(metrics: Obj) -> Published:
    """Read a ClusterMetrics object. A status that cannot be read is as good as none: ours replaces it."""
    metadata = metrics["metadata"]
    try:
        report = parse_report(metrics.get("status") or {})
    except BadReport:
        report = None
    return Published(metadata["uid"], metadata["resourceVersion"], report)


def next_sequence(last: ClusterReport | None) -> int:
    """One more than the last."""
    return 1 if last is None else last.sequence + 1


def rest_of_interval(last: ClusterReport | None, now: float, pace: Pace) -> float:
    """Seconds in which nothing is written whatever happened; saves the fold in a burst of changes."""
    return 0.0 if last is None else _left(last.observed_at, now, pace.interval)


def until_due(
    last: ClusterReport | None, fresh: ClusterReport, pace: Pace, *, confirm: bool = False
) -> float:
    """Seconds until ``fresh`` has to be written if nothing else changes; 0 is now.

    ``confirm``: the last report told a change, so the next one does not wait for the heartbeat.
    """
    if last is None:
        return 0.0
    soon = confirm or differs(last, fresh)
    return _left(last.observed_at, fresh.observed_at, pace.interval if soon else pace.heartbeat)


def differs(last: ClusterReport | None, fresh: ClusterReport) -> bool:
    """Whether ``fresh`` says something new."""
    return last is None or _said(last) != _said(fresh)


def _measure(status: Obj, report: ClusterReport) -> None:
    REPORTS.inc()
    BYTES.set(len(json.dumps(status, separators=(",", ":"), ensure_ascii=False).encode()))
    NOT_COUNTED.set(sum(each.count for each in report.not_counted))


def _said(report: ClusterReport) -> tuple[object, ...]:
    return (report.nodes, report.workloads, report.not_counted)


def _left(since: float, now: float, span: float) -> float:
    """0 for a time in the future: the clock was set back, and waiting for it could take years.

    Rounded to the milliseconds in which times are kept: a float's last digit is no reason to wait.
    """
    return 0.0 if since > now else max(0.0, round(since + span - now, 3))


def _as_published(now: float) -> float:
    """Whole milliseconds, which is what a report keeps: rounded up, its time would lie in our future."""
    return math.floor(now * 1000) / 1000


class Publisher:
    """Keeps the status of one ClusterMetrics object true; ``publish`` may be called at any time."""

    def __init__(
        self,
        space: Space,
        name: str,
        *,
        known: Informer[Published],
        observe: Callable[[float, int], ClusterReport],
        pace: Pace,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``observe`` folds what is now, given the time and the sequence number."""
        self._space, self._name, self._known, self._observe = space, name, known, observe
        self._pace, self._clock = pace, clock
        self._confirm = False  # lost in a restart, it costs a reader a heartbeat and nothing else
        self._wrote: tuple[str, float] | None = None  # uid and time of our last write

    async def publish(self) -> float | None:
        """Write if it is time; the seconds until the next look, None when only an event can bring one."""
        target = self._known.get(("", self._name))
        if target is None:
            return None  # not carried here yet; its arrival is an event
        now = _as_published(self._clock())
        if (rest := max(rest_of_interval(target.report, now, self._pace), self._rest(target, now))) > 0:
            return rest
        fresh = self._observe(now, next_sequence(target.report))
        if (wait := until_due(target.report, fresh, self._pace, confirm=self._confirm)) > 0:
            return wait
        return await self._write(target, fresh)

    def _rest(self, target: Published, now: float) -> float:
        if self._wrote is None or self._wrote[0] != target.uid:
            return 0.0
        return _left(self._wrote[1], now, self._pace.interval)

    async def _write(self, target: Published, fresh: ClusterReport) -> float | None:
        """Replace the status of the object that was seen, never of another of that name.

        409: somebody wrote, or another object has the name by now. 404: it is gone. Both reach us by the
        watch, and the next look decides again.
        """
        status = format_report(fresh)
        body = {
            "apiVersion": CLUSTER_METRICS.api_version,
            "kind": CLUSTER_METRICS.kind,
            "metadata": {"name": self._name, "uid": target.uid, "resourceVersion": target.resource_version},
            "status": status,
        }
        try:
            written = await self._space.update(CLUSTER_METRICS, body, subresource="status")
        except Conflict:
            return CONFLICT_PAUSE
        except NotFound:
            return None
        self._known.observe(written)
        self._wrote = target.uid, fresh.observed_at
        _measure(status, fresh)
        self._confirm = differs(target.report, fresh)
        log.debug("published", space=self._space.name, name=self._name, sequence=fresh.sequence)
        return self._pace.interval if self._confirm else self._pace.heartbeat
