"""What is kept between decisions changes no answer."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workload_controller.builders import amounts, cluster, node_group, pod_set
from tests.workload_controller.test_packing import GANG, GROUPS
from vocabulary.cluster_metrics import WorkloadPods
from workload_controller import rooms
from workload_controller.facts import Amounts, ClusterFacts, Held, PodSet
from workload_controller.packing import room_on
from workload_controller.placement import place
from workload_controller.promises import promises_of
from workload_controller.rooms import REMEMBERED, Rooms
from workload_controller.verdicts import Placement

NAMES = ("w1", "w2", "w3")
JOBS = ("a", "b", "c")

Fleet = dict[str, ClusterFacts]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Some of the clusters, each with nodes and a few pods of the jobs."""
    found: Fleet = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        bound = draw(st.integers(0, 2))
        pods = (WorkloadPods(draw(st.sampled_from(JOBS)), bound, 0, 0),) if bound else ()
        refusal = draw(st.sampled_from(("", "", "", "it is cordoned")))
        found[name] = cluster(name, *draw(GROUPS), refusal=refusal, workloads=pods)
    return found


LEDGERS = st.lists(
    st.builds(
        lambda uid, name, gang: Held(uid, name, tuple(gang)),
        st.sampled_from(JOBS),
        st.sampled_from(NAMES),
        GANG,
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(
    worlds=st.lists(fleets(), min_size=1, max_size=2),
    ledgers=st.lists(LEDGERS, min_size=1, max_size=3),
    asked=st.lists(
        st.tuples(st.sampled_from(JOBS), st.integers(0, 1), st.integers(0, 2), GANG), min_size=1, max_size=4
    ),
)
def test_kept_rooms_answer_as_new_ones(
    worlds: list[Fleet], ledgers: list[list[Held]], asked: list[tuple[str, int, int, list[PodSet]]]
) -> None:
    """Whatever has changed in between: nodes, bound pods, promises, whose decision it is."""
    kept = Rooms()
    for uid, nodes, promised, gang in asked:
        fleet, held = worlds[nodes % len(worlds)], ledgers[promised % len(ledgers)]
        again = place(uid, gang, fleet.values(), promises_of(held), {}, rooms=kept)
        assert answer(again) == answer(place(uid, gang, fleet.values(), held, {}))


def answer(placement: Placement) -> object:
    return tuple(placement.verdicts), placement.choice, placement.never


def test_what_was_promised_since_is_not_free() -> None:
    kept, one = Rooms(), [cluster("w1", node_group(1))]
    assert place("a", [pod_set(8)], one, (), {}, rooms=kept).choice == "w1"
    assert place("b", [pod_set(8)], one, [Held("a", "w1", (pod_set(8),))], {}, rooms=kept).choice is None
    assert place("c", [pod_set(8)], one, (), {}, rooms=kept).choice == "w1"


def test_a_verdict_that_is_looked_at_late_is_that_of_its_decision() -> None:
    """The room was given away in between; the numbers are those that were decided on."""
    kept, one = Rooms(), [cluster("w1", node_group(1))]
    before = place("uid", [pod_set(8)], one, (), {}, rooms=kept)
    place("late", [pod_set(8)], one, [Held("uid", "w1", (pod_set(8),))], {}, rooms=kept)
    assert [str(v) for v in before.verdicts] == ["w1: fits, 0% stays free"]


def test_a_report_of_the_same_moment_with_other_nodes_counts() -> None:
    kept = Rooms()
    assert place("uid", [pod_set(9)], [cluster("w1", node_group(1))], (), {}, rooms=kept).choice is None
    assert place("uid", [pod_set(9)], [cluster("w1", node_group(2))], (), {}, rooms=kept).choice == "w1"


def test_more_questions_than_are_remembered() -> None:
    kept, there = Rooms(), [cluster("w1", node_group(4))]
    sizes = [*range(1, REMEMBERED * 2), 1, 33]
    chosen = [place("uid", [pod_set(n)], there, (), {}, rooms=kept).choice for n in sizes]
    assert chosen == ["w1" if n <= 32 else None for n in sizes]
    assert len(kept) == 1 + REMEMBERED
    kept.forget("w1")
    assert len(kept) == REMEMBERED


def test_only_the_best_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: what is worse than the best that fits has its sums looked at, and no node."""
    looked_at: list[int] = []

    def counted(free: Amounts, requests: Iterable[tuple[str, int]], most: int) -> int:
        looked_at.append(most)
        return room_on(free, requests, most)

    monkeypatch.setattr(rooms, "room_on", counted)
    groups = [node_group(1, requested=amounts(cpu=n % 5)) for n in range(50)]
    many = [cluster(f"w{n:03}", *groups, node_group(1 + n % 7)) for n in range(100)]
    placement = place("uid", [pod_set(8)], many, (), {})
    assert placement.choice is not None
    assert len(looked_at) < 100
