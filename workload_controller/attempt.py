"""How the running attempt does: goes on, waits for something with a deadline, or has failed.

Called for a copy that stands where the decision says. The worker's own words come from three places: the
ManifestWork's conditions (the work agent's: what the worker's API server refused), the metrics agent's report
(why pods do not run), and the Job's status.
"""

from workload_controller.clock_text import duration, given_up_at, utc_clock
from workload_controller.facts import Check, CopyFacts, WorkFacts
from workload_controller.kinds import batch_job
from workload_controller.loss import lost_wait, moves_at
from workload_controller.retry import failed
from workload_controller.situation import Situation, Timing
from workload_controller.steps import GiveBack, Mirror, Nothing, Wait

Progress = Nothing | Wait | Mirror | GiveBack


def progress(s: Situation, copy: CopyFacts, check: Check, timing: Timing) -> Progress:
    """What the attempt needs now."""
    contact = s.contacts.get(copy.cluster)
    if contact is not None and contact.lost_since is not None:
        moves = moves_at(copy, contact, copy.grace_seconds, timing)
        if moves is not None and s.now >= moves:
            words = f"not heard of since {utc_clock(contact.lost_since)}, policy {copy.on_loss.value}"
            return failed(s, check, reason="ClusterLost", words=words, timing=timing)
        return lost_wait(copy, contact, moves, s.now, timing)
    if (removed := _removed(s, copy, check, timing)) is not None:
        return removed
    if s.job is not None and s.remote is not None:
        ready = batch_job.pods_ready(s.job, s.remote.status, copy)
        status = batch_job.mirrored_status(s.job, s.remote.status, ready)
        if status is not None:
            return Mirror(s.job, status)
    if s.job is not None and batch_job.has_started(s.job, copy):
        return Nothing()
    return _starting(s, copy, check, timing)


def start_deadline(s: Situation, check: Check) -> float:
    """When the attempt is given up if its pods have not been ready by then."""
    admitted_at = s.workload.admitted_at if s.workload is not None else check.since
    return admitted_at + s.policy.time_to_start(check.history.total)


def own_work(s: Situation, copy: CopyFacts) -> WorkFacts | None:
    """The ManifestWork of this attempt."""
    for work in s.works:
        if (work.cluster, work.workload_uid, work.attempt) == (copy.cluster, copy.workload_uid, copy.attempt):
            return work
    return None


def _starting(s: Situation, copy: CopyFacts, check: Check, timing: Timing) -> Wait | GiveBack:
    """Its pods are not ready yet."""
    until = start_deadline(s, check)
    work = own_work(s, copy)
    if work is not None and work.apply_error:
        until = min(until, work.apply_error_since + timing.apply_timeout)
        reason, words = "ApplyFailed", work.apply_error
    elif s.pods is not None and s.pods.problem:
        reason, words = "PodsNotReady", s.pods.problem
    elif work is None:
        reason, words = "NotCarried", "KubeStellar has made no ManifestWork yet"
    elif s.remote is None:
        reason, words = "NotReported", "the worker has not reported the job yet"
    else:
        ready = s.remote.status.get("ready") or 0
        reason, words = "PodsNotReady", f"{ready} of {copy.pod_set.count} pods ready"
    if s.now >= until:
        admitted_at = s.workload.admitted_at if s.workload is not None else check.since
        text = f"{words} (after {duration(s.now - admitted_at)})"
        return failed(s, check, reason=reason, words=text, timing=timing)
    bad = reason == "ApplyFailed" or bool(s.pods and s.pods.problem)
    told = f"{copy.cluster}: {words}; {given_up_at(until)}"
    return Wait(reason, told, until=until, told="Warning" if bad else "")


def _removed(s: Situation, copy: CopyFacts, check: Check, timing: Timing) -> Wait | GiveBack | None:
    """The worker's Job is not the one that we started: deleted by hand, replaced, or suspended there.

    The work agent would create a deleted Job again after 4 to 6 minutes, and it would run a second time
    unnoticed. The ManifestWork says within its status sync interval that the worker has it no more.
    """
    work = own_work(s, copy)
    if s.job is None or work is None:
        return None
    if s.remote is not None:
        if batch_job.was_replaced(s.job, s.remote.status):
            words = "its Job was started anew"
            return failed(s, check, reason="WorkerJobReplaced", words=words, timing=timing)
        if batch_job.is_suspended(s.remote.status):
            if copy.lease_seconds is not None:
                words = f"ended by the lease: no heartbeat for {copy.lease_seconds}s"
                return failed(s, check, reason="LeaseExpired", words=words, timing=timing)
            words = "its Job was suspended there by hand"
            return failed(s, check, reason="WorkerJobSuspended", words=words, timing=timing)
        return None
    if work.missing_since is None or work.apply_error:
        return None
    believed = work.missing_since + timing.removed_grace
    if s.now < believed:
        return Wait("WorkerJobMissing", f"{copy.cluster} has its Job no more", until=believed)
    words = "its Job was deleted there by hand"
    return failed(s, check, reason="WorkerJobRemoved", words=words, timing=timing)
