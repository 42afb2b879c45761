"""Jobs that can never run as written. Their check becomes Rejected with the text made here.

``reason`` is public (event reason, metric label): add new ones, never rename.
"""

from dataclasses import dataclass

from vocabulary import keys
from workload_controller.facts import JobFacts, WorkloadFacts
from workload_controller.kinds import batch_job

SYSTEM_NAMESPACES = frozenset(
    {"kueue-system", "kueue-kubestellar-system", "kubestellar-report", "customization-properties"}
)
SYSTEM_PREFIXES = ("kube-", "open-cluster-management")


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
    return None


def is_system_namespace(namespace: str) -> bool:
    """Namespaces of control planes: never targets on a worker."""
    return namespace in SYSTEM_NAMESPACES or namespace.startswith(SYSTEM_PREFIXES)


def refused_by_wds(w: WorkloadFacts, words: str) -> Refusal:
    """The WDS's API server does not take the copy; ``words`` are its own."""
    return Refusal(
        "RefusedByWDS",
        f"{w.owner_kind} {w.namespace}/{w.owner_name}",
        "spec",
        words,
        "Change what the WDS names, or have its administrator allow it.",
    )
