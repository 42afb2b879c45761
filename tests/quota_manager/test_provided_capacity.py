"""What a CapacityProvider says, and when it is written."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from quota_manager.decision import Decision, Rules, World, decide
from quota_manager.decision import Memory as Decisions
from quota_manager.facts import Cell
from quota_manager.sinks.capacity_provider import with_status
from quota_manager.sinks.provided_capacity import (
    CONTROLLER,
    MOST_RESOURCES,
    Condition,
    Memory,
    Provided,
    ProviderFacts,
    capacity_body,
    provide,
    provider_facts,
)
from quota_manager.trust import Instant
from tests.quota_manager.builders import CPU, cluster, cpus, flavor, nodes, queue, report, world
from vocabulary.cluster_metrics import ClusterReport

H100 = flavor("h100", labels={"gpu": "h100"})
GPU = Cell("h100", "nvidia.com/gpu")
OK = Condition("True", "Synchronized", "1 of 1 clusters counted")
NOW = 1_000.0
KEPT = "No cluster has a trusted report, so the quotas stay as they are."
LOST = "w2: not Available, and no report yet"


def provider(
    *flavors: str, capacity: Mapping[Cell, int] | None = None, condition: Condition | None = None
) -> ProviderFacts:
    observed = 1 if condition else 0
    return ProviderFacts("fleet", "uid", 1, flavors or ("default",), capacity, condition, observed)


def decided(facts: World, *, now: float = NOW, settled: bool = True) -> Decision:
    started = Decisions(started_at=now - (500 if settled else 0))
    return decide(facts, started, Instant(now, now), Rules(stale_after=180, shrink_after=15))


def fresh(milli: int) -> ClusterReport:
    return cpus(milli, at=NOW)


class Case(NamedTuple):
    reason: str
    provider: ProviderFacts
    world: World
    condition: Condition | None
    capacity: Mapping[Cell, int] | None
    settled: bool = True


TWO_SORTS = report(
    nodes({"cpu": 8_000, "nvidia.com/gpu": 4_000}, name="g1", labels={"gpu": "h100"}, count=2),
    nodes({"cpu": 6_000}, name="n1", foreign={"cpu": 1_000}),
    at=NOW,
)
TWO_CLUSTERS = [cluster("w1"), cluster("w2", available=False)]
CASES = [
    Case(
        "all that the nodes have, managed queues or not",
        provider(),
        world([cluster()], {"w1": fresh(8_000)}, []),
        OK,
        {CPU: 8_000},
    ),
    Case(
        "by flavor, foreign use taken off, each node once",
        provider("h100", "default"),
        world([cluster()], {"w1": TWO_SORTS}, [], [flavor(), H100]),
        OK,
        {Cell("h100", "cpu"): 16_000, GPU: 8_000, CPU: 5_000},
    ),
    Case(
        "nodes of flavors that it does not speak for are not told",
        provider("h100"),
        world([cluster()], {"w1": TWO_SORTS}, [], [flavor(), H100]),
        OK,
        {Cell("h100", "cpu"): 16_000, GPU: 8_000},
    ),
    Case(
        "declared by a queue, on no node: 0, not unknown",
        provider("h100"),
        world([cluster()], {"w1": fresh(8_000)}, [queue("cq", {GPU: 0}, managed=False)], [H100]),
        OK,
        {GPU: 0},
    ),
    Case(
        "a lost cluster is less capacity, not a missing source",
        provider(),
        world(TWO_CLUSTERS, {"w1": fresh(8_000)}, []),
        Condition("True", "Synchronized", f"1 of 2 clusters counted; left out: {LOST}"),
        {CPU: 8_000},
    ),
    Case(
        "of a cordoned cluster what our jobs use",
        provider(),
        world(
            [cluster("w1"), cluster("w2", cordoned=True)],
            {"w1": fresh(8_000), "w2": report(nodes({"cpu": 9_000}, ours={"cpu": 2_000}), at=NOW)},
            [],
        ),
        Condition("True", "Synchronized", "2 of 2 clusters counted"),
        {CPU: 10_000},
    ),
    Case(
        "only a cordoned one is heard: nothing is known of those that take jobs",
        provider(capacity={CPU: 9_000}, condition=OK),
        world([cluster("w1", cordoned=True), cluster("w2", available=False)], {"w1": fresh(8_000)}, []),
        Condition("False", "SourceUnavailable", f"{KEPT} {LOST}"),
        {CPU: 9_000},
    ),
    Case(
        "nothing is known: what was said stays",
        provider(capacity={CPU: 9_000}, condition=OK),
        world([cluster("w2", available=False)], {}, []),
        Condition(
            "False",
            "SourceUnavailable",
            f"{KEPT} {LOST}",
        ),
        {CPU: 9_000},
    ),
    Case(
        "a flavor is missing: what was said stays",
        provider("h100", capacity={GPU: 9_000}, condition=OK),
        world([cluster()], {"w1": fresh(8_000)}, []),
        Condition("False", "Misconfigured", "there is no ResourceFlavor h100"),
        {GPU: 9_000},
    ),
    Case(
        "it says so already",
        provider(capacity={CPU: 8_000}, condition=OK),
        world([cluster()], {"w1": fresh(8_000)}, []),
        None,
        {CPU: 8_000},
    ),
    Case(
        "a lower amount waits for the debounce",
        provider(capacity={CPU: 9_000}, condition=OK),
        world([cluster()], {"w1": fresh(8_000)}, []),
        None,
        {CPU: 9_000},
    ),
    Case(
        "a process that has just started says nothing before it knows",
        provider(capacity={CPU: 9_000}),
        world([cluster("w1"), cluster("w2")], {"w1": fresh(8_000)}, []),
        None,
        None,
        settled=False,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_provide(case: Case) -> None:
    decision = decided(case.world, settled=case.settled)
    got = provide(case.provider, case.world, decision, Memory(), now=NOW, shrink_after=15)
    assert got.condition == case.condition
    assert got.capacity == case.capacity


def test_less_is_said_after_the_debounce_and_more_at_once() -> None:
    known, memory = provider(capacity={CPU: 9_000}, condition=OK), Memory()
    said = []
    for now, milli in [(0, 8_000), (14, 8_000), (15, 8_000), (16, 10_000)]:
        facts = world([cluster()], {"w1": cpus(milli, at=NOW + now, sequence=now)}, [])
        got = provide(known, facts, decided(facts, now=NOW + now), memory, now=NOW + now, shrink_after=15)
        memory = got.memory
        said.append((now, got.condition is not None, (got.capacity or {})[CPU], got.look_again))
    assert said == [
        (0, False, 9_000, NOW + 15),
        (14, False, 9_000, NOW + 15),
        (15, True, 8_000, None),
        (16, True, 10_000, None),
    ]


def test_a_cluster_that_fell_silent_is_told_as_less() -> None:
    clusters, rules = [cluster("w1"), cluster("w2")], Rules(stale_after=180, shrink_after=15)
    both = world(clusters, {"w1": fresh(8_000), "w2": fresh(4_000)}, [])
    before = decide(both, Decisions(started_at=0.0), Instant(NOW, NOW), rules)
    one = world(clusters, {"w1": cpus(8_000, at=NOW + 200, sequence=2), "w2": fresh(4_000)}, [])
    after = decide(one, before.memory, Instant(NOW + 200, NOW + 200), rules)
    got = provide(provider(), one, after, Memory(), now=NOW + 200, shrink_after=15)
    assert got.capacity == {CPU: 8_000}
    assert got.condition is not None
    assert got.condition.message.startswith("1 of 2 clusters counted; left out: w2: ")


def test_many_resources_and_silent_clusters_fit() -> None:
    many = {f"example.com/r{i:03}": 1_000 for i in range(100)}
    declared = Cell("default", "example.com/r099")
    clusters = [cluster(f"w{i}", available=i == 0) for i in range(1_000)]
    facts = world(clusters, {"w0": report(nodes(many), at=NOW)}, [queue("cq", {declared: 0}, managed=False)])
    got = provide(provider(), facts, decided(facts), Memory(), now=NOW, shrink_after=15)
    assert got.capacity is not None
    assert len(got.capacity) == MOST_RESOURCES
    assert declared in got.capacity, "what a queue asks for is not among those that are cut off"
    assert got.condition is not None
    assert len(got.condition.message) < 500
    assert got.condition.message.endswith("; 994 more")


def body(controller: str = CONTROLLER, status: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": "fleet", "uid": "uid", "generation": 1},
        "spec": {"controllerName": controller, "orchestratedFlavors": [{"name": "default"}]},
        **({"status": status} if status is not None else {}),
    }


@pytest.mark.parametrize(
    ("reason", "obj", "want"),
    [
        ("new", body(), provider()),
        ("somebody else's", body("example.com/other"), None),
        ("on its way out", {**body(), "metadata": {**body()["metadata"], "deletionTimestamp": "now"}}, None),
        (
            "what cannot be read is written anew",
            body(status={"capacity": {"flavors": [{"name": "default", "resources": {"cpu": "many"}}]}}),
            provider(),
        ),
    ],
)
def test_facts(reason: str, obj: dict[str, Any], want: ProviderFacts | None) -> None:
    assert provider_facts(obj) == want, reason


def test_what_is_written_is_read_as_the_same() -> None:
    capacity = {CPU: 8_500, GPU: 4_000, Cell("default", "memory"): 2**34 * 1000}
    written = with_status(body(), Provided(OK, capacity, None, Memory()), OK, 1_764_000_000.7)
    facts = provider_facts(written)
    assert facts == provider(capacity=capacity, condition=OK)
    assert written["status"]["capacity"] == {
        "flavors": [
            {"name": "default", "resources": {"cpu": "8500m", "memory": "16Gi"}},
            {"name": "h100", "resources": {"nvidia.com/gpu": "4"}},
        ]
    }
    assert written["status"]["conditions"][0]["lastTransitionTime"] == "2025-11-24T16:00:00Z"


@pytest.mark.parametrize(
    ("condition", "since"),
    [
        (Condition("True", "Synchronized", "2 of 2 clusters counted"), "then"),
        (Condition("False", "SourceUnavailable", "none"), "1970-01-01T00:00:09Z"),
    ],
)
def test_the_transition_moves_with_the_status_only(condition: Condition, since: str) -> None:
    theirs = {"type": "Theirs", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "t"}
    ours = {
        "type": "CapacitySynchronized",
        "status": "True",
        "reason": "Synchronized",
        "message": "1 of 1 clusters counted",
        "lastTransitionTime": "then",
    }
    written = with_status(
        body(status={"conditions": [ours, theirs]}), Provided(condition, None, None, Memory()), condition, 9.0
    )
    kept, changed = written["status"]["conditions"]
    assert kept == theirs
    assert (changed["lastTransitionTime"], changed["reason"]) == (since, condition.reason)
    assert "capacity" not in written["status"], "there was none"


def test_no_flavor_without_resources_is_written() -> None:
    assert capacity_body({}) == {"flavors": []}


def worlds(order: Sequence[int]) -> World:
    reports = {f"w{i}": cpus(1_000 * (i + 1), at=NOW) for i in order}
    return world([cluster(name) for name in reports], reports, [])


def test_order_of_clusters_does_not_matter() -> None:
    told = [
        provide(provider(), worlds(o), decided(worlds(o)), Memory(), now=NOW, shrink_after=15).capacity
        for o in ([0, 1, 2], [2, 1, 0])
    ]
    assert told == [{CPU: 6_000}, {CPU: 6_000}]
