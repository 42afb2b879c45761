"""What one Workload needs next: one pure function from facts to one step (drawn in docs/lifecycle.md).

The order of the branches is the safety argument. A copy that exists is dealt with first, so no other branch
can run beside it (I1). A copy leaves in steps, each of which a restart can repeat: its policy goes
(KubeStellar then withdraws within 0.3 s), its ManifestWork is gone, its pods have ended, and only then is
it released and the hub job says that nothing is active, which is what Kueue waits for before it gives the
quota to somebody else (I2).

A copy carries our finalizer from birth. Deleted, it stays as a tombstone until its pods have ended: the API
server itself then refuses a second copy of the same job, and a restart finds everything that is still
leaving (I8). The Workload and the hub job carry one too, from before pods can exist until they have ended:
Kueue counts a Workload until it is really gone, and it goes when its job is gone, so quota is held also when
a user deletes either (with Kueue's gate FinishOrphanedWorkloads off; with it on, Kueue finishes the Workload
of a job that is being deleted). The job's finalizer also keeps its name: Kueue finds a job's Workload by the
job's name, and would give admission and pod template of the earlier one to a new job of that name (seen with
0.19.2). So of a deleted job the Workload goes first, deleted by us, since the garbage collector would come
after the job only; its end brings us to the job (``Upkeep.job``). Elsewhere the job is let go before the
Workload, whose events bring us here.

``spec.suspend`` of the hub job decides only whether a copy may be made: Kueue unsuspends an admitted job
whenever somebody suspends it (jobframework reconciler step 7), so ending its pods for that would start it
twice. To stop a job, deactivate its Workload or delete it.
"""

from workload_controller.attempt import own_work, progress, start_deadline
from workload_controller.clock_text import duration, given_up_at, utc_clock
from workload_controller.facts import CheckState, CopyFacts, Decision, JobFacts, WorkloadFacts
from workload_controller.kinds import batch_job
from workload_controller.loss import abandoned, abandoned_at, lost_wait
from workload_controller.refusals import Refusal, refusal
from workload_controller.retry import DRAINED, before_release, drained, failed, no_more_tries
from workload_controller.situation import Situation, Timing
from workload_controller.steps import (
    Action,
    ConfirmGone,
    CreateCopy,
    CreatePolicy,
    DeletePolicy,
    DeleteWorkload,
    GiveBack,
    Hold,
    KeepWaiting,
    LeaveWave,
    LetGo,
    MarkActive,
    Mirror,
    Nothing,
    Place,
    Reject,
    Release,
    ReportPodsEnded,
    Unselect,
    Wait,
    Withdraw,
)
from workload_controller.waves import opens
from workload_controller.wishes import bad_wish

_WAITING = "No cluster can take it now"
_NEVER = "Never fits"


def next_action(s: Situation, timing: Timing) -> Action:
    """The one thing to do now for this Workload."""
    if s.copy is not None:
        return _with_copy(s, s.copy, timing)
    for policy in s.policies:
        return Nothing() if policy.deleting else DeletePolicy(policy)
    staying = [work for work in s.works if not abandoned(work, s, 0.0, timing)]
    if staying:
        clusters = ", ".join(sorted({work.cluster for work in staying}))
        text = f"a ManifestWork of an earlier copy is still in {clusters}"
        return Wait("StillCarried", text, until=s.now + timing.recheck, told="Normal")
    if s.workload is None:
        return Nothing()
    return _without_copy(s, s.workload, timing)


def without_room(
    action: Place, why: str, now: float, timing: Timing, never: Refusal | None = None
) -> KeepWaiting | GiveBack | Reject:
    """What a Workload that no cluster can take does: wait and say why, or at its deadline give back (I5).

    ``why`` has a verdict with numbers for every cluster. Numbers move, the API server need not: a new text is
    written at most every ``message_interval``. With ``never`` no cluster could hold it even if it were empty.
    """
    check = action.check
    if never is not None and now < action.until:
        return _can_never_fit(action, never, now, timing)
    if now >= action.until:
        waited = f"{timing.placement_timeout:.0f}s"
        text = f"No cluster could take it for {waited}: {why}. The quota goes back, it queues again"
        return GiveBack("NoClusterInTime", check, text, check.history)
    text = f"{_WAITING}: {why}. The quota goes back at {utc_clock(action.until)}"
    first = not check.message.startswith(_WAITING)
    tell = check.message != text and (first or now - check.since >= timing.message_interval)
    settled = tell or check.message == text
    next_text = action.until if settled else check.since + timing.message_interval
    return KeepWaiting(check, text, tell, max(0.05, min(action.until, next_text, now + timing.recheck) - now))


def _can_never_fit(action: Place, never: Refusal, now: float, timing: Timing) -> KeepWaiting | Reject:
    """Said at once, refused after a while (``never``). The check's own time says how long it has stood."""
    check = action.check
    standing = check.message.startswith(_NEVER)
    rejected_at = (check.since if standing else now) + timing.never_grace
    if now >= rejected_at:
        return Reject(check, never)
    text = f"{_NEVER}: {never}. Rejected if that stays so for {duration(timing.never_grace)}"
    return KeepWaiting(
        check, text, not standing, max(0.05, min(rejected_at, action.until, now + timing.recheck) - now)
    )


def not_taken(
    s: Situation, action: CreateCopy | CreatePolicy, reason: str, why: str, timing: Timing
) -> Wait | GiveBack:
    """Wait, or give up: the WDS does not take copy or policy, for a cause that may pass."""
    if s.now >= action.until and s.check is not None:
        return failed(s, s.check, reason=reason, words=why, timing=timing)
    text = f"{why}; {given_up_at(action.until)}"
    return Wait(reason, text, until=min(action.until, s.now + timing.recheck / 3), told="Warning")


def decision_of(s: Situation, *, started: bool = False) -> Decision | None:
    """Where the Workload may run now; None when it may not run (any more, or yet).

    A deactivated one is not started, but goes on where it was ``started`` until Kueue evicts it. Kueue may be
    away, and its user change their mind before it has looked: the same attempt would start twice (I3).
    """
    w, job, check = s.workload, s.job, s.check
    if w is None or job is None or check is None or check.state is not CheckState.READY:
        return None
    may = w.admitted and (w.active or started)
    workload_runs = may and not (w.evicted or w.finished or w.deleting)
    job_runs = not (job.terminal or job.deleting)
    return check.decision if workload_runs and job_runs else None


def _with_copy(s: Situation, copy: CopyFacts, timing: Timing) -> Action:
    belongs = s.workload is not None and s.workload.uid == copy.workload_uid
    wanted = s.job is not None and not s.job.deleting  # of a deleted one Kueue could not stop a finished job
    if s.job is not None and s.remote is not None and s.remote.terminal and belongs and wanted:
        result = batch_job.mirrored_status(s.job, s.remote.status, None)
        if result is not None:  # a result is never thrown away, whatever else happened meanwhile (I3)
            return _not_stopped_yet(s, s.job) or Mirror(s.job, result)
    if copy.leaving_since is not None:
        return _leave(s, copy, timing)
    decision = decision_of(s, started=True)
    if not belongs or s.check is None or decision != Decision(copy.cluster, copy.attempt):
        return Withdraw(copy, _why_withdrawn(s, copy))
    if (gives_way := drained(s)) is not None:
        return gives_way
    stray = [policy for policy in s.policies if policy.name != copy.wave and not policy.deleting]
    if stray:
        return DeletePolicy(stray[0])
    if not s.policies:
        if s.mates.total or not opens(copy):  # a policy made anew would carry also what was withdrawn
            return LeaveWave(copy)
        return CreatePolicy(copy, start_deadline(s, s.check))
    return progress(s, copy, s.check, timing)


def may_finish(w: WorkloadFacts) -> bool:
    """Whether its job may be shown as finished: not while Kueue has to stop it."""
    return not (w.deleting and w.in_use)


def _not_stopped_yet(s: Situation, job: JobFacts) -> Wait | ReportPodsEnded | None:
    """Of a deleted Workload Kueue stops the job first, which it cannot do with a finished one, for ever.

    (It takes startTime away, which the API server refuses of a finished job; seen with 0.19.2.) Nor can it
    with an active one: it restores the pod template, which Kubernetes 1.36 refuses while pods are active.
    They have ended, since there is a result.
    """
    w = s.workload
    if w is None or may_finish(w):
        return None
    if job.active:
        return ReportPodsEnded(job)
    return Wait("ResultWaits", f"Kueue has not let go of the deleted Workload {w.name} yet")


def _leave(s: Situation, copy: CopyFacts, timing: Timing) -> Action:
    for policy in s.policies:
        if policy.deleting:
            continue
        if policy.name != copy.wave or not s.mates.staying:
            return DeletePolicy(policy)
        if not copy.withdrawn:
            return _out_of_wave(s, copy, timing)
    staying = [work for work in s.works if not abandoned(work, s, copy.grace_seconds, timing)]
    if staying or s.bound:
        return _still_there(s, copy, timing)
    if own_work(s, copy) is not None:
        return Release(copy, lost=True)  # under a policy that lets the job go on elsewhere
    if s.works_gone_at is None:
        return ConfirmGone(copy)  # our view of the ITS may be old, and the pods' grace begins with this
    if s.job is not None and s.job.terminal:
        return Release(copy)  # a Job is Complete or Failed only after all its pods have ended
    if s.pods is not None and not s.pods.alive and s.pods.observed_at > s.works_gone_at + timing.clock_skew:
        return Release(copy)
    ends = s.works_gone_at + copy.grace_seconds + timing.pods_end_margin
    if s.now >= ends:
        return _overdue(s, copy, s.works_gone_at, timing) or Release(copy)
    alive = "unknown" if s.pods is None else str(s.pods.alive)
    text = (
        f"pods on {copy.cluster} may be ending, last count {alive}; over at {utc_clock(ends)} at the latest"
    )
    return Wait("PodsEnding", text, until=ends, told="Normal")


def _out_of_wave(s: Situation, copy: CopyFacts, timing: Timing) -> Unselect | Wait:
    """Of a wave that goes on. KubeStellar carries a tombstone like any other copy that a policy selects.

    Only a copy that was listed may be unselected: being left out of the Binding then proves that KubeStellar
    knows of it. One that it has not seen yet could be listed later, when it counts as gone.
    """
    if not s.listed:
        text = f"KubeStellar has not listed {copy.name} in Binding {copy.wave} yet, so it cannot drop it"
        return Wait("NotListedYet", text, until=s.now + timing.recheck)
    return Unselect(copy)


def _overdue(s: Situation, copy: CopyFacts, gone_at: float, timing: Timing) -> Wait | None:
    """Beyond their grace they are waited for while the metrics agent sees them alive now.

    A work agent that comes back may start what it was just told to drop, and removes that Job only after an
    hour (OCM's eviction of AppliedManifestWorks; seen): it would run beside the next attempt (I1).
    """
    pods = s.pods
    if pods is None or not pods.alive or pods.observed_at < max(gone_at, s.now - timing.report_valid):
        return None
    text = (
        f"{copy.cluster} still has {pods.alive} pods of {copy.name} beyond their grace: delete its Job there"
    )
    return Wait("PodsOverdue", text, until=s.now + timing.recheck, told="Warning")


def _still_there(s: Situation, copy: CopyFacts, timing: Timing) -> Wait:
    contact, work = s.contacts.get(copy.cluster), own_work(s, copy)
    if contact is not None and contact.lost_since is not None and work is not None:
        moves = abandoned_at(work, contact, copy.grace_seconds, timing)
        return lost_wait(copy, contact, moves, s.now, timing)
    text = f"{copy.cluster} has not confirmed the withdrawal of {copy.name} yet"
    return Wait("Withdrawing", text, until=s.now + timing.recheck)


def _without_copy(s: Situation, w: WorkloadFacts, timing: Timing) -> Action:
    decision = decision_of(s)
    if decision is not None and s.job is not None:
        return drained(s) or _start(s, w, s.job, decision, timing)
    if s.job is not None and s.job.active and not s.job.terminal and not w.finished:
        return before_release(s, w, timing) or ReportPodsEnded(s.job)
    if s.job is not None and s.job.held and s.job.deleting and not w.finished:
        return _forgotten_first(s, s.job, w, timing)
    over = w.finished or s.job is None or s.job.deleting or (w.deleting and s.job.terminal)
    if s.job is not None and s.job.held and over:
        return LetGo(s.job)
    if w.held and (over or w.deleting):
        return LetGo(w)
    if w.finished:
        return Nothing()
    wants_cluster = w.quota_reserved and w.active and not w.evicted and not w.deleting
    if wants_cluster and s.check is not None:
        if s.check.state is CheckState.PENDING:
            return _place(s, w, timing)
        if s.check.state is CheckState.READY and not w.admitted:
            return drained(s) or _other_checks(s, w, timing)
    return Nothing()


def _forgotten_first(
    s: Situation, job: JobFacts, w: WorkloadFacts, timing: Timing
) -> DeleteWorkload | LetGo | Wait:
    """Of a deleted job that holds its name until its Workload is gone."""
    if not w.deleting:
        return DeleteWorkload(w)
    if w.held:
        return LetGo(w)
    text = f"Kueue has not let go of Workload {w.name} yet, and would use it for a new job {job.name}"
    return Wait("NameStaysTaken", text, until=s.now + timing.recheck, told="Normal")


def _start(s: Situation, w: WorkloadFacts, job: JobFacts, decision: Decision, timing: Timing) -> Action:
    assert s.check is not None
    until = start_deadline(s, s.check)
    wait = _not_yet(s, job, until)
    if wait is not None:
        if s.now >= until:
            return failed(s, s.check, reason=wait.reason, words=wait.message, timing=timing)
        return wait
    if timing.hold_quota and not w.held:
        return Hold(w)
    if timing.hold_quota and not job.held:
        return Hold(job)
    return CreateCopy(w, job, decision, until) if job.active else MarkActive(job)


def _not_yet(s: Situation, job: JobFacts, until: float) -> Wait | None:
    """What has to happen before the copy can be made."""
    end = given_up_at(until)
    if job.suspended:
        return Wait("NotUnsuspended", f"Kueue has not unsuspended the admitted job yet; {end}", until=until)
    if s.namespace_obstacle:
        return Wait("NamespaceNotCarried", f"{s.namespace_obstacle}; {end}", until=until, told="Warning")
    if s.namesake is not None:
        earlier = f"an earlier job of the name {job.name} is still leaving {s.namesake.cluster}"
        return Wait("NameStillLeaving", f"{earlier}; {end}", until=until, told="Normal")
    return None


def _place(s: Situation, w: WorkloadFacts, timing: Timing) -> Action:
    assert s.check is not None
    refused = refusal(w, s.job) or bad_wish(w, s.bad_wishes) or no_more_tries(w, s.check.history, s.policy)
    if refused is not None:
        return Reject(s.check, refused)
    unseen = "" if s.job is not None else f"its job {w.owner_name} has not been seen yet"
    admins = "; ".join(str(wish) for wish in s.bad_wishes)
    obstacle = unseen or s.namespace_obstacle or admins
    return Place(s.check, w.quota_reserved_at + timing.placement_timeout, obstacle)


def _other_checks(s: Situation, w: WorkloadFacts, timing: Timing) -> Wait | GiveBack:
    """Placed, but another AdmissionCheck keeps Kueue from admitting it: the room is not held for ever."""
    assert s.check is not None
    until = s.check.since + timing.placement_timeout
    pending = ", ".join(c.name for c in w.checks if c.state is not CheckState.READY) or "Kueue"
    if s.now < until:
        text = f"placed; waits for {pending}. The quota goes back at {utc_clock(until)}"
        return Wait("OtherChecksPending", text, until=until)
    text = f"Placed, but {pending} did not follow for {timing.placement_timeout:.0f}s; it queues again"
    return GiveBack("OtherChecksPending", s.check, text, s.check.history)


def _why_withdrawn(s: Situation, copy: CopyFacts) -> str:
    w = s.workload
    if w is None or w.uid != copy.workload_uid:
        return "its Workload is gone"
    if s.job is None or s.job.deleting:
        return "its job was deleted"
    if w.finished or s.job.terminal:
        return "it is finished"
    if s.check is not None and s.check.state is CheckState.RETRY:
        return "its cluster is being drained" if s.check.message.startswith(DRAINED) else "its attempt failed"
    return "Kueue evicted it" if w.evicted else "it may not run"
