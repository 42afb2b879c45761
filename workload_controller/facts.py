"""What we know, in the units of our decisions.

Made from raw objects at the informers' edge (``reading``). Amounts are integer milli-units (1 cpu = 1000);
times are unix seconds of the API server that wrote them, or of this process where a name says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from vocabulary.cluster_metrics import ClusterReport
from vocabulary.cordon import Cordon

Amounts = Mapping[str, int]


class CheckState(Enum):
    """``Workload.status.admissionChecks[].state``."""

    PENDING = "Pending"
    READY = "Ready"
    RETRY = "Retry"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class Decision:
    """Where an attempt runs. Durable in the check's podSetUpdates; counts only while the check is Ready."""

    cluster: str
    attempt: int


class LossPolicy(Enum):
    """What happens to a job whose cluster has not been heard of for ``worker_lost_timeout``."""

    AT_MOST_ONCE = "atMostOnce"  # held until its ManifestWork is really gone
    LEASED = "leased"  # started elsewhere once the worker's agent must have ended it
    AT_LEAST_ONCE = "atLeastOnce"  # started elsewhere, though it may still run


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt that we gave up, as it stands in the check's podSetUpdates (``history``)."""

    attempt: int
    cluster: str
    reason: str
    at: float
    words: str  # the worker's own, shortened

    def __str__(self) -> str:
        return f"attempt {self.attempt} on {self.cluster}: {self.reason}: {self.words}"


@dataclass(frozen=True, slots=True)
class History:
    """``total`` attempts failed; ``recent`` are the newest of them, oldest first."""

    total: int = 0
    recent: tuple[FailedAttempt, ...] = ()


NO_HISTORY = History()


@dataclass(frozen=True, slots=True)
class Check:
    """Our entry in ``Workload.status.admissionChecks``."""

    name: str
    state: CheckState
    message: str
    since: float  # lastTransitionTime
    retries: int  # retryCount: how often it was Retry
    decision: Decision | None
    history: History = NO_HISTORY


@dataclass(frozen=True, slots=True)
class Toleration:
    """``PodSpec.tolerations[]``; an empty key or effect matches all of them."""

    key: str
    operator: str  # Equal | Exists
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One ``matchExpressions`` entry of a required node affinity."""

    key: str
    operator: str  # In | NotIn | Exists | DoesNotExist | Gt | Lt
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PodSet:
    """``Workload.spec.podSets[]`` joined with its flavors; ``requests`` is what one pod asks."""

    name: str
    count: int
    requests: Amounts
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    affinity: tuple[tuple[Requirement, ...], ...] = ()  # any of the terms, all of a term's requirements
    flavors: frozenset[str] = frozenset()  # ResourceFlavors that Kueue assigned to its resources


@dataclass(frozen=True, slots=True)
class Flavor:
    """``ResourceFlavor.spec``, as Kueue injects it into the pods."""

    name: str
    node_labels: Mapping[str, str]
    tolerations: tuple[Toleration, ...]


@dataclass(frozen=True, slots=True)
class WorkloadFacts:
    """A Kueue Workload (v1beta2)."""

    namespace: str
    name: str
    uid: str
    owner_kind: str  # "batch/v1 Job"; "" without a controller owner
    owner_name: str
    owner_uid: str
    quota_reserved: bool
    quota_reserved_at: float
    admitted: bool
    admitted_at: float
    evicted: bool
    requeue_at: float  # status.requeueState.requeueAt: it does not queue before; 0 when there is none
    finished: bool
    active: bool  # spec.active
    deleting: bool
    queue: str  # spec.queueName: the LocalQueue
    cluster_queue: str
    held: bool  # it has our finalizer
    in_use: bool  # it has Kueue's: deleted, Kueue has not stopped its job yet
    evictions: int  # sum of status.schedulingStats.evictions[].count
    checks: tuple[Check, ...]  # every admission check; ours are told apart by name
    pod_sets: tuple[PodSet, ...]
    resource_version: str

    @property
    def attempt(self) -> int:
        """Number of the present try: Kueue counts every eviction, which survives restarts of anybody."""
        return self.evictions + 1


@dataclass(frozen=True, slots=True)
class JobFacts:
    """The hub's job. ``raw`` is the whole object without managedFields: the copy is made of it."""

    namespace: str
    name: str
    uid: str
    suspended: bool
    managed_by: str
    terminal: bool
    active: int
    parallelism: int
    reserved_keys: tuple[str, ...]  # keys of ours that the user put on the pod template
    wishes: Mapping[str, str]  # annotations below our prefix
    held: bool  # it has our finalizer
    deleting: bool
    raw: Mapping[str, Any]

    @property
    def resource_version(self) -> str:
        """``metadata.resourceVersion``."""
        return str(self.raw["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True)
class CopyFacts:
    """Our copy of a job in the WDS; with ``leaving_since`` a tombstone: pods may still be ending."""

    namespace: str
    name: str
    uid: str
    workload_namespace: str
    workload_name: str
    workload_uid: str
    job_uid: str  # of the hub job
    cluster: str
    attempt: int
    wave: str
    leaving_since: float | None  # deletionTimestamp
    grace_seconds: int  # terminationGracePeriodSeconds of its pods
    on_loss: LossPolicy
    lease_seconds: int | None  # of a leased one
    leased_from: float  # when it was made, by the hub's clock; of a leased one
    pod_set: PodSet  # with the flavors' labels and tolerations that Kueue injected
    wave_size: int = 1  # how many copies the wave that it opens may have
    withdrawn: bool = False  # its wave selects it no more


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """A BindingPolicy of ours that carries copies: a wave, with the Workload whose copy opened it."""

    name: str
    uid: str
    workload_namespace: str
    workload_name: str
    deleting: bool
    cluster: str = ""
    size: int = 1  # how many copies it may have
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Mates:
    """The other copies of a wave: those that stay, and all, tombstones included."""

    staying: int = 0
    total: int = 0


ALONE = Mates()


@dataclass(frozen=True, slots=True)
class WorkFacts:
    """A ManifestWork that carries a copy: while it exists, pods may run on ``cluster``."""

    cluster: str
    name: str
    uid: str
    workload_namespace: str
    workload_name: str
    workload_uid: str
    attempt: int
    deleting_since: float | None  # deletionTimestamp
    apply_error: str  # the worker's words, "" when applied or not tried yet
    apply_error_since: float
    missing_since: float | None  # the worker applied it and has it no more (manifest condition Available)
    on_loss: LossPolicy = LossPolicy.AT_MOST_ONCE
    lease_seconds: int | None = None
    leased_from: float = 0.0


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """A WorkStatus of a Job: ``status`` as the worker's Job controller wrote it."""

    cluster: str
    namespace: str
    name: str
    work_uid: str
    status: Mapping[str, Any]
    terminal: bool


@dataclass(frozen=True, slots=True)
class ManagedClusterFacts:
    """A ManagedCluster in the ITS, as OCM keeps it."""

    name: str
    accepted: bool
    available: str  # status of ManagedClusterConditionAvailable: True | False | Unknown
    available_since: float  # its lastTransitionTime
    created_at: float
    tainted: tuple[str, ...]  # keys of its NoSelect taints that are not ours
    name_label: str
    deleting: bool
    cordon: Cordon | None = None  # our own taints
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def drain(self) -> str:
        """Why its jobs are to move away, "" when they are not; those of one that is silent cannot move."""
        return str(self.cordon) if self.cordon and self.cordon.draining and self.available == "True" else ""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A worker cluster as placement sees it. ``refusal`` says why it cannot be used, "" when it can.

    ``fresh``: it is heard of and its report is new, so what it has is known, whether it is usable or not.
    """

    name: str
    refusal: str
    report: ClusterReport | None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Room that one attempt holds on a cluster, from its decision until its pods have ended."""

    workload_uid: str
    cluster: str
    pod_sets: tuple[PodSet, ...]  # flavors already merged into selectors and tolerations


@dataclass(frozen=True, slots=True)
class PodsReport:
    """What the agent of a copy's cluster says about its pods."""

    observed_at: float  # the worker's clock
    alive: int
    problem: str = ""  # why pods do not run, in the worker's words


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A LocalQueue or a ClusterQueue (``namespace`` "")."""

    namespace: str
    name: str
    wishes: Mapping[str, str]  # annotations below our prefix


@dataclass(frozen=True, slots=True)
class BindingFacts:
    """A Binding of the WDS: what a BindingPolicy of its name selects at present."""

    name: str
    jobs: tuple[str, ...]  # "namespace/name" of the batch Jobs in it
    settled: bool = False  # KubeStellar's transport has read this generation of it


@dataclass(frozen=True, slots=True)
class Leases:
    """Leased jobs on one cluster: the leases in seconds of ``running`` ones, and if any may be left there."""

    running: tuple[int, ...]
    anything: bool


@dataclass(frozen=True, slots=True)
class Contact:
    """When a cluster was lost, and what it may still know of us."""

    lost_since: float | None  # not Available and not heard of since then; None while it is Available
    beat_at: float  # our last heartbeat for it, 0 when there was none
    carried: bool = False  # a Binding of the heartbeat exists: its policy may be left when it is gone
