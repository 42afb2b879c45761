"""What queues bear about their quotas: bounded, canonical, written when something is new."""

import json
from dataclasses import replace

import pytest

from quota_manager.breakdown import BREAKDOWN_INTERVAL, LIMIT, breakdown, clusters_of
from quota_manager.capacity import fold
from quota_manager.decision import Decision, Memory, Rules, World, decide
from quota_manager.facts import Cell, ReportFacts
from quota_manager.trust import Instant
from quota_manager.wishes import Reserve
from tests.quota_manager.builders import CPU, cluster, cpus, flavor, nodes, queue, report, world

SETTLED = Memory(started_at=-9_999.0, settled=True)


def look(facts: World, mono: float = 0.0, memory: Memory = SETTLED) -> Decision:
    return decide(facts, memory, Instant(mono, mono), Rules(stale_after=180.0, shrink_after=15.0))


def bearing(facts: World, decision: Decision) -> World:
    """The world once everything has been written."""
    written = {
        key: replace(
            q,
            quotas={cell: decision.nominal[key, cell] for cell in q.quotas},
            breakdown=decision.breakdowns.get(key, q.breakdown),
        )
        for key, q in facts.queues.items()
    }
    return replace(facts, queues=written)


def with_report(facts: World, cluster: str, cpu: int, sequence: int) -> World:
    news = {cluster: ReportFacts(cluster, cpus(cpu, sequence=sequence), "")}
    return replace(facts, reports={**facts.reports, **news})


def test_it_tells_of_every_cluster_what_counts_and_what_does_not() -> None:
    there = report(
        nodes({"cpu": 10_000}, foreign={"cpu": 1500}),
        nodes({"cpu": 4000}, name="b", unschedulable=True),
    )
    flavors = [flavor(reserve={"cpu": Reserve(percent=10)})]
    facts = world([cluster("w1"), cluster("w2")], {"w1": there, "w2": cpus(500)}, [queue()], flavors)
    assert json.loads(look(facts).breakdowns["cq"]) == {
        "default/cpu": {
            "capacity": "9",
            "reserve": "900m",
            "clusters": {
                "w1": {"capacity": "8500m", "foreign": "1500m", "excluded": {"node cordoned": "4"}},
                "w2": {"capacity": "500m"},
            },
        }
    }


def test_heartbeats_write_nothing() -> None:
    facts = world([cluster()], {"w1": cpus(4000)}, [queue()])
    first = look(facts)
    facts, memory = bearing(facts, first), first.memory
    for sequence in range(2, 8):
        facts = with_report(facts, "w1", 4000, sequence)
        decision = look(facts, sequence * 60.0, memory)
        assert (decision.writes, decision.breakdowns) == ((), {})
        memory = decision.memory


def test_what_moves_between_clusters_waits_for_the_interval_and_is_told() -> None:
    facts = world([cluster("w1"), cluster("w2")], {"w1": cpus(4000), "w2": cpus(2000)}, [queue()])
    first = look(facts)
    facts = with_report(with_report(bearing(facts, first), "w1", 2000, 2), "w2", 4000, 2)
    soon = look(facts, 1.0, first.memory)
    assert (soon.writes, soon.breakdowns, soon.look_again) == ((), {}, BREAKDOWN_INTERVAL)
    later = look(facts, BREAKDOWN_INTERVAL, soon.memory)
    assert clusters_of(later.breakdowns["cq"], CPU) == {"w1": 2000, "w2": 4000}


def test_it_goes_with_a_quota_at_once() -> None:
    facts = world([cluster()], {"w1": cpus(4000)}, [queue()])
    first = look(facts)
    decision = look(with_report(bearing(facts, first), "w1", 5000, 2), 1.0, first.memory)
    assert clusters_of(decision.breakdowns["cq"], CPU) == {"w1": 5000}


def test_what_somebody_wrote_over_it_is_put_right() -> None:
    facts = world([cluster()], {"w1": cpus(4000)}, [queue()])
    first = look(facts)
    facts = bearing(facts, first)
    facts = replace(facts, queues={"cq": replace(facts.queues["cq"], breakdown="x")})
    assert look(facts, 11.0, first.memory).breakdowns == first.breakdowns


def test_nothing_is_told_while_quotas_are_kept() -> None:
    facts = world([cluster()], {}, [queue(breakdown="of better days")])
    decision = look(facts)
    assert decision.kept
    assert decision.breakdowns == {}


def test_a_new_process_names_the_clusters_that_changed_by_what_the_last_one_told() -> None:
    facts = world([cluster("w1"), cluster("w2")], {"w1": cpus(4000), "w2": cpus(2000)}, [queue()])
    facts = with_report(bearing(facts, look(facts)), "w2", 5000, 2)
    assert str(look(facts).writes[0].changes[0]) == "cpu of default 6 → 9 (w2 2 → 5)"


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "x", '{"default/cpu":{"clusters":{"w1":{"capacity":"NaN"}}}}']
)
def test_a_breakdown_of_somebody_else_is_worth_nothing(text: str) -> None:
    assert clusters_of(text, CPU) is None


@pytest.mark.parametrize(("clusters", "cells"), [(1, 1), (50, 8), (1000, 4), (1000, 64), (3, 512)])
def test_its_size_is_bounded(clusters: int, cells: int) -> None:
    resources = [f"vendor.example.com/device-{i}" for i in range(cells)]
    there = {f"cluster-{i}": report(nodes(dict.fromkeys(resources, 1000 * (i + 1)))) for i in range(clusters)}
    offered = dict.fromkeys(resources, ("default",))
    capacity = fold(there, {"default": flavor()}, offered)
    held = queue(quotas={Cell("default", resource): 0 for resource in resources})
    text = breakdown(held, capacity, {})
    told = json.loads(text)
    assert len(text) <= LIMIT
    more = told.pop("moreCells", 0)
    assert len(told) + more == cells
    assert all(len(each["clusters"]) + each.get("moreClusters", 0) == clusters for each in told.values())
    greatest = f"cluster-{clusters - 1}"
    assert all(greatest in each["clusters"] for each in told.values() if each["clusters"])
    assert bool(more) == (cells == 512)
