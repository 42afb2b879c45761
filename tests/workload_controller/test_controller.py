"""One admitted Workload in the loop: what is asked once more before a start, what a refusal becomes."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple, cast

import pytest

from kube_runtime.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from kube_runtime.events import EventRecorder
from kube_runtime.objects import Obj
from tests.kueue_ks.builders import (
    CHECK,
    READY,
    WORKLOAD,
    WORKLOAD_UID,
    condition,
    raw_copy,
    raw_job,
    raw_work,
    raw_workload,
)
from tests.workload_controller.scripted_space import ScriptedSpace
from vocabulary import keys
from workload_controller.actions import Writer
from workload_controller.concerns import Request
from workload_controller.controller import LOOK_AGAIN, STILL_THERE, Controller
from workload_controller.facts import FailedAttempt, History
from workload_controller.history import format_history
from workload_controller.reading import seconds
from workload_controller.situation import Timing
from workload_controller.stores import Stores
from workload_controller.view import View
from workload_controller.wishes import JobPolicy

REQUEST = Request("workload", "team-a", WORKLOAD)
ADMITTED_AT = seconds("2026-01-01T12:00:02Z")  # of builders.condition
NOW = ADMITTED_AT + 1.0
DEADLINE = ADMITTED_AT + 300.0
PAST = History(1, (FailedAttempt(1, "w2", "PodsNotReady", 50.0, "no image"),))
KEPT = {keys.HISTORY: format_history(PAST)}
WHERE = {keys.CLUSTER: "w1", keys.ATTEMPT: "1"}
LOST = {
    "metadata": {"name": "w1", "uid": "w1", "resourceVersion": "3"},
    "status": {
        "conditions": [
            {
                "type": "ManagedClusterConditionAvailable",
                "status": "Unknown",
                "lastTransitionTime": "2026-01-01T11:00:00Z",
            }
        ]
    },
}


def workload() -> Obj:
    """Admitted and placed on w1, with one failure behind it."""
    entry = {**READY, "podSetUpdates": [{"name": "main", "annotations": {**WHERE, **KEPT}}]}
    return raw_workload(condition("QuotaReserved"), condition("Admitted"), check=entry)


class Told:
    """An EventRecorder that keeps what users were told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def record(self, _reference: object, kind: str, reason: str, message: str) -> None:
        self.events.append((kind, reason, message))


class Loop:
    """One controller whose stores know one Workload; ``hub`` is what the hub says when asked now."""

    def __init__(self, *, now: float = NOW, leads: bool = True, active: int = 4) -> None:
        job = raw_job(active=active, ready=0) if active else raw_job()
        self.hub = ScriptedSpace(workloads=workload(), jobs=deepcopy(job))
        self.wds, self.its, self.told = ScriptedSpace(), ScriptedSpace(), Told()
        stores = Stores(self.hub.as_space, self.wds.as_space, self.its.as_space)
        defaults = JobPolicy(start_timeout=150.0)  # doubled after one failure
        timing = Timing(retry_delay=30.0)
        self.controller = Controller(
            stores,
            View(stores, stale_after=180.0, timing=timing, defaults=defaults),
            Writer(self.hub.as_space, self.wds.as_space, self.its.as_space, lambda: leads, lambda: now),
            cast("EventRecorder", cast("object", self.told)),
            timing=timing,
            clock=lambda: now,
        )
        self.stores = stores
        self.copies, self.workloads, self.beats = stores.copies, stores.workloads, stores.beats
        self.clusters, self.works = stores.clusters, stores.works
        seen = {"uid": "uid", "resourceVersion": "1"}
        stores.checks.observe({**CHECK, "metadata": {**CHECK["metadata"], **seen}})
        stores.workloads.observe(workload())
        stores.jobs.observe(job)
        stores.hub_namespaces.observe({"metadata": {"name": "team-a", **seen}})
        ours = {keys.MANAGED_BY_LABEL: keys.MANAGED_BY, keys.CARRIED: "true"}
        of_hub = {keys.HUB_NAMESPACE_UID: "uid"}
        stores.twins.observe({"metadata": {"name": "team-a", "labels": ours, "annotations": of_hub, **seen}})

    async def reconcile(self) -> float | None:
        return await self.controller.reconcile(REQUEST)

    @property
    def entry(self) -> dict[str, Any]:
        """Our check as it was written, the only write to the hub."""
        (written,) = self.hub.written
        assert written.plural == "workloads/status"
        return dict(written.body["status"]["admissionChecks"][0])


async def test_a_placed_and_admitted_job_is_started_where_the_decision_says() -> None:
    loop = Loop()
    await loop.reconcile()
    (created,) = loop.wds.written
    assert (created.verb, created.plural) == ("create", "jobs")
    labels = created.body["metadata"]["labels"]
    assert (labels[keys.CLUSTER], labels[keys.WORKLOAD_UID]) == ("w1", WORKLOAD_UID)
    assert created.body["metadata"]["annotations"][keys.HUB_NAMESPACE_UID] == "uid"
    assert loop.hub.written == []


class Fresh(NamedTuple):
    reason: str
    plural: str
    change: Callable[[Obj], object]


def _status(*conditions: str) -> Callable[[Obj], object]:
    return lambda obj: obj["status"]["conditions"].extend(condition(kind) for kind in conditions)


def _updates(**annotations: str) -> Callable[[Obj], object]:
    updates = [{"name": "main", "annotations": {**WHERE, **annotations}}]
    return lambda obj: obj["status"]["admissionChecks"][0].update(podSetUpdates=updates)


def _decision(cluster: str, attempt: str) -> Callable[[Obj], object]:
    return _updates(**{keys.CLUSTER: cluster, keys.ATTEMPT: attempt})


GOING = "2026-01-01T12:00:03Z"
EVICTIONS = {"evictions": [{"reason": "Preempted", "count": 1}]}
FRESH = [
    Fresh("it has finished (I3)", "workloads", _status("Finished")),
    Fresh("it was evicted", "workloads", _status("Evicted")),
    Fresh(
        "it is another attempt by now, with the old decision",
        "workloads",
        lambda obj: obj["status"].update(schedulingStats=EVICTIONS),
    ),
    Fresh("it was decided anew", "workloads", _decision("w2", "1")),
    Fresh("it was decided anew for the same cluster", "workloads", _decision("w1", "2")),
    Fresh(
        "its check was reset",
        "workloads",
        lambda obj: obj["status"]["admissionChecks"][0].update(state="Pending"),
    ),
    Fresh("it was deactivated", "workloads", lambda obj: obj["spec"].update(active=False)),
    Fresh("it goes", "workloads", lambda obj: obj["metadata"].update(deletionTimestamp=GOING)),
    Fresh("it is another one of its name", "workloads", lambda obj: obj["metadata"].update(uid="another")),
    Fresh("its job is another one of its name", "jobs", lambda obj: obj["metadata"].update(uid="another")),
    Fresh("its job goes", "jobs", lambda obj: obj["metadata"].update(deletionTimestamp=GOING)),
    Fresh(
        "its job has a result (I3)",
        "jobs",
        lambda obj: obj["status"].update(conditions=[condition("Complete")]),
    ),
    Fresh("its job is gone", "jobs", lambda obj: obj["metadata"].update(name="gone")),
    Fresh("it is gone itself", "workloads", lambda obj: obj["metadata"].update(name="gone")),
]


@pytest.mark.parametrize("case", FRESH, ids=lambda case: case.reason)
async def test_nothing_is_started_that_the_hub_says_otherwise_of_by_now(case: Fresh) -> None:
    loop = Loop()
    ((key, newest),) = [(k, deepcopy(o)) for k, o in loop.hub.objects.items() if k[0] == case.plural]
    case.change(newest)
    del loop.hub.objects[key]
    loop.hub.objects[case.plural, newest["metadata"]["name"]] = newest
    assert await loop.reconcile() == LOOK_AGAIN
    assert loop.wds.written + loop.hub.written == []


async def test_who_does_not_lead_any_more_starts_nothing_and_asks_for_nothing() -> None:
    loop = Loop(leads=False)
    assert await loop.reconcile() is None
    assert loop.wds.written + loop.hub.written == []


PASSING: list[tuple[ApiError, str, str]] = [
    (AlreadyExists(409), "NameTakenInWDS", "a Job team-a/train that is not ours: delete or rename it there"),
    (Forbidden(403, "", "exceeded quota"), "WDSForbids", "The WDS forbids the copy: exceeded quota"),
]


@pytest.mark.parametrize(("answer", "reason", "words"), PASSING, ids=[row[1] for row in PASSING])
async def test_what_may_pass_is_told_and_waited_for(answer: ApiError, reason: str, words: str) -> None:
    loop = Loop()
    loop.wds.refusals["create", "jobs"] = answer
    after = await loop.reconcile()
    assert after is not None
    assert 0 < after < DEADLINE - NOW
    ((kind, told, message),) = loop.told.events
    assert (kind, told) == ("Warning", reason)
    assert words in message
    assert "given up at 12:05:02Z" in message
    assert loop.hub.written == []


@pytest.mark.parametrize(("answer", "reason", "words"), PASSING, ids=[row[1] for row in PASSING])
async def test_at_the_deadline_it_is_requeued_with_all_that_failed(
    answer: ApiError, reason: str, words: str
) -> None:
    loop = Loop(now=DEADLINE)
    loop.wds.refusals["create", "jobs"] = answer
    await loop.reconcile()
    assert loop.entry["state"] == "Retry"
    assert "requeueAfterSeconds" not in loop.entry  # Kueue would evict only when it is over
    assert words in loop.entry["message"]
    ((update),) = loop.entry["podSetUpdates"]
    assert update["annotations"].keys() == {keys.HISTORY}  # the decision has gone
    for part in ('"total":2', "PodsNotReady", reason):
        assert part in update["annotations"][keys.HISTORY]


async def test_what_the_wds_can_never_take_is_rejected_in_its_words() -> None:
    loop = Loop()
    loop.wds.refusals["create", "jobs"] = Invalid(422, "", "spec.podReplacementPolicy: Invalid value")
    await loop.reconcile()
    assert loop.entry["state"] == "Retry"  # evicted first, deactivated then (retry)
    assert "spec.podReplacementPolicy: Invalid value" in loop.entry["message"]
    assert "Change what the WDS names" in loop.entry["message"]


TOO_OFTEN = History(6, PAST.recent)
PENDING = {
    "state": "Pending",
    "message": "",
    "lastTransitionTime": "2026-01-01T12:00:02Z",
    "podSetUpdates": [{"name": "main", "annotations": {keys.HISTORY: format_history(TOO_OFTEN)}}],
}


def used_up() -> Loop:
    """No pod ever was: the failures came before a copy, so Kueue has queued it again."""
    loop = Loop(active=0)
    raw = raw_workload(condition("QuotaReserved"), check=PENDING)
    raw["metadata"]["resourceVersion"] = "9"
    loop.workloads.observe(raw)
    return loop


async def test_who_is_rejected_is_told_why_and_deactivated() -> None:
    loop = used_up()
    await loop.reconcile()
    told, deactivated = loop.hub.written
    (entry,) = told.body["status"]["admissionChecks"]
    assert entry["state"] == "Pending"
    assert entry["message"].startswith("Rejected: batch/v1 Job team-a/train: attempts is '6'. At most 5")
    assert "podSetUpdates" not in entry  # who activates it again has all tries
    assert deactivated.body["spec"] == {"active": False}
    ((kind, reason, _),) = loop.told.events
    assert (kind, reason) == ("Warning", "RequeuingLimitExceeded")


async def test_a_crash_between_the_two_writes_of_a_rejection_loses_nothing() -> None:
    loop = used_up()
    loop.hub.refusals["patch", "workloads"] = Conflict(409)
    await loop.reconcile()
    del loop.hub.refusals["patch", "workloads"]
    await loop.reconcile()
    assert loop.hub.written[-1].body["spec"] == {"active": False}


async def test_a_conflict_voids_the_decision_and_nothing_else() -> None:
    loop = Loop(now=DEADLINE)
    loop.wds.refusals["create", "jobs"] = AlreadyExists(409)
    loop.hub.refusals["apply", "workloads/status"] = Conflict(409)
    assert await loop.reconcile() == LOOK_AGAIN
    assert loop.told.events == []


@pytest.mark.parametrize("answer", [Conflict(409), NotFound(404)])
async def test_a_withdrawal_that_was_refused_is_tried_again_and_not_told(answer: ApiError) -> None:
    """Nothing else would bring us here: what was refused has not changed."""
    loop = Loop()
    await loop.reconcile()
    (created,) = loop.wds.written
    loop.copies.observe(
        {**created.body, "metadata": {**created.body["metadata"], "uid": "copy", "resourceVersion": "9"}}
    )
    loop.workloads.observe_deleted(("team-a", WORKLOAD), WORKLOAD_UID)
    loop.told.events.clear()
    loop.wds.refusals["delete", "jobs"] = answer
    assert await loop.reconcile() == LOOK_AGAIN
    assert loop.told.events == []


async def test_a_heartbeat_whose_end_was_refused_is_ended_again_the_policy_first() -> None:
    """Nothing else would bring us here: what was refused has not changed."""
    loop = Loop()
    labels = {keys.MANAGED_BY_LABEL: keys.MANAGED_BY, keys.CLUSTER: "w1"}
    beat = {
        "metadata": {
            "namespace": keys.SYSTEM_NAMESPACE,
            "name": "hub-heartbeat-w1",
            "uid": "beat",
            "resourceVersion": "9",
            "labels": labels,
        },
        "data": {keys.BEAT_AT: "100.0"},
    }
    loop.beats.observe(beat)
    for plural in ("bindingpolicies", "configmaps"):
        loop.wds.objects[plural, "hub-heartbeat-w1"] = beat
    loop.wds.refusals["delete", "bindingpolicies"] = Conflict(409)
    request = Request("beat", "", "w1")
    assert await loop.controller.reconcile(request) == LOOK_AGAIN
    assert loop.wds.written == []
    loop.wds.refusals.clear()
    await loop.controller.reconcile(request)
    assert [written.plural for written in loop.wds.written] == ["bindingpolicies", "configmaps"]


LEFT = [
    ("it is silent when asked now", True, ["patch"], Timing().recheck),
    ("it is back and has confirmed: the end of its pods is waited for (I2)", False, [], STILL_THERE),
]


@pytest.mark.parametrize(("reason", "there", "written", "again"), LEFT, ids=[row[0] for row in LEFT])
async def test_before_a_lost_cluster_is_given_up_the_its_is_asked(
    reason: str, there: bool, written: list[str], again: float
) -> None:
    del reason
    loop = Loop()
    loop.clusters.observe(LOST)
    leaving = {"deletionTimestamp": "2026-01-01T11:59:00Z", "resourceVersion": "9"}
    left, work = raw_copy(**leaving), raw_work()
    left["metadata"]["annotations"][keys.ON_CLUSTER_LOSS] = "atLeastOnce"
    work["spec"]["workload"]["manifests"] = [left]
    work["metadata"] |= {**leaving, "labels": {keys.ORIGIN_BINDING: left["metadata"]["labels"][keys.WAVE]}}
    loop.copies.observe(left)
    loop.works.observe(work)
    if there:
        loop.its.objects["manifestworks", work["metadata"]["name"]] = work
    assert await loop.reconcile() == again
    assert [write.verb for write in loop.wds.written] == written


@pytest.mark.parametrize(
    ("taint", "available", "drained"),
    [(keys.DRAINING, "True", True), (keys.CORDONED, "True", False), (keys.DRAINING, "Unknown", False)],
)
async def test_a_drained_cluster_gives_its_jobs_back(taint: str, available: str, *, drained: bool) -> None:
    """A cordoned one keeps them; what a silent one has cannot be moved."""
    loop = Loop()
    loop.clusters.observe(
        {
            "metadata": {"name": "w1", "uid": "w1", "resourceVersion": "1"},
            "spec": {"taints": [{"key": taint, "value": "by ana: kernel", "effect": "NoSelect"}]},
            "status": {"conditions": [{"type": "ManagedClusterConditionAvailable", "status": available}]},
        }
    )
    await loop.reconcile()
    assert bool(loop.wds.written) != drained
    if drained:
        assert loop.entry["state"] == "Retry"
        assert loop.entry["message"].startswith("Drained from w1, which is being drained by ana: kernel; ")
        assert loop.entry["podSetUpdates"][0]["annotations"] == KEPT
        assert [reason for _, reason, _ in loop.told.events] == ["Drained"]
