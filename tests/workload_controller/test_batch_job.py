"""The copy holds what the worker needs and nothing that steers somebody; status comes back whole."""

from typing import Any

import pytest

from tests.workload_controller.builders import (
    COMPLETE,
    JOB,
    NAMESPACE,
    RUNNING,
    UID,
    WORKLOAD,
    copy,
    job,
    pod_set,
    raw_job,
    workload,
)
from vocabulary import keys
from workload_controller.facts import Decision, LossPolicy
from workload_controller.kinds import batch_job
from workload_controller.reading import read_copy, read_job


def hub_job(**spec: Any) -> dict[str, Any]:
    raw = raw_job()
    raw["metadata"]["labels"] = {
        "team": "a",
        keys.QUEUE_NAME: "q",
        keys.WAVE: "somebody-elses-wave",
        "kueue.kubestellar.io/cluster": "forbidden",
        "batch.kubernetes.io/job-name": JOB,
        "managed-by.kubestellar.io/singletonstatus": "true",
    }
    raw["metadata"]["annotations"] = {
        "note": "kept",
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "work.open-cluster-management.io/x": "y",
    }
    raw["metadata"]["ownerReferences"] = [{"uid": "somebody"}]
    raw["spec"] |= {
        "ttlSecondsAfterFinished": 5,
        "selector": {"matchLabels": {"a": "b"}},
        "backoffLimit": 2,
        **spec,
    }
    raw["spec"]["template"]["metadata"] = {
        "labels": {"app": "x", "controller-uid": "1", keys.WORKLOAD_UID: "forged"},
        "annotations": {"kueue.x-k8s.io/podset": "main"},
    }
    return raw


def copied_from(
    raw: dict[str, Any],
    *,
    namespace_uid: str = "namespace-uid",
    on_loss: LossPolicy = LossPolicy.AT_MOST_ONCE,
    lease_seconds: int | None = None,
) -> dict[str, Any]:
    return batch_job.copy(
        workload(),
        read_job(raw),
        Decision("w1", 3),
        namespace_uid=namespace_uid,
        on_loss=on_loss,
        lease_seconds=lease_seconds,
        leased_from=1000.5,
    )


def test_the_copy_is_built_from_an_allow_list() -> None:
    copied = copied_from(hub_job(), on_loss=LossPolicy.LEASED, lease_seconds=600)
    assert set(copied["spec"]) == {"parallelism", "completions", "backoffLimit", "template"}
    assert copied["metadata"]["labels"] == {
        "team": "a",
        keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
        keys.WORKLOAD_UID: UID,
        keys.CLUSTER: "w1",
        keys.WAVE: copied["metadata"]["labels"][keys.WAVE],
    }
    assert copied["metadata"]["annotations"] == {
        "note": "kept",
        keys.WORKLOAD: f"{NAMESPACE}/{WORKLOAD}",
        keys.JOB_UID: "job-uid",
        keys.ATTEMPT: "3",
        keys.ON_CLUSTER_LOSS: "leased",
        keys.LEASE_SECONDS: "600",
        keys.LEASED_FROM: "1000.500",
        keys.HUB_NAMESPACE_UID: "namespace-uid",
    }
    assert copied["spec"]["template"]["metadata"]["labels"] == {"app": "x", keys.WORKLOAD_UID: UID}
    assert copied["metadata"]["finalizers"] == [keys.PODS_LEAVING]
    assert "ownerReferences" not in copied["metadata"]


def test_the_copy_leads_back_to_what_it_was_made_of() -> None:
    copied = copied_from(hub_job(parallelism=4, completions=2))
    copied["metadata"] |= {"uid": "copy-uid", "resourceVersion": "1"}
    facts = read_copy(copied)
    assert (facts.workload_namespace, facts.workload_name, facts.workload_uid) == (NAMESPACE, WORKLOAD, UID)
    assert (facts.cluster, facts.attempt, facts.wave) == ("w1", 3, copied["metadata"]["labels"][keys.WAVE])
    assert facts.pod_set.count == 2
    assert facts.leaving_since is None
    assert (facts.on_loss, facts.lease_seconds) == (LossPolicy.AT_MOST_ONCE, None)


def test_a_copy_of_the_default_namespace_names_no_carried_one() -> None:
    assert keys.HUB_NAMESPACE_UID not in copied_from(hub_job(), namespace_uid="")["metadata"]["annotations"]


def test_a_leased_copy_leads_back_to_its_lease() -> None:
    copied = copied_from(hub_job(), on_loss=LossPolicy.LEASED, lease_seconds=600)
    copied["metadata"] |= {"uid": "copy-uid", "resourceVersion": "1"}
    facts = read_copy(copied)
    assert (facts.on_loss, facts.lease_seconds) == (LossPolicy.LEASED, 600)


FAILED_ONCE = {"failed": 2, "succeeded": 1}
MIRRORED = [
    ("running", {}, RUNNING, RUNNING),
    ("what stands already is not written again", RUNNING, RUNNING, None),
    ("nothing reported yet", {"active": 1}, {}, None),
    (
        "a webhook refuses its pods: it may make some at any time, so the quota is not free (I2)",
        {"active": 1},
        {"startTime": "2026-01-01T00:00:00Z", "ready": 0},
        {"startTime": "2026-01-01T00:00:00Z", "ready": 0, "active": 1},
    ),
    ("a finished job stays as it is", COMPLETE, RUNNING, None),
    ("counters of an earlier attempt never fall", FAILED_ONCE, RUNNING, RUNNING | FAILED_ONCE),
    (
        "startTime stays, which the API server lets nobody change: the result of a Job made anew counts",
        RUNNING,
        COMPLETE | {"startTime": "2026-01-01T00:00:30Z"},
        COMPLETE,
    ),
    ("whole replacement: what the worker dropped goes", {"active": 3, "ready": 2}, RUNNING, RUNNING),
]


@pytest.mark.parametrize(
    ("reason", "present", "reported", "want"), MIRRORED, ids=[row[0] for row in MIRRORED]
)
def test_mirrored_status(
    reason: str, present: dict[str, Any], reported: dict[str, Any], want: dict[str, Any] | None
) -> None:
    assert batch_job.mirrored_status(read_job(raw_job(**present)), reported, None) == want


ATTEMPT_1, ATTEMPT_2 = (
    {
        "type": batch_job.STARTED,
        "status": "True",
        "reason": f"Attempt{attempt}",
        "message": "All 2 pods were ready on w1",
        "lastTransitionTime": RUNNING["startTime"],
    }
    for attempt in (1, 2)
)
START = {"startTime": RUNNING["startTime"]}
PODS_READY = [
    ("one of two pods is ready", {}, {"ready": 1} | START, None),
    ("all are", {}, {"ready": 2} | START, ATTEMPT_1),
    ("one has ended before the other was ready", {}, {"ready": 1, "succeeded": 1} | START, ATTEMPT_1),
    ("a failed pod is replaced under the job's own rules", {}, {"failed": 1} | START, ATTEMPT_1),
    ("once ready, a pod that is being replaced changes nothing", {"conditions": [ATTEMPT_1]}, {}, ATTEMPT_1),
    ("an earlier attempt's start is not this one's", {"conditions": [ATTEMPT_2]}, {"ready": 1}, None),
]


@pytest.mark.parametrize(
    ("reason", "present", "reported", "want"), PODS_READY, ids=[row[0] for row in PODS_READY]
)
def test_pods_ready(
    reason: str, present: dict[str, Any], reported: dict[str, Any], want: dict[str, Any] | None
) -> None:
    hub = read_job(raw_job(**present))
    assert batch_job.pods_ready(hub, reported, copy(pod_set=pod_set(2))) == want


def test_the_start_travels_in_the_mirrored_status_and_stands() -> None:
    first = batch_job.mirrored_status(read_job(raw_job(active=2)), RUNNING, ATTEMPT_1)
    assert first == RUNNING | {"conditions": [ATTEMPT_1]}
    hub = read_job(raw_job(**first))
    assert batch_job.has_started(hub, copy())
    assert not batch_job.has_started(hub, copy(attempt=2))
    assert batch_job.mirrored_status(hub, RUNNING, ATTEMPT_1) is None


LATER = {"startTime": "2026-01-01T00:05:00Z"}
REPLACED = [
    ("the same run", RUNNING, RUNNING, False),
    ("begun at another time: another Job", RUNNING, LATER, True),
    ("Kueue takes startTime away between attempts", {"active": 1}, LATER, False),
    ("the worker has not begun", RUNNING, {"active": 1}, False),
    ("a finished job is nobody's to replace", COMPLETE, LATER, False),
]


@pytest.mark.parametrize(("reason", "hub", "reported", "want"), REPLACED, ids=[row[0] for row in REPLACED])
def test_was_replaced(reason: str, hub: dict[str, Any], reported: dict[str, Any], want: bool) -> None:
    assert batch_job.was_replaced(read_job(raw_job(**hub)), reported) is want


SUSPENDED = [
    ("no conditions", {}, False),
    ("suspended", {"conditions": [{"type": "Suspended", "status": "True"}]}, True),
    ("resumed", {"conditions": [{"type": "Suspended", "status": "False"}]}, False),
]


@pytest.mark.parametrize(("reason", "reported", "want"), SUSPENDED, ids=[row[0] for row in SUSPENDED])
def test_is_suspended(reason: str, reported: dict[str, Any], want: bool) -> None:
    assert batch_job.is_suspended(reported) is want


def test_active_and_ended_frame_the_life_of_the_pods() -> None:
    started = batch_job.active_status(job(parallelism=4))
    assert (started["active"], started["ready"]) == (4, 0)
    ended = batch_job.ended_status(read_job(raw_job(**RUNNING, uncountedTerminatedPods={"failed": ["x"]})))
    assert (ended["active"], ended["ready"], ended["terminating"]) == (0, 0, 0)
    assert "uncountedTerminatedPods" not in ended


def test_the_users_keys_of_ours_on_the_template_are_seen() -> None:
    assert read_job(hub_job()).reserved_keys == (keys.WORKLOAD_UID,)
