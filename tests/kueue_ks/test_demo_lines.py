"""States → event lines, summary, and what is missing."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from kueue_ks.demo.lines import changes, measured, missing, plain, summary
from kueue_ks.demo.state import Stage, State
from tests.kueue_ks.builders import CPU, GPU, job, state, trace, worker

QUIET = state()


class Case(NamedTuple):
    reason: str
    old: State
    new: State
    want: list[str]


CASES = [
    Case("nothing happened", state(job(Stage.RUNNING)), state(job(Stage.RUNNING)), []),
    Case("time alone is no change", QUIET, replace(QUIET, now=99.0), []),
    Case("a new step is announced", QUIET, replace(QUIET, step="3/4 next"), ["3/4 next"]),
    Case("a job is submitted", QUIET, state(job(Stage.QUEUED)), ["team-a/gang-1 submitted (4 pods)"]),
    Case(
        "the reason for waiting is told when it appears",
        state(job(Stage.QUEUED)),
        state(job(Stage.QUEUED, why="insufficient unused quota")),
        ["team-a/gang-1 waits for quota: insufficient unused quota"],
    ),
    Case(
        "and not again when only its numbers move",
        state(job(Stage.PLACING, why="w1: 2 of 4 pods fit")),
        state(job(Stage.PLACING, why="w1: 3 of 4 pods fit")),
        [],
    ),
    Case(
        "but again when it waits for something else",
        state(job(Stage.QUEUED, why="no quota")),
        state(job(Stage.PLACING, why="w1: 3 of 4 pods fit")),
        ["team-a/gang-1 waits for a cluster: w1: 3 of 4 pods fit"],
    ),
    Case(
        "placed",
        state(job(Stage.PLACING)),
        state(job(Stage.STARTING)),
        ["team-a/gang-1 placed on w1"],
    ),
    Case(
        "running, with the time from create",
        state(job(Stage.STARTING)),
        state(job(Stage.RUNNING)),
        ["team-a/gang-1 runs on w1, 2.5s after create"],
    ),
    Case(
        "finished",
        state(job(Stage.RUNNING)),
        state(job(Stage.FINISHED)),
        ["team-a/gang-1 finished after 14s"],
    ),
    Case("failed", state(job(Stage.RUNNING)), state(job(Stage.FAILED)), ["team-a/gang-1 failed after 14s"]),
    Case(
        "a quota shrinks",
        QUIET,
        state(nominal={CPU: 15_500, GPU: 12_000}),
        ["quota of flavor standard: cpu 31 → 15.5"],
    ),
    Case(
        "one line per flavor",
        state(nominal={CPU: 0, GPU: 0}),
        QUIET,
        ["quota of flavor standard: cpu 0 → 31", "quota of flavor gpu: gpu 0 → 12"],
    ),
    Case("a cordon", QUIET, state(workers=(worker(cordoned=("n1",)),)), ["node n1 of w1 is cordoned"]),
    Case("an uncordon", state(workers=(worker(cordoned=("n1",)),)), QUIET, ["node n1 of w1 is uncordoned"]),
    Case(
        "the first sight of a worker is no change",
        state(workers=()),
        state(workers=(worker(cordoned=("n1",)),)),
        [],
    ),
    Case("a lost worker", QUIET, state(workers=(worker(available=False),)), ["w1 is not available"]),
    Case("a pod on the hub", QUIET, state(hub_pods=("team-a/x",)), ["pod team-a/x appeared on the hub"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_changes(case: Case) -> None:
    assert changes(case.old, case.new) == case.want


def test_a_long_reason_is_cut() -> None:
    (line,) = changes(state(job(Stage.QUEUED)), state(job(Stage.QUEUED, why="x" * 5000)))
    assert len(line) < 250
    assert line.endswith("…")


FINISHED = job(Stage.FINISHED)


def test_summary() -> None:
    slow = replace(trace(Stage.FINISHED), admitted=9.0, running=13.5)
    second = job(Stage.FINISHED, uid="2", name="team-b/sweep-1", pods=1, cluster="w2", trace=slow)
    assert summary(state(FINISHED, second)) == [
        "2 of 2 jobs finished",
        "  team-a/gang-1   w1   4 pods  running 2.5s after create, finished",
        "  team-b/sweep-1  w2   1 pod   running 12s after create, finished",
        "create → running    p50 2.5s  p99 12s   waiting for quota and room included",
        "admitted → running  p50 1.5s  p99 4.5s",
        "pods on the hub     0",
    ]


def test_nothing_is_missing_when_all_is_well() -> None:
    assert missing(state(FINISHED), submitted=1) == []


PROBLEMS = [
    (
        "a job that waits, with its reason",
        state(job(Stage.QUEUED, why="no quota")),
        "team-a/gang-1 waits for quota: no quota",
    ),
    ("a job that still runs, with its place", state(job(Stage.RUNNING)), "team-a/gang-1 runs on w1"),
    ("a failed job", state(job(Stage.FAILED)), "team-a/gang-1 failed on w1"),
    ("a job that is gone", state(), "1 of 1 jobs are not on the hub (any more)"),
    ("a pod on the hub", state(FINISHED, hub_pods=("team-a/x",)), "the hub had 1 pod: team-a/x"),
    (
        "pods on two workers",
        state(replace(FINISHED, trace=replace(FINISHED.trace, places=frozenset({"w1", "w2"})))),
        "team-a/gang-1 had pods on w1, w2",
    ),
]


@pytest.mark.parametrize(("reason", "given", "want"), PROBLEMS, ids=[p[0] for p in PROBLEMS])
def test_missing(reason: str, given: State, want: str) -> None:
    assert missing(given, submitted=1) == [want], reason


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert measured([]) == "-"
    assert measured([5.0]) == "p50 5.0s  p99 5.0s"
    assert measured([float(n) for n in range(100, 0, -1)]) == "p50 50s  p99 99s"


def test_plain_is_ascii() -> None:
    assert plain("cpu 31 → 15.5 …", unicode=False) == "cpu 31 -> 15.5 ..."
    assert plain("cpu 31 → 15.5 …", unicode=True) == "cpu 31 → 15.5 …"
    assert plain("ä", unicode=False).isascii()
