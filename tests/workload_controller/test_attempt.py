"""How a running attempt does: one row per wait, failure and way on. The words are the worker's own."""

from typing import Any, NamedTuple

import pytest

from tests.workload_controller.builders import (
    RUNNING,
    check,
    copy,
    job,
    pod_set,
    raw_job,
    ready,
    remote,
    work,
)
from tests.workload_controller.builders import workload as a_workload
from workload_controller.attempt import Progress, progress
from workload_controller.facts import (
    CheckState,
    Contact,
    Decision,
    FailedAttempt,
    History,
    LossPolicy,
    PodsReport,
)
from workload_controller.kinds.batch_job import STARTED
from workload_controller.situation import Situation, Timing
from workload_controller.steps import GiveBack, Mirror, Nothing, Wait
from workload_controller.wishes import Growth, JobPolicy, OnRemoved

TIMING = Timing(apply_timeout=60, removed_grace=5, worker_lost_timeout=900, lease=600, pods_end_margin=10)
WORKLOAD = a_workload(admitted=True, admitted_at=110.0, checks=(ready(),))
TWO_PODS = copy(pod_set=pod_set(2))
ONE_READY = {"active": 2, "ready": 1, "startTime": RUNNING["startTime"]}
LATER = ONE_READY | {"startTime": "2026-01-01T00:05:00Z"}
SUSPENDED = {"conditions": [{"type": "Suspended", "status": "True"}]}
WAS_READY = {
    "type": STARTED,
    "status": "True",
    "reason": "Attempt1",
    "message": "All 2 pods were ready on w1",
    "lastTransitionTime": RUNNING["startTime"],
}
NO_IMAGE = PodsReport(195.0, 2, "ImagePullBackOff: no such image")
LOST = {"w1": Contact(lost_since=150.0, beat_at=0.0)}
REFUSED = work(apply_error="exceeded quota: team", apply_error_since=180.0)
FAILED_BEFORE = History(1, (FailedAttempt(1, "w2", "PodsNotReady", 50.0, "0 of 2 pods ready"),))
KEPT_REMOVED = JobPolicy(on_removed=OnRemoved.REJECT)


def at(now: float = 200.0, **fields: Any) -> Situation:
    """Its ManifestWork stands, nothing is reported; the pods have until 410 (00:06:50Z)."""
    given: dict[str, Any] = {
        "now": now,
        "workload": WORKLOAD,
        "check": ready(),
        "job": job(active=2),
        "copy": TWO_PODS,
        "works": (work(),),
    }
    return Situation(**given | fields)


def reported(status: dict[str, Any], hub: dict[str, Any] | None = None, **fields: Any) -> Situation:
    """The worker reports ``status``; the hub job shows it already, or ``hub``."""
    shown = status if hub is None else hub
    return at(**{"remote": remote(status), "job": job(active=2, raw=raw_job(**shown)), **fields})


def step(given: Situation) -> Progress:
    assert given.copy is not None
    assert given.check is not None
    return progress(given, given.copy, given.check, TIMING)


def requeued(history: History) -> dict[str, Any]:
    return {"check": check(CheckState.READY, decision=Decision("w1", 2), history=history)}


class Case(NamedTuple):
    reason: str
    given: Situation
    want: Progress


def waits(reason: str, words: str, until: float, *, bad: bool = False) -> Wait:
    return Wait(reason, f"w1: {words}", until=until, told="Warning" if bad else "")


LONG = "given up at 00:06:50Z"
BEGUN = {
    "active": 2,
    "ready": 2,
    "conditions": [{"type": STARTED, "status": "True", "reason": "Attempt1"}],
}

GOES_ON = [
    Case(
        "started once, and the report is missing for a while",
        at(9999.0, job=job(active=2, raw=raw_job(**BEGUN))),
        Nothing(),
    ),
    Case(
        "KubeStellar's turn",
        at(works=()),
        waits("NotCarried", f"KubeStellar has made no ManifestWork yet; {LONG}", 410.0),
    ),
    Case(
        "the ManifestWork of another attempt is not this one's",
        at(works=(work(attempt=2, apply_error="old words", apply_error_since=1.0),)),
        waits("NotCarried", f"KubeStellar has made no ManifestWork yet; {LONG}", 410.0),
    ),
    Case(
        "the worker's turn",
        at(),
        waits("NotReported", f"the worker has not reported the job yet; {LONG}", 410.0),
    ),
    Case(
        "pods are counted",
        reported(ONE_READY),
        waits("PodsNotReady", f"1 of 2 pods ready; {LONG}", 410.0),
    ),
    Case(
        "the agent's words say more than a count, and are told",
        reported(ONE_READY, pods=NO_IMAGE),
        waits("PodsNotReady", f"ImagePullBackOff: no such image; {LONG}", 410.0, bad=True),
    ),
    Case(
        "an agent without complaints says less than a count",
        reported(ONE_READY, pods=PodsReport(195.0, 2)),
        waits("PodsNotReady", f"1 of 2 pods ready; {LONG}", 410.0),
    ),
    Case(
        "a refusal of the worker has a shorter deadline: a namespace may come later, little else does",
        at(works=(REFUSED,)),
        waits("ApplyFailed", "exceeded quota: team; given up at 00:04:00Z", 240.0, bad=True),
    ),
    Case(
        "a refusal says why there are no pods: its words come first",
        at(works=(REFUSED,), pods=NO_IMAGE),
        waits("ApplyFailed", "exceeded quota: team; given up at 00:04:00Z", 240.0, bad=True),
    ),
    Case(
        "a late refusal does not move the start deadline",
        at(405.0, works=(work(apply_error="exceeded quota: team", apply_error_since=400.0),)),
        waits("ApplyFailed", f"exceeded quota: team; {LONG}", 410.0, bad=True),
    ),
    Case(
        "the time to start doubles with every failure",
        at(500.0, **requeued(FAILED_BEFORE)),
        waits("NotReported", "the worker has not reported the job yet; given up at 00:11:50Z", 710.0),
    ),
    Case(
        "or does not, when the job asks so",
        at(policy=JobPolicy(start_timeout=120.0, growth=Growth.NONE), **requeued(FAILED_BEFORE)),
        waits("NotReported", "the worker has not reported the job yet; given up at 00:03:50Z", 230.0),
    ),
    Case("its status is mirrored", reported(ONE_READY, hub={"active": 2}), Mirror(job(active=2), ONE_READY)),
    Case(
        "all pods ready: mirrored with the fact that they were",
        reported(ONE_READY | {"ready": 2}),
        Mirror(job(active=2), ONE_READY | {"ready": 2, "conditions": [WAS_READY]}),
    ),
    Case(
        "started once, there is no deadline any more: a pod may be replaced for hours",
        reported(ONE_READY, hub=ONE_READY | {"conditions": [WAS_READY]}, now=99_999.0, pods=NO_IMAGE),
        Nothing(),
    ),
    Case(
        "a Job that has gone from the worker is not believed at once",
        at(works=(work(missing_since=196.0),)),
        Wait("WorkerJobMissing", "w1 has its Job no more", until=201.0),
    ),
    Case(
        "a Job that was never made has not gone: the refusal is the reason",
        at(works=(work(missing_since=100.0, apply_error="exceeded quota: team", apply_error_since=180.0),)),
        waits("ApplyFailed", "exceeded quota: team; given up at 00:04:00Z", 240.0, bad=True),
    ),
    Case(
        "a report that still comes says that it is there",
        reported(ONE_READY, works=(work(missing_since=100.0),)),
        waits("PodsNotReady", f"1 of 2 pods ready; {LONG}", 410.0),
    ),
    Case(
        "a deadline does not run on a cluster that cannot be heard: its pods may be ready",
        at(500.0, contacts=LOST),
        Wait(
            "ClusterUnreachable",
            "w1 has not been heard of since 00:02:30Z; a loss below 15m00s changes nothing",
            until=1050.0,
            told="Warning",
        ),
    ),
    Case(
        "atMostOnce: no failure while it may be there (I1)",
        at(99_999.0, contacts=LOST),
        Wait(
            "ClusterLost",
            "w1 has not been heard of since 00:02:30Z; with atMostOnce it and its quota are held until w1 is "
            "back: kubectl delete managedcluster w1 in the ITS if it will not come back",
            told="Warning",
        ),
    ),
]


@pytest.mark.parametrize("case", GOES_ON, ids=lambda case: case.reason)
def test_goes_on(case: Case) -> None:
    want, got = case.want, step(case.given)
    if isinstance(want, Mirror) and isinstance(got, Mirror):
        assert got.status == want.status
    else:
        assert got == want


class Failure(NamedTuple):
    why: str
    given: Situation
    reason: str
    words: str


LOST_WORDS = "not heard of since 00:02:30Z, policy"
LEASED = copy(pod_set=pod_set(2), on_loss=LossPolicy.LEASED, lease_seconds=600)
REPLACED = reported(LATER, hub=ONE_READY)

FAILS = [
    Failure(
        "never carried",
        at(410.0, works=()),
        "NotCarried",
        "KubeStellar has made no ManifestWork yet (after 5m00s)",
    ),
    Failure(
        "never reported", at(410.0), "NotReported", "the worker has not reported the job yet (after 5m00s)"
    ),
    Failure(
        "its pods were not ready in time",
        reported(ONE_READY, now=410.0),
        "PodsNotReady",
        "1 of 2 pods ready (after 5m00s)",
    ),
    Failure(
        "and the agent says why",
        reported(ONE_READY, now=410.0, pods=NO_IMAGE),
        "PodsNotReady",
        "ImagePullBackOff: no such image (after 5m00s)",
    ),
    Failure(
        "the worker went on refusing it",
        at(240.0, works=(REFUSED,)),
        "ApplyFailed",
        "exceeded quota: team (after 2m10s)",
    ),
    Failure(
        "the grown time is over too",
        at(710.0, **requeued(FAILED_BEFORE)),
        "NotReported",
        "the worker has not reported the job yet (after 10m00s)",
    ),
    Failure(
        "deleted by hand: the work agent would run it again unnoticed (I1)",
        at(201.0, works=(work(missing_since=196.0),)),
        "WorkerJobRemoved",
        "its Job was deleted there by hand",
    ),
    Failure(
        "deleted by hand and made again before anybody looked (I1)",
        REPLACED,
        "WorkerJobReplaced",
        "its Job was started anew",
    ),
    Failure(
        "suspended by hand: it would never end",
        reported(SUSPENDED),
        "WorkerJobSuspended",
        "its Job was suspended there by hand",
    ),
    Failure(
        "suspended by the agent, whose lease ran out",
        reported(SUSPENDED, copy=LEASED),
        "LeaseExpired",
        "ended by the lease: no heartbeat for 600s",
    ),
    Failure(
        "the lease is nobody's hand: on-worker-job-removed says nothing about it",
        reported(SUSPENDED, copy=LEASED, policy=KEPT_REMOVED),
        "LeaseExpired",
        "ended by the lease: no heartbeat for 600s",
    ),
    Failure(
        "atLeastOnce: lost long enough",
        at(1050.0, contacts=LOST, copy=copy(on_loss=LossPolicy.AT_LEAST_ONCE)),
        "ClusterLost",
        f"{LOST_WORDS} atLeastOnce",
    ),
    Failure(
        "leased: its agent must have ended it (150 + 600 lease + 15 look + 2 skew + 30 grace + 10 < 1050)",
        at(1050.0, contacts=LOST, copy=LEASED),
        "ClusterLost",
        f"{LOST_WORDS} leased",
    ),
]


@pytest.mark.parametrize("case", FAILS, ids=lambda case: case.why)
def test_fails(case: Failure) -> None:
    given, got = case.given, step(case.given)
    assert isinstance(got, GiveBack)
    assert (got.reason, got.history.recent[-1]) == (
        case.reason,
        FailedAttempt(1, "w1", case.reason, given.now, case.words),
    )


STILL = [
    ("never carried", at(409.9, works=())),
    ("refused", at(239.9, works=(REFUSED,))),
    ("missing", at(200.9, works=(work(missing_since=196.0),))),
    ("atLeastOnce", at(1049.9, contacts=LOST, copy=copy(on_loss=LossPolicy.AT_LEAST_ONCE))),
    ("leased", at(1049.9, contacts=LOST, copy=LEASED)),
    (
        "leased, with a heartbeat after the loss: 400 + 657",
        at(1056.9, contacts={"w1": Contact(150.0, 400.0)}, copy=LEASED),
    ),
]


@pytest.mark.parametrize(("reason", "given"), STILL, ids=[row[0] for row in STILL])
def test_no_deadline_is_early(reason: str, given: Situation) -> None:
    assert isinstance(step(given), Wait)


REJECTED = [
    ("deleted", at(201.0, works=(work(missing_since=196.0),), policy=KEPT_REMOVED), "WorkerJobRemoved"),
    ("replaced", reported(LATER, hub=ONE_READY, policy=KEPT_REMOVED), "WorkerJobReplaced"),
    ("suspended", reported(SUSPENDED, policy=KEPT_REMOVED), "WorkerJobSuspended"),
]


@pytest.mark.parametrize(("reason", "given", "want"), REJECTED, ids=[row[0] for row in REJECTED])
def test_on_removed_reject_evicts_it_for_good_with_a_remedy(reason: str, given: Situation, want: str) -> None:
    """Evicted first: a Workload that is deactivated counts no more, and its pods may be there still."""
    got = step(given)
    assert isinstance(got, GiveBack)
    assert (got.reason, got.history.recent[-1].reason) == (want, want)
    assert "batch/v1 Job team-a/train: the Job on w1 is 'its Job was " in got.text
    assert "because of reject" in got.text
    assert f"set spec.active of Workload {WORKLOAD.name} to true" in got.text
