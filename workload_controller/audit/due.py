"""Steps that WorkloadController owes: due at two looks, with nothing changed between."""

from collections.abc import Iterator, Sequence

from workload_controller.audit.facts import Subject
from workload_controller.audit.finding import ByController, Decide, Finding, Look, Ref, Remedy
from workload_controller.audit.refs import copy_ref, job_ref, workload_ref
from workload_controller.clock_text import duration, utc_clock
from workload_controller.steps import (
    Action,
    ConfirmGone,
    CreateCopy,
    CreatePolicy,
    Deactivate,
    GiveBack,
    Hold,
    KeepWaiting,
    LetGo,
    MarkActive,
    Mirror,
    Nothing,
    Place,
    ReportPodsEnded,
    ResetCheck,
    SetRequeueAt,
    Wait,
)

NOT_STARTED_AFTER = 60.0
"""Seconds from admission; with a name that is taken or a namespace that is missing it may be told to wait for
longer, and that is worth a look too."""

UNTOLD = Decide("no step of ours is due: WorkloadController waits for this to change")


def due_step(subject: Subject) -> str:
    """Name of the step that the controller would take now, "" when it is not its turn."""
    match subject.action:
        case Nothing() | Wait() | KeepWaiting() | Place():
            return ""
        case action:
            return type(action).__name__


def remedy_for(subject: Subject, otherwise: Remedy = UNTOLD) -> Remedy:
    """The controller's own step where one is due."""
    step = due_step(subject)
    return ByController(step, look_at(subject)) if step else otherwise


def look_at(subject: Subject) -> Look:
    """The request that brings the controller to this Workload."""
    return Look("workload", subject.namespace, subject.name)


def overdue(subject: Subject, told: Sequence[Finding]) -> Iterator[Finding]:
    """The step that is due, unless something that was ``told`` already is what it mends."""
    s, action = subject.situation, subject.action
    finding = _quota_not_returned(subject, action) or _not_started(subject, action)
    if finding is None:
        match action:
            case Mirror(job=job):
                ended = s.remote is not None and s.remote.terminal
                where = s.copy.cluster if s.copy is not None else "its worker"
                news = "that the job has ended" if ended else "something new"
                text = f"{where} says {news}; the status of the hub job does not"
                finding = _finding(subject, "StatusNotMirrored", job_ref(job), text)
            case LetGo(held=held):
                ref = next((ref for ref in _objects(subject) if ref.uid == held.uid), None)
                text = f"nothing of {subject.key} is left on any cluster"
                finding = _finding(subject, "FinalizerLeftOver", ref, text)
            case ConfirmGone() | Hold() | MarkActive() | CreateCopy() | CreatePolicy():
                finding = None  # a look of its own, or in its first minute
            case _ if due_step(subject) and not told:
                text = f"its next step is {due_step(subject)}, and no object of {subject.key} changes"
                finding = _finding(subject, "StepOverdue", None, text)
    if finding is not None:
        yield finding


def _not_started(subject: Subject, action: Action) -> Finding | None:
    w, now = subject.situation.workload, subject.situation.now
    if w is None or not isinstance(action, Hold | MarkActive | CreateCopy | CreatePolicy):
        return None
    if now - w.admitted_at < NOT_STARTED_AFTER:
        return None
    check = subject.situation.check
    where = check.decision.cluster if check is not None and check.decision is not None else "no cluster"
    text = (
        f"admitted {duration(now - w.admitted_at)} ago and placed on {where}, next step "
        f"{type(action).__name__}; the events of the job say what is in the way"
    )
    return _finding(subject, "NotStarted", workload_ref(w), text, since=w.admitted_at)


def _quota_not_returned(subject: Subject, action: Action) -> Finding | None:
    s, w = subject.situation, subject.situation.workload
    if w is None or not w.quota_reserved or w.finished:  # Kueue counts a finished one no more
        return None
    held = f"quota in ClusterQueue {w.cluster_queue} since {utc_clock(w.quota_reserved_at)}"
    match action:
        case GiveBack(text=text):
            why = f"it is to go back: {text}"
        case Place(until=until) if s.now >= until:
            why = f"no cluster was found until {utc_clock(until)}"
        case SetRequeueAt() | ResetCheck() | Deactivate() | ReportPodsEnded():
            why = f"its pods have ended, and Kueue was not told: next step {type(action).__name__}"
        case Wait(reason="NotEvicted"):
            why = "our check is Retry, and Kueue has not evicted it"
        case Nothing() if w.evicted and not (subject.copies or s.works or s.policies) and _over(subject):
            why = "it is evicted, the hub job says that no pod is left, and Kueue has not released it"
        case _:
            return None
    ours = isinstance(action, Wait | Nothing)
    kueue = Decide(
        "the quota is Kueue's to give back: does its controller-manager run? Its log names the Workload"
    )
    remedy: Remedy = kueue if ours else ByController(type(action).__name__, look_at(subject))
    return Finding(
        "QuotaNotReturned", (workload_ref(w),), f"{held}; {why}", remedy, version=_version(subject)
    )


def _over(subject: Subject) -> bool:
    job = subject.situation.job
    return subject.situation.check is not None and (job is None or not job.active)


def _finding(subject: Subject, code: str, ref: Ref | None, text: str, since: float | None = None) -> Finding:
    objects = _objects(subject)
    first = ref if ref is not None else objects[0]
    rest = tuple(other for other in objects if other != first)
    return Finding(code, (first, *rest), text, remedy_for(subject), version=_version(subject), since=since)


def _objects(subject: Subject) -> tuple[Ref, ...]:
    s = subject.situation
    refs = [workload_ref(s.workload)] if s.workload is not None else []
    refs += [job_ref(s.job)] if s.job is not None else []
    return (*refs, *map(copy_ref, subject.copies))


def _version(subject: Subject) -> str:
    """What has to stay as it is for a step to be overdue."""
    s = subject.situation
    versions = [s.workload.resource_version] if s.workload is not None else []
    return "/".join([*versions, *([s.job.resource_version] if s.job is not None else [])])
