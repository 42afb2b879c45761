"""What one Workload needs next: one pure function from facts to one action.

The order of the branches is the safety argument. A copy that exists is dealt with first, so no other branch
can run beside it (I1). A copy leaves in steps, each of which a restart can repeat: its policy goes
(KubeStellar then withdraws within 0.3 s), its ManifestWork is gone, its pods have ended, and only then is
it released and the hub job says that nothing is active, which is what Kueue waits for before it gives the
quota to somebody else (I2).

A copy carries our finalizer from birth. Deleted, it stays as a tombstone until its pods have ended: the API
server itself then refuses a second copy of the same job, and a restart finds everything that is still
leaving (I8).
"""

from dataclasses import dataclass
from typing import ClassVar

from workload_controller.facts import (
    Check,
    CheckState,
    CopyFacts,
    Decision,
    JobFacts,
    PodsReport,
    PolicyFacts,
    RemoteStatus,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.kinds import batch_job
from workload_controller.refusals import Refusal, refusal

_WAITING = "No cluster can take it now"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long we wait, in seconds."""

    placement_timeout: float = 600.0  # a check that no cluster can satisfy gives its quota back after this
    retry_delay: float = 30.0  # first delay of a Retry, doubled each time
    retry_delay_max: float = 600.0
    pods_end_margin: float = 10.0  # beyond their termination grace, when the agent does not confirm their end
    clock_skew: float = 2.0  # by how much a worker's clock may run ahead of ours
    message_interval: float = 10.0  # between two texts of a waiting check
    recheck: float = 15.0  # a report grows stale without any event


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that is known about one Workload. Absent is None or empty."""

    now: float
    workload: WorkloadFacts | None = None
    check: Check | None = None  # our entry among the Workload's checks
    job: JobFacts | None = None  # its controller owner, by uid
    copy: CopyFacts | None = None
    namesake: CopyFacts | None = None  # the copy of another Workload whose job had the same name
    policies: tuple[PolicyFacts, ...] = ()
    bound: bool = False  # a Binding of the copy's wave exists: KubeStellar may still make a ManifestWork
    works: tuple[WorkFacts, ...] = ()
    remote: RemoteStatus | None = None  # of the copy's own ManifestWork
    pods: PodsReport | None = None  # newest report of the copy's cluster
    works_gone_at: float | None = (
        None  # since when we have seen the leaving copy without Binding and ManifestWork
    )
    namespace_obstacle: str = ""  # why the job's namespace cannot be carried, "" when it is


@dataclass(frozen=True, slots=True)
class Nothing:
    """All is as it should be."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else's turn. ``until``: unix time of our next look, None when an event will tell."""

    reason: str
    message: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Choose a cluster; ``until`` is when the quota goes back if there is none.

    ``obstacle``: what keeps the job from every cluster, "" when nothing does.
    """

    check: Check
    until: float
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class KeepWaiting:
    """No cluster can take it now. ``tell``: write ``text`` into the check. ``look_after`` is in seconds."""

    reason: ClassVar[str] = "NoClusterFits"
    check: Check
    text: str
    tell: bool
    look_after: float


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The check becomes Retry: the quota goes back, the Workload queues again after ``delay`` seconds."""

    reason: ClassVar[str] = "NoClusterInTime"
    check: Check
    text: str
    delay: int


@dataclass(frozen=True, slots=True)
class Reject:
    """The check becomes Rejected: the user has to act."""

    check: Check
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class MarkActive:
    """Tell Kueue that pods may exist, before they can."""

    job: JobFacts


@dataclass(frozen=True, slots=True)
class CreateCopy:
    """Create the copy in the WDS. It moves nowhere until its policy exists."""

    workload: WorkloadFacts
    job: JobFacts
    decision: Decision


@dataclass(frozen=True, slots=True)
class CreatePolicy:
    """Have KubeStellar carry the copy."""

    copy: CopyFacts


@dataclass(frozen=True, slots=True)
class Mirror:
    """Show the worker's status on the hub job."""

    job: JobFacts
    status: batch_job.Status


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Delete the copy; it stays as a tombstone."""

    copy: CopyFacts
    why: str


@dataclass(frozen=True, slots=True)
class DeletePolicy:
    """KubeStellar withdraws what the policy carried."""

    policy: PolicyFacts


@dataclass(frozen=True, slots=True)
class Release:
    """The copy's pods have ended: its tombstone may go."""

    copy: CopyFacts


@dataclass(frozen=True, slots=True)
class ReportPodsEnded:
    """Tell Kueue that no pod is left."""

    job: JobFacts


Action = (
    Nothing
    | Wait
    | Place
    | Reject
    | MarkActive
    | CreateCopy
    | CreatePolicy
    | Mirror
    | Withdraw
    | DeletePolicy
    | Release
    | ReportPodsEnded
)


def next_action(s: Situation, timing: Timing) -> Action:
    """The one thing to do now for this Workload."""
    if s.copy is not None:
        return _with_copy(s, s.copy, timing)
    for policy in s.policies:
        return Nothing() if policy.deleting else DeletePolicy(policy)
    if s.works:
        clusters = ", ".join(sorted({work.cluster for work in s.works}))
        return Wait("StillCarried", f"a ManifestWork of an earlier copy is still in {clusters}")
    if s.workload is None or s.workload.finished:
        return Nothing()
    return _without_copy(s, s.workload, timing)


def without_room(action: Place, why: str, now: float, timing: Timing) -> KeepWaiting | GiveBack:
    """What a Workload that no cluster can take does: wait and say why, or at its deadline give back (I5).

    ``why`` has a verdict with numbers for every cluster. Numbers move, the API server need not: a new text is
    written at most every ``message_interval``.
    """
    check = action.check
    if now >= action.until:
        delay = int(min(timing.retry_delay * 2.0**check.retries, timing.retry_delay_max))
        waited = f"{timing.placement_timeout:.0f}s"
        text = f"No cluster could take it for {waited}: {why}. The quota goes back; next try in {delay}s"
        return GiveBack(check, text, delay)
    text = f"{_WAITING}: {why}. The quota goes back at {utc_clock(action.until)}"
    first = not check.message.startswith(_WAITING)
    tell = check.message != text and (first or now - check.since >= timing.message_interval)
    settled = tell or check.message == text
    next_text = action.until if settled else check.since + timing.message_interval
    return KeepWaiting(check, text, tell, max(0.05, min(action.until, next_text, now + timing.recheck) - now))


def utc_clock(unix_seconds: float) -> str:
    """Time of day as messages give it: "14:08:00Z"."""
    minutes, seconds = divmod(int(unix_seconds) % 86_400, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}Z"


def decision_of(s: Situation) -> Decision | None:
    """Where the Workload may run now; None when it may not run (any more, or yet)."""
    w, job, check = s.workload, s.job, s.check
    if w is None or job is None or check is None or check.state is not CheckState.READY:
        return None
    workload_runs = w.admitted and w.active and not (w.evicted or w.finished or w.deleting)
    job_runs = not (job.suspended or job.terminal or job.deleting)
    return check.decision if workload_runs and job_runs else None


def _with_copy(s: Situation, copy: CopyFacts, timing: Timing) -> Action:
    belongs = s.workload is not None and s.workload.uid == copy.workload_uid
    if s.job is not None and s.remote is not None and s.remote.terminal and belongs:
        result = batch_job.mirrored_status(s.job, s.remote.status)
        if result is not None:  # a result is never thrown away, whatever else happened meanwhile (I3)
            return Mirror(s.job, result)
    if copy.leaving_since is not None:
        return _leave(s, copy, timing)
    decision = decision_of(s)
    if not belongs or decision != Decision(copy.cluster, copy.attempt):
        return Withdraw(copy, _why_withdrawn(s, copy))
    stray = [policy for policy in s.policies if policy.name != copy.wave and not policy.deleting]
    if stray:
        return DeletePolicy(stray[0])
    if not s.policies:
        return CreatePolicy(copy)
    return _follow(s, copy)


def _follow(s: Situation, copy: CopyFacts) -> Action:
    if s.job is not None and s.remote is not None:
        status = batch_job.mirrored_status(s.job, s.remote.status)
        return Nothing() if status is None else Mirror(s.job, status)
    errors = [work.apply_error for work in s.works if work.apply_error]
    if errors:
        return Wait("ApplyFailed", f"{copy.cluster} refuses the job: {errors[0]}")
    return Wait("Carrying", f"KubeStellar carries the job to {copy.cluster}")


def _leave(s: Situation, copy: CopyFacts, timing: Timing) -> Action:
    for policy in s.policies:
        if not policy.deleting:
            return DeletePolicy(policy)
    if s.works or s.bound:
        return Wait("Withdrawing", f"{copy.cluster} has not confirmed the withdrawal of {copy.name} yet")
    if s.works_gone_at is None:
        return Wait("Withdrawing", f"looking whether {copy.cluster} still has {copy.name}", until=s.now)
    if s.job is not None and s.job.terminal:
        return Release(copy)  # a Job is Complete or Failed only after all its pods have ended
    if s.pods is not None and not s.pods.alive and s.pods.observed_at > s.works_gone_at + timing.clock_skew:
        return Release(copy)
    ends = s.works_gone_at + copy.grace_seconds + timing.pods_end_margin
    if s.now >= ends:
        return Release(copy)
    alive = "unknown" if s.pods is None else str(s.pods.alive)
    return Wait("PodsEnding", f"pods on {copy.cluster} may be ending, last count {alive}", until=ends)


def _without_copy(s: Situation, w: WorkloadFacts, timing: Timing) -> Action:
    decision = decision_of(s)
    if decision is not None and s.job is not None:
        if s.namespace_obstacle:
            return Wait("NamespaceNotCarried", s.namespace_obstacle)
        if s.namesake is not None:
            text = f"an earlier job of the name {s.job.name} is still leaving {s.namesake.cluster}"
            return Wait("NameStillLeaving", text)
        return CreateCopy(w, s.job, decision) if s.job.active else MarkActive(s.job)
    if s.job is not None and s.job.active and not s.job.terminal:
        return ReportPodsEnded(s.job)
    wants_cluster = w.quota_reserved and w.active and not w.evicted and not w.deleting
    if wants_cluster and s.check is not None and s.check.state is CheckState.PENDING:
        return _place(s, w, s.check, timing)
    return Nothing()


def _place(s: Situation, w: WorkloadFacts, check: Check, timing: Timing) -> Action:
    refused = refusal(w, s.job)
    if refused is not None:
        return Reject(check, refused)
    return Place(check, w.quota_reserved_at + timing.placement_timeout, s.namespace_obstacle)


def _why_withdrawn(s: Situation, copy: CopyFacts) -> str:
    w = s.workload
    if w is None or w.uid != copy.workload_uid:
        return "its Workload is gone"
    if s.job is None or s.job.deleting:
        return "its job was deleted"
    if w.finished or s.job.terminal:
        return "it is finished"
    return "Kueue evicted it" if w.evicted else "it may not run"
