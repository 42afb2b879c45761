"""One row per rule of a job's start and run. I1 to I8 are the invariants of docs/design.md."""

from dataclasses import replace

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
from tests.workload_controller.situations import ADMITTED, EVICTED, STARTED, TIMING, Case, admitted, running
from workload_controller.facts import NO_HISTORY, Check, CheckState, Decision, FailedAttempt, History
from workload_controller.lifecycle import next_action
from workload_controller.situation import Situation
from workload_controller.steps import (
    CreateCopy,
    CreatePolicy,
    DeletePolicy,
    GiveBack,
    Hold,
    MarkActive,
    Mirror,
    Nothing,
    Place,
    Wait,
)

NO_NAMESPACE = "namespace team-a is not in the WDS yet"


def placed(now: float, others: tuple[Check, ...] = (check(name="provisioning"),)) -> Situation:
    given = workload(checks=(ready(), *others))
    return Situation(now=now, workload=given, check=ready(), job=job(suspended=True))


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
