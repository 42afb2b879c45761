"""A Workload that waits for our check, in the loop: its policy decides where it goes, or that it waits."""

from typing import NamedTuple

import pytest

from kube_runtime.objects import Obj
from tests.kueue_ks.builders import CHECK, condition, raw_job, raw_workload
from tests.workload_controller.test_controller import NOW, Loop

NEWER = "100"  # than what the loop starts with


def pending(loop: Loop, pods: int = 4) -> None:
    """The Workload waits for our check; w1 and w2 are usable, empty and alike, w2 in the eu."""
    seen = {"uid": "uid", "resourceVersion": NEWER}
    body = raw_workload(condition("QuotaReserved"))
    body["metadata"]["resourceVersion"] = NEWER
    body["spec"]["podSets"][0]["count"] = pods
    body["status"]["admission"]["podSetAssignments"][0]["count"] = pods
    loop.workloads.observe(body)
    job = raw_job()
    job["metadata"]["resourceVersion"] = NEWER
    job["spec"]["suspend"] = True
    loop.stores.jobs.observe(job)
    node = {
        "name": "n1",
        "allocatableResources": {"cpu": "64", "memory": "1Ti", "pods": "110", "nvidia.com/gpu": "64"},
    }
    told = {"observedAtSeconds": str(NOW), "sequence": 1, "nodes": [node], "workloads": []}
    available = {"conditions": [{"type": "ManagedClusterConditionAvailable", "status": "True"}]}
    for name, region in (("w1", "us"), ("w2", "eu")):
        labels = {"name": name, "region": region}
        metadata = {"name": name, "labels": labels, **seen}
        loop.clusters.observe({"metadata": metadata, "spec": {"hubAcceptsClient": True}, "status": available})
        source = {"kind": "ClusterMetrics", "name": name}
        where = {"namespace": name, "name": "metrics", **seen, "uid": name}
        loop.stores.reports.observe({"metadata": where, "spec": {"sourceRef": source}, "status": told})


def with_policy(loop: Loop, spec: Obj | None) -> None:
    """Our check names policy "p"; ``spec`` None: it has not been read yet."""
    parameters = {"apiGroup": "kueue.kubestellar.io", "kind": "PlacementPolicy", "name": "p"}
    metadata = {**CHECK["metadata"], "uid": "uid", "resourceVersion": "2"}
    loop.stores.checks.observe(
        {**CHECK, "metadata": metadata, "spec": {**CHECK["spec"], "parameters": parameters}}
    )
    if spec is not None:
        seen = {"name": "p", "uid": "p", "resourceVersion": "1"}
        loop.stores.placement_policies.observe({"metadata": seen, "spec": spec})
        loop.stores.placement_policies._synced.set()


class Policy(NamedTuple):
    reason: str
    spec: Obj | None
    state: str
    says: str


POLICIES = [
    Policy(
        "its selector leaves a cluster out",
        {"clusterSelector": {"matchLabels": {"region": "eu"}}},
        "Ready",
        "Placed on w2 (attempt 1): w1: left out by PlacementPolicy p: label region is 'us', wanted eu; w2: ",
    ),
    Policy(
        "its preferences decide",
        {"preferences": [{"weight": 7, "clusterSelector": {"matchLabels": {"region": "us"}}}]},
        "Ready",
        "Placed on w1 (attempt 1): w1: fits, ",
    ),
    Policy(
        "and would decide otherwise",
        {"preferences": [{"weight": 7, "clusterSelector": {"matchLabels": {"region": "eu"}}}]},
        "Ready",
        "Placed on w2 (attempt 1): w1: fits, ",
    ),
    Policy(
        "nothing is placed before it has been read",
        None,
        "Pending",
        "No cluster can take it now: PlacementPolicy p cannot be read",
    ),
    Policy(
        "nor while it is wrong",
        {"strategy": "Random"},
        "Pending",
        "No cluster can take it now: PlacementPolicy p: spec.strategy is 'Random': one of Spread, Pack",
    ),
]


@pytest.mark.parametrize("case", POLICIES, ids=lambda case: case.reason)
async def test_the_policy_of_the_check_decides(case: Policy) -> None:
    loop = Loop()
    pending(loop)
    with_policy(loop, case.spec)
    await loop.reconcile()
    assert loop.entry["state"] == case.state
    assert loop.entry["message"].startswith(case.says)


@pytest.mark.parametrize(
    ("when", "told"), [("Reject", "Never fits: "), ("Wait", "No cluster can take it now: ")]
)
async def test_the_policy_says_whether_what_never_fits_is_rejected(when: str, told: str) -> None:
    loop = Loop()
    pending(loop, pods=1000)
    with_policy(loop, {"whenNeverFits": when})
    await loop.reconcile()
    assert loop.entry["message"].startswith(told)
