"""I2: broken, kept, and nearly broken."""

import pytest

from tests import judge
from tests.judge.history import History
from tests.judge.made_events import (
    CONTROLLER,
    DELETING,
    GRACE,
    KUEUE,
    NO_GRACE,
    Case,
    Log,
    expect,
    pod,
    running,
    workload,
)

FINISHED = (
    running()
    .status(9, "w1", pod("a", phase="Succeeded"))
    .status(10, "hub", workload(reserved=True, finished="Succeeded"), user=KUEUE)
)

GIVEN_UP = {"metadata": {"uid": "wl"}, "spec": {"active": False}}

QUOTA = [
    Case("finished after the last pod's end", FINISHED, []),
    Case(
        "finished before it",
        running()
        .status(8, "hub", workload(reserved=True, finished="Succeeded"), user=KUEUE)
        .status(9, "w1", pod("a", phase="Succeeded")),
        [("I2", "1 pods alive, first w1 pod team/a; the last one ended 0.998 s later")],
    ),
    Case(
        "finished as the pod ended, in either order",
        running()
        .status(8, "hub", workload(reserved=True, finished="Succeeded"), user=KUEUE, took=0.1)
        .status(8.05, "w1", pod("a", phase="Succeeded")),
        [],
    ),
    Case(
        "quota taken away, pod alive to the end of the log",
        running().status(8, "hub", workload(), user=KUEUE),
        [
            (
                "I2",
                "(QuotaReserved=False Pending) with 1 pods alive, first w1 pod team/a; the last one is",
            )
        ],
    ),
    Case(
        "given up for good before its pod has ended: Kueue counts it no more",
        running().patch(8, "hub", workload(reserved=True, active=False), user=CONTROLLER, request=GIVEN_UP),
        [("I2", "(deactivated by kueue-ks:workload-controller) with 1 pods alive")],
    ),
    Case(
        "rejected while its pod runs",
        running().add(8, "hub", "update", workload(reserved=True, active=False), user=KUEUE),
        [("I2", "(deactivated by kueue) with 1 pods alive")],
    ),
    Case(
        "given up for good after it",
        running()
        .status(7, "w1", pod("a", phase="Failed"))
        .patch(8, "hub", workload(reserved=True, active=False), user=CONTROLLER, request=GIVEN_UP)
        .status(9, "hub", workload(active=False), user=KUEUE),
        [],
    ),
    Case(
        "deactivated by a user: their word",
        running()
        .patch(8, "hub", workload(reserved=True, active=False), user="alice")
        .status(8.1, "hub", workload(reserved=True, active=False), user=KUEUE)
        .status(9, "w1", pod("a", phase="Failed"))
        .status(10, "hub", workload(active=False), user=KUEUE),
        [],
    ),
    Case(
        "quota taken away, pod in its grace period",
        running()
        .delete(7, "w1", pod("a", node="n1", **GRACE))
        .status(8, "hub", workload(), user=KUEUE)
        .delete(9, "w1", pod("a", node="n1", **NO_GRACE)),
        [("I2", "QuotaReserved=False")],
    ),
    Case(
        "the Workload object marked as deleted only",
        running().delete(8, "hub", workload(reserved=True, **DELETING, finalizers=["kueue"])),
        [],
    ),
    Case(
        "an older state that arrives late takes nothing away",
        Log()
        .create(0, "hub", workload(resourceVersion="10"))
        .status(1, "hub", workload(reserved=True, resourceVersion="12"))
        .create(2, "w1", pod("a"))
        .status(3, "hub", workload(resourceVersion="11")),
        [],
    ),
    Case(
        "a pod that began after the release",
        Log()
        .create(0, "hub", workload(reserved=True))
        .status(1, "hub", workload())
        .create(2, "w1", pod("a")),
        [("I2", "held no quota")],
    ),
    Case(
        "a pod that began in the second hold",
        Log()
        .create(0, "hub", workload(reserved=True))
        .status(1, "hub", workload())
        .status(2, "hub", workload(reserved=True))
        .create(3, "w1", pod("a")),
        [],
    ),
    Case(
        "a pod that began before the first hold",
        Log()
        .create(0, "hub", workload())
        .create(1, "w1", pod("a"))
        .status(2, "hub", workload(reserved=True)),
        [("I2", "held no quota")],
    ),
    Case("a Workload that the hub's log does not know", Log().create(2, "w1", pod("a")), []),
]


@pytest.mark.parametrize("case", QUOTA, ids=lambda case: case.reason)
def test_quota_outlives_pods(case: Case) -> None:
    expect(case)


def finished_by_kueue(reason: str) -> History:
    return running().status(8, "hub", workload(reserved=True, finished=reason), user=KUEUE).history()


def test_a_deleted_job_frees_no_quota_of_pods_that_live() -> None:
    for history in (
        finished_by_kueue("OwnerNotFound"),
        running().delete(8, "hub", workload(reserved=True), user="system:serviceaccount:gc").history(),
    ):
        assert [one.invariant for one in judge.check(history)] == ["I2"]


def test_who_chose_at_least_once_gets_it() -> None:
    history = finished_by_kueue("OwnerNotFound")
    rules = judge.Rules(may_run_twice=frozenset(history.workloads))
    assert judge.check(history, rules) == []


@pytest.mark.parametrize(("tolerance", "count"), [(0.9, 1), (1.1, 0)])
def test_tolerance_is_in_seconds(tolerance: float, count: int) -> None:
    log = (
        running()
        .status(8, "hub", workload(reserved=True, finished="Failed"))
        .status(9, "w1", pod("a", phase="Failed"))
    )

    assert len(judge.check(log.history(), judge.Rules(release_tolerance=tolerance))) == count
