"""Nodes and pods as the agent reads them."""

from typing import Any

import pytest

from metrics_agent.facts import Refusal
from metrics_agent.problems import Problem
from metrics_agent.reading import job_facts, node_facts, pod_facts, refusal
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


@pytest.mark.parametrize(
    ("status", "ready"), [([], False), ([{"type": "Ready", "status": "True"}], True)], ids=["no", "yes"]
)
def test_a_pod_is_ready_when_it_says_so(status: list[dict[str, str]], ready: bool) -> None:
    assert pod_facts(a_pod(status={"conditions": status})).ready is ready


STUCK = {"containerStatuses": [{"name": "main", "state": {"waiting": {"reason": "ErrImagePull"}}}]}


def test_what_keeps_a_pod_from_running() -> None:
    assert pod_facts(a_pod()).problem is None
    assert pod_facts(a_pod(status=STUCK)).problem == Problem(0, "p", "ErrImagePull")


@pytest.mark.parametrize(
    "changes",
    [{"metadata": {"deletionTimestamp": "2026-11-22T00:00:00Z"}}, {"status": {"phase": "Failed"}}],
    ids=["deleted", "ended"],
)
def test_a_pod_that_need_not_run_has_no_problem(changes: dict[str, Any]) -> None:
    stuck = {"status": STUCK | changes.get("status", {})}
    assert pod_facts(a_pod(**changes | stuck)).problem is None


def a_job(**changes: Any) -> dict[str, Any]:
    job: dict[str, Any] = {
        "metadata": {
            "name": "j",
            "namespace": "ns",
            "uid": "u",
            "resourceVersion": "7",
            "creationTimestamp": "1970-01-01T00:00:10Z",
            "labels": {"kueue.kubestellar.io/workload-uid": "w-1"},
        },
        "spec": {"parallelism": 3, "completions": 4},
        "status": {},
    }
    for part, values in changes.items():
        job[part] |= values
    return job


def test_a_job() -> None:
    job = job_facts(a_job())
    assert (job.namespace, job.name, job.uid, job.resource_version) == ("ns", "j", "u", "7")
    assert (job.workload, job.created_at, job.running, job.lease) == ("w-1", 10.0, True, None)


def over(kind: str, status: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status}]}


@pytest.mark.parametrize(
    ("changes", "wanted", "running"),
    [
        ({}, 3, True),
        ({"status": {"succeeded": 2}}, 2, True),
        ({"status": {"succeeded": 4}}, 0, True),
        ({"spec": {"completions": None}}, 3, True),
        ({"spec": {"completions": None}, "status": {"succeeded": 1}}, 0, True),
        ({"spec": {"parallelism": 0}}, 0, True),
        ({"spec": {"suspend": False}}, 3, True),
        ({"spec": {"suspend": True}}, 0, False),
        ({"metadata": {"deletionTimestamp": "2026-11-22T00:00:00Z"}}, 0, False),
        ({"status": over("Complete")}, 0, False),
        ({"status": over("FailureTarget")}, 0, False),
        ({"status": over("Failed", "False")}, 3, True),
        ({"status": over("Suspended")}, 3, True),
    ],
    ids=str,
)
def test_how_many_pods_a_job_tries_to_have(changes: dict[str, Any], wanted: int, running: bool) -> None:
    job = job_facts(a_job(**changes))
    assert (job.wanted, job.running) == (wanted, running)


@pytest.mark.parametrize(("text", "lease"), [("60", 60.0), ("0", 0.0), ("ten", 0.0), ("-5", 0.0), ("", 0.0)])
def test_a_lease_that_cannot_be_read_is_over(text: str, lease: float) -> None:
    annotations = {"kueue.kubestellar.io/lease-seconds": text}
    assert job_facts(a_job(metadata={"annotations": annotations})).lease == lease


@pytest.mark.parametrize(
    "times",
    [
        {"lastTimestamp": "1970-01-01T00:00:20Z", "eventTime": None},
        {"lastTimestamp": None, "eventTime": "1970-01-01T00:00:20.000000Z"},
    ],
    ids=["core/v1", "events.k8s.io"],
)
def test_an_event_of_a_refused_pod(times: dict[str, Any]) -> None:
    event = {
        "metadata": {"name": "e", "creationTimestamp": "1970-01-01T00:00:05Z"},
        "involvedObject": {"kind": "Job", "uid": "u"},
        "message": 'Error creating: pods "j-abcde" is forbidden: no',
        **times,
    }
    assert refusal(event) == Refusal("u", 20.0, 'FailedCreate: Error creating: pods "j-…" is forbidden: no')


def broken_pod(amount: str, **status: object) -> dict[str, Any]:
    resources = {"requests": {"cpu": amount, "memory": "1Ki"}}
    spec = {"nodeName": "n1", "containers": [{"name": "c", "resources": resources}]}
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("amount", "why"),
    [
        ("-1", "-1 is less than nothing"),
        ("NaN", "'NaN' is not a quantity; write a number like 2, 0.5, 1500m, 64Gi or 1e3"),
        ("4 cores", "'4 cores' is not a quantity; write a number like 2, 0.5, 1500m, 64Gi or 1e3"),
        ("9E", "9E is more than any node has (1000000)"),
    ],
)
def test_a_pod_with_a_senseless_amount_still_is_on_its_node(amount: str, why: str) -> None:
    facts = pod_facts(broken_pod(amount))
    assert (facts.node, facts.name) == ("n1", "ns/p")
    assert facts.requests == {"memory": 1_024_000, "pods": 1000}
    assert facts.unreadable == (("cpu", why),)


def test_a_pod_that_waits_ends_or_asks_by_claim() -> None:
    pod = broken_pod("1", phase="Pending")
    assert pod_facts(pod).name == ""
    assert not pod_facts(pod).started
    assert pod_facts(broken_pod("1", phase="Running")).started
    pod["spec"]["resourceClaims"] = [{"name": "gpu"}]
    pod["metadata"]["deletionTimestamp"] = "1970-01-01T00:02:00Z"
    facts = pod_facts(pod)
    assert (facts.by_claim, facts.name, facts.ends_by) == (True, "ns/p", 120.0)


def test_what_a_node_says_that_makes_no_sense_is_left_out_and_named() -> None:
    allocatable = {"cpu": "4", "memory": "-1", "example.com/fpga": "many", "pods": "110"}
    conditions = [
        {"type": name, "status": status}
        for name, status in (("Ready", "True"), ("PIDPressure", "True"), ("DiskPressure", "False"))
    ]
    status = {
        "allocatable": allocatable,
        "conditions": [*conditions, {"type": "KernelDeadlock", "status": "True"}],
    }
    facts = node_facts({"metadata": {"name": "n1"}, "status": status})
    assert facts.allocatable == {"cpu": 4000, "pods": 110_000}
    assert [resource for resource, _ in facts.unreadable] == ["memory", "example.com/fpga"]
    assert facts.conditions == ("KernelDeadlock", "PIDPressure")
