"""The ClusterMetrics kind takes what our agent and kueue-ks's agent write, and nothing that is no report."""

from typing import Any, NamedTuple

import jsonschema
import pytest

from kueue_ks.install.manifests import load
from vocabulary.cluster_metrics import (
    ClusterReport,
    NodeGroup,
    NotCounted,
    Taint,
    WorkloadPods,
    format_report,
)
from vocabulary.resources import CLUSTER_METRICS

REPORT = ClusterReport(
    observed_at=1_800_000_000.125,
    sequence=7,
    nodes=(
        NodeGroup(
            name="n1",
            count=3,
            allocatable={"cpu": 7_500, "memory": 62 * 2**30 * 1000, "nvidia.com/gpu": 8_000, "pods": 110_000},
            requested={"cpu": 1_001, "memory": 1},
            foreign={"cpu": 0},
            labels={"node-class": "gpu"},
            taints=(Taint("nvidia.com/gpu", "", "NoSchedule"),),
            unschedulable=True,
            ready=False,
            conditions=("MemoryPressure",),
            pending={"cpu": 1},
            terminating={"cpu": 1_000},
            terminating_until=1_800_000_030.0,
        ),
    ),
    workloads=(
        WorkloadPods("0f1d", 2, 1, 1, 1, "ErrImagePull: no such tag", terminating_until=1_800_000_030.0),
        WorkloadPods("1a2b", bound=1, waiting=0, terminating=0, problem="CrashLoopBackOff: " + "x" * 300),
    ),
    not_counted=(NotCounted("pod ns/p", "x" * 300, 3),),
    workloads_left_out=1,
)

# As kueue-ks's agent writes it (galaxy clustermetrics v1alpha1).
OF_KUEUE_KS = {
    "nodes": [
        {
            "name": "n1",
            "allocatableResources": {"cpu": "8", "memory": "32846196Ki"},
            "allocatedResourceRequests": {"cpu": "950m", "memory": "290Mi"},
            "allocatedResourceLimits": {"cpu": "100m", "memory": "390Mi"},
            "taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
            "labels": {"kubernetes.io/os": "linux"},
            "unschedulable": False,
        }
    ]
}


class Case(NamedTuple):
    reason: str
    given: dict[str, Any]


REFUSED = [
    Case("an amount that is negative", {"nodes": [{"name": "n", "allocatableResources": {"cpu": "-1"}}]}),
    Case(
        "an amount that is no quantity", {"nodes": [{"name": "n", "allocatableResources": {"cpu": "many"}}]}
    ),
    Case("a group without a node", {"nodes": [{"name": "n", "count": 0}]}),
    Case("a group without a name", {"nodes": [{"count": 1}]}),
    Case("a time that is no number", {"observedAtSeconds": "yesterday"}),
    Case("a sequence that runs backwards past zero", {"sequence": -1}),
    Case("fewer pods than none", {"workloads": [{"uid": "u", "bound": -1}]}),
    Case("fewer pods ready than none", {"workloads": [{"uid": "u", "ready": -1}]}),
    Case("a problem that fills the object", {"workloads": [{"uid": "u", "problem": "x" * 257}]}),
    Case("pods of nobody", {"workloads": [{"bound": 1}]}),
    Case("pods of an empty list of Workloads", {"workloads": [{"uids": [], "bound": 1}]}),
    Case("something left out for no reason", {"notCounted": [{"about": "pod ns/p"}]}),
    Case(
        "an effect that Kubernetes has not",
        {"nodes": [{"name": "n", "taints": [{"key": "k", "effect": "No"}]}]},
    ),
    Case("a field that our programs do not know", {"observed": "now"}),
]


def status_schema() -> dict[str, Any]:
    (crd,) = load("config/crd/clustermetrics.yaml")
    (version,) = crd["spec"]["versions"]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    return closed(dict(status))


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """As a server with strict field validation reads a structural schema: no other fields."""
    if "properties" in schema:
        children = {name: closed(child) for name, child in schema["properties"].items()}
        schema = {**schema, "properties": children, "additionalProperties": False}
    if "items" in schema:
        schema = {**schema, "items": closed(schema["items"])}
    return schema


@pytest.mark.parametrize(
    "status", [format_report(REPORT), OF_KUEUE_KS, {}], ids=["ours", "kueue-ks", "empty"]
)
def test_reports_are_taken(status: dict[str, Any]) -> None:
    jsonschema.validate(status, status_schema())


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.reason)
def test_what_is_no_report_is_refused(case: Case) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(case.given, status_schema())


def test_the_kind_is_the_one_that_our_programs_speak() -> None:
    (crd,) = load("config/crd/clustermetrics.yaml")
    spec = crd["spec"]
    assert (spec["group"], spec["versions"][0]["name"]) == (CLUSTER_METRICS.group, CLUSTER_METRICS.version)
    assert (spec["names"]["plural"], spec["names"]["kind"]) == (CLUSTER_METRICS.plural, CLUSTER_METRICS.kind)
    assert spec["scope"] == "Cluster"
    assert spec["versions"][0]["subresources"] == {"status": {}}
