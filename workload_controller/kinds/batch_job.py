"""batch/v1 Job: its copy for the WDS and its status on the hub.

The copy is built from an allow-list, so that nothing reaches a worker that we did not think of. Left out on
purpose: ``suspend`` (a copy exists only when it may run), ``managedBy`` (the worker's own Job controller
runs it), ``ttlSecondsAfterFinished`` (the work agent would create the deleted Job again and it would run
twice, kubestellar #3961), ``selector`` and the generated labels (the worker's API server makes its own).
"""

from collections.abc import Mapping
from typing import Any

from vocabulary import keys
from vocabulary.resources import JOBS
from workload_controller import waves
from workload_controller.facts import CopyFacts, Decision, JobFacts, LossPolicy, WorkloadFacts
from workload_controller.reading import is_terminal

OWNER_KIND = "batch/v1 Job"

SPEC_FIELDS = (
    "parallelism",
    "completions",
    "completionMode",
    "backoffLimit",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
    "podFailurePolicy",
    "successPolicy",
    "podReplacementPolicy",
    "activeDeadlineSeconds",
)

_GENERATED_LABELS = frozenset(
    {"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}
)
_NOT_COPIED = frozenset(
    {"kubectl.kubernetes.io/last-applied-configuration", "batch.kubernetes.io/job-tracking"}
)

_ABOUT_TO_END = frozenset({"FailureTarget", "SuccessCriteriaMet"})

Status = dict[str, Any]


STARTED = keys.PREFIX + "PodsReady"
"""Condition type on the hub job: all pods of an attempt were ready once. Its reason is "Attempt1", …

Kubernetes has no such fact, and without it a restart could not tell a job that never started from one whose
pod is being replaced. It travels in the mirrored status, so it costs no write.
"""


def copy(
    workload: WorkloadFacts,
    job: JobFacts,
    decision: Decision,
    *,
    namespace_uid: str,
    on_loss: LossPolicy,
    lease_seconds: int | None,
    leased_from: float,
    berth: waves.Berth = waves.ALONE,
) -> dict[str, Any]:
    """The Job to create in the WDS. Our labels are set after the user's were filtered (I6, tenants).

    A job with ``lease_seconds`` counts them from ``leased_from``, unix seconds, until it hears from the hub.
    ``namespace_uid`` is of the hub namespace, "" where no namespace is carried (``default``).
    """
    metadata, spec = job.raw["metadata"], job.raw["spec"]
    template = spec["template"]
    template_metadata = template.get("metadata") or {}
    way_back = {
        keys.WORKLOAD: f"{workload.namespace}/{workload.name}",
        keys.JOB_UID: job.uid,
        keys.ATTEMPT: str(decision.attempt),
        keys.ON_CLUSTER_LOSS: on_loss.value,
        **({keys.HUB_NAMESPACE_UID: namespace_uid} if namespace_uid else {}),
        **_lease(lease_seconds, leased_from),
        **({keys.WAVE_SIZE: str(berth.size)} if berth.size > 1 else {}),
    }
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {
            "name": job.name,
            "namespace": job.namespace,
            "labels": _harmless(metadata.get("labels"))
            | {
                keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
                keys.WORKLOAD_UID: workload.uid,
                keys.CLUSTER: decision.cluster,
                keys.WAVE: berth.joins or waves.wave_of(workload.uid, decision.cluster, decision.attempt),
            },
            "annotations": _harmless(metadata.get("annotations")) | way_back,
            "finalizers": [keys.PODS_LEAVING],
        },
        "spec": {
            **{field: spec[field] for field in SPEC_FIELDS if field in spec},
            "template": {
                "metadata": {
                    "labels": _harmless(template_metadata.get("labels")) | {keys.WORKLOAD_UID: workload.uid},
                    "annotations": _harmless(template_metadata.get("annotations"))
                    | {keys.CLUSTER: decision.cluster, keys.ATTEMPT: str(decision.attempt)},
                },
                "spec": template["spec"],
            },
        },
    }


def _lease(seconds: int | None, since: float) -> dict[str, str]:
    return {} if seconds is None else {keys.LEASE_SECONDS: str(seconds), keys.LEASED_FROM: f"{since:.3f}"}


def active_status(job: JobFacts) -> Status:
    """Status that says "pods may exist", written before the copy exists.

    Kueue then keeps the quota until we say that they ended. Without it, an eviction between the copy's
    creation and its first WorkStatus would free the quota at once (kueue pkg/controller/jobs/job IsActive:
    ``status.active != 0``).
    """
    return {**_status(job), "active": max(1, job.parallelism), "ready": 0}


def ended_status(job: JobFacts) -> Status:
    """Status that says "no pod is left", which lets Kueue release the quota of an evicted job."""
    status = {**_status(job), "active": 0, "ready": 0, "terminating": 0}
    status.pop("uncountedTerminatedPods", None)
    return status


def mirrored_status(
    job: JobFacts, remote: Mapping[str, Any], ready: Mapping[str, Any] | None
) -> Status | None:
    """The worker's status as the hub job shows it, None when it shows it already or is finished.

    Replaced as a whole, but counters of failed and succeeded pods never fall: an earlier attempt counted on
    another cluster, and the API server refuses a decrease (kubernetes pkg/apis/batch/validation
    ValidateJobStatusUpdate). Nor does startTime change, which it refuses too: a Job that the work agent made
    anew and that has ended before anybody could stop it began at another time, and its result still counts.
    ``ready`` is the condition of ``pods_ready``.
    """
    present = _status(job)
    if job.terminal or not remote:
        return None
    wanted = dict(remote)
    for counter in ("failed", "succeeded"):
        count = max(present.get(counter) or 0, wanted.get(counter) or 0)
        if count:
            wanted[counter] = count
    if wanted.get("startTime") and present.get("startTime"):
        wanted["startTime"] = present["startTime"]
    if not is_terminal(remote):
        _as_unfinished(wanted)
    if ready is not None:
        wanted["conditions"] = [*(wanted.get("conditions") or ()), ready]
    return None if wanted == present else wanted


def _as_unfinished(status: Status) -> None:
    """Its pods may be there, and nothing says yet that the job is about to end.

    Kueue looks at ``active`` alone before it releases the quota of an evicted job. A worker's Job that ends
    by its deadline has 0 of it while its pods end, and so has one whose pods a webhook refuses, until it
    makes some after all (both seen, I2): pods that are terminating count, and it is 1 at least. FailureTarget
    and SuccessCriteriaMet cannot be taken back (ValidateJobStatusUpdate), which the next attempt would have
    to do.
    """
    status["active"] = max(1, (status.get("active") or 0) + (status.get("terminating") or 0))
    conditions = [c for c in status.get("conditions") or () if c.get("type") not in _ABOUT_TO_END]
    status.pop("conditions", None)
    if conditions:
        status["conditions"] = conditions


def pods_ready(job: JobFacts, remote: Mapping[str, Any], copy: CopyFacts) -> Mapping[str, Any] | None:
    """Condition ``STARTED`` once all pods of this attempt have been ready, None before.

    A pod that succeeded or failed was replaced by the worker's Job controller under the job's own rules:
    that is running, not starting.
    """
    reason = f"Attempt{copy.attempt}"
    present = _started_condition(job)
    if present.get("reason") == reason:
        return present
    counts = {counter: remote.get(counter) or 0 for counter in ("ready", "succeeded", "failed")}
    if counts["ready"] + counts["succeeded"] < copy.pod_set.count and not counts["failed"]:
        return None
    return {
        "type": STARTED,
        "status": "True",
        "reason": reason,
        "message": f"All {copy.pod_set.count} pods were ready on {copy.cluster}",
        "lastTransitionTime": remote.get("startTime"),
    }


def has_started(job: JobFacts, copy: CopyFacts) -> bool:
    """Whether the hub job says that all pods of this attempt were ready once."""
    return _started_condition(job).get("reason") == f"Attempt{copy.attempt}"


def was_replaced(job: JobFacts, remote: Mapping[str, Any]) -> bool:
    """Whether the worker's Job is another one than the hub's status tells of: it began at another time.

    Kueue takes startTime away between two attempts (job_controller.go Stop), so both are of one attempt.
    """
    begun, begins = _status(job).get("startTime"), remote.get("startTime")
    return bool(begun and begins and begun != begins and not job.terminal)


def is_suspended(remote: Mapping[str, Any]) -> bool:
    """Whether the worker's Job controller says that the Job is suspended."""
    conditions = remote.get("conditions") or ()
    return any(c.get("type") == "Suspended" and c.get("status") == "True" for c in conditions)


def _started_condition(job: JobFacts) -> Mapping[str, Any]:
    conditions = _status(job).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == STARTED), {})


def _status(job: JobFacts) -> Status:
    return dict(job.raw.get("status") or {})


def _harmless(pairs: Mapping[str, str] | None) -> dict[str, str]:
    """A user's labels or annotations without those that steer a controller or belong to the hub's object."""
    return {
        key: value
        for key, value in (pairs or {}).items()
        if key not in _GENERATED_LABELS and key not in _NOT_COPIED and not keys.steers_a_controller(key)
    }
