"""I4: broken, kept, and nearly broken."""

import pytest

from tests.judge.made_events import (
    GRACE,
    Case,
    Log,
    expect,
    node,
    pod,
)


def w1(*nodes: tuple[str, str]) -> Log:
    log = Log()
    for name, cpu in nodes or (("n1", "4"),):
        log.create(0, "w1", node(name, cpu))
    return log


CAPACITY = [
    Case("exactly full", w1().create(1, "w1", pod("a", cpu="4", node="n1")), []),
    Case(
        "1m more than there is",
        w1().create(1, "w1", pod("a", cpu="4001m", node="n1")),
        [
            ("I4", "schedulable nodes have cpu 4, our living pods ask 4.001"),
            ("I4", "node n1 has cpu 4, its pods ask 4.001"),
        ],
    ),
    Case(
        "ours fit, but not beside a foreign pod on that node",
        w1(("n1", "4"), ("n2", "4"))
        .create(1, "w1", pod("f", workload="", cpu="2", node="n1"))
        .create(2, "w1", pod("a", cpu="3", node="n1")),
        [("I4", "node n1 has cpu 4, its pods ask 5")],
    ),
    Case(
        "pods without a node count for the cluster",
        w1().create(1, "w1", pod("a", cpu="3")).create(2, "w1", pod("b", cpu="3", workload="other")),
        [("I4", "have cpu 4, our living pods ask 6 since w1 pod team/b")],
    ),
    Case(
        "a foreign pod without a node does not",
        w1().create(1, "w1", pod("a", cpu="3")).create(2, "w1", pod("b", cpu="3", workload="")),
        [],
    ),
    Case(
        "the first has ended",
        w1()
        .create(1, "w1", pod("a", cpu="3", node="n1"))
        .status(2, "w1", pod("a", cpu="3", node="n1", phase="Succeeded"))
        .create(3, "w1", pod("b", cpu="3", node="n1", workload="other")),
        [],
    ),
    Case(
        "the first is leaving",
        w1(("n1", "4"), ("n2", "4"))
        .create(1, "w1", pod("a", cpu="3", node="n1"))
        .delete(2, "w1", pod("a", cpu="3", node="n1", **GRACE))
        .create(3, "w1", pod("b", cpu="3", node="n1", workload="other")),
        [("I4", "node n1 has cpu 4, its pods ask 6")],
    ),
    Case(
        "bound by the scheduler, told by the next status",
        w1(("n1", "4"), ("n2", "4"))
        .create(1, "w1", pod("a", cpu="3"))
        .add(
            2,
            "w1",
            "create",
            {"kind": "Pod", "metadata": {"name": "a", "namespace": "team"}},
            sub="binding",
            level="Metadata",
        )
        .create(2, "w1", pod("b", cpu="3", workload="other", node="n1"))
        .status(3, "w1", pod("b", cpu="3", workload="other", node="n1", phase="Succeeded"))
        .status(4, "w1", pod("a", cpu="3", node="n1")),
        [("I4", "node n1 has cpu 4, its pods ask 6")],
    ),
    Case(
        "a cordoned node is no room",
        w1(("n1", "4"), ("n2", "4"))
        .patch(1, "w1", node("n2", "4", cordoned=True))
        .create(2, "w1", pod("a", cpu="5")),
        [("I4", "schedulable nodes have cpu 4, our living pods ask 5")],
    ),
    Case(
        "cordoned while the pod was made, in either order",
        w1(("n1", "4"), ("n2", "4"))
        .patch(1, "w1", node("n2", "4", cordoned=True), took=0.5)
        .create(1.2, "w1", pod("a", cpu="5")),
        [],
    ),
    Case(
        "an excess is told once, not for each pod after it",
        w1().create(1, "w1", pod("a", cpu="5")).create(2, "w1", pod("b", cpu="1", workload="other")),
        [("I4", "our living pods ask 5")],
    ),
    Case(
        "cordoned under its pod: nobody's overbooking, nor is the next pod elsewhere",
        w1(("n1", "4"), ("n2", "4"))
        .create(1, "w1", pod("a", cpu="4", node="n2"))
        .patch(2, "w1", node("n2", "4", cordoned=True))
        .create(3, "w1", pod("b", cpu="4", node="n1", workload="other")),
        [],
    ),
    Case(
        "a node that shrinks under its pod is not blamed on it",
        w1().create(1, "w1", pod("a", cpu="4", node="n1")).status(2, "w1", node(cpu="2")),
        [],
    ),
    Case(
        "the pod placed after that is",
        w1()
        .create(1, "w1", pod("a", cpu="1", node="n1"))
        .status(2, "w1", node(cpu="1"))
        .create(3, "w1", pod("b", cpu="1", node="n1")),
        [("I4", "our living pods ask 2"), ("I4", "its pods ask 2")],
    ),
    Case(
        "on a node that was removed",
        w1(("n1", "4"), ("n2", "4")).delete(1, "w1", node("n2")).create(2, "w1", pod("a", cpu="5")),
        [("I4", "have cpu 4")],
    ),
    Case(
        "a node that the log does not know is not zero",
        Log().create(1, "w1", pod("a", cpu="4", node="n1")),
        [],
    ),
    Case("a resource that nobody has", w1().create(1, "w1", pod("a", cpu="0", node="n1")), []),
    Case(
        "the clusters are apart",
        w1().create(1, "w1", pod("a", cpu="3")).create(1, "w2", pod("b", "o", cpu="3")),
        [],
    ),
]


@pytest.mark.parametrize("case", CAPACITY, ids=lambda case: case.reason)
def test_nothing_is_overbooked(case: Case) -> None:
    expect(case)
