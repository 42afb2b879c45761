"""Jobs that can never run as written. They are rejected with the text made here.

Rejected means: the check says why (``last_word``), and the Workload is deactivated. We do not use the check's
state Rejected. Kueue 0.19.2 resets it to Pending without its message, and does not queue a Workload again
that it deactivated for it when its user activates it: the condition Requeued stays False with the reason
DeactivatedDueToAdmissionCheck, which its reconciler does not know (core/workload_controller.go). A Pending
check keeps its message through the eviction, and of one that we deactivate Requeued says Deactivated.

``reason`` is public (event reason, metric label): add new ones, never rename.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vocabulary import keys
from workload_controller.facts import JobFacts, WorkloadFacts
from workload_controller.kinds import batch_job

SYSTEM_NAMESPACES = frozenset(
    {"kueue-system", "kueue-kubestellar-system", "kubestellar-report", "customization-properties"}
)
SYSTEM_PREFIXES = ("kube-", "open-cluster-management")
SYSTEM_PRIORITIES = frozenset({"system-cluster-critical", "system-node-critical"})

# Kueue's names (pkg/controller/jobframework/workload_names.go, reconciler.go newWorkloadName; pkg/constants).
_PREBUILT = (
    "kueue.x-k8s.io/prebuilt-workload-name"  # annotation or label of a job whose Workload it did not make
)
_ELASTIC = "kueue.x-k8s.io/elastic-job"  # annotation "true": each change of its size may get a new Workload
_NAME_LIMITS = (253, 63)  # the second one with the gate ShortWorkloadNames
_HASH_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why, in which field, and what to do about it."""

    reason: str
    obj: str
    field: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.obj}: {self.field} is {self.value!r}. {self.remedy}"


REJECTED = "Rejected: "


def last_word(refusal: Refusal) -> str:
    """As the message of our check, where it stays until a user activates the Workload again."""
    return f"{REJECTED}{refusal}"


def refusal(w: WorkloadFacts, job: JobFacts | None) -> Refusal | None:
    """The first thing that forbids this Workload to leave the hub, None when nothing does."""
    obj = f"{w.owner_kind or 'Workload'} {w.namespace}/{w.owner_name or w.name}"
    if w.owner_kind != batch_job.OWNER_KIND:
        return Refusal(
            "KindNotSupported",
            obj,
            "kind",
            w.owner_kind or "none",
            f"Only {batch_job.OWNER_KIND} can be carried; use a queue without our AdmissionCheck for others.",
        )
    if is_system_namespace(w.namespace):
        return Refusal(
            "SystemNamespace",
            obj,
            "metadata.namespace",
            w.namespace,
            "Submit the job from a namespace of a team.",
        )
    if job is None:
        return None  # its event will come
    if job.managed_by != keys.CONTROLLER_NAME:
        return Refusal(
            "NotManagedByUs",
            obj,
            "spec.managedBy",
            job.managed_by or "unset",
            f"The hub itself would run it: create it again with managedBy {keys.CONTROLLER_NAME}, "
            "which our admission policy sets (kueue-ks install).",
        )
    if job.reserved_keys:
        return Refusal(
            "ReservedKey",
            obj,
            "spec.template.metadata",
            job.reserved_keys[0],
            f"Keys below {keys.PREFIX} are ours: create the job again without it.",
        )
    return _forged(w, job, obj) or _too_far(job, obj)


def is_system_namespace(namespace: str) -> bool:
    """Namespaces of control planes: never targets on a worker."""
    return namespace in SYSTEM_NAMESPACES or namespace.startswith(SYSTEM_PREFIXES)


def workload_names(job: JobFacts) -> Iterator[str]:
    """The names that Kueue may have given to the Workload of this job."""
    metadata = job.raw["metadata"]
    extras = [""]
    if _pairs(metadata, "annotations").get(_ELASTIC) == "true":
        # The generation at which the Workload was made. The newest is the likeliest.
        extras += [f"\n{number}" for number in range(metadata.get("generation", 1), 0, -1)]
    for extra in extras:
        told = f"Job\nbatch\n{job.name}\n{job.uid}{extra}".encode()
        digest = hashlib.sha1(told, usedforsecurity=False).hexdigest()[:_HASH_LENGTH]
        for limit in _NAME_LIMITS:
            yield f"{f'job-{job.name}'[: limit - 1 - _HASH_LENGTH]}-{digest}"


def _forged(w: WorkloadFacts, job: JobFacts, obj: str) -> Refusal | None:
    """A Workload that names the job as its owner, and that neither Kueue nor the job knows.

    Somebody who may create Workloads could otherwise have a job run with a quota of his own making, or twice.
    That the pod sets ask what the job asks is left to Kueue, which deletes a Workload that differs
    (jobframework/reconciler.go FindMatchingWorkloads): LimitRanges, RuntimeClasses and partial admission
    change them rightfully.
    """
    metadata = job.raw["metadata"]
    prebuilt = _pairs(metadata, "annotations").get(_PREBUILT) or _pairs(metadata, "labels").get(_PREBUILT)
    if w.name == prebuilt or (not prebuilt and w.name in workload_names(job)):
        return None
    remedy = f"Kueue did not make it for {obj}: delete the Workload; the job has or gets one of its own."
    return Refusal("ForgedWorkload", f"Workload {w.namespace}/{w.name}", "metadata.name", w.name, remedy)


def _too_far(job: JobFacts, obj: str) -> Refusal | None:
    """What would reach beyond the job's own namespace on the worker, or above all other tenants there."""
    pod = job.raw["spec"]["template"]["spec"]
    priority = pod.get("priorityClassName") or ""
    if priority in SYSTEM_PRIORITIES:
        remedy = "It is for control planes: its pods would preempt everybody's. Use another PriorityClass."
        return Refusal("SystemPriorityClass", obj, "spec.template.spec.priorityClassName", priority, remedy)
    for field, namespace in _references(pod):
        if namespace != job.namespace:
            remedy = f"A job may refer to its own namespace only: {job.namespace}."
            return Refusal("CrossNamespaceReference", obj, f"spec.template.spec.{field}", namespace, remedy)
    return None


def _references(pod: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every field of a pod spec that names a namespace whose objects would be read, and the namespace.

    In core/v1 (1.36) there are two. Volume drivers have words of their own for it, such as azurefile's
    ``secretNamespace``. Pod affinity's ``namespaces`` is no such field: it only counts pods.
    """
    for number, volume in enumerate(pod.get("volumes") or ()):
        at = f"volumes[{number}]"
        claim = ((volume.get("ephemeral") or {}).get("volumeClaimTemplate") or {}).get("spec") or {}
        if namespace := (claim.get("dataSourceRef") or {}).get("namespace"):
            yield f"{at}.ephemeral.volumeClaimTemplate.spec.dataSourceRef.namespace", namespace
        if namespace := (volume.get("storageos") or {}).get("volumeNamespace"):
            yield f"{at}.storageos.volumeNamespace", namespace
        for driver, options in (("csi", "volumeAttributes"), ("flexVolume", "options")):
            for key, value in ((volume.get(driver) or {}).get(options) or {}).items():
                if key.lower().endswith("namespace"):
                    yield f"{at}.{driver}.{options}[{key}]", value


def _pairs(metadata: Mapping[str, Any], field: str) -> Mapping[str, str]:
    return metadata.get(field) or {}


def refused_by_wds(w: WorkloadFacts, words: str) -> Refusal:
    """The WDS's API server does not take the copy; ``words`` are its own."""
    return Refusal(
        "RefusedByWDS",
        f"{w.owner_kind} {w.namespace}/{w.owner_name}",
        "spec",
        words,
        "Change what the WDS names, or have its administrator allow it.",
    )
