"""Which source counts, step by step in one fleet: w1 and w2 with three sources."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import NamedTuple

import pytest

from quota_manager.facts import ClusterFacts, ReportFacts
from quota_manager.sources.choice import Choice, Memory, Offer, choose
from quota_manager.trust import Instant
from tests.quota_manager.builders import cluster, cpus
from vocabulary.cluster_metrics import ClusterReport

STALE = 180.0
START = 1_000.0  # monotonic; unix time is the same here
NOTHING = "nothing new for 180 s"
SOURCES = ("own", "prometheus", "sum")

Said = Mapping[str, ReportFacts]


def said(report: ClusterReport | None, problem: str = "", name: str = "w1") -> Said:
    return {name: ReportFacts(name, report, problem)}


def fresh(milli: int, at: float) -> Said:
    return said(cpus(milli, at=at, sequence=int(at)))


class Step(NamedTuple):
    """At so many seconds after the start: what each source says, and who counts then."""

    reason: str
    at: float
    own: Said
    prometheus: Said
    total: Said
    counts: str | None
    milli: int | None = None
    available: bool = True


def play(steps: list[Step]) -> list[tuple[Step, Choice]]:
    memory, played = Memory(), []
    for step in steps:
        facts = cluster("w1", available=step.available)
        choice = decide(facts, (step.own, step.prometheus, step.total), memory, START + step.at)
        memory = choice.memory
        played.append((step, choice))
    return played


def decide(facts: ClusterFacts, reports: tuple[Said, ...], memory: Memory, now: float) -> Choice:
    offers = [Offer(name, partial(_says, said)) for name, said in zip(SOURCES, reports, strict=True)]
    return choose({facts.name: facts}, offers, memory, Instant(now, now), stale_after=STALE)


def _says(said: Said, _needed: Collection[str]) -> Said:
    return said


OLD = fresh(8_000, START)
STORIES = {
    "each source in its turn, and back": [
        Step(
            "the best one counts while it is fresh",
            0,
            OLD,
            fresh(7_000, START),
            fresh(9_000, START),
            "own",
            8_000,
        ),
        Step("silent, but not for long enough", 179, OLD, fresh(7_000, START + 170), {}, "own", 8_000),
        Step("the next best once it is", 181, OLD, fresh(7_000, START + 175), {}, "prometheus", 7_000),
        Step(
            "the last when both are",
            400,
            OLD,
            fresh(7_000, START + 175),
            fresh(9_000, START + 400),
            "sum",
            9_000,
        ),
        Step("none is trusted", 900, OLD, fresh(7_000, START + 175), {}, None),
        Step("the second speaks again", 901, OLD, fresh(6_000, START + 900), {}, "prometheus", 6_000),
        Step(
            "the best speaks again, and is believed at once",
            902,
            fresh(5_000, START + 902),
            {},
            {},
            "own",
            5_000,
        ),
    ],
    "a cluster that joins": [
        Step("has time to bring its own report", 0, {}, fresh(7_000, START), fresh(9_000, START), None),
        Step("still has", 59, {}, fresh(7_000, START + 50), fresh(9_000, START + 59), None),
        Step("has had it", 60, {}, fresh(7_000, START + 50), fresh(9_000, START + 60), "prometheus", 7_000),
    ],
    "a report that cannot be read": [
        Step("is none", 0, said(None, "broken"), {}, {}, None),
        Step(
            "leaves room for the next",
            60,
            said(None, "broken"),
            fresh(7_000, START + 55),
            {},
            "prometheus",
            7_000,
        ),
    ],
    "a cluster that is not available": [
        Step("all is well", 0, OLD, {}, {}, "own", 8_000),
        Step("counts on", 1, fresh(8_000, START + 1), fresh(7_000, START), {}, "own", 8_000, available=False),
        Step(
            "kube-state-metrics tells what it saw last for ever, so no source outlives the cluster",
            182,
            fresh(8_000, START + 182),
            fresh(7_000, START + 182),
            {},
            None,
            available=False,
        ),
    ],
}


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_who_counts(story: str) -> None:
    for step, choice in play(STORIES[story]):
        assert choice.source.get("w1") == step.counts, step.reason
        if step.milli is not None:
            report = choice.reports["w1"].report
            assert report is not None
            assert report.nodes[0].allocatable == {"cpu": step.milli}, step.reason
            assert choice.reports["w1"].source == step.counts


def test_each_change_is_told_with_what_keeps_the_better_ones_out() -> None:
    told = [
        str(s) for _, choice in play(STORIES["each source in its turn, and back"]) for s in choice.switches
    ]
    assert told == [
        f"w1: counted by prometheus now, by own before. own: {NOTHING}",
        f"w1: counted by sum now, by prometheus before. own: {NOTHING}; prometheus: {NOTHING}",
        f"w1: counted by prometheus now, by sum before. own: {NOTHING}",
        "w1: counted by own now, by prometheus before",
    ]
    worse = [s.worse for _, c in play(STORIES["each source in its turn, and back"]) for s in c.switches]
    assert worse == [True, True, False, False]


def test_an_old_report_is_no_news_after_another_source_has_counted() -> None:
    """``trust`` knows only the report that it was given last: the old one would look new to it."""
    steps = [*STORIES["each source in its turn, and back"][:3], Step("all silent", 900, OLD, {}, {}, None)]
    _, choice = play(steps)[-1]
    assert choice.reports["w1"].report is None
    assert choice.reports["w1"].problem


def test_the_end_of_the_time_to_join_is_looked_at() -> None:
    step, choice = play(STORIES["a cluster that joins"][:1])[0]
    assert choice.look_again == START + 60, step.reason


def test_only_clusters_without_a_better_source_are_asked_about() -> None:
    asked: list[set[str]] = []

    def last(needed: Collection[str]) -> Said:
        asked.append(set(needed))
        return {}

    offers = [Offer("own", lambda _needed: fresh(8_000, START)), Offer("sum", last)]
    clusters = {name: cluster(name) for name in ("w1", "w2")} | {"w3": cluster("w3", accepted=False)}
    choose(clusters, offers, Memory(), Instant(START, START), stale_after=STALE)
    assert asked == [{"w2"}]


def test_a_cluster_that_left_is_forgotten() -> None:
    memory = play(STORIES["a cluster that is not available"][:1])[0][1].memory
    gone = choose({}, [Offer("own", lambda _: OLD)], memory, Instant(START, START), stale_after=STALE)
    assert (gone.reports, gone.source, gone.memory.last, gone.memory.seen_at) == ({}, {}, {}, {})
    assert gone.memory.heard == {"own": {}}
