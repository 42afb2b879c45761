"""What the audit says of one Workload: each finding, and each normal transition that must not be one."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tests.workload_controller.builders import (
    COMPLETE,
    NAMESPACE,
    RUNNING,
    UID,
    WORKLOAD,
    check,
    copy,
    job,
    policy,
    raw_job,
    ready,
    remote,
    work,
    workload,
)
from workload_controller.audit.facts import PodsSeen, Subject
from workload_controller.audit.finding import ByController, Decide, Delete, Finding, Level
from workload_controller.audit.workloads import suspicions
from workload_controller.facts import CheckState, Contact, CopyFacts, FailedAttempt, History
from workload_controller.kinds.batch_job import STARTED
from workload_controller.lifecycle import next_action
from workload_controller.situation import Situation, Timing

NOW = 1000.0
TIMING = Timing()
ADMITTED = workload(admitted=True, admitted_at=990.0, checks=(ready(),))
STARTED_CONDITION = {"type": STARTED, "status": "True", "reason": "Attempt1"}
RAW = {**raw_job(), "status": {**RUNNING, "conditions": [STARTED_CONDITION]}}
RUNNING_JOB = job(active=1, raw=RAW)
ELSEWHERE = copy(cluster="w2")
LEAVING = copy(leaving_since=995.0)


def pods(cluster: str = "w1", alive: int = 1, terminating: int = 0) -> PodsSeen:
    return PodsSeen(cluster, UID, 998.0, alive, terminating)


def subject(*copies: CopyFacts, seen: tuple[PodsSeen, ...] = (), **fields: Any) -> Subject:
    """A job that is admitted for w1, and what is there of it."""
    given: dict[str, Any] = {
        "now": NOW,
        "workload": ADMITTED,
        "job": job(active=1),
        "copy": copies[0] if copies else None,
    }
    given |= fields
    w = given["workload"]
    given.setdefault("check", w.checks[0] if w is not None and w.checks else None)
    situation = Situation(**given)
    return Subject(
        namespace=NAMESPACE,
        name=WORKLOAD,
        situation=situation,
        action=next_action(situation, TIMING),
        copies=copies,
        pods=seen,
        reports={"w1": 998.0},
    )


RUNS: dict[str, Any] = {
    "job": RUNNING_JOB,
    "policies": (policy(),),
    "works": (work(),),
    "bound": True,
    "remote": remote(RUNNING),
    "seen": (pods(),),
}


class Case(NamedTuple):
    reason: str
    given: Subject
    want: tuple[str, ...]
    remedy: type = ByController


def lacking(**fields: Any) -> Any:
    return replace(ADMITTED, **fields)


FOUND = [
    Case(
        "two ManifestWorks in two clusters (I1)",
        subject(copy(), **RUNS | {"works": (work(), work(cluster="w2", uid="other"))}),
        ("TwoClusters",),
        Decide,
    ),
    Case(
        "a worker reports pods of a job that is carried to another one (I1)",
        subject(copy(), **RUNS | {"seen": (pods(), pods("w2"))}),
        ("TwoClusters",),
        Decide,
    ),
    Case(
        "two copies for one wave (I1)",
        subject(copy(), copy(name="train-again", uid="second"), **RUNS),
        ("TwoCopies",),
        Decide,
    ),
    Case("a copy for another cluster than decided", subject(ELSEWHERE), ("WrongCluster",)),
    Case("a copy of another attempt than decided", subject(copy(attempt=2)), ("WrongAttempt",)),
    Case(
        "a ManifestWork of another attempt than its copy",
        subject(copy(), **RUNS | {"works": (work(attempt=7),)}),
        ("WrongAttempt",),
        Decide,
    ),
    Case(
        "a ManifestWork in another cluster than its copy",
        subject(copy(), **RUNS | {"works": (work(cluster="w2"),), "seen": (pods("w2"),)}),
        ("WrongCluster",),
        Decide,
    ),
    Case("a copy whose Workload is gone", subject(copy(), workload=None), ("CopyWithoutWorkload",)),
    Case(
        "a copy of an earlier Workload of the name",
        subject(copy(workload_uid="earlier")),
        ("CopyWithoutWorkload",),
    ),
    Case(
        "a copy and no quota (I2)",
        subject(copy(), workload=lacking(quota_reserved=False, admitted=False)),
        ("RunsWithoutQuota",),
    ),
    Case(
        "a copy of a deactivated Workload",
        subject(copy(), workload=lacking(active=False)),
        ("RunsWithoutQuota",),
    ),
    Case(
        "a copy of a finished Workload (I3)",
        subject(copy(), workload=lacking(finished=True), job=job(terminal=True)),
        ("RunsWithoutQuota",),
    ),
    Case(
        "a ManifestWork without copy and Workload",
        subject(workload=None, job=None, works=(work(),)),
        ("WorkWithoutCopy",),
        Decide,
    ),
    Case(
        "a ManifestWork without copy, before a new attempt",
        subject(works=(work(),)),
        ("WorkWithoutCopy",),
        Decide,
    ),
    Case(
        "somebody else's Binding lists the copy",
        subject(copy(), **RUNS | {"foreign_bindings": ("all-jobs",)}),
        ("ForeignBindingPolicy",),
        Decide,
    ),
    Case(
        "admitted a minute ago, and the copy was not made",
        subject(workload=lacking(admitted_at=939.0)),
        ("NotStarted",),
    ),
    Case(
        "admitted a minute ago, and the copy is not carried",
        subject(copy(), workload=lacking(admitted_at=939.0)),
        ("NotStarted",),
    ),
    Case(
        "the start timeout is over and nobody gave the quota back",
        subject(copy(), policies=(policy(),), workload=lacking(admitted_at=600.0)),
        ("QuotaNotReturned",),
    ),
    Case(
        "no cluster within the placement timeout",
        subject(workload=workload(quota_reserved_at=300.0), job=job()),
        ("QuotaNotReturned",),
    ),
    Case(
        "evicted, nothing left, and the hub job still says active",
        subject(workload=lacking(evicted=True)),
        ("QuotaNotReturned",),
    ),
    Case(
        "evicted, nothing left, the hub job says so, and Kueue keeps the quota",
        subject(workload=lacking(evicted=True, held=False), job=job(held=False)),
        ("QuotaNotReturned",),
        Decide,
    ),
    Case(
        "our check is Retry and Kueue does not evict",
        subject(workload=lacking(checks=(check(CheckState.RETRY),))),
        ("QuotaNotReturned",),
        Decide,
    ),
    Case(
        "quota for a job that is gone",
        subject(workload=lacking(held=False), job=None),
        ("QuotaWithoutJob",),
        Decide,
    ),
    Case(
        "started, and its worker reports no pod any more",
        subject(copy(), **RUNS | {"seen": ()}),
        ("QuotaWithoutPods",),
        Decide,
    ),
    Case(
        "the worker's result is not on the hub (I3)",
        subject(copy(), **RUNS | {"remote": remote(COMPLETE, terminal=True)}),
        ("StatusNotMirrored",),
    ),
    Case(
        "withdrawn, and its ManifestWork stays beyond grace, margin and two reports",
        subject(
            copy(leaving_since=899.0), works=(work(deleting_since=995.0),), workload=lacking(evicted=True)
        ),
        ("LeavingTooLong",),
        Decide,
    ),
    Case(
        "withdrawn, nothing left, and the tombstone stays",
        subject(copy(leaving_since=899.0), works_gone_at=899.0, workload=lacking(evicted=True)),
        ("LeavingTooLong",),
    ),
    Case(
        "a ManifestWork whose deletion its cluster does not confirm",
        subject(workload=None, job=None, works=(work(deleting_since=879.0),)),
        ("LeavingTooLong",),
        Decide,
    ),
    Case(
        "a policy whose Workload and copy are gone",
        subject(workload=None, job=None, policies=(policy(),)),
        ("PolicyWithoutCopy",),
        Delete,
    ),
    Case(
        "a policy beside another copy of a Workload that is gone",
        subject(LEAVING, workload=None, policies=(policy(name="wave-w1-earlier"),)),
        ("PolicyWithoutCopy",),
    ),
    Case(
        "a policy whose copy is gone while its Workload lives",
        subject(policies=(policy(),)),
        ("PolicyWithoutCopy",),
    ),
    Case(
        "our finalizer on the Workload of a job that is gone",
        subject(workload=lacking(quota_reserved=False), job=None),
        ("FinalizerLeftOver",),
    ),
    Case(
        "our finalizer on a job that goes",
        subject(workload=lacking(finished=True, held=False), job=job(deleting=True, terminal=True)),
        ("FinalizerLeftOver",),
    ),
    Case(
        "an evicted copy that nobody withdraws",
        subject(copy(), **RUNS | {"workload": lacking(evicted=True)}),
        ("StepOverdue",),
    ),
]

LOST = {"w1": Contact(lost_since=100.0, beat_at=0.0)}
PASSING = [
    Case(
        "queued, nothing reserved", subject(workload=workload(quota_reserved=False), job=job(held=False)), ()
    ),
    Case("quota reserved, being placed", subject(workload=workload(quota_reserved_at=900.0), job=job()), ()),
    Case(
        "just admitted, the finalizer is next", subject(workload=lacking(held=False), job=job(held=False)), ()
    ),
    Case("just admitted, the copy is next", subject(), ()),
    Case("the copy is there, its policy is next", subject(copy()), ()),
    Case("the policy is there, KubeStellar's delay runs", subject(copy(), policies=(policy(),)), ()),
    Case("carried, not reported yet", subject(copy(), policies=(policy(),), works=(work(),), bound=True), ()),
    Case("it runs", subject(copy(), **RUNS), ()),
    Case(
        "it runs, and its pods are being replaced",
        subject(copy(), **RUNS | {"seen": (pods(terminating=1),)}),
        (),
    ),
    Case(
        "it has ended, its result is on the hub, the copy leaves",
        subject(
            LEAVING,
            workload=lacking(finished=True),
            job=job(terminal=True),
            works=(work(deleting_since=995.0),),
            bound=True,
        ),
        (),
    ),
    Case(
        "it is evicted, its pods are ending",
        subject(LEAVING, workload=lacking(evicted=True), works_gone_at=996.0, seen=(pods(terminating=1),)),
        (),
    ),
    Case(
        "it is evicted, its ManifestWork is going, and the report is older than that",
        subject(LEAVING, workload=lacking(evicted=True), works=(work(deleting_since=995.0),), seen=(pods(),)),
        (),
    ),
    Case(
        "it is deleted, and its Workload was finished for that: the tombstone leaves",
        subject(
            LEAVING,
            workload=lacking(finished=True, deleting=True),
            job=job(deleting=True, active=1),
            works=(work(deleting_since=995.0),),
        ),
        (),
    ),
    Case("its Workload was taken away by force, the tombstone leaves", subject(LEAVING, workload=None), ()),
    Case(
        "its next attempt is placed elsewhere, the first cluster's pods are ending",
        subject(workload=lacking(checks=(ready("w2", 2),), evictions=1), seen=(pods(terminating=1),)),
        (),
    ),
    Case(
        "its cluster is lost, which its policy waits for",
        subject(copy(leaving_since=200.0), works=(work(deleting_since=995.0),), contacts=LOST),
        (),
    ),
    Case(
        "its cluster is lost with what an earlier attempt left there",
        subject(workload=None, job=None, works=(work(deleting_since=200.0),), contacts=LOST),
        (),
    ),
    Case(
        "its cluster is lost, and it waits under atMostOnce",
        subject(copy(), **RUNS | {"contacts": LOST}),
        (),
    ),
    Case(
        "it waits for its next try: no quota, the check has the history",
        subject(
            workload=workload(
                quota_reserved=False,
                evicted=True,
                requeue_at=1100.0,
                checks=(check(history=History(1, (FailedAttempt(1, "w1", "PodsNotReady", 990.0, "no"),))),),
            ),
            job=job(),
        ),
        (),
    ),
    Case(
        "it is admitted a minute ago and its namespace is not carried: told, with a deadline",
        subject(
            workload=lacking(admitted_at=900.0), namespace_obstacle="namespace team-a is not in the WDS yet"
        ),
        (),
    ),
    Case(
        "it was evicted in the moment of its end: Kueue counts a finished one no more",
        subject(
            workload=lacking(evicted=True, finished=True, held=False), job=job(terminal=True, held=False)
        ),
        (),
    ),
    Case(
        "it runs on its second cluster, and the first one's pods are ending",
        subject(
            copy(cluster="w2", attempt=2),
            workload=lacking(checks=(ready("w2", 2),), evictions=1),
            policies=(policy(name=copy(cluster="w2", attempt=2).wave),),
            works=(work(cluster="w2", attempt=2),),
            seen=(pods(terminating=1), pods("w2")),
        ),
        (),
    ),
    Case(
        "its job was taken away by force, the tombstone leaves",
        subject(LEAVING, workload=lacking(held=False), job=None),
        (),
    ),
    Case("a policy that KubeStellar lets go", subject(workload=None, policies=(policy(deleting=True),)), ()),
    Case(
        "a ManifestWork that is being deleted",
        subject(workload=None, job=None, works=(work(deleting_since=995.0),)),
        (),
    ),
    Case(
        "no report of its cluster is trusted, so its pods are unknown",
        replace(subject(copy(), **RUNS | {"seen": ()}), reports={}),
        (),
    ),
    Case(
        "the queue of a Workload of somebody else, without our check",
        subject(workload=workload(checks=(), held=False), check=None, job=None),
        (),
    ),
]


def found(given: Subject) -> list[Finding]:
    return list(suspicions(given, TIMING))


@pytest.mark.parametrize("case", [*FOUND, *PASSING], ids=lambda case: case.reason)
def test_what_is_found(case: Case) -> None:
    assert tuple(f.code for f in found(case.given)) == case.want


@pytest.mark.parametrize("case", FOUND, ids=lambda case: case.reason)
def test_each_names_objects_numbers_and_a_remedy(case: Case) -> None:
    for finding in found(case.given):
        assert all(ref.name for ref in finding.objects)
        assert any(character.isdigit() for character in finding.message)
        assert isinstance(finding.remedy, case.remedy)
        assert str(finding.remedy)


def test_a_report_is_waited_for_where_it_is_the_only_evidence() -> None:
    by_work = subject(
        copy(), **RUNS | {"seen": (pods(), pods("w2")), "works": (work(), work(cluster="w2", uid="o"))}
    )
    by_report = subject(copy(), **RUNS | {"seen": (pods(), pods("w2"))})
    assert [f.seen_at for f in found(by_work)] == [None]
    assert [f.seen_at for f in found(by_report)] == [998.0]


def test_a_step_on_an_object_that_has_changed_is_another_one() -> None:
    before = subject(workload=lacking(evicted=True))
    after = subject(workload=lacking(evicted=True, resource_version="2"))
    assert found(before)[0].identity != found(after)[0].identity


def test_of_spaces_that_were_not_read_nothing_is_concluded() -> None:
    """The WDS or the ITS is away: what is not there is unknown, never gone (I9)."""
    unknown = (
        subject(works=(work(),)),
        subject(workload=lacking(held=False), job=None),
        subject(workload=lacking(admitted_at=600.0)),
        subject(copy(leaving_since=100.0)),
        subject(workload=None, policies=(policy(),)),
    )
    assert all(found(each) for each in unknown)
    assert [list(suspicions(each, TIMING, whole=False)) for each in unknown] == [[]] * len(unknown)
    astray = suspicions(subject(ELSEWHERE), TIMING, whole=False)
    assert [f.code for f in astray] == ["WrongCluster"]


def test_running_without_quota_is_an_error_and_a_leftover_a_warning() -> None:
    codes = {f.code: f.kind.level for case in FOUND for f in found(case.given)}
    assert {codes["RunsWithoutQuota"], codes["TwoClusters"]} == {Level.ERROR}
    assert {codes["PolicyWithoutCopy"], codes["FinalizerLeftOver"]} == {Level.WARNING}
