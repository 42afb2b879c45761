"""The gauges add up to the capacity, and are those of the clusters that are there."""

from collections.abc import Mapping

import pytest

from quota_manager.capacity import Capacity, fold
from quota_manager.facts import Cell
from quota_manager.gauges import families
from tests.quota_manager.builders import CPU, cpus, flavor, nodes, report
from vocabulary.cluster_metrics import ClusterReport, Taint

FLAVORS = {"default": flavor()}
MIXED = report(
    nodes({"cpu": 8_000}, name="n1", foreign={"cpu": 1_500}, count=2),
    nodes({"cpu": 4_000}, name="n2", unschedulable=True),
    nodes({"cpu": 2_000}, name="n3", ready=False),
    nodes({"cpu": 1_000}, name="n4", taints=[Taint("gpu", "", "NoSchedule")]),
)


def folded(reports: Mapping[str, ClusterReport], **standings: set[str]) -> Capacity:
    return fold(reports, FLAVORS, {"cpu": ["default"]}, **standings)  # type: ignore[arg-type]


def samples(capacity: Capacity | None) -> dict[tuple[str, ...], float]:
    return {
        (family.name.removeprefix("kueue_ks_cluster_"), *sample.labels.values()): sample.value
        for family in families(capacity)
        for sample in family.samples
    }


def test_where_the_nodes_went() -> None:
    cell = ("w1", *CPU)
    assert samples(folded({"w1": MIXED})) == {
        ("allocatable", *cell): 23,
        ("foreign_requests", *cell): 3,
        ("excluded", *cell, "node_cordoned"): 4,
        ("excluded", *cell, "node_not_ready"): 2,
        ("excluded", *cell, "node_tainted"): 1,
    }


@pytest.mark.parametrize("standings", [{}, {"cordoned": {"w1"}}, {"silent": {"w1"}}], ids=str)
def test_they_add_up_to_the_capacity(standings: dict[str, set[str]]) -> None:
    capacity = folded({"w1": MIXED}, **standings)
    told = samples(capacity)
    left = sum(value if name == "allocatable" else -value for (name, *_), value in told.items())
    assert left * 1000 == capacity.total(Cell(*CPU))
    assert any(name == "excluded" for name, *_ in told)


def test_a_cluster_that_left_and_no_decision_yet() -> None:
    both, one = folded({"w1": MIXED, "w2": cpus(1_000)}), folded({"w2": cpus(1_000)})
    assert {labels[1] for labels in samples(both)} == {"w1", "w2"}
    assert {labels[1] for labels in samples(one)} == {"w2"}
    assert samples(None) == {}


def test_as_many_as_clusters_and_cells_however_many_nodes() -> None:
    many = report(*(nodes({"cpu": 1_000 + i}, name=f"n{i}") for i in range(1_000)))
    assert len(samples(folded({f"w{i}": many for i in range(3)}))) == 3 * 2
