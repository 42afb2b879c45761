"""The loop: gather facts, decide, act. One action per reconcile; its own echo brings the next.

A conflict is no error: the object has changed since it was read, so the decision is void and its event
brings a new one.
"""

import time
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import Counter, Histogram

from kube_runtime.errors import AlreadyExists, Conflict, Forbidden, NotFound
from kube_runtime.events import EventRecorder
from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from vocabulary.resources import JOBS
from workload_controller import namespaces
from workload_controller.actions import NotLeading, RefusedByWDS, Writer
from workload_controller.admission_check import wanted_condition
from workload_controller.concerns import Request
from workload_controller.facts import Check, CheckState, Decision, Held, JobFacts, WorkloadFacts
from workload_controller.kinds import batch_job
from workload_controller.lifecycle import (
    Action,
    CreateCopy,
    CreatePolicy,
    DeletePolicy,
    GiveBack,
    KeepWaiting,
    MarkActive,
    Mirror,
    Nothing,
    Place,
    Reject,
    Release,
    ReportPodsEnded,
    Situation,
    Timing,
    Wait,
    Withdraw,
    next_action,
    utc_clock,
    without_room,
)
from workload_controller.placement import place, with_flavors
from workload_controller.refusals import Refusal, refused_by_wds
from workload_controller.stores import Stores
from workload_controller.view import View

log = structlog.get_logger(__name__)

TOLD_WAITS = {  # reasons that a user should read on the job, and whether as a warning
    "ApplyFailed": True,
    "NamespaceNotCarried": True,
    "NameStillLeaving": False,
    "PodsEnding": False,
}
CREATE_RECHECK = 5.0  # seconds: other people's Jobs and rights in the WDS are not watched

PLACEMENTS = Counter("kueue_ks_placements_total", "Attempts that were placed.", ["cluster"])
WITHDRAWALS = Counter("kueue_ks_withdrawals_total", "Copies that were withdrawn.", ["cluster"])
REJECTIONS = Counter("kueue_ks_rejections_total", "Workloads that can never run as written.", ["reason"])
PLACEMENT_SECONDS = Histogram(
    "kueue_ks_placement_seconds",
    "From the first look at a reserved Workload to the written decision.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 300),
)


class Controller:
    """Reconciles Workloads, carried namespaces and our AdmissionChecks."""

    def __init__(
        self,
        stores: Stores,
        view: View,
        writer: Writer,
        events: EventRecorder,
        *,
        timing: Timing,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._view = view
        self._writer = writer
        self._events = events
        self._timing = timing
        self._clock = clock
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
                    await self._reconcile_namespace(request.name)
                    return None
                case _:
                    return await self._reconcile_check(request.name)
        except (Conflict, NotFound) as stale:
            log.debug("the object has changed, deciding again", key=request, why=str(stale))
            return 0.05
        except NotLeading:
            return None

    async def _reconcile_workload(self, request: Request) -> float | None:
        situation = self._view.situation(request.namespace, request.name, self._clock())
        self._assumed.pop(request, None)
        action = next_action(situation, self._timing)
        if not isinstance(action, Nothing | Wait | Place):
            log.info(type(action).__name__, workload=f"{request.namespace}/{request.name}")
        return await self._act(situation, action)

    async def _act(self, s: Situation, action: Action) -> float | None:
        match action:
            case Nothing():
                return None
            case Wait():
                return self._wait(s, action)
            case Place():
                return await self._place(s, action)
            case Reject(check=check, refusal=refusal):
                await self._reject(s, check, refusal)
            case MarkActive(job=job):
                await self._set_job_status(job, batch_job.active_status(job))
            case Mirror(job=job, status=status):
                await self._set_job_status(job, status)
            case ReportPodsEnded(job=job):
                await self._set_job_status(job, batch_job.ended_status(job))
                self._event(job, "PodsEnded", "All its pods have ended: Kueue may give the quota away")
            case CreateCopy():
                return await self._create_copy(s, action)
            case CreatePolicy(copy=copy):
                self._stores.policies.observe(await self._writer.create_policy(copy))
            case DeletePolicy(policy=policy):
                _observe(self._stores.policies, await self._writer.delete_policy(policy))
            case Withdraw(copy=copy, why=why):
                _observe(self._stores.copies, await self._writer.withdraw(copy))
                WITHDRAWALS.labels(copy.cluster).inc()
                self._event(
                    s.job, "Withdrawn", f"Withdrawn from {copy.cluster} (attempt {copy.attempt}): {why}"
                )
            case Release(copy=copy):
                await self._writer.release(copy)
        return None

    def _wait(self, s: Situation, wait: Wait) -> float | None:
        log.debug("waiting", reason=wait.reason, message=wait.message)
        if wait.reason in TOLD_WAITS:
            at_the_latest = "" if wait.until is None else f", until {utc_clock(wait.until)} at the latest"
            self._event(s.job, wait.reason, wait.message + at_the_latest, warning=TOLD_WAITS[wait.reason])
        return None if wait.until is None else max(0.05, wait.until - s.now)

    async def _place(self, s: Situation, action: Place) -> float | None:
        workload, check = s.workload, action.check
        if workload is None:
            return None
        if action.obstacle:
            return await self._without_room(s, workload, action, action.obstacle)
        flavors = self._view.known_flavors()
        held = [*self._view.held(), *self._assumed.values()]
        placement = place(workload.uid, workload.pod_sets, self._view.cluster_facts(s.now), held, flavors)
        if placement.choice is None:
            return await self._without_room(s, workload, action, str(placement))
        # No await between the ledger's reading and this line: two decisions never count on the same room
        # (I4).
        pod_sets = tuple(with_flavors(pod_set, flavors) for pod_set in workload.pod_sets)
        request = Request("workload", workload.namespace, workload.name)
        self._assumed[request] = Held(workload.uid, placement.choice, pod_sets)
        decision = Decision(placement.choice, workload.attempt)
        message = f"Placed on {decision.cluster} (attempt {decision.attempt}): {placement}"
        answer = await self._writer.set_check(workload, check, CheckState.READY, message, decision=decision)
        self._stores.workloads.observe(answer)
        self._assumed.pop(request, None)
        PLACEMENTS.labels(decision.cluster).inc()
        PLACEMENT_SECONDS.observe(max(0.0, self._clock() - s.now))
        self._event(s.job, "Placed", message)
        return None

    async def _without_room(
        self, s: Situation, workload: WorkloadFacts, action: Place, why: str
    ) -> float | None:
        match without_room(action, why, s.now, self._timing):
            case KeepWaiting(check=check, text=text, tell=tell, look_after=look_after) as waiting:
                if tell:
                    answer = await self._writer.set_check(workload, check, CheckState.PENDING, text)
                    self._stores.workloads.observe(answer)
                    self._event(s.job, waiting.reason, text, warning=True)
                return look_after
            case GiveBack(check=check, text=text, delay=delay) as back:
                answer = await self._writer.set_check(
                    workload, check, CheckState.RETRY, text, requeue_after=delay
                )
                self._stores.workloads.observe(answer)
                self._event(s.job, back.reason, text, warning=True)
        return None

    async def _reject(self, s: Situation, check: Check, refusal: Refusal) -> None:
        if s.workload is None:
            return
        answer = await self._writer.set_check(s.workload, check, CheckState.REJECTED, str(refusal))
        self._stores.workloads.observe(answer)
        REJECTIONS.labels(refusal.reason).inc()
        self._event(s.job, refusal.reason, str(refusal), warning=True)

    async def _create_copy(self, s: Situation, action: CreateCopy) -> float | None:
        job = action.job
        try:
            created = await self._writer.create_copy(action.workload, job, action.decision)
        except AlreadyExists:  # ours comes with an event, somebody else's has to be looked at again
            text = f"The WDS has a Job {job.namespace}/{job.name} that is not ours: delete or rename it there"
            self._event(job, "NameTakenInWDS", text, warning=True)
            return CREATE_RECHECK
        except Forbidden as forbidden:  # our rights, a quota, a namespace that ends: none is the job's fault
            self._event(job, "WDSForbids", f"The WDS forbids the copy: {forbidden.message}", warning=True)
            return CREATE_RECHECK
        except RefusedByWDS as refused:
            if s.check is not None:
                await self._reject(s, s.check, refused_by_wds(action.workload, str(refused)))
            return None
        self._stores.copies.observe(created)
        return None

    async def _set_job_status(self, job: JobFacts, status: batch_job.Status) -> None:
        self._stores.jobs.observe(await self._writer.set_job_status(job, status))

    async def _reconcile_namespace(self, name: str) -> None:
        step = namespaces.next_step(
            self._stores.hub_namespaces.get(("", name)),
            self._stores.twins.get(("", name)),
            has_queue=self._view.has_queue(name),
            copies=self._view.copies_in(name),
        )
        match step:
            case namespaces.Carry(namespace=namespace):
                self._stores.twins.observe(await self._writer.carry_namespace(namespace))
            case namespaces.Drop(name=name, uid=uid):
                await self._writer.delete_namespace(name, uid)

    async def _reconcile_check(self, name: str) -> float | None:
        check = self._stores.checks.get(("", name))
        if check is None:
            return None
        now = self._clock()
        condition = wanted_condition(check, self._view.cluster_facts(now), now)
        if condition is not None:
            self._stores.checks.observe(await self._writer.set_active_condition(check, condition))
            log.info("AdmissionCheck", check=name, active=condition.active, message=condition.message)
        return self._timing.recheck

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
