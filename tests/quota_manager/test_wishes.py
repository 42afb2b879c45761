"""What people ask for by annotations, from the object to the quotas."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota_manager.debounce import Window
from quota_manager.decision import Decision, Memory, Rules, World, decide
from quota_manager.facts import Cell, cohort_facts, flavor_facts, queue_facts
from quota_manager.trust import Instant
from quota_manager.wishes import Reserve, read_reserve
from tests.quota_manager.builders import CPU, cluster, cpus, flavor, nodes, queue, report, world
from vocabulary import keys

GPU = Cell("h100", "nvidia.com/gpu")
CPU_H100 = Cell("h100", "cpu")


def raw_queue(annotations: Mapping[str, str]) -> dict[str, Any]:
    """cpu and gpus of h100, cpu of default."""

    def quotas(flavor: str, *resources: str) -> dict[str, Any]:
        return {"name": flavor, "resources": [{"name": r, "nominalQuota": "1"} for r in resources]}

    groups = [
        {"coveredResources": ["cpu"], "flavors": [quotas("h100", "cpu"), quotas("default", "cpu")]},
        {"coveredResources": ["nvidia.com/gpu"], "flavors": [quotas("h100", "nvidia.com/gpu")]},
    ]
    metadata = {"name": "cq", "uid": "u", "annotations": dict(annotations)}
    return {"metadata": metadata, "spec": {"resourceGroups": groups}}


class Scope(NamedTuple):
    reason: str
    value: str
    ours: frozenset[Cell]
    managed: bool = True
    problem: str = ""


ALL = frozenset({GPU, CPU_H100, CPU})
SCOPES = [
    Scope("all", "true", ALL),
    Scope("one flavor", "h100", frozenset({GPU, CPU_H100})),
    Scope("single cells", " h100/nvidia.com/gpu , default/cpu", frozenset({GPU, CPU})),
    Scope("none", "false", frozenset(), managed=False),
    Scope("nothing said", "", frozenset(), managed=False),
    Scope(
        "a flavor that the queue does not have",
        "h100,a100",
        ALL,
        problem="FLAVOR/RESOURCE of its own (default, h100)",
    ),
    Scope("a word that means nothing", "yes", ALL, problem="'yes'"),
]


@pytest.mark.parametrize("case", SCOPES, ids=lambda case: case.reason)
def test_whose_quotas_are_ours(case: Scope) -> None:
    facts = queue_facts(raw_queue({keys.MANAGE_QUOTA: case.value}))
    assert (facts.ours, facts.managed, bool(facts.problem)) == (case.ours, case.managed, bool(case.problem))
    assert case.problem in facts.problem


def test_a_cohort_of_a_queues_name_is_another_one() -> None:
    obj = raw_queue({keys.MANAGE_QUOTA: "true"})
    assert (queue_facts(obj).key, cohort_facts(obj).key) == ("cq", "cohort/cq")


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "1000001", "99999999999", "²", "many"])
def test_a_weight_that_cannot_be_read_is_named(value: str) -> None:
    facts = queue_facts(raw_queue({keys.MANAGE_QUOTA: "true", keys.QUOTA_WEIGHT: value}))
    assert f"{keys.QUOTA_WEIGHT} is {value!r}" in facts.problem


def test_a_weight() -> None:
    facts = queue_facts(raw_queue({keys.MANAGE_QUOTA: "true", keys.QUOTA_WEIGHT: "7"}))
    assert (facts.weight, facts.problem) == (7, "")


def test_a_reserve() -> None:
    text = " cpu=10%, memory=64Gi,nvidia.com/gpu=2 "
    assert read_reserve({keys.RESERVE: text}) == {
        "cpu": Reserve(percent=10),
        "memory": Reserve(amount=(64 << 30) * 1000),
        "nvidia.com/gpu": Reserve(amount=2000),
    }


BAD_RESERVES = [
    "cpu",
    "cpu=",
    "=1",
    "cpu=1,cpu=2",
    "cpu=101%",
    "cpu=-1",
    "cpu=1.5%",
    "cpu=NaN",
    "cpu=5%%",
    "cpu=1 x",
]


@pytest.mark.parametrize("value", BAD_RESERVES)
def test_a_reserve_that_cannot_be_read_is_named(value: str) -> None:
    metadata = {"name": "h100", "annotations": {keys.RESERVE: value}}
    facts = flavor_facts({"metadata": metadata, "spec": {}})
    assert facts.reserve == {}
    assert facts.problem.startswith(f"ResourceFlavor h100: annotation {keys.RESERVE} is {value!r}")


@pytest.mark.parametrize(
    ("reserve", "total", "want"),
    [
        (Reserve(percent=10), 1001, 101),
        (Reserve(percent=100), 7, 7),
        (Reserve(amount=5), 3, 3),
        (Reserve(), 9, 0),
    ],
)
def test_a_reserve_is_rounded_up_and_not_more_than_there_is(reserve: Reserve, total: int, want: int) -> None:
    assert reserve.of(total) == want


SETTLED = Memory(started_at=-9_999.0, settled=True)


def look(facts: World, memory: Memory = SETTLED, mono: float = 0.0) -> Decision:
    return decide(facts, memory, Instant(mono, mono), Rules(stale_after=180.0, shrink_after=0.0))


def test_queues_and_cohorts_share_by_weight_what_the_reserve_leaves() -> None:
    flavors = [flavor(reserve={"cpu": Reserve(percent=10)})]
    queues = [queue("a", weight=3), queue("b"), queue("a", weight=5, kind="Cohort")]
    decision = look(world([cluster()], {"w1": cpus(10_000)}, queues, flavors))
    assert decision.nominal == {("a", CPU): 3000, ("b", CPU): 1000, ("cohort/a", CPU): 5000}
    assert decision.reserved == {CPU: 1000}


def test_what_was_set_by_hand_is_not_touched() -> None:
    there = report(nodes({"cpu": 4000, "nvidia.com/gpu": 8000}))
    gpu = Cell("default", "nvidia.com/gpu")
    facts = world([cluster()], {"w1": there}, [queue("a", {CPU: 1, gpu: 2000}, ours=[CPU])])
    assert look(facts).nominal == {("a", CPU): 4000, ("a", gpu): 2000}


def test_a_wish_that_cannot_be_read_stops_its_own_cells_only() -> None:
    there = report(nodes({"cpu": 4000, "nvidia.com/gpu": 8000}))
    gpu = Cell("default", "nvidia.com/gpu")
    queues = [queue("a", {CPU: 1}, problem="bad"), queue("b", {CPU: 2, gpu: 3})]
    decision = look(world([cluster()], {"w1": there}, queues))
    assert decision.nominal == {("a", CPU): 1, ("b", CPU): 2, ("b", gpu): 8000}
    assert decision.problems == ("ClusterQueue a: bad",)


def test_a_reserve_that_cannot_be_read_stops_its_flavor_only() -> None:
    other = Cell("big", "cpu")
    flavors = [
        flavor(labels={"size": "s"}, problem="bad"),
        flavor("big", labels={"size": "b"}),
        flavor("unused", problem="x"),
    ]
    there = report(
        nodes({"cpu": 4000}, labels={"size": "s"}), nodes({"cpu": 8000}, name="b", labels={"size": "b"})
    )
    decision = look(world([cluster()], {"w1": there}, [queue("a", {CPU: 1, other: 2})], flavors))
    assert decision.nominal == {("a", CPU): 1, ("a", other): 8000}
    assert decision.problems == ("bad",)


AMOUNTS = st.integers(0, 10**9)
WEIGHTS = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9), min_size=1)
RESERVES = st.builds(Reserve, st.integers(0, 100), st.integers(0, 10**6))


def shared(
    amounts: Mapping[str, int], weights: Mapping[str, int], reserve: Reserve
) -> tuple[World, Decision]:
    facts = world(
        [cluster(name) for name in amounts],
        {name: cpus(amount) for name, amount in amounts.items()},
        [queue(name, weight=weight) for name, weight in weights.items()],
        [flavor(reserve={"cpu": reserve})],
    )
    return facts, look(facts)


FLEETS = st.dictionaries(st.sampled_from(["w1", "w2", "w3"]), AMOUNTS, min_size=1)


@given(FLEETS, WEIGHTS, RESERVES)
def test_the_sum_is_capacity_less_reserve_exactly(
    amounts: dict[str, int], weights: dict[str, int], reserve: Reserve
) -> None:
    there = sum(amounts.values())
    _, decision = shared(amounts, weights, reserve)
    assert sum(decision.nominal.values()) == there - reserve.of(there) <= there


@given(FLEETS, WEIGHTS, RESERVES, AMOUNTS)
def test_more_capacity_never_makes_the_sum_less_and_a_share_by_one_unit_at_most(
    amounts: dict[str, int], weights: dict[str, int], reserve: Reserve, more: int
) -> None:
    """The largest remainder can move by one unit to another queue: that is its price for an exact sum."""
    _, before = shared(amounts, weights, reserve)
    _, after = shared({**amounts, "w9": more}, weights, reserve)
    assert sum(after.nominal.values()) >= sum(before.nominal.values())
    assert all(after.nominal[key] >= before.nominal[key] - 1 for key in before.nominal)


@given(FLEETS, WEIGHTS, RESERVES)
def test_neither_order_nor_a_second_look_changes_anything(
    amounts: dict[str, int], weights: dict[str, int], reserve: Reserve
) -> None:
    _, one = shared(amounts, weights, reserve)
    facts, other = shared(dict(reversed(amounts.items())), dict(reversed(weights.items())), reserve)
    assert one.nominal == other.nominal
    written = {
        q.key: queue(q.name, {CPU: one.nominal[q.key, CPU]}, weight=q.weight) for q in facts.queues.values()
    }
    again = World(facts.clusters, facts.reports, facts.flavors, written)
    assert look(again, one.memory, 1.0).writes == ()


def test_a_greater_reserve_waits_as_lost_capacity_does() -> None:
    facts = world(
        [cluster()],
        {"w1": cpus(10_000)},
        [queue(quotas={CPU: 10_000})],
        [flavor(reserve={"cpu": Reserve(50)})],
    )
    rules = Rules(stale_after=180.0, shrink_after=15.0)
    decision = decide(facts, SETTLED, Instant(0.0, 0.0), rules)
    assert decision.writes == ()
    assert decision.memory.windows[CPU] == Window(5000, decision.memory.windows[CPU].held)
    assert decide(facts, decision.memory, Instant(15.0, 15.0), rules).nominal == {("cq", CPU): 5000}
