"""One row per rule of the lifecycle. I1 to I8 are the invariants of docs/design.md."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from tests.workload_controller.builders import (
    COMPLETE,
    JOB,
    NAMESPACE,
    RUNNING,
    check,
    copy,
    job,
    policy,
    ready,
    remote,
    work,
    workload,
)
from workload_controller.facts import (
    NO_HISTORY,
    Check,
    CheckState,
    Contact,
    Decision,
    FailedAttempt,
    History,
    LossPolicy,
    PodsReport,
)
from workload_controller.lifecycle import next_action, without_room
from workload_controller.situation import Situation, Timing
from workload_controller.steps import (
    Action,
    ConfirmGone,
    CreateCopy,
    CreatePolicy,
    DeletePolicy,
    GiveBack,
    Hold,
    KeepWaiting,
    LetGo,
    MarkActive,
    Mirror,
    Nothing,
    Place,
    Release,
    ReportPodsEnded,
    Wait,
    Withdraw,
)

TIMING = Timing(placement_timeout=600, retry_delay=30, retry_delay_max=600, pods_end_margin=10, clock_skew=2)
ADMITTED = workload(admitted=True, checks=(ready(),))
EVICTED = workload(admitted=True, evicted=True, evictions=1, checks=(check(),))
FINISHED = workload(admitted=True, finished=True)
DELETED = replace(ADMITTED, deleting=True)
INACTIVE = replace(ADMITTED, active=False)
LEAVING = copy(leaving_since=150.0)
ABANDONED = work(
    deleting_since=150.0, on_loss=LossPolicy.AT_LEAST_ONCE
)  # on a cluster that is lost for 1000 s
TWICE = replace(LEAVING, on_loss=LossPolicy.AT_LEAST_ONCE)
STARTS_ELSEWHERE = (
    "w1 has not been heard of since 23:46:40Z; with atLeastOnce it starts elsewhere at {} unless w1 is back"
)
NO_NAMESPACE = "namespace team-a is not in the WDS yet"
STARTED = {
    "conditions": [
        {
            "type": "kueue.kubestellar.io/PodsReady",
            "status": "True",
            "reason": "Attempt1",
            "message": "All 1 pods were ready on w1",
            "lastTransitionTime": RUNNING["startTime"],
        }
    ]
}


def running(**fields: object) -> Situation:
    given: dict[str, object] = {
        "now": 200.0,
        "workload": ADMITTED,
        "check": ready(),
        "job": job(active=1),
        "copy": copy(),
        "policies": (policy(),),
        "works": (work(),),
    }
    return Situation(**given | fields)  # type: ignore[arg-type]


def leaving(**fields: object) -> Situation:
    given: dict[str, object] = {
        "now": 200.0,
        "workload": EVICTED,
        "check": check(),
        "job": job(active=1, suspended=True),
        "copy": LEAVING,
    }
    return Situation(**given | fields)  # type: ignore[arg-type]


def admitted(**fields: object) -> Situation:
    given: dict[str, object] = {"now": 200.0, "workload": ADMITTED, "check": ready(), "job": job(active=1)}
    return Situation(**given | fields)  # type: ignore[arg-type]


def placed(now: float, others: tuple[Check, ...] = (check(name="provisioning"),)) -> Situation:
    given = workload(checks=(ready(), *others))
    return Situation(now=now, workload=given, check=ready(), job=job(suspended=True))


def pods_ending(alive: str) -> Wait:
    text = f"pods on w1 may be ending, last count {alive}; over at 00:03:50Z at the latest"
    return Wait("PodsEnding", text, until=230.0, told="Normal")


class Case(NamedTuple):
    reason: str
    given: Situation
    want: Action


CASES = [
    Case("nothing is known, nothing is done", Situation(now=200.0), Nothing()),
    Case(
        "quota is reserved: a cluster is wanted, until the quota goes back",
        Situation(now=200.0, workload=workload(), check=check(), job=job(suspended=True)),
        Place(check(), 700.0),
    ),
    Case(
        "what keeps it from every cluster is told before one is chosen",
        Situation(
            now=200.0,
            workload=workload(),
            check=check(),
            job=job(suspended=True),
            namespace_obstacle=NO_NAMESPACE,
        ),
        Place(check(), 700.0, NO_NAMESPACE),
    ),
    Case(
        "a job that has not been seen may be one that must not run: no cluster for it (I1)",
        Situation(now=200.0, workload=workload(held=False), check=check()),
        Place(check(), 700.0, f"its job {JOB} has not been seen yet"),
    ),
    Case(
        "no quota, no placement",
        Situation(now=200.0, workload=workload(quota_reserved=False), check=check(), job=job(suspended=True)),
        Nothing(),
    ),
    Case(
        "decided but not admitted: other checks are pending, named with a deadline (I5)",
        placed(200.0),
        Wait(
            "OtherChecksPending",
            "placed; waits for provisioning. The quota goes back at 00:11:40Z",
            until=700.0,
        ),
    ),
    Case(
        "another check that never follows gives room and quota back (I5)",
        placed(700.0),
        GiveBack(
            "OtherChecksPending",
            ready(),
            "Placed, but provisioning did not follow for 600s; it queues again",
            NO_HISTORY,
        ),
    ),
    Case(
        "every check is ready and Kueue does not admit: it is named instead",
        placed(200.0, others=()),
        Wait("OtherChecksPending", "placed; waits for Kueue. The quota goes back at 00:11:40Z", until=700.0),
    ),
    Case(
        "admitted but still suspended: the template is not injected yet",
        admitted(job=job(suspended=True)),
        Wait(
            "NotUnsuspended",
            "Kueue has not unsuspended the admitted job yet; given up at 00:06:50Z",
            until=410.0,
        ),
    ),
    Case(
        "a Workload that may start is held first: its quota outlives a deletion (I2)",
        admitted(workload=replace(ADMITTED, held=False), job=job(held=False)),
        Hold(replace(ADMITTED, held=False)),
    ),
    Case(
        "then its job: Kueue finds a Workload by the job's name (I2)",
        admitted(job=job(held=False)),
        Hold(job(held=False)),
    ),
    Case(
        "before a copy can exist, Kueue is told that pods may (I2)",
        admitted(job=job()),
        MarkActive(job()),
    ),
    Case(
        "then the copy is made where the decision says",
        admitted(),
        CreateCopy(ADMITTED, job(active=1), Decision("w1", 1), 410.0),
    ),
    Case(
        "a ManifestWork without a copy: something may run, no second copy beside it (I1)",
        admitted(works=(work(),)),
        Wait("StillCarried", "a ManifestWork of an earlier copy is still in w1", until=215.0, told="Normal"),
    ),
    Case(
        "a policy without a copy goes first (I1)",
        admitted(policies=(policy(),)),
        DeletePolicy(policy()),
    ),
    Case(
        "a policy that KubeStellar's finalizer still holds is waited for",
        admitted(policies=(policy(deleting=True),)),
        Nothing(),
    ),
    Case(
        "the namespace must be in the WDS",
        admitted(namespace_obstacle=NO_NAMESPACE),
        Wait(
            "NamespaceNotCarried",
            f"{NO_NAMESPACE}; given up at 00:06:50Z",
            until=410.0,
            told="Warning",
        ),
    ),
    Case(
        "what keeps the copy from being made fails the attempt at its deadline (I5)",
        admitted(now=410.0, namespace_obstacle=NO_NAMESPACE),
        GiveBack(
            "NamespaceNotCarried",
            ready(),
            f"NamespaceNotCarried on w1: {NO_NAMESPACE}; given up at 00:06:50Z. Requeuing 1 of 5: it queues "
            "again when its pods have ended, at 00:07:20Z at the earliest; w1 is left out for 15m00s",
            History(
                1,
                (
                    FailedAttempt(
                        1, "w1", "NamespaceNotCarried", 410.0, f"{NO_NAMESPACE}; given up at 00:06:50Z"
                    ),
                ),
            ),
        ),
    ),
    Case(
        "a job made again under its name waits until the earlier one has left (I1)",
        admitted(namesake=copy(workload_uid="earlier", leaving_since=190.0)),
        Wait(
            "NameStillLeaving",
            "an earlier job of the name train is still leaving w1; given up at 00:06:50Z",
            until=410.0,
            told="Normal",
        ),
    ),
    Case("a copy without a policy gets one", running(policies=(), works=()), CreatePolicy(copy(), 410.0)),
    Case(
        "a policy of an earlier wave of it goes before anything else (I1)",
        running(policies=(policy(name="earlier-wave"), policy())),
        DeletePolicy(policy(name="earlier-wave")),
    ),
    Case(
        "status is mirrored, with the fact that all its pods were ready",
        running(remote=remote(RUNNING)),
        Mirror(job(active=1), STARTED | RUNNING),
    ),
    Case(
        "a result is mirrored",
        running(remote=remote(COMPLETE, terminal=True)),
        Mirror(job(active=1), COMPLETE),
    ),
    Case(
        "a result counts even when Kueue has evicted meanwhile (I3)",
        running(
            workload=EVICTED,
            check=check(),
            job=job(active=1, suspended=True),
            remote=remote(COMPLETE, terminal=True),
        ),
        Mirror(job(active=1, suspended=True), COMPLETE),
    ),
    Case(
        "a finished job loses its copy at once (I3)",
        running(job=job(terminal=True), remote=remote(COMPLETE, terminal=True)),
        Withdraw(copy(), "it is finished"),
    ),
    Case(
        "evicted: withdrawn", running(workload=EVICTED, check=check()), Withdraw(copy(), "Kueue evicted it")
    ),
    Case(
        "deactivated: it goes on until Kueue evicts it, or the same attempt could start twice (I3)",
        running(workload=INACTIVE, remote=remote(RUNNING)),
        Mirror(job(active=1), STARTED | RUNNING),
    ),
    Case(
        "deactivated and evicted: withdrawn",
        running(workload=replace(INACTIVE, evicted=True)),
        Withdraw(copy(), "Kueue evicted it"),
    ),
    Case(
        "deactivated before it was started: it is not",
        admitted(workload=INACTIVE),
        ReportPodsEnded(job(active=1)),
    ),
    Case(
        "the user's job is gone: withdrawn",
        running(workload=None, check=None, job=None),
        Withdraw(copy(), "its Workload is gone"),
    ),
    Case(
        "a copy of an older attempt is withdrawn, never adopted (I1)",
        running(
            workload=workload(admitted=True, evictions=1, checks=(ready("w1", 2),)), check=ready("w1", 2)
        ),
        Withdraw(copy(), "it may not run"),
    ),
    Case(
        "a copy of another Workload of the same name is withdrawn (I6)",
        running(copy=copy(workload_uid="another")),
        Withdraw(copy(workload_uid="another"), "its Workload is gone"),
    ),
    Case(
        "leaving: the policy goes first",
        leaving(policies=(policy(),), works=(work(),)),
        DeletePolicy(policy()),
    ),
    Case(
        "leaving: the worker has not confirmed",
        leaving(works=(work(),)),
        Wait("Withdrawing", f"w1 has not confirmed the withdrawal of {JOB} yet", until=215.0),
    ),
    Case(
        "leaving: a Binding may still become a ManifestWork",
        leaving(bound=True),
        Wait("Withdrawing", f"w1 has not confirmed the withdrawal of {JOB} yet", until=215.0),
    ),
    Case(
        "pods may be ending: the quota stays until their grace is over (I2)",
        leaving(works_gone_at=190.0),
        pods_ending("unknown"),
    ),
    Case(
        "a report from before the withdrawal proves nothing (I2)",
        leaving(works_gone_at=190.0, pods=PodsReport(191.0, 0)),
        pods_ending("0"),
    ),
    Case(
        "the agent still sees pods",
        leaving(works_gone_at=190.0, pods=PodsReport(195.0, 2)),
        pods_ending("2"),
    ),
    Case(
        "the agent confirms their end: no need to wait longer",
        leaving(works_gone_at=190.0, pods=PodsReport(195.0, 0)),
        Release(LEAVING),
    ),
    Case(
        "a restart does not know since when its ManifestWork is gone: it looks before it believes (I2)",
        leaving(),
        ConfirmGone(LEAVING),
    ),
    Case("their grace is over", leaving(now=230.0, works_gone_at=190.0), Release(LEAVING)),
    Case(
        "a finished job has no pods left",
        leaving(job=job(terminal=True), works_gone_at=200.0),
        Release(LEAVING),
    ),
    Case(
        "the copy is gone: Kueue may release the quota",
        leaving(copy=None),
        ReportPodsEnded(job(active=1, suspended=True)),
    ),
    Case("evicted and reported: Kueue's turn", leaving(copy=None, job=job(suspended=True)), Nothing()),
    Case(
        "its cluster is lost under a policy that lets it go on elsewhere",
        leaving(works=(ABANDONED,), contacts={"w1": Contact(-800.0, 0.0)}),
        Release(LEAVING, lost=True),
    ),
    Case(
        "lost, and withdrawn a moment ago: were it back, it would confirm within five seconds (I2)",
        leaving(
            copy=TWICE,
            works=(replace(ABANDONED, deleting_since=196.0),),
            contacts={"w1": Contact(-800.0, 0.0)},
        ),
        Wait("ClusterLost", STARTS_ELSEWHERE.format("00:03:21Z"), until=201.0, told="Warning"),
    ),
    Case(
        "an earlier attempt on a lost cluster does not end the wait for this one's pods (I2)",
        leaving(
            works=(replace(ABANDONED, cluster="w2", attempt=0),),
            contacts={"w2": Contact(-800.0, 0.0)},
            works_gone_at=190.0,
        ),
        Wait(
            "PodsEnding",
            "pods on w1 may be ending, last count unknown; over at 00:03:50Z at the latest",
            until=230.0,
            told="Normal",
        ),
    ),
    Case(
        "a copy that is not leaving does not go with a lost cluster's ManifestWork alone",
        leaving(
            copy=TWICE,
            works=(replace(ABANDONED, deleting_since=None),),
            contacts={"w1": Contact(-800.0, 0.0)},
        ),
        Wait("ClusterLost", STARTS_ELSEWHERE.format("00:01:40Z"), until=215.0, told="Warning"),
    ),
    Case(
        "an abandoned ManifestWork does not keep the next attempt waiting",
        admitted(works=(ABANDONED,), contacts={"w1": Contact(-800.0, 0.0)}),
        CreateCopy(ADMITTED, job(active=1), Decision("w1", 1), 410.0),
    ),
    Case(
        "a finished job is let go first: its events bring us here for its Workload",
        Situation(now=200.0, workload=FINISHED, job=job(terminal=True)),
        LetGo(job(terminal=True)),
    ),
    Case(
        "then its Workload",
        Situation(now=200.0, workload=FINISHED, job=job(terminal=True, held=False)),
        LetGo(FINISHED),
    ),
    Case(
        "a finished Workload that nobody holds is left alone",
        Situation(now=200.0, workload=replace(FINISHED, held=False), job=job(terminal=True, held=False)),
        Nothing(),
    ),
    Case(
        "a deleted job's pods end before it is let go (I2)",
        Situation(now=200.0, workload=ADMITTED, check=ready(), job=job(active=1, deleting=True)),
        ReportPodsEnded(job(active=1, deleting=True)),
    ),
    Case(
        "a deleted job that has no pods goes",
        Situation(now=200.0, workload=ADMITTED, check=ready(), job=job(deleting=True)),
        LetGo(job(deleting=True)),
    ),
    Case(
        "a Workload whose job is gone goes",
        Situation(now=200.0, workload=ADMITTED, check=ready()),
        LetGo(ADMITTED),
    ),
    Case(
        "a deleted Workload goes, and its living job stays held",
        Situation(now=200.0, workload=DELETED, check=ready(), job=job(suspended=True)),
        LetGo(DELETED),
    ),
    Case(
        "a deleted Workload's copy is withdrawn before anything is let go (I2)",
        running(workload=DELETED),
        Withdraw(copy(), "it may not run"),
    ),
    Case(
        "a job that its user suspends keeps its copy: Kueue would unsuspend it and it would run twice (I1)",
        running(job=job(active=1, suspended=True), remote=remote(RUNNING)),
        Mirror(job(active=1, suspended=True), STARTED | RUNNING),
    ),
    Case(
        "an attempt that was given up is withdrawn before Kueue has evicted it",
        running(check=check(CheckState.RETRY, decision=Decision("w1", 1))),
        Withdraw(copy(), "its attempt failed"),
    ),
    Case(
        "an evicted Workload that still has its old decision is not started again (I1)",
        leaving(copy=None, job=job(suspended=True), check=ready()),
        Nothing(),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_next_action(case: Case) -> None:
    assert next_action(case.given, TIMING) == case.want


REFUSED = [
    ("a job that the hub would run itself", workload(), job(managed_by="", suspended=True), "NotManagedByUs"),
    (
        "our keys on the template",
        workload(),
        job(reserved_keys=("kueue.kubestellar.io/cluster",)),
        "ReservedKey",
    ),
    ("a kind we cannot carry", workload(owner_kind="v1 Pod", held=False), None, "KindNotSupported"),
    ("a namespace of the control plane", workload(namespace="kube-system"), job(), "SystemNamespace"),
]


@pytest.mark.parametrize(("reason", "given", "owner", "want"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refusals_name_object_field_and_remedy(reason: str, given: object, owner: object, want: str) -> None:
    action = next_action(Situation(now=200.0, workload=given, check=check(), job=owner), TIMING)  # type: ignore[arg-type]
    refusal = action.refusal  # type: ignore[union-attr]
    assert refusal.reason == want
    assert NAMESPACE in str(refusal) or "kube-system" in str(refusal)
    assert refusal.remedy in str(refusal)


def test_a_rejected_check_is_final() -> None:
    rejected = check(CheckState.REJECTED)
    given = Situation(
        now=200.0, workload=workload(checks=(rejected,)), check=rejected, job=job(suspended=True)
    )
    assert next_action(given, TIMING) == Nothing()


WHY = "w1: 1 of 2 pods fit; asks cpu 8, free 4"
TEXT = f"No cluster can take it now: {WHY}. The quota goes back at 00:11:40Z"
OLD_TEXT = (
    "No cluster can take it now: w1: 0 of 2 pods fit; asks cpu 8, free 2. The quota goes back at 00:11:40Z"
)


class Room(NamedTuple):
    reason: str
    now: float
    message: str  # what the check says, since 100
    want: tuple[bool, float]  # told, looked at again after


ROOM = [
    Room("the reason is told at once", 101.0, "", (True, 15.0)),
    Room("what is told already is not written again", 200.0, TEXT, (False, 15.0)),
    Room("numbers that moved wait for the interval", 104.0, OLD_TEXT, (False, 6.0)),
    Room("and are told then", 110.0, OLD_TEXT, (True, 15.0)),
    Room("the deadline is not slept over", 695.0, TEXT, (False, 5.0)),
]


@pytest.mark.parametrize("case", ROOM, ids=lambda case: case.reason)
def test_waiting_without_room(case: Room) -> None:
    place = Place(check(message=case.message), 700.0)
    waiting = without_room(place, WHY, case.now, TIMING)
    assert waiting == KeepWaiting(place.check, TEXT, *case.want)


def test_at_the_deadline_the_quota_goes_back() -> None:
    back = without_room(Place(check(), 700.0), WHY, 700.0, TIMING)
    text = f"No cluster could take it for 600s: {WHY}. The quota goes back, it queues again"
    assert back == GiveBack("NoClusterInTime", check(), text, NO_HISTORY)
