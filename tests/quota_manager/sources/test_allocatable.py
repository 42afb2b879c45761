"""The whole cluster as one node, with care."""

from typing import Any, NamedTuple

import pytest

from quota_manager.facts import Flavor, QueueFacts, cluster_facts
from quota_manager.sources.allocatable import NAME, WHOLE_CLUSTER, AllocatableSource
from quota_manager.trust import Instant
from tests.quota_manager.builders import CPU, cpus, flavor, nodes, queue, report, world
from vocabulary.cluster_metrics import ClusterReport

AT = Instant(mono=50.0, unix=1_000.0)


def managed_cluster(allocatable: dict[str, Any], *, available: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": "w1", "uid": "u1"},
        "spec": {"hubAcceptsClient": True},
        "status": {
            "allocatable": allocatable,
            "conditions": [{"type": "ManagedClusterConditionAvailable", "status": available}],
        },
    }


class Case(NamedTuple):
    reason: str
    allocatable: dict[str, Any]
    want: dict[str, int] | None
    last: ClusterReport | None = None
    bad: tuple[str, ...] = ()
    available: str = "True"


LAST = report(
    nodes({"cpu": 6_000}, foreign={"cpu": 1_000}, count=2),
    nodes({"cpu": 50_000}, name="cordoned", unschedulable=True),
    nodes({"cpu": 50_000}, name="broken", ready=False),
)
CASES = [
    Case("as OCM adds it up", {"cpu": "16", "memory": "1Gi"}, {"cpu": 16_000, "memory": 2**30 * 1000}),
    Case(
        "what cannot be read is left out and named",
        {"cpu": "16", "memory": "a lot"},
        {"cpu": 16_000},
        bad=("memory is a lot (malformed)",),
    ),
    Case("so is less than nothing", {"cpu": "-1"}, {}, bad=("cpu is -1 (out_of_range)",)),
    Case("and more than Kubernetes can write", {"cpu": "1e30"}, {}, bad=("cpu is 1e30 (out_of_range)",)),
    Case("and not a number", {"cpu": "NaN"}, {}, bad=("cpu is NaN (malformed)",)),
    Case("never more than the last finer report left for us", {"cpu": "112"}, {"cpu": 10_000}, last=LAST),
    Case("nor of what that did not have", {"cpu": "4", "gpu": "8"}, {"cpu": 4_000, "gpu": 0}, last=LAST),
    Case("nothing was reported", {}, None),
    Case("an unavailable cluster's sum may be of any age", {"cpu": "16"}, None, available="Unknown"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_reports(case: Case) -> None:
    facts = cluster_facts(managed_cluster(case.allocatable, available=case.available))
    source = AllocatableSource()
    found = source.reports(world([facts], {"w1": case.last}, [queue()]), AT, {"w1"})
    if case.want is None:
        assert found == {}
        return
    got = found["w1"].report
    assert got is not None
    assert [(n.name, n.count, n.allocatable) for n in got.nodes] == [(WHOLE_CLUSTER, 1, case.want)]
    assert got.observed_at == AT.unix
    assert tuple(str(sample) for sample in source.bad_samples()) == case.bad


H100 = flavor("h100", labels={"gpu": "h100"})


@pytest.mark.parametrize(
    ("reason", "queues", "flavors", "usable"),
    [
        ("a flavor that asks for no labels", [queue()], [flavor()], True),
        (
            "one that does: who has what is not known",
            [queue("cq", {CPU: 0, CPU._replace(flavor="h100"): 0})],
            [flavor(), H100],
            False,
        ),
        (
            "it is nobody's that we manage",
            [queue(), queue("other", {CPU._replace(flavor="h100"): 0}, managed=False)],
            [flavor(), H100],
            True,
        ),
    ],
)
def test_labels_make_a_sum_useless(
    reason: str, queues: list[QueueFacts], flavors: list[Flavor], *, usable: bool
) -> None:
    facts = cluster_facts(managed_cluster({"cpu": "16"}))
    found = AllocatableSource().reports(world([facts], {}, queues, flavors), AT, {"w1"})["w1"]
    assert (found.report is not None) == usable, reason
    assert found.source == NAME
    if not usable:
        assert found.problem == "Allocatable knows no node labels, and ResourceFlavor h100 asks for some"


def test_nobody_is_read_who_is_not_asked_about() -> None:
    facts = cluster_facts(managed_cluster({"cpu": "broken"}))
    source = AllocatableSource()
    assert source.reports(world([facts], {"w1": cpus(1)}, [queue()]), AT, set()) == {}
    assert source.bad_samples() == []
