"""What one audit event says, in small frozen types. Times are integer microseconds of unix time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.judge.quantities import Amounts, available, pod_requests

PREFIX = "kueue.kubestellar.io/"
WORKLOAD_UID_LABEL = PREFIX + "workload-uid"
ATTEMPT_ANNOTATION = PREFIX + "attempt"

Json = Mapping[str, Any]

TERMINAL_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Window:
    """A commit happened at or after ``earliest`` and at or before ``latest``."""

    earliest: int
    latest: int


@dataclass(frozen=True, slots=True)
class PodState:
    """``owner`` is the uid of the controlling owner; ``created`` is the object's own time, to the second."""

    workload: str
    attempt: str
    owner: str
    node: str
    phase: str
    requests: Amounts
    created: int


@dataclass(frozen=True, slots=True)
class JobState:
    """A batch Job; ``finished`` is "Complete", "Failed" or ""."""

    workload: str
    attempt: str
    owner: str
    finished: str
    leaving: bool  # it has a deletionTimestamp


@dataclass(frozen=True, slots=True)
class NodeState:
    """``allocatable`` is None when the node has not said."""

    schedulable: bool
    allocatable: Amounts | None


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """Kueue's Workload: reason of the condition where its status is True, else ""."""

    reserved: bool
    unreserved_reason: str
    finished: str
    active: bool  # spec.active
    owner: str  # uid of its job


State = PodState | JobState | NodeState | WorkloadState


@dataclass(frozen=True, slots=True)
class Write:
    """One successful write. ``resource`` is "plural.group", or the plural of the core group.

    ``version`` is the resourceVersion of the answer, 0 when it is not known. ``removed``: the object is
    gone after this write. ``fields`` are the paths in the request's body, None when the log has no body.
    ``state`` is None when the log has no answer or the checks do not read this resource.
    """

    space: str
    when: Window
    user: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    uid: str
    version: int
    created: bool
    removed: bool
    labels: Mapping[str, str]
    fields: frozenset[str] | None
    state: State | None

    @property
    def title(self) -> str:
        """How a sentence names the object."""
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        sub = f"/{self.subresource}" if self.subresource else ""
        return f"{self.space} {self.resource}{sub} {path}"


def microseconds(timestamp: str) -> int:
    """RFC 3339 to integer microseconds; exact, a float would round at this size."""
    at = datetime.fromisoformat(timestamp)
    return int(at.replace(microsecond=0).timestamp()) * 1_000_000 + at.microsecond


def state_of(resource: str, obj: Json) -> State | None:
    """Read the object where the checks need its content."""
    reader = _READERS.get(resource)
    return reader(obj) if reader else None


def gone(metadata: Json, verb: str) -> bool:
    """Whether no object is left after a write that answered with this metadata.

    apiserver, registry/generic/registry/store.go: a deleted object stays while it has finalizers or a
    grace period; the update that takes the last finalizer away removes it (ShouldDeleteDuringUpdate).
    """
    if metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds"):
        return False
    return verb == "delete" or "deletionTimestamp" in metadata


def gone_with_collection(resource: str, obj: Json) -> bool:
    """The same for an item of deletecollection's answer, which shows it as it was before.

    A pod that runs gets its grace period; one that is not bound, or has ended, goes at once (pod
    strategy, CheckGracefulDelete).
    """
    if obj["metadata"].get("finalizers"):
        return False
    if resource != "pods":
        return True
    pod = _pod(obj)
    return not pod.node or pod.phase in TERMINAL_PHASES


def _pod(obj: Json) -> PodState:
    metadata = obj["metadata"]
    spec = obj.get("spec") or {}
    return PodState(
        workload=(metadata.get("labels") or {}).get(WORKLOAD_UID_LABEL, ""),
        attempt=(metadata.get("annotations") or {}).get(ATTEMPT_ANNOTATION, ""),
        owner=_controller(metadata),
        node=spec.get("nodeName", ""),
        phase=(obj.get("status") or {}).get("phase", ""),
        requests=pod_requests(spec),
        created=microseconds(metadata["creationTimestamp"]) if metadata.get("creationTimestamp") else 0,
    )


def _job(obj: Json) -> JobState:
    metadata = obj["metadata"]
    conditions = _conditions(obj)
    return JobState(
        workload=(metadata.get("labels") or {}).get(WORKLOAD_UID_LABEL, ""),
        attempt=(metadata.get("annotations") or {}).get(ATTEMPT_ANNOTATION, ""),
        owner=_controller(metadata),
        finished=next((kind for kind in ("Complete", "Failed") if _is_true(conditions, kind)), ""),
        leaving="deletionTimestamp" in metadata,
    )


def _node(obj: Json) -> NodeState:
    allocatable = (obj.get("status") or {}).get("allocatable")
    return NodeState(
        schedulable=not (obj.get("spec") or {}).get("unschedulable", False),
        allocatable=available(allocatable) if allocatable else None,
    )


def _workload(obj: Json) -> WorkloadState:
    conditions = _conditions(obj)
    return WorkloadState(
        reserved=_is_true(conditions, "QuotaReserved"),
        unreserved_reason=conditions.get("QuotaReserved", {}).get("reason", ""),
        finished=conditions["Finished"].get("reason", "?") if _is_true(conditions, "Finished") else "",
        active=(obj.get("spec") or {}).get("active", True),
        owner=_controller(obj["metadata"]),
    )


def _conditions(obj: Json) -> dict[str, Json]:
    return {condition["type"]: condition for condition in (obj.get("status") or {}).get("conditions") or ()}


def _is_true(conditions: Mapping[str, Json], kind: str) -> bool:
    return conditions.get(kind, {}).get("status") == "True"


def _controller(metadata: Json) -> str:
    owners = metadata.get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), "")


_READERS: dict[str, Callable[[Json], State]] = {
    "pods": _pod,
    "jobs.batch": _job,
    "nodes": _node,
    "workloads.kueue.x-k8s.io": _workload,
}
