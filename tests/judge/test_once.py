"""I1, I3 and the empty hub: broken, kept, and nearly broken."""

import pytest

from tests.judge.made_events import (
    GRACE,
    NO_GRACE,
    TRACKED,
    Case,
    Log,
    expect,
    job,
    pod,
    running,
    workload,
)

ONE_PLACE = [
    Case("two pods of one Job on one cluster", running().create(7, "w1", pod("b")), []),
    Case(
        "a pod on a second cluster while the first lives",
        running().create(7, "w2", pod("b")),
        [("I1", "w2 pod team/b")],
    ),
    Case(
        "the first one ended a moment after the second began",
        running().create(7, "w2", pod("b")).status(7.01, "w1", pod("a", node="n1", phase="Failed")),
        [("I1", "lived together for at least 0.008 s")],
    ),
    Case(
        "a pod that may have lived for no time at all",
        running()
        .create(7, "w2", pod("b"), took=1)
        .delete(7.5, "w2", pod("b", **NO_GRACE))
        .status(9, "w1", pod("a", node="n1", phase="Failed")),
        [],
    ),
    Case(
        "a second Job of the same Workload on the same cluster",
        running().create(7, "w1", pod("b", owner="job2")),
        [("I1", "owner job2")],
    ),
    Case(
        "each pair of places is told once, however many pods",
        running().create(7, "w2", pod("b")).create(7, "w2", pod("c")).create(8, "w1", pod("d")),
        [("I1", "w2")],
    ),
    Case("pods of two Workloads", running().create(7, "w2", pod("b", workload="other")), []),
    Case("pods that carry no Workload", running().create(7, "w2", pod("b", workload="")), []),
    Case(
        "the first one had ended",
        running().status(8, "w1", pod("a", node="n1", phase="Failed")).create(8.01, "w2", pod("b")),
        [],
    ),
    Case(
        "the end and the begin may have been in either order",
        running().status(8, "w1", pod("a", phase="Failed"), took=0.1).create(8.05, "w2", pod("b")),
        [],
    ),
    Case(
        "a graceful DELETE is not the end",
        running().delete(8, "w1", pod("a", node="n1", **GRACE)).create(9, "w2", pod("b")),
        [("I1", "w2 pod team/b")],
    ),
    Case(
        "the DELETE without grace is",
        running()
        .delete(8, "w1", pod("a", node="n1", **GRACE))
        .delete(9, "w1", pod("a", node="n1", **NO_GRACE))
        .create(10, "w2", pod("b")),
        [],
    ),
    Case(
        "not while the Job controller's finalizer holds the pod",
        running().delete(9, "w1", pod("a", node="n1", **NO_GRACE, **TRACKED)).create(10, "w2", pod("b")),
        [("I1", "w2 pod team/b")],
    ),
    Case(
        "the patch that takes the last finalizer away ends it",
        running()
        .delete(8, "w1", pod("a", node="n1", **NO_GRACE, **TRACKED))
        .patch(9, "w1", pod("a", node="n1", **NO_GRACE))
        .create(10, "w2", pod("b")),
        [],
    ),
    Case(
        "the pod whose name was given anew has ended, though the log lost its DELETE",
        running().create(9, "w1", pod("a", uid="uid-a2", workload="other")).create(10, "w2", pod("b")),
        [],
    ),
    Case(
        "the Jobs of one JobSet are one place",
        running()
        .create(4, "w1", job("set-1", "two", owner="set"))
        .create(4, "w1", job("set-2", "two", owner="set"))
        .create(5, "w1", pod("c", "two", owner="set-1"))
        .create(5, "w1", pod("d", "two", owner="set-2")),
        [],
    ),
]

AFTER_THE_END = [
    Case(
        "a pod after its Workload was finished",
        Log()
        .create(0, "hub", workload(reserved=True))
        .status(1, "hub", workload(reserved=True, finished="Succeeded"))
        .create(2, "w1", pod("a")),
        [("I3", "0.998 s after Workload wl was Finished (Succeeded)")],
    ),
    Case(
        "a pod created while Finished was written",
        Log()
        .create(0, "hub", workload(reserved=True))
        .status(1, "hub", workload(reserved=True, finished="Succeeded"), took=0.5)
        .create(1.2, "w1", pod("a"), took=0.1),
        [],
    ),
    Case(
        "a pod of the Job that the agent made again after Complete",
        Log()
        .create(0, "w1", job("job"))
        .status(5, "w1", job("job", ended="Complete"))
        .create(6, "w1", pod("a", owner="again")),
        [("I3", "Job team/job (uid job, attempt 1) was Complete on w1")],
    ),
    Case(
        "on another cluster too",
        Log()
        .create(0, "w1", job("job"))
        .status(5, "w1", job("job", ended="Failed"))
        .create(6, "w2", pod("a", owner="again")),
        [("I3", "was Failed on w1")],
    ),
    Case(
        "the next attempt after a failure",
        Log()
        .create(0, "w1", job("job"))
        .status(5, "w1", job("job", ended="Failed"))
        .create(6, "w1", pod("a", owner="again", attempt="2")),
        [],
    ),
    Case(
        "the next Job of a JobSet after its first is complete",
        Log()
        .create(0, "w1", job("set-1", owner="set"))
        .create(0, "w1", job("set-2", owner="set"))
        .status(5, "w1", job("set-1", owner="set", ended="Complete"))
        .create(6, "w1", pod("a", owner="set-2")),
        [],
    ),
    Case(
        "a pod first seen late, but made before, is not late",
        Log()
        .create(0, "hub", workload(reserved=True))
        .status(1, "hub", workload(reserved=True, finished="Succeeded"))
        .status(2, "w1", pod("a", phase="Succeeded")),
        [],
    ),
]


HUB_PODS = [
    Case("a pod on the hub", Log().create(0, "hub", pod("a")), [("no hub pods", "created on hub")]),
    Case("a pod in the WDS", Log().create(0, "control", pod("a")), [("no hub pods", "created on control")]),
    Case("a pod that was there before, on the hub", Log().status(0, "hub", pod("a")), []),
    Case("a refused pod on the hub", Log().create(0, "hub", pod("a"), code=403), []),
]


@pytest.mark.parametrize("case", [*ONE_PLACE, *AFTER_THE_END, *HUB_PODS], ids=lambda case: case.reason)
def test_pods_live_once(case: Case) -> None:
    expect(case)
