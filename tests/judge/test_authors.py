"""I6: broken, kept, and nearly broken."""

import pytest

from tests import judge
from tests.judge.made_events import (
    AGENT,
    CONTROLLER,
    Case,
    Log,
    expect,
    job,
    pod,
    thing,
    workload,
)

CHECKS_ONLY = {
    "apiVersion": "x",
    "kind": "Workload",
    "metadata": {"name": "x", "uid": "u"},
    "status": {"admissionChecks": []},
}


OWNED = workload(ownerReferences=[{"kind": "Job", "uid": "j", "name": "j", "controller": True}])


def made_by(user: str, kind: str, space: str = "hub") -> Log:
    return Log().create(0, space, thing(kind, "mine", namespace="team"), user=user)


def while_leaving(name: str) -> Log:
    """The Workload of job j is there, and job ``name`` is being deleted and held."""
    held = job(name, finalizers=["ours"])
    leaving = job(name, finalizers=["ours"], deletionTimestamp="2026-11-22T10:00:01Z")
    return Log().create(0, "hub", held).create(0.1, "hub", OWNED).delete(1, "hub", leaving)


MINE = {
    kind: thing(kind, "mine", namespace="team")
    for kind in ("ConfigMap", "ClusterQueue", "Lease", "ClusterMetrics")
}

AUTHORS = [
    Case(
        "our own object",
        made_by(CONTROLLER, "ConfigMap").delete(1, "hub", MINE["ConfigMap"], user=CONTROLLER),
        [],
    ),
    Case(
        "an object of a sister program",
        made_by("kueue-ks:quota-manager", "ConfigMap").delete(1, "hub", MINE["ConfigMap"], user=CONTROLLER),
        [],
    ),
    Case(
        "somebody's object deleted",
        made_by("alice", "ConfigMap").delete(1, "hub", MINE["ConfigMap"], user=CONTROLLER),
        [("I6", "kueue-ks:workload-controller did delete on an object created by alice")],
    ),
    Case(
        "a second delete while somebody removes the finalizer",
        made_by(CONTROLLER, "ConfigMap")
        .delete(1, "hub", MINE["ConfigMap"], user="alice", took=0.5)
        .delete(1.2, "hub", MINE["ConfigMap"], user=CONTROLLER, took=0.5),
        [],
    ),
    Case(
        "a delete after the end of our object",
        made_by(CONTROLLER, "ConfigMap")
        .delete(1, "hub", MINE["ConfigMap"], user="alice")
        .delete(3, "hub", MINE["ConfigMap"], user=CONTROLLER),
        [("I6", "whose creator the log does not know")],
    ),
    Case(
        "an object that no log knows",
        Log().patch(1, "hub", MINE["ConfigMap"], user=CONTROLLER),
        [("I6", "whose creator the log does not know")],
    ),
    Case(
        "an apply that created it",
        Log()
        .patch(0, "hub", MINE["ConfigMap"], user=CONTROLLER, code=201)
        .patch(1, "hub", MINE["ConfigMap"], user=CONTROLLER),
        [],
    ),
    Case(
        "ours was deleted and somebody made another of that name",
        made_by(CONTROLLER, "ConfigMap")
        .delete(1, "hub", MINE["ConfigMap"])
        .create(2, "hub", MINE["ConfigMap"], user="alice")
        .patch(3, "hub", MINE["ConfigMap"], user=CONTROLLER),
        [("I6", "created by alice")],
    ),
    Case(
        "the same name in another space is another object",
        made_by(CONTROLLER, "ConfigMap").patch(1, "w1", MINE["ConfigMap"], user=CONTROLLER),
        [("I6", "w1 configmaps team/mine")],
    ),
    Case(
        "others may do as they like",
        made_by("alice", "ConfigMap").delete(1, "hub", MINE["ConfigMap"], user="bob"),
        [],
    ),
    Case(
        "a refusal did nothing",
        made_by("alice", "ConfigMap").delete(1, "hub", MINE["ConfigMap"], user=CONTROLLER, code=403),
        [],
    ),
    Case("a Lease", made_by("alice", "Lease").add(1, "hub", "update", MINE["Lease"], user=CONTROLLER), []),
    Case(
        "a check's entry in a Workload's status",
        Log().create(0, "hub", workload()).status(1, "hub", workload(), user=CONTROLLER, request=CHECKS_ONLY),
        [],
    ),
    Case(
        "a condition in a Workload's status",
        Log()
        .create(0, "hub", workload())
        .status(1, "hub", workload(), user=CONTROLLER, request=CHECKS_ONLY | {"status": {"conditions": []}}),
        [("I6", "(fields: status.conditions)")],
    ),
    Case(
        "a label on a Workload while the check is moved",
        Log()
        .create(0, "hub", workload())
        .status(
            1,
            "hub",
            workload(),
            user=CONTROLLER,
            request=CHECKS_ONLY | {"metadata": {"name": "x", "labels": {}}},
        ),
        [("I6", "metadata.labels")],
    ),
    Case(
        "a Workload's spec",
        Log().create(0, "hub", workload()).patch(1, "hub", workload(), user=CONTROLLER, request=CHECKS_ONLY),
        [("I6", "hub workloads.kueue.x-k8s.io team/job-wl")],
    ),
    Case(
        "the Workload of a job that is being deleted",
        while_leaving("j").delete(2, "hub", OWNED, user=CONTROLLER),
        [],
    ),
    Case(
        "the same, of whose deletion the answer is a Status, since it had no finalizer",
        while_leaving("j").add(2, "hub", "delete", OWNED, user=CONTROLLER, level="Metadata"),
        [],
    ),
    Case(
        "the Workload of another job than the one that is being deleted",
        while_leaving("other").delete(2, "hub", OWNED, user=CONTROLLER),
        [("I6", "did delete")],
    ),
    Case(
        "the Workload of a living job",
        Log().create(0, "hub", job("j")).create(0.1, "hub", OWNED).delete(2, "hub", OWNED, user=CONTROLLER),
        [("I6", "did delete")],
    ),
    Case(
        "a hub job's status", Log().create(0, "hub", job("j")).status(1, "hub", job("j"), user=CONTROLLER), []
    ),
    Case(
        "a hub job",
        Log().create(0, "hub", job("j")).patch(1, "hub", job("j"), user=CONTROLLER),
        [("I6", "hub jobs.batch team/j")],
    ),
    Case(
        "a quota by the quota manager",
        made_by("admin", "ClusterQueue").add(
            1, "hub", "update", MINE["ClusterQueue"], user="kueue-ks:quota-manager"
        ),
        [],
    ),
    Case(
        "a queue deleted by the quota manager",
        made_by("admin", "ClusterQueue").delete(
            1, "hub", MINE["ClusterQueue"], user="kueue-ks:quota-manager"
        ),
        [("I6", "did delete")],
    ),
    Case(
        "an eviction does not make its pod ours",
        Log()
        .create(0, "w1", pod("a"))
        .create(1, "w1", pod("a"), sub="eviction", user=CONTROLLER)
        .patch(2, "w1", pod("a"), user=CONTROLLER),
        [("I6", "w1 pods/eviction"), ("I6", "w1 pods team/a")],
    ),
    Case(
        "a quota by the workload controller",
        made_by("admin", "ClusterQueue").add(1, "hub", "update", MINE["ClusterQueue"], user=CONTROLLER),
        [("I6", "clusterqueues.kueue.x-k8s.io")],
    ),
    Case(
        "a worker's report by its agent",
        made_by(AGENT, "ClusterMetrics", "w1").status(
            1, "w1", MINE["ClusterMetrics"], user="kueue-ks:metrics-agent"
        ),
        [],
    ),
    Case(
        "an eviction of somebody's pod",
        Log().create(0, "w1", pod("a")).create(1, "w1", pod("a"), sub="eviction", user=CONTROLLER),
        [("I6", "w1 pods/eviction team/a")],
    ),
]


@pytest.mark.parametrize("case", AUTHORS, ids=lambda case: case.reason)
def test_only_our_own_is_touched(case: Case) -> None:
    expect(case)


def test_users_are_configurable() -> None:
    log = made_by("alice", "ConfigMap").delete(
        1, "hub", MINE["ConfigMap"], user="system:serviceaccount:ks:wc"
    )

    assert judge.check(log.history()) == []
    assert len(judge.check(log.history(), judge.Rules(users=frozenset({"system:serviceaccount:ks:wc"})))) == 1
