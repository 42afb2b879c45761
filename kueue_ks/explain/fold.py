"""How an explanation follows from objects. Pure.

Nothing is decided again here. Kueue's reasons and our check's verdicts are quoted as they are stored; what is
waited for between admission and the end is what the controller's own ``next_action`` says about the same
facts.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli
from kueue_ks.explain.explanation import Asks, CheckReport, Condition, Explanation, Phase, WaitsFor
from kueue_ks.explain.facts import Found, condition, created
from kueue_ks.explain.steps import steps_of
from vocabulary import keys
from workload_controller import reading
from workload_controller.facts import Check, CheckState, CopyFacts, JobFacts, PodSet, WorkFacts, WorkloadFacts
from workload_controller.lifecycle import next_action
from workload_controller.refusals import REJECTED
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Nothing, Place, Wait
from workload_controller.wishes import JobPolicy, job_policy

DEFAULTS: Final = Timing()


def explain(found: Found, *, situation: Situation | None = None, timing: Timing = DEFAULTS) -> Explanation:
    """Put the facts together. Raises ValueError or KeyError for objects that cannot be read.

    ``situation`` is the controller's own, where all that it knows was read; ``timing`` are its options.
    """
    job, workload = reading.read_job(found.job), _workload(found)
    check = _our_check(found, workload)
    known, pieced = situation is not None, _situation(found, job, workload, check)
    situation = replace(situation, works_gone_at=pieced.works_gone_at) if situation else pieced
    metadata = found.job["metadata"]
    conditions = _conditions(found.workload)
    phase = phase_of(found, workload, check)
    return Explanation(
        namespace=job.namespace,
        name=job.name,
        queue=(metadata.get("labels") or {}).get(keys.QUEUE_NAME, ""),
        cluster_queue=workload.cluster_queue if workload else "",
        phase=phase,
        since=_since(found, phase, conditions, check),
        waits_for=_waits_for(found, phase, situation, check, timing=timing, known=known),
        asks=tuple(_asks(pod_set) for pod_set in workload.pod_sets) if workload else (),
        check=_check_report(check),
        steps=tuple(steps_of(found, workload)),
        conditions=conditions,
        workload=workload.name if workload else "",
        unread=dict(found.unread),
    )


def _workload(found: Found) -> WorkloadFacts | None:
    return reading.read_workload(found.workload) if found.workload else None


def _our_check(found: Found, workload: WorkloadFacts | None) -> Check | None:
    ours = {
        c["metadata"]["name"] for c in found.checks if c["spec"].get("controllerName") == keys.CONTROLLER_NAME
    }
    return next((check for check in workload.checks if check.name in ours), None) if workload else None


def _situation(found: Found, job: JobFacts, workload: WorkloadFacts | None, check: Check | None) -> Situation:
    copy = reading.read_copy(found.copy) if found.copy else None
    works = tuple(work for work in map(reading.read_work, found.works) if work is not None)
    own = {w.uid for w in works if copy and (w.cluster, w.attempt) == (copy.cluster, copy.attempt)}
    remotes = (reading.read_remote_status(status) for status in found.statuses)
    return Situation(
        now=found.now,
        workload=workload,
        check=check,
        job=job,
        policy=job_policy(JobPolicy(), cluster_queue={}, local_queue={}, job=job.wishes)[0],
        copy=copy,
        policies=tuple(map(reading.read_policy, found.policies)),
        bound=found.bound,
        works=works,
        remote=next((r for r in remotes if r is not None and r.work_uid in own), None),
        works_gone_at=_gone_at(copy, works, bound=found.bound),
    )


def _gone_at(copy: CopyFacts | None, works: Sequence[WorkFacts], *, bound: bool) -> float | None:
    """Only the controller has seen when the last ManifestWork went; not before the copy began to leave."""
    return copy.leaving_since if copy is not None and not works and not bound else None


RESET_BY_KUEUE = "Reset to Pending after eviction"  # kueue pkg/workload/evict resetChecksOnEviction


def phase_of(found: Found, workload: WorkloadFacts | None, check: Check | None) -> Phase:
    """Where the job is; ``found.job`` may be {} when only its Workload is left."""
    outcome = _outcome(found.job)
    if outcome:
        return outcome
    if workload is None:
        return Phase.NOT_QUEUED
    if check is not None and check.state is CheckState.REJECTED:
        return Phase.REFUSED
    if not workload.active:
        return _refused_or_stopped(found, check)
    if workload.quota_reserved and (workload.evicted or _deleted_at(found)):
        return Phase.LEAVING
    if not workload.quota_reserved:
        return Phase.WAITING_FOR_QUOTA
    if not workload.admitted:
        return Phase.WAITING_FOR_CLUSTER
    running = (found.job.get("status") or {}).get("ready") or 0
    return Phase.RUNNING if running else Phase.STARTING


def _deleted_at(found: Found) -> str:
    """When somebody deleted the Job, or only its Workload; our finalizers keep both until the pods ended."""
    for obj in (found.job, found.workload):
        at: str = ((obj or {}).get("metadata") or {}).get("deletionTimestamp", "")
        if at:
            return at
    return ""


def _outcome(job: Obj) -> Phase | None:
    if condition(job, "Complete").get("status") == "True":
        return Phase.SUCCEEDED
    return Phase.FAILED if condition(job, "Failed").get("status") == "True" else None


def _refused_or_stopped(found: Found, check: Check | None) -> Phase:
    """Who deactivated it: we, Kueue for another check that is Rejected, or a user."""
    reason = condition(found.workload, "Evicted").get("reason")
    ours = check is not None and _is_last_word(check)
    return Phase.REFUSED if reason == "DeactivatedDueToAdmissionCheck" or ours else Phase.STOPPED


def _is_last_word(check: Check) -> bool:
    """Whether its message says why it does not run."""
    return check.state is CheckState.REJECTED or check.message.startswith(REJECTED)


def _since(found: Found, phase: Phase, conditions: Sequence[Condition], check: Check | None) -> str:
    times = {c.type: c.since for c in conditions if c.status == "True"}
    beginning = created(found.job)
    match phase:
        case Phase.SUCCEEDED | Phase.FAILED:
            return times.get("Finished", beginning)
        case Phase.WAITING_FOR_CLUSTER:
            return times.get("QuotaReserved", beginning)
        case Phase.STARTING | Phase.RUNNING:
            return times.get("Admitted", beginning)
        case Phase.LEAVING | Phase.STOPPED:
            return times.get("Evicted") or _deleted_at(found) or beginning
        case Phase.REFUSED:
            ours = check is not None and _is_last_word(check)
            return _rfc3339(check.since) if check and ours else times.get("Evicted", beginning)
        case _:
            return times.get("Evicted", beginning)


def _waits_for(
    found: Found,
    phase: Phase,
    situation: Situation,
    check: Check | None,
    *,
    timing: Timing,
    known: bool,
) -> WaitsFor | None:
    match phase:
        case Phase.NOT_QUEUED:
            return _not_queued(found)
        case Phase.WAITING_FOR_QUOTA:
            reserved = condition(found.workload, "QuotaReserved")
            text = reserved.get("message") or "Kueue has not looked at it yet"
            return WaitsFor(reserved.get("reason", "Pending"), text, "")
        case Phase.REFUSED | Phase.STOPPED:
            evicted = condition(found.workload, "Evicted")
            ours = check is not None and phase is Phase.REFUSED and _is_last_word(check)
            told = check.message if check and ours else evicted.get("message", "")
            return WaitsFor(evicted.get("reason", phase.value), told, "")
    if not known and phase is not Phase.WAITING_FOR_CLUSTER and set(found.unread) & {"wds", "its"}:
        return None  # a statement about what was not read would be a guess
    match next_action(situation, timing):
        case Nothing():
            return None
        case Wait(reason=reason, message=message, until=until):
            return WaitsFor(reason, message, _rfc3339(until) if until else "")
        case Place(check=asked, until=until):
            text = asked.message or "no cluster has been looked at yet"
            return WaitsFor(_placing(asked.message), text, _rfc3339(until))
        case action:
            text = (
                f"WorkloadController's next step is {type(action).__name__}; if that stays, it does not run"
            )
            return WaitsFor("StepDue", text, "")


NO_ROOM: Final = "No cluster can take it now"
NEVER_FITS: Final = "Never fits"
"""How the controller begins the text of a check that waits for a cluster."""


def _placing(message: str) -> str:
    """The reason of a check's text, which is stored without it."""
    if message.startswith(NEVER_FITS):
        return "NeverFits"
    return "NoClusterFits" if message.startswith(NO_ROOM) else "Placing"


def _not_queued(found: Found) -> WaitsFor:
    labels = found.job["metadata"].get("labels") or {}
    if keys.QUEUE_NAME not in labels:
        return WaitsFor("NoQueueName", f"the job has no label {keys.QUEUE_NAME}: Kueue leaves it alone", "")
    return WaitsFor("NoWorkload", "Kueue has made no Workload for it yet: is Kueue running?", "")


def _asks(pod_set: PodSet) -> Asks:
    requests = {r: format_milli(amount, r) for r, amount in sorted(pod_set.requests.items()) if r != "pods"}
    return Asks(pod_set.name, pod_set.count, requests, tuple(sorted(pod_set.flavors)))


def _check_report(check: Check | None) -> CheckReport | None:
    if check is None:
        return None
    decision = check.decision if check.state is CheckState.READY else None
    return CheckReport(
        name=check.name,
        state=check.state.value,
        message=check.message,
        since=_rfc3339(check.since) if check.since else "",
        retries=check.retries,
        cluster=decision.cluster if decision else "",
        attempt=decision.attempt if decision else 0,
    )


def _conditions(workload: Obj | None) -> tuple[Condition, ...]:
    raw = ((workload or {}).get("status") or {}).get("conditions") or ()
    return tuple(
        Condition(
            c["type"], c["status"], c.get("reason", ""), c.get("message", ""), c.get("lastTransitionTime", "")
        )
        for c in raw
    )


def _rfc3339(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
