"""Whose report counts now.

A report counts until it has not changed for ``stale_after`` (agents write every 60 s, changed or not), or
until its cluster has been unavailable for as long. Until then the last value stands, also when the
report's object is gone: missing is unknown, not nothing (I9).

"Not changed" is measured by our clock from when we saw the change; clocks of workers may be wrong. Only
the first sight of a report has no such beginning. Then the report's own time is believed as far as it
speaks *against* the report: a cluster that died an hour before our start must not bring its capacity back
for three minutes. A live agent whose clock is late proves itself with its next heartbeat.

A cluster that is gone or not accepted does not count at once: that is somebody's will, not silence. One
that is tainted NoSelect by hand goes on being heard: what our jobs use there counts until they end.

Decisions only. ``Heard`` is what is remembered; a new process starts without it, and ``complete`` tells
when it knows as much as the one before.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from quota_manager.facts import ClusterFacts, ReportFacts
from vocabulary.cluster_metrics import ClusterReport


class Instant(NamedTuple):
    """One moment by two clocks, in seconds: ``mono`` for spans, ``unix`` for what others wrote."""

    mono: float
    unix: float


@dataclass(frozen=True, slots=True)
class Heard:
    """The newest report of a cluster. Times are monotonic seconds."""

    report: ClusterReport
    changed_at: float
    unavailable_since: float | None

    def counts_until(self, stale_after: float) -> float:
        """From then on the report is not believed."""
        silent_since = self.changed_at
        if self.unavailable_since is not None:
            silent_since = min(silent_since, self.unavailable_since)
        return silent_since + stale_after


@dataclass(frozen=True, slots=True)
class Silent:
    """An enrolled cluster that does not count; ``why`` goes on "w1: "."""

    cluster: str
    why: str

    def __str__(self) -> str:
        return f"{self.cluster}: {self.why}"


@dataclass(frozen=True, slots=True)
class Trust:
    """Verdict for every accepted cluster: it is in ``counted``, or else in ``silent`` if it is enrolled."""

    counted: Mapping[str, ClusterReport]
    silent: tuple[Silent, ...]
    complete: bool  # every cluster that is accepted and available counts
    next_change: float | None  # monotonic; when the next one falls silent unless it is heard
    heard: Mapping[str, Heard]
    cordoned: frozenset[str] = frozenset()

    @property
    def stale(self) -> Mapping[str, ClusterReport]:
        """What was said by clusters that do not count any more."""
        return {name: heard.report for name, heard in self.heard.items() if name not in self.counted}

    @property
    def informed(self) -> bool:
        """Whether quotas may follow: not while all that take jobs are silent, whoever is cordoned."""
        enrolled = self.counted.keys() - self.cordoned
        return bool(enrolled) or (bool(self.counted) and not self.silent)


def judge(
    clusters: Mapping[str, ClusterFacts],
    reports: Mapping[str, ReportFacts],
    heard: Mapping[str, Heard],
    at: Instant,
    *,
    stale_after: float,
) -> Trust:
    """Decide for every accepted cluster, given what was heard before."""
    accepted = {name: clusters[name] for name in sorted(clusters) if clusters[name].accepted}
    now_heard: dict[str, Heard] = {}
    for name, cluster in accepted.items():
        report = reports[name].report if name in reports else None
        news = _listen(heard.get(name), report, at, stale_after=stale_after)
        if news is not None:
            now_heard[name] = _with_availability(news, at, available=cluster.available)
    deadlines = {name: h.counts_until(stale_after) for name, h in now_heard.items()}
    counted = {name: h.report for name, h in now_heard.items() if deadlines[name] > at.mono}
    silent = tuple(
        Silent(name, _why(cluster, reports.get(name), now_heard.get(name), stale_after=stale_after))
        for name, cluster in accepted.items()
        if cluster.enrolled and name not in counted
    )
    return Trust(
        counted=counted,
        silent=silent,
        complete=all(name in counted for name, cluster in accepted.items() if cluster.available),
        next_change=min((deadlines[name] for name in counted), default=None),
        heard=now_heard,
        cordoned=frozenset(name for name, cluster in accepted.items() if cluster.cordoned),
    )


def _listen(
    before: Heard | None, report: ClusterReport | None, at: Instant, *, stale_after: float
) -> Heard | None:
    match before, report:
        case _, None:
            return before
        case None, ClusterReport():
            age = min(max(0.0, at.unix - report.observed_at), stale_after)
            return Heard(report, at.mono - age, None)
        case Heard(), ClusterReport():
            same = (report.sequence, report.observed_at) == (
                before.report.sequence,
                before.report.observed_at,
            )
            return before if same else Heard(report, at.mono, before.unavailable_since)


def _with_availability(heard: Heard, at: Instant, *, available: bool) -> Heard:
    if available:
        return Heard(heard.report, heard.changed_at, None)
    return heard if heard.unavailable_since is not None else Heard(heard.report, heard.changed_at, at.mono)


def _why(
    cluster: ClusterFacts, report: ReportFacts | None, heard: Heard | None, *, stale_after: float
) -> str:
    if not cluster.available:
        return (
            f"not Available for {stale_after:g} s"
            if heard is not None
            else "not Available, and no report yet"
        )
    if heard is not None:
        return f"its report has not changed for {stale_after:g} s; is its metrics agent running?"
    if report is None:
        return (
            "has no report yet; is its metrics agent running, and did KubeStellar carry its ClusterMetrics?"
        )
    return f"its report cannot be used: {report.problem}"
