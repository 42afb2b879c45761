from typing import Any

import pytest

from quota_manager.facts import (
    Cell,
    Flavor,
    FlavorGroup,
    ReportFacts,
    Toleration,
    cluster_facts,
    flavor_facts,
    newest,
    queue_facts,
    report_facts,
)
from tests.quota_manager.builders import cpus
from vocabulary.cluster_metrics import Taint, format_report

MANAGED = {"kueue.kubestellar.io/manage-quota": "true"}


def managed_cluster(**changes: Any) -> dict[str, Any]:
    cluster: dict[str, Any] = {
        "metadata": {"name": "w1", "uid": "u", "labels": {"name": "w1"}},
        "spec": {"hubAcceptsClient": True},
        "status": {"conditions": [{"type": "ManagedClusterConditionAvailable", "status": "True"}]},
    }
    for part, values in changes.items():
        cluster[part] |= values
    return cluster


def test_a_cluster_that_can_be_used() -> None:
    facts = cluster_facts(managed_cluster())
    assert (facts.enrolled, facts.available, facts.label) == (True, True, "w1")


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_cluster_is_available_only_when_ocm_says_so(status: str) -> None:
    conditions = [{"type": "ManagedClusterConditionAvailable", "status": status}]
    assert not cluster_facts(managed_cluster(status={"conditions": conditions})).available
    assert not cluster_facts(managed_cluster(status={"conditions": []})).available


def test_a_cluster_that_is_not_accepted_is_not_enrolled() -> None:
    assert not cluster_facts(managed_cluster(spec={"hubAcceptsClient": False})).enrolled


@pytest.mark.parametrize(
    ("key", "effect", "cordoned"),
    [
        ("maintenance", "NoSelect", True),
        ("maintenance", "PreferNoSelect", False),
        ("cluster.open-cluster-management.io/unreachable", "NoSelect", False),
        ("cluster.open-cluster-management.io/unavailable", "NoSelect", False),
    ],
)
def test_a_cluster_is_cordoned_by_a_taint_that_somebody_set(key: str, effect: str, cordoned: bool) -> None:
    facts = cluster_facts(managed_cluster(spec={"taints": [{"key": key, "effect": effect}]}))
    assert (facts.cordoned, facts.enrolled) == (cordoned, not cordoned)


def work_status(**source: str) -> dict[str, Any]:
    ref = {"group": "galaxy.kubestellar.io", "kind": "ClusterMetrics", "name": "w1", **source}
    metadata = {"name": "x", "namespace": "w1"}
    return {"metadata": metadata, "spec": {"sourceRef": ref}, "status": format_report(cpus(4000, at=1.5))}


def test_the_report_of_a_cluster() -> None:
    assert report_facts(work_status()) == ReportFacts("w1", cpus(4000, at=1.5), "")


@pytest.mark.parametrize("source", [{"kind": "Job", "group": "batch"}, {"name": "local"}, {"name": "w2"}])
def test_other_work_statuses_are_not_reports_of_this_cluster(source: dict[str, str]) -> None:
    assert report_facts(work_status(**source)) is None


def test_a_report_that_cannot_be_used_says_why() -> None:
    empty = report_facts(work_status() | {"status": None})
    assert empty == ReportFacts("w1", None, "its metrics agent has not written yet")
    broken = report_facts(work_status() | {"status": {"sequence": 1}})
    assert broken is not None
    assert broken.report is None
    assert "observedAtSeconds" in broken.problem


def test_of_two_reports_the_newer_counts() -> None:
    old, new = ReportFacts("w1", cpus(1, at=1), ""), ReportFacts("w1", cpus(2, at=2), "")
    none = ReportFacts("w1", None, "broken")
    assert newest(old, new) == newest(new, old) == new
    assert newest(old, none) == newest(none, old) == old


def test_a_flavor() -> None:
    spec = {
        "nodeLabels": {"pool": "a"},
        "nodeTaints": [{"key": "x", "effect": "NoSchedule"}],
        "tolerations": [{"key": "y", "value": "1"}, {"operator": "Exists"}],
    }
    assert flavor_facts({"metadata": {"name": "f"}, "spec": spec}) == Flavor(
        "f",
        {"pool": "a"},
        (Taint("x", "", "NoSchedule"),),
        (Toleration("y", "Equal", "1", ""), Toleration("", "Exists", "", "")),
    )
    assert flavor_facts({"metadata": {"name": "f"}, "spec": {}}) == Flavor("f", {}, (), ())


def cluster_queue(annotations: dict[str, str], **metadata: Any) -> dict[str, Any]:
    flavors = [{"name": "a", "resources": [{"name": "cpu", "nominalQuota": "1500m"}]}]
    return {
        "metadata": {"name": "cq", "uid": "u", "generation": 3, "annotations": annotations, **metadata},
        "spec": {"resourceGroups": [{"coveredResources": ["cpu"], "flavors": flavors}]},
    }


def test_a_managed_queue() -> None:
    facts = queue_facts(cluster_queue(MANAGED))
    assert (facts.managed, facts.generation) == (True, 3)
    assert facts.groups == (FlavorGroup(("cpu",), ("a",)),)
    assert facts.quotas == {Cell("a", "cpu"): 1500}


@pytest.mark.parametrize(
    "queue",
    [
        cluster_queue({}),
        cluster_queue({"kueue.kubestellar.io/manage-quota": "false"}),
        cluster_queue(MANAGED, deletionTimestamp="2026-11-22T00:00:00Z"),
    ],
)
def test_a_queue_is_ours_to_write_only_when_its_owner_says_so(queue: dict[str, Any]) -> None:
    assert not queue_facts(queue).managed


def test_a_queue_without_resource_groups() -> None:
    assert queue_facts({"metadata": {"name": "q", "uid": "u"}, "spec": {}}).quotas == {}


def test_an_admission_is_no_news() -> None:
    admitted = cluster_queue(MANAGED, resourceVersion="9") | {"status": {"admittedWorkloads": 7}}
    assert queue_facts(admitted) == queue_facts(cluster_queue(MANAGED))
