"""All that is known about one Workload at one instant, and the times that we allow."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workload_controller.facts import (
    ALONE,
    Check,
    Contact,
    CopyFacts,
    JobFacts,
    Mates,
    PodsReport,
    PolicyFacts,
    RemoteStatus,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.wishes import BadWish, JobPolicy


@dataclass(frozen=True, slots=True)
class Timing:
    """How long we wait, in seconds."""

    placement_timeout: float = 600.0  # a check that no cluster can satisfy gives its quota back after this
    never_grace: float = 60.0  # a job that fits no cluster even if empty is rejected after so long, see never
    retry_delay: float = 30.0  # from a failure to the next try, doubled each time
    retry_delay_max: float = 600.0
    exclusion: float = 900.0  # a cluster where an attempt failed is not chosen again for so long
    apply_timeout: float = 60.0  # a worker that refuses a job may change its mind: a namespace comes later
    removed_grace: float = 5.0  # between "the worker has it no more" and our believing it
    worker_lost_timeout: float = 900.0  # a cluster is lost when it was not heard of for so long
    settle: float = 30.0  # a cluster that was lost gets no new jobs before it has stayed so long
    lease: float = 600.0  # a leased job is ended by its worker after so long without a heartbeat
    pods_end_margin: float = 10.0  # beyond their termination grace, when the agent does not confirm their end
    report_valid: float = 150.0  # an agent repeats its report every minute
    clock_skew: float = 2.0  # by how much a worker's clock may run ahead of ours
    message_interval: float = 10.0  # between two texts of a waiting check
    recheck: float = 15.0  # a report grows stale without any event
    hold_quota: bool = True  # our finalizer on Workloads, see lifecycle


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that is known about one Workload. Absent is None or empty."""

    now: float
    workload: WorkloadFacts | None = None
    check: Check | None = None  # our entry among the Workload's checks
    job: JobFacts | None = None  # its controller owner, by uid
    policy: JobPolicy = field(default_factory=JobPolicy)
    bad_wishes: tuple[BadWish, ...] = ()
    copy: CopyFacts | None = None
    namesake: CopyFacts | None = None  # the copy of another Workload whose job had the same name
    policies: tuple[PolicyFacts, ...] = ()  # that of its wave, and those it opened that carry nobody else
    mates: Mates = ALONE  # the others in its wave
    listed: bool = False  # the Binding of its wave lists the copy
    bound: bool = False  # its Binding exists and has not left it out: a ManifestWork may still be made
    works: tuple[WorkFacts, ...] = ()
    remote: RemoteStatus | None = None  # of the copy's own ManifestWork
    pods: PodsReport | None = None  # newest report of the copy's cluster
    contacts: Mapping[str, Contact] = field(default_factory=dict)  # of the clusters of copy and works
    works_gone_at: float | None = None  # when WDS and ITS confirmed: no Binding, no ManifestWork of it
    namespace_uid: str = ""  # of the hub namespace, "" where none is carried
    namespace_obstacle: str = ""  # why the job's namespace cannot be carried, "" when it is
    draining: str = ""  # why jobs are to leave the cluster of the decision, "" when they are not
    foreign_bindings: tuple[str, ...] = ()  # Bindings that are not ours and list the copy

    @property
    def key(self) -> str:
        """The Workload as "namespace/name", also when only its copy is left."""
        if self.workload is not None:
            return f"{self.workload.namespace}/{self.workload.name}"
        return f"{self.copy.workload_namespace}/{self.copy.workload_name}" if self.copy is not None else ""
