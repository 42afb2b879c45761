"""Nodes and pods as the agent reads them."""

from typing import Any

import pytest

from metrics_agent.facts import node_facts, pod_facts
from vocabulary.cluster_metrics import Taint


def a_pod(**changes: Any) -> dict[str, Any]:
    pod: dict[str, Any] = {
        "metadata": {"name": "p", "namespace": "default", "uid": "u"},
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}], "nodeName": "n1"},
        "status": {"phase": "Running"},
    }
    for part, values in changes.items():
        pod[part] |= values
    return pod


def test_a_pod_of_ours_is_known_by_its_workload() -> None:
    ours = pod_facts(a_pod(metadata={"labels": {"kueue.kubestellar.io/workload-uid": "w-1"}}))
    assert (ours.workload, ours.node, ours.terminating, ours.ended) == ("w-1", "n1", False, False)
    assert pod_facts(a_pod()).workload == ""


@pytest.mark.parametrize(("phase", "ended"), [("Pending", False), ("Running", False), ("Unknown", False)])
def test_a_pod_lives_until_its_phase_says_otherwise(phase: str, ended: bool) -> None:
    assert pod_facts(a_pod(status={"phase": phase})).ended is ended


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended(phase: str) -> None:
    assert pod_facts(a_pod(status={"phase": phase})).ended


def test_a_restart_of_a_container_is_no_news() -> None:
    status = {"containerStatuses": [{"name": "main", "restartCount": 7}], "podIP": "10.0.0.1"}
    assert pod_facts(a_pod(status=status)) == pod_facts(a_pod())


def a_node(**changes: Any) -> dict[str, Any]:
    node: dict[str, Any] = {
        "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1", "pool": "a"}},
        "spec": {},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": "3999999u", "memory": "64Gi", "pods": "110"},
        },
    }
    for part, values in changes.items():
        node[part] |= values
    return node


def test_a_node() -> None:
    node = node_facts(a_node())
    assert node.labels == {"pool": "a"}, "what names the node alone is left out"
    assert node.allocatable == {"cpu": 3999, "memory": 64 * 2**30 * 1000, "pods": 110_000}, "rounded down"
    assert (node.ready, node.unschedulable, node.taints) == (True, False, ())


@pytest.mark.parametrize("conditions", [[], [{"type": "Ready", "status": "Unknown"}]])
def test_a_node_is_ready_only_when_it_says_so(conditions: list[dict[str, str]]) -> None:
    assert not node_facts(a_node(status={"conditions": conditions})).ready


def test_a_node_that_is_being_deleted_takes_no_pods() -> None:
    assert node_facts(a_node(metadata={"deletionTimestamp": "2026-11-22T00:00:00Z"})).unschedulable


def test_taints_have_one_order() -> None:
    taints = [{"key": "b", "effect": "NoSchedule"}, {"key": "a", "value": "x", "effect": "NoExecute"}]
    want = (Taint("a", "x", "NoExecute"), Taint("b", "", "NoSchedule"))
    assert node_facts(a_node(spec={"taints": taints})).taints == want
    assert node_facts(a_node(spec={"taints": taints[::-1]})).taints == want


def test_a_heartbeat_is_no_news() -> None:
    beat = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-22T00:00:00Z"}]
    assert node_facts(a_node(status={"conditions": beat})) == node_facts(a_node())
