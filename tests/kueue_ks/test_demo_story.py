"""When the story goes on, and what it does to a node."""

from dataclasses import replace

import pytest

from kueue_ks.demo.facts import NodeFacts
from kueue_ks.demo.state import Stage
from kueue_ks.demo.story import Act, all_ended, chosen_node, half_is_running, quota_matches_workers
from tests.kueue_ks.builders import CPU, GPU, job, state, worker


def test_the_quota_is_there_when_it_is_what_the_workers_have() -> None:
    both = state(workers=(worker("w1"), worker("w2")), nominal={CPU: 62_000, GPU: 24_000})
    assert quota_matches_workers(both)
    assert not quota_matches_workers(replace(both, nominal={CPU: 31_000, GPU: 24_000}))
    assert not quota_matches_workers(replace(both, nominal={}))
    assert not quota_matches_workers(replace(both, workers=(worker("w1"), worker("w2", available=False))))
    assert not quota_matches_workers(state(workers=()))


@pytest.mark.parametrize(
    ("stages", "half", "ended"),
    [
        ([], False, False),
        ([Stage.RUNNING, Stage.QUEUED], True, False),
        ([Stage.RUNNING, Stage.QUEUED, Stage.QUEUED], False, False),
        ([Stage.FINISHED, Stage.FAILED], True, True),
    ],
)
def test_progress(stages: list[Stage], half: bool, ended: bool) -> None:
    given = state(*(job(stage, uid=str(n)) for n, stage in enumerate(stages)))
    assert (half_is_running(given), all_ended(given)) == (half, ended)


def node(name: str, cpu: int, *, cordoned: bool = False, kind: str = "standard") -> NodeFacts:
    return NodeFacts(name, {"node-class": kind}, {"cpu": cpu}, cordoned)


def test_the_largest_schedulable_node_of_the_flavor_is_cordoned() -> None:
    nodes = [
        node("big", 99, cordoned=True),
        node("gpu", 50, kind="gpu"),
        node("a", 15),
        node("b", 15),
        node("c", 7),
    ]
    assert chosen_node(nodes, {"node-class": "standard"}).name == "a"


ACTS = [
    (Act(), False, "cpu 0 "),
    (Act("n1", 31_000), False, "cpu 31 "),
    (Act("n1", 31_000, 15_500), False, "cpu 31 → 15.5   n1 cordoned"),
    (Act("n1", 31_000, 15_500, 31_000), True, "cpu 31 → 15.5 → 31 "),
    (Act("n1", 31_000, 15_500, 15_500), False, "cpu 31 → 15.5 → 15.5 "),
]


@pytest.mark.parametrize(("act", "complete", "words"), ACTS, ids=[act[2] for act in ACTS])
def test_act(act: Act, complete: bool, words: str) -> None:
    assert act.complete is complete
    assert words in str(act)
