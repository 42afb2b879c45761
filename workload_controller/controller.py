"""The loop: gather facts, decide, act. One step per reconcile; its own echo brings the next.

A conflict is no error: the object has changed since it was read, so the decision is void and its event
brings a new one.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import structlog
from prometheus_client import Counter, Histogram

from kube_runtime.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from kube_runtime.events import EventRecorder
from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from vocabulary.resources import JOBS
from workload_controller import reading
from workload_controller.actions import NotLeading, RefusedByWDS, Writer
from workload_controller.boarding import Boarding
from workload_controller.choice import choose
from workload_controller.concerns import Request
from workload_controller.facts import (
    NO_HISTORY,
    CheckState,
    CopyFacts,
    Decision,
    Held,
    JobFacts,
    PolicyFacts,
    WorkloadFacts,
)
from workload_controller.kinds import batch_job
from workload_controller.lifecycle import decision_of, may_finish, next_action, not_taken, without_room
from workload_controller.placement import with_flavors
from workload_controller.refusals import Refusal, last_word
from workload_controller.retry import REFUSED_BY_WDS, failed
from workload_controller.situation import Situation, Timing
from workload_controller.steps import (
    Action,
    ConfirmGone,
    CreateCopy,
    CreatePolicy,
    Deactivate,
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
    ResetCheck,
    SetRequeueAt,
    Unselect,
    Wait,
    Withdraw,
)
from workload_controller.stores import Stores
from workload_controller.telemetry import state_changed
from workload_controller.upkeep import Upkeep
from workload_controller.view import View

log = structlog.get_logger(__name__)

LOOK_AGAIN = 0.05  # seconds; the watch brings what a conflict told us of

STILL_THERE = 1.0  # seconds until we ask WDS and ITS again what our stores have not told

PLACEMENTS = Counter("kueue_ks_placements_total", "Attempts that were placed.", ["cluster"])
WITHDRAWALS = Counter("kueue_ks_withdrawals_total", "Copies that were withdrawn.", ["cluster"])
REQUEUINGS = Counter("kueue_ks_requeuings_total", "Workloads that gave their quota back.", ["reason"])
REJECTIONS = Counter("kueue_ks_rejections_total", "Workloads that can never run as written.", ["reason"])
FOREIGN_BINDINGS = Counter(
    "kueue_ks_foreign_bindings_total", "Copies that were seen in a Binding that is not ours.", ["binding"]
)
PLACEMENT_SECONDS = Histogram(
    "kueue_ks_placement_seconds",
    "From the first look at a reserved Workload to the written decision.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 300),
)


class Controller:
    """Reconciles Workloads, and hands the rest to ``Upkeep``."""

    def __init__(
        self,
        stores: Stores,
        view: View,
        writer: Writer,
        events: EventRecorder,
        *,
        timing: Timing,
        clock: Callable[[], float] = time.time,
        wave_size: int = 1,
    ) -> None:
        self._stores = stores
        self._view = view
        self._writer = writer
        self._events = events
        self._timing = timing
        self._clock = clock
        self._boarding = Boarding(view, wave_size)
        self._upkeep = Upkeep(stores, view, writer, timing=timing, clock=clock)
        # Room promised by decisions whose write has not been answered yet; the next look at the Workload
        # ends it.
        self._assumed: dict[Request, Held] = {}

    async def reconcile(self, request: Request) -> float | None:
        """Bring one object a step further; returns after how many seconds to look again, if at all."""
        try:
            match request.kind:
                case "workload":
                    return await self._reconcile_workload(request)
                case "namespace":
                    await self._upkeep.namespace(request.name)
                    return None
                case "beat":
                    return await self._upkeep.beat(request.name)
                case "job":
                    await self._upkeep.job(request.namespace, request.name)
                    return None
                case _:
                    return await self._upkeep.check(request.name)
        except (Conflict, NotFound) as stale:
            log.debug("the object has changed, deciding again", key=request, why=str(stale))
            return LOOK_AGAIN
        except NotLeading:
            return None

    async def _reconcile_workload(self, request: Request) -> float | None:
        situation = self._view.situation(request.namespace, request.name, self._clock())
        self._assumed.pop(request, None)
        self._alarm(situation)
        return await self._act(situation, next_action(situation, self._timing))

    async def _act(self, s: Situation, action: Action) -> float | None:
        match action:
            case Nothing():
                return None
            case Wait():
                return self._wait(s, action)
            case Place():
                return await self._place(s, action)
            case GiveBack() | SetRequeueAt() | ResetCheck() | Deactivate():
                await self._requeue(s, action)
            case Reject():
                if not await self._still_refused(s):
                    return LOOK_AGAIN
                await self._reject(s, action)
            case CreateCopy():
                return await self._create_copy(s, action)
            case CreatePolicy():
                return await self._create_policy(s, action)
            case ConfirmGone(copy=copy):
                if not await self._writer.is_gone(copy):
                    return STILL_THERE
                self._view.note_gone(copy, self._clock())
                return LOOK_AGAIN
            case Withdraw() | DeletePolicy() | Unselect() | LeaveWave() | Release():
                return await self._take_away(s, action)
            case _:
                await self._write(s, action)
        return None

    async def _write(self, s: Situation, action: Action) -> None:
        """The steps that are one write each."""
        match action:
            case Hold(held=held):
                _observe(self._store_of(held), await self._writer.set_finalizer(held, present=True))
            case LetGo(held=held):
                _observe(self._store_of(held), await self._writer.set_finalizer(held, present=False))
            case DeleteWorkload(workload=workload):
                _observe(self._stores.workloads, await self._writer.delete_workload(workload))
            case MarkActive(job=job):
                await self._set_job_status(job, batch_job.active_status(job))
            case Mirror(job=job, status=status):
                await self._mirror(s, job, status)
            case ReportPodsEnded(job=job):
                await self._set_job_status(job, batch_job.ended_status(job))
                text = f"All pods of {job.name} have ended: Kueue may give the quota away"
                self._say(s, "PodsEnded", text)

    async def _take_away(
        self, s: Situation, action: Withdraw | DeletePolicy | Unselect | LeaveWave | Release
    ) -> float | None:
        """Deletions. Their refusals are not told to us, so what did not go is looked at again."""
        match action:
            case DeletePolicy(policy=policy):
                return await self._delete_policy(policy)
            case Unselect(copy=copy):
                answer = await self._writer.unselect(copy)
                _observe(self._stores.copies, answer)
                return LOOK_AGAIN if answer is None else None
            case LeaveWave(copy=copy):
                found = await self._writer.newest_policy(copy.wave)
                if found is None:
                    return await self._take_away(s, Withdraw(copy, f"its BindingPolicy {copy.wave} is gone"))
                self._stores.policies.observe(found)
                return LOOK_AGAIN
            case Withdraw(copy=copy, why=why):
                answer = await self._writer.withdraw(copy)
                if answer is None:
                    return LOOK_AGAIN
                _observe(self._stores.copies, answer)
                WITHDRAWALS.labels(copy.cluster).inc()
                self._say(s, "Withdrawn", f"Withdrawn from {copy.cluster} (attempt {copy.attempt}): {why}")
                return None
            case Release(copy=copy, lost=lost):
                if lost and await self._writer.is_gone(copy):
                    return STILL_THERE  # it is back and has confirmed: the end of its pods is waited for
                await self._writer.release(copy)
                ended = "is lost and may still run it" if lost else "has nothing of it left"
                self._log(s, "Released", f"attempt {copy.attempt} is over: {copy.cluster} {ended}")
                return self._timing.recheck

    async def _delete_policy(self, policy: PolicyFacts) -> float | None:
        """One that was opened for several may carry others, of which our stores do not know yet."""
        if self._boarding.is_boarding(policy):
            return LOOK_AGAIN
        with self._boarding.closing(policy):
            leaving = self._view.leaving_in(policy.name)
            if policy.size > 1 and await self._writer.carries_others(policy, leaving):
                return STILL_THERE
            answer = await self._writer.delete_policy(policy)
            _observe(self._stores.policies, answer)
        return LOOK_AGAIN if answer is None else None

    def _wait(self, s: Situation, wait: Wait) -> float | None:
        log.debug("waiting", reason=wait.reason, message=wait.message)
        if wait.told:
            self._event(s.job, wait.reason, wait.message, warning=wait.told == "Warning")
        return None if wait.until is None else max(LOOK_AGAIN, wait.until - s.now)

    async def _place(self, s: Situation, action: Place) -> float | None:
        workload, check = s.workload, action.check
        if workload is None:
            return None
        choice = choose(s, action, self._view, self._timing, self._assumed.values())
        placement = choice.placement
        if placement is None or placement.choice is None:
            return await self._without_room(s, action, choice.obstacle or str(placement), choice.never)
        # No await between the ledger's reading and this line: two decisions never count on the same room
        # (I4).
        pod_sets = tuple(with_flavors(p, self._view.known_flavors()) for p in workload.pod_sets)
        request = Request("workload", workload.namespace, workload.name)
        self._assumed[request] = Held(workload.uid, placement.choice, pod_sets)
        decision = Decision(placement.choice, workload.attempt)
        message = f"Placed on {decision.cluster} (attempt {decision.attempt}): {placement}"
        answer = await self._writer.set_check(workload, check, CheckState.READY, message, decision=decision)
        self._stores.workloads.observe(answer)
        self._assumed.pop(request, None)
        PLACEMENTS.labels(decision.cluster).inc()
        PLACEMENT_SECONDS.observe(max(0.0, self._clock() - s.now))
        self._say(s, "Placed", message)
        return None

    async def _without_room(
        self, s: Situation, action: Place, why: str, never: Refusal | None = None
    ) -> float | None:
        match without_room(action, why, s.now, self._timing, never):
            case KeepWaiting(check=check, text=text, tell=tell, look_after=look_after) as waiting:
                if tell and s.workload is not None:
                    answer = await self._writer.set_check(s.workload, check, CheckState.PENDING, text)
                    self._stores.workloads.observe(answer)
                    self._say(s, waiting.reason, text, warning=True)
                return look_after
            case GiveBack() as back:
                await self._requeue(s, back)
            case Reject() as reject:
                await self._reject(s, reject)
        return None

    async def _requeue(self, s: Situation, step: GiveBack | SetRequeueAt | ResetCheck | Deactivate) -> None:
        if s.workload is None:
            return
        match step:
            case GiveBack(reason=reason, check=check, text=text, history=history):
                answer = await self._writer.set_check(
                    s.workload, check, CheckState.RETRY, text, history=history
                )
                REQUEUINGS.labels(reason).inc()
                self._say(s, reason, text, warning=True)
            case SetRequeueAt(check=check, text=text, delay=delay):
                answer = await self._writer.set_check(
                    s.workload, check, CheckState.RETRY, text, requeue_after=delay
                )
            case ResetCheck(check=check, text=text, history=history):
                answer = await self._writer.set_check(
                    s.workload, check, CheckState.PENDING, text, history=history
                )
            case Deactivate(workload=workload, refusal=refusal):
                answer = await self._writer.deactivate(workload)
                REJECTIONS.labels(refusal.reason).inc()
                self._say(s, refusal.reason, str(refusal), warning=True)
        self._stores.workloads.observe(answer)

    async def _reject(self, s: Situation, reject: Reject) -> None:
        """Two writes: who finds only the first one decides the same again, and goes on from there."""
        if s.workload is None:
            return
        workload, check, text = s.workload, reject.check, last_word(reject.refusal)
        if check.message != text or check.history.total:
            answer = await self._writer.set_check(
                workload, check, CheckState.PENDING, text, history=NO_HISTORY
            )
            self._stores.workloads.observe(answer)
            workload = reading.read_workload(answer)
        self._stores.workloads.observe(await self._writer.deactivate(workload))
        REJECTIONS.labels(reject.refusal.reason).inc()
        self._say(s, reject.refusal.reason, str(reject.refusal), warning=True)

    async def _create_copy(self, s: Situation, action: CreateCopy) -> float | None:
        workload, job = action.workload, action.job
        if not await self._still_so(s, action):
            return LOOK_AGAIN
        berth = self._boarding.berth(workload, job, action.decision, s.now)
        if berth is None:
            return LOOK_AGAIN
        body = batch_job.copy(
            workload,
            job,
            action.decision,
            berth=berth,
            namespace_uid=s.namespace_uid,
            on_loss=s.policy.on_loss,
            lease_seconds=int(self._timing.lease) if s.policy.leased else None,
            leased_from=s.now,
        )
        try:
            with self._boarding.joining(berth):
                created = await self._writer.create_copy(body)
                self._stores.copies.observe(created)
        except AlreadyExists:  # ours comes with an event, somebody else's has to be looked at again
            text = f"The WDS has a Job {job.namespace}/{job.name} that is not ours: delete or rename it there"
            return await self._not_taken(s, action, "NameTakenInWDS", text)
        except Forbidden as forbidden:  # our rights, a quota, a namespace that ends: none is the job's fault
            text = f"The WDS forbids the copy: {forbidden.message}"
            return await self._not_taken(s, action, "WDSForbids", text)
        except RefusedByWDS as refused:
            if s.check is None:
                return None
            words = str(refused)
            step = failed(s, s.check, reason=REFUSED_BY_WDS, words=words, timing=self._timing)
            return await self._act(s, step)
        self._log(s, "CopyCreated", f"for {action.decision.cluster}, attempt {action.decision.attempt}")
        return None

    async def _still_refused(self, s: Situation) -> bool:
        """Whether the hub, asked now, has the job as it is refused.

        Kueue takes back what it put into the pod template when it stops a job; a job that we know from before
        that would be rejected for keys of our own.
        """
        if s.workload is None or s.job is None:
            return True
        _, raw_job = await self._writer.newest(s.workload, s.job)
        again = self._view.situation(s.workload.namespace, s.workload.name, s.now)
        fresh = replace(again, job=reading.read_job(raw_job))
        return isinstance(next_action(fresh, self._timing), Reject)

    async def _create_policy(self, s: Situation, action: CreatePolicy) -> float | None:
        try:
            created = await self._writer.create_policy(action.copy)
        except AlreadyExists:
            name = action.copy.wave
            text = f"The WDS has a BindingPolicy {name} that is not ours: delete it there"
            return await self._not_taken(s, action, "PolicyNameTaken", text)
        except Forbidden as forbidden:
            text = f"The WDS forbids the BindingPolicy: {forbidden.message}"
            return await self._not_taken(s, action, "WDSForbids", text)
        self._stores.policies.observe(created)
        self._boarding.opened(action.copy.cluster)
        return None

    async def _still_so(self, s: Situation, action: CreateCopy) -> bool:
        """Whether the hub itself, asked now, says what our stores say: the attempt may run and has no end."""
        raw_workload, raw_job = await self._writer.newest(action.workload, action.job)
        workload, job = reading.read_workload(raw_workload), reading.read_job(raw_job)
        same = (workload.uid, job.uid) == (action.workload.uid, action.job.uid)
        names = {check.name for check in self._stores.our_checks()}
        check = next((c for c in workload.checks if c.name in names), None)
        fresh = Situation(now=s.now, workload=workload, check=check, job=job)
        return same and workload.attempt == action.decision.attempt and decision_of(fresh) == action.decision

    async def _not_taken(
        self, s: Situation, action: CreateCopy | CreatePolicy, reason: str, why: str
    ) -> float | None:
        return await self._act(s, not_taken(s, action, reason, why, self._timing))

    async def _mirror(self, s: Situation, job: JobFacts, status: batch_job.Status) -> None:
        if s.workload is not None and reading.is_terminal(status):
            newest, _ = await self._writer.newest(s.workload, job)
            self._stores.workloads.observe(newest)
            if not may_finish(reading.read_workload(newest)):
                return  # what was observed brings us back
        try:
            await self._set_job_status(job, status)
        except Invalid as refused:  # told, since nothing else shows it; the queue tries again
            text = f"The hub refuses the status that its worker reports: {refused.message}"
            self._event(job, "StatusRefused", text, warning=True)
            raise

    def _store_of(self, held: WorkloadFacts | JobFacts) -> Informer[Any]:
        return self._stores.workloads if isinstance(held, WorkloadFacts) else self._stores.jobs

    async def _set_job_status(self, job: JobFacts, status: batch_job.Status) -> None:
        self._stores.jobs.observe(await self._writer.set_job_status(job, status))

    def _alarm(self, s: Situation) -> None:
        """A policy of somebody else selects our copy. The guard of the ITS keeps it from being carried."""
        for binding in s.foreign_bindings:
            FOREIGN_BINDINGS.labels(binding).inc()
            text = (
                f"BindingPolicy {binding} of the WDS selects its copy too and would run it a second time: "
                "change its selectors, or delete it"
            )
            self._event(s.job, "ForeignBindingPolicy", text, warning=True)

    def _say(self, s: Situation, reason: str, message: str, *, warning: bool = False) -> None:
        """One change of state: a line in the log, and an event on the job."""
        self._log(s, reason, message)
        self._event(s.job, reason, message, warning=warning)

    def _log(self, s: Situation, state: str, message: str) -> None:
        decision = s.check.decision if s.check is not None else None
        place: CopyFacts | Decision | None = s.copy if s.copy is not None else decision
        state_changed(
            log,
            workload=s.key,
            state=state,
            message=message,
            cluster=place.cluster if place is not None else "",
            attempt=place.attempt if place is not None else 0,
        )

    def _event(self, job: JobFacts | None, reason: str, message: str, *, warning: bool = False) -> None:
        """Tell the user, on the job, where ``kubectl describe`` shows it."""
        if job is None:
            return
        reference = {
            "apiVersion": JOBS.api_version,
            "kind": JOBS.kind,
            "namespace": job.namespace,
            "name": job.name,
            "uid": job.uid,
        }
        self._events.record(reference, "Warning" if warning else "Normal", reason, message)


def _observe(informer: Informer[Any], answer: Obj | None) -> None:
    """Our own write is in the store before the next decision (I7), when it left an object to look at."""
    if answer is not None:
        informer.observe(answer)
