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
    job,
    raw_job,
    workload,
)
from vocabulary import keys
from workload_controller.facts import Decision
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


def test_the_copy_is_built_from_an_allow_list() -> None:
    copied = batch_job.copy(workload(), read_job(hub_job()), Decision("w1", 3))
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
    }
    assert copied["spec"]["template"]["metadata"]["labels"] == {"app": "x", keys.WORKLOAD_UID: UID}
    assert copied["metadata"]["finalizers"] == [keys.PODS_LEAVING]
    assert "ownerReferences" not in copied["metadata"]


def test_the_copy_leads_back_to_what_it_was_made_of() -> None:
    copied = batch_job.copy(workload(), read_job(hub_job(parallelism=4, completions=2)), Decision("w1", 3))
    copied["metadata"] |= {"uid": "copy-uid", "resourceVersion": "1"}
    facts = read_copy(copied)
    assert (facts.workload_namespace, facts.workload_name, facts.workload_uid) == (NAMESPACE, WORKLOAD, UID)
    assert (facts.cluster, facts.attempt, facts.wave) == ("w1", 3, copied["metadata"]["labels"][keys.WAVE])
    assert facts.pod_set.count == 2
    assert facts.leaving_since is None


FAILED_ONCE = {"failed": 2, "succeeded": 1}
MIRRORED = [
    ("running", {}, RUNNING, RUNNING),
    ("what stands already is not written again", RUNNING, RUNNING, None),
    ("nothing reported yet", {"active": 1}, {}, None),
    ("the worker has not looked at the Job yet", {"active": 1}, {"active": 0, "ready": 0}, None),
    ("a finished job stays as it is", COMPLETE, RUNNING, None),
    ("counters of an earlier attempt never fall", FAILED_ONCE, RUNNING, RUNNING | FAILED_ONCE),
    ("whole replacement: what the worker dropped goes", {"active": 3, "ready": 2}, RUNNING, RUNNING),
]


@pytest.mark.parametrize(
    ("reason", "present", "reported", "want"), MIRRORED, ids=[row[0] for row in MIRRORED]
)
def test_mirrored_status(
    reason: str, present: dict[str, Any], reported: dict[str, Any], want: dict[str, Any] | None
) -> None:
    assert batch_job.mirrored_status(read_job(raw_job(**present)), reported) == want


def test_active_and_ended_frame_the_life_of_the_pods() -> None:
    started = batch_job.active_status(job(parallelism=4))
    assert (started["active"], started["ready"]) == (4, 0)
    ended = batch_job.ended_status(read_job(raw_job(**RUNNING, uncountedTerminatedPods={"failed": ["x"]})))
    assert (ended["active"], ended["ready"], ended["terminating"]) == (0, 0, 0)
    assert "uncountedTerminatedPods" not in ended


def test_the_users_keys_of_ours_on_the_template_are_seen() -> None:
    assert read_job(hub_job()).reserved_keys == (keys.WORKLOAD_UID,)
