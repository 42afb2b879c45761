"""Which source counts for each cluster: the best one that is trusted.

Each source is judged by the one rule of ``trust``, with a memory of its own. So a report that has fallen
silent stays silent until it speaks again, whatever other sources said meanwhile, and a better source that
speaks again is believed at once.

A cluster that joins is given ``JOINING`` to bring its best source: its agent has to be carried there and
started. A coarser number would only be corrected downwards a moment later, after Kueue has admitted by it.

Decisions only.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from quota_manager.facts import ClusterFacts, ReportFacts
from quota_manager.trust import Heard, Instant, Trust, judge

JOINING: Final = 60.0
"""Seconds, or half of ``stale_after`` where that is less: a pod's image is pulled in less, mostly."""


NOTHING: Final = "no report"


@dataclass(frozen=True, slots=True)
class Offer:
    """What one source says. Offers are given best first.

    ``reports`` is asked for the clusters that no better source is trusted for; it may say more, at no cost.
    """

    source: str
    reports: Callable[[Collection[str]], Mapping[str, ReportFacts]]


@dataclass(frozen=True, slots=True)
class Memory:
    """What one choice hands to the next; nothing is lost but time when it is."""

    heard: Mapping[str, Mapping[str, Heard]] = field(default_factory=dict)  # by source, then cluster
    seen_at: Mapping[str, float] = field(default_factory=dict)  # monotonic, by cluster
    last: Mapping[str, str] = field(default_factory=dict)  # the source that counted last, by cluster


@dataclass(frozen=True, slots=True)
class Switch:
    """A cluster is counted by another source than before. ``why`` is what keeps the better ones out."""

    cluster: str
    before: str
    after: str
    why: str
    worse: bool

    def __str__(self) -> str:
        text = f"{self.cluster}: counted by {self.after} now, by {self.before} before"
        return f"{text}. {self.why}" if self.why else text


@dataclass(frozen=True, slots=True)
class Choice:
    """``reports`` is what to decide with; ``source`` names whose it is, for each cluster that counts."""

    reports: Mapping[str, ReportFacts]
    source: Mapping[str, str]
    switches: tuple[Switch, ...]
    look_again: float | None  # monotonic; when a cluster has had its time to join
    memory: Memory


def choose(
    clusters: Mapping[str, ClusterFacts],
    offers: Sequence[Offer],
    memory: Memory,
    at: Instant,
    *,
    stale_after: float,
) -> Choice:
    """Take for every accepted cluster the first offer that is trusted; ``trust`` knows what cordons mean."""
    accepted = sorted(name for name, cluster in clusters.items() if cluster.accepted)
    needed = set(accepted)
    said: dict[str, Mapping[str, ReportFacts]] = {}
    trusts: dict[str, Trust] = {}
    for offer in offers:
        said[offer.source] = offer.reports(needed)
        heard = memory.heard.get(offer.source, {})
        trusts[offer.source] = judge(clusters, said[offer.source], heard, at, stale_after=stale_after)
        needed -= trusts[offer.source].counted.keys()
    seen_at = {name: memory.seen_at.get(name, at.mono) for name in accepted}
    joining_until = {name: seen_at[name] + min(JOINING, stale_after / 2) for name in accepted}
    reports: dict[str, ReportFacts] = {}
    source: dict[str, str] = {}
    for name in accepted:
        best = _best(name, trusts, joined=at.mono >= joining_until[name])
        if best is not None:
            source[name] = best
            reports[name] = ReportFacts(name, trusts[best].counted[name], "", best)
        elif (silent := _silent(name, said, memory.last.get(name))) is not None:
            reports[name] = silent
    last = {name: source.get(name) or memory.last.get(name, "") for name in accepted}
    kept_out = {source: _kept_out(said[source], trusts[source], stale_after) for source in said}
    return Choice(
        reports=reports,
        source=source,
        switches=tuple(
            _switch(name, before, last[name], kept_out)
            for name in accepted
            if (before := memory.last.get(name)) and before != last[name]
        ),
        look_again=min(
            (t for name, t in joining_until.items() if name not in source and t > at.mono), default=None
        ),
        memory=Memory({name: trust.heard for name, trust in trusts.items()}, seen_at, last),
    )


def _best(cluster: str, trusts: Mapping[str, Trust], *, joined: bool) -> str | None:
    for rank, (source, trust) in enumerate(trusts.items()):
        if cluster in trust.counted and (rank == 0 or joined):
            return source
    return None


def _silent(
    cluster: str, said: Mapping[str, Mapping[str, ReportFacts]], last: str | None
) -> ReportFacts | None:
    """What to say of a cluster that no source is trusted for.

    The best source's old report, which ``trust`` knows to be old. If another source counted since, that
    knowledge is gone, and the old report would pass for news: then there is none.
    """
    best = next(iter(said))
    if not last or last == best:
        return said[best].get(cluster)
    problems = [
        facts.problem for reports in said.values() if (facts := reports.get(cluster)) and facts.problem
    ]
    return ReportFacts(cluster, None, "; ".join(problems) or f"nor does {last} know anything newer", last)


def _switch(cluster: str, before: str, after: str, kept_out: Mapping[str, Mapping[str, str]]) -> Switch:
    order = list(kept_out)
    better = order[: order.index(after)]
    why = "; ".join(f"{source}: {kept_out[source].get(cluster, NOTHING)}" for source in better)
    return Switch(cluster, before, after, why, order.index(after) > order.index(before))


def _kept_out(reports: Mapping[str, ReportFacts], trust: Trust, stale_after: float) -> dict[str, str]:
    """Why a source does not count, by cluster; in its own words where it has some."""
    return {
        silent.cluster: facts.problem
        if (facts := reports.get(silent.cluster)) and facts.problem
        else f"nothing new for {stale_after:g} s"
        if facts
        else NOTHING
        for silent in trust.silent
    }
