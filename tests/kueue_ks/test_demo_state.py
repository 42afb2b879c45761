"""Objects → facts → State."""

from typing import Any, NamedTuple

import pytest

from kueue_ks.demo import facts
from kueue_ks.demo.facts import Cell, FlavorFacts, JobFacts, NodeFacts, PodFacts, QueueFacts, WorkloadFacts
from kueue_ks.demo.state import Bar, Stage, Stores, Trace, WorkerStores, assemble
from tests.kueue_ks.builders import READY, condition, raw_job, raw_workload

JOB = JobFacts("team-a", "train", "job-uid", pods=2, outcome="")
QUEUED = WorkloadFacts("job-uid", quota_reserved=False, admitted=False, cluster="", message="no quota")
PLACING = WorkloadFacts("job-uid", quota_reserved=True, admitted=False, cluster="", message="no room")
ADMITTED = WorkloadFacts("job-uid", quota_reserved=True, admitted=True, cluster="w1", message="")


def pod(**fields: Any) -> PodFacts:
    given: dict[str, Any] = {
        "job": "team-a/train",
        "node": "n1",
        "running": True,
        "ended": False,
        "requests": {"cpu": 7_000},
    }
    return PodFacts(**given | fields)


def node(name: str = "n1", *, cordoned: bool = False, kind: str = "standard") -> NodeFacts:
    return NodeFacts(name, {"node-class": kind}, {"cpu": 15_500}, cordoned)


def stores(**fields: Any) -> Stores:
    given: dict[str, Any] = {
        "now": 9.0,
        "jobs": [JOB],
        "traces": {"job-uid": Trace(created=1.0)},
        "flavors": [
            FlavorFacts("gpu", {"node-class": "gpu"}),
            FlavorFacts("standard", {"node-class": "standard"}),
        ],
        "queue": QueueFacts(("standard", "gpu"), {Cell("standard", "cpu"): 31_000}),
    }
    return Stores(**given | fields)


def on_w1(*pods: PodFacts, nodes: tuple[NodeFacts, ...] = ()) -> dict[str, WorkerStores]:
    return {"w1": WorkerStores(available=True, nodes=nodes or (node(),), pods=pods)}


class Case(NamedTuple):
    reason: str
    given: Stores
    want: Stage


CASES = [
    Case("no Workload yet: Kueue has not looked", stores(), Stage.QUEUED),
    Case("without quota it waits for quota", stores(workloads=[QUEUED]), Stage.QUEUED),
    Case("with quota it waits for our check", stores(workloads=[PLACING]), Stage.PLACING),
    Case("admitted, no pod yet", stores(workloads=[ADMITTED]), Stage.STARTING),
    Case("half a gang does not run", stores(workloads=[ADMITTED], workers=on_w1(pod())), Stage.STARTING),
    Case(
        "pods of another job do not count",
        stores(workloads=[ADMITTED], workers=on_w1(pod(), pod(job="team-a/x"))),
        Stage.STARTING,
    ),
    Case("all pods run", stores(workloads=[ADMITTED], workers=on_w1(pod(), pod())), Stage.RUNNING),
    Case(
        "a job that ran goes on running while a pod is replaced",
        stores(workloads=[ADMITTED], workers=on_w1(pod()), traces={"job-uid": Trace(1.0, 2.0, 3.0)}),
        Stage.RUNNING,
    ),
    Case(
        "the hub's word ends it",
        stores(workloads=[ADMITTED], jobs=[JobFacts("team-a", "train", "job-uid", 2, "Complete")]),
        Stage.FINISHED,
    ),
    Case(
        "failed is an end, too",
        stores(workloads=[ADMITTED], jobs=[JobFacts("team-a", "train", "job-uid", 2, "Failed")]),
        Stage.FAILED,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_stage(case: Case) -> None:
    (job,) = assemble(case.given).jobs
    assert job.stage is case.want


def test_only_submitted_jobs_are_shown() -> None:
    assert assemble(stores(traces={})).jobs == ()


def test_times_are_of_the_first_sight() -> None:
    running = stores(workloads=[ADMITTED], workers=on_w1(pod(), pod()))
    first = assemble(running).jobs[0].trace
    assert first == Trace(created=1.0, admitted=9.0, running=9.0, places=frozenset({"w1"}))
    later = stores(now=12.0, workloads=[ADMITTED], workers=on_w1(pod()), traces={"job-uid": first})
    assert assemble(later).jobs[0].trace == first


def test_a_second_place_is_never_forgotten() -> None:
    before = Trace(created=1.0, places=frozenset({"w2"}))
    moved = stores(workloads=[ADMITTED], workers=on_w1(pod()), traces={"job-uid": before})
    assert assemble(moved).jobs[0].trace.places == {"w1", "w2"}


def test_a_waiting_job_says_why_and_an_admitted_one_does_not() -> None:
    assert assemble(stores(workloads=[PLACING])).jobs[0].why == "no room"
    assert assemble(stores(workloads=[ADMITTED])).jobs[0].why == ""


def test_bars_count_schedulable_nodes_and_pods_that_have_not_ended() -> None:
    nodes = (node("n1"), node("n2", cordoned=True), node("g1", kind="gpu"), node("other", kind="x"))
    pods = (pod(), pod(running=False), pod(ended=True), pod(node="g1"), pod(node="other"), pod(node=""))
    (worker,) = assemble(stores(workers=on_w1(*pods, nodes=nodes))).workers
    assert worker.cordoned == ("n2",)
    assert worker.bars == (
        Bar(Cell("standard", "cpu"), used=14_000, allocatable=15_500),
        Bar(Cell("gpu", "cpu"), used=7_000, allocatable=15_500),
    )


def test_read_job_counts_pods_at_once() -> None:
    assert facts.read_job(raw_job()).pods == 4
    sweep = raw_job()
    sweep["spec"] |= {"parallelism": 3, "completions": 12}
    assert facts.read_job(sweep).pods == 3
    assert facts.read_job(raw_job(conditions=[condition("Complete")])).outcome == "Complete"
    assert facts.read_job(raw_job(conditions=[condition("Failed", "False")])).outcome == ""


WORKLOAD_CASES = [
    (
        "Kueue's words while there is no quota",
        raw_workload(condition("QuotaReserved", "False", message="none")),
        QUEUED,
        "none",
    ),
    (
        "our words while the check is Pending",
        raw_workload(condition("QuotaReserved"), check={"state": "Pending", "message": "no room"}),
        PLACING,
        "no room",
    ),
    (
        "nothing once admitted",
        raw_workload(condition("QuotaReserved"), condition("Admitted"), check=READY),
        ADMITTED,
        "",
    ),
]


@pytest.mark.parametrize(
    ("reason", "raw", "like", "message"), WORKLOAD_CASES, ids=[c[0] for c in WORKLOAD_CASES]
)
def test_read_workload(reason: str, raw: dict[str, Any], like: WorkloadFacts, message: str) -> None:
    want = WorkloadFacts("job-uid", like.quota_reserved, like.admitted, like.cluster, message)
    assert facts.read_workload(raw) == want, reason


def test_an_evicted_workload_is_not_admitted() -> None:
    raw = raw_workload(condition("QuotaReserved"), condition("Admitted"), condition("Evicted"), check=READY)
    assert not facts.read_workload(raw).admitted


def test_a_decision_counts_only_while_the_check_is_ready() -> None:
    raw = raw_workload(condition("QuotaReserved"), check={**READY, "state": "Pending"})
    assert facts.read_workload(raw).cluster == ""


def test_read_queue() -> None:
    resources = [{"name": "cpu", "nominalQuota": "85500m"}, {"name": "memory", "nominalQuota": "1Gi"}]
    raw = {
        "spec": {"resourceGroups": [{"flavors": [{"name": "standard", "resources": resources}]}]},
        "status": {
            "flavorsReservation": [{"name": "standard", "resources": [{"name": "cpu", "total": "28"}]}]
        },
    }
    queue = facts.read_queue(raw)
    assert queue.flavors == ("standard",)
    assert queue.nominal == {Cell("standard", "cpu"): 85_500, Cell("standard", "memory"): 2**30 * 1000}
    assert queue.reserved == {Cell("standard", "cpu"): 28_000}


def test_read_pod() -> None:
    raw: dict[str, Any] = {
        "metadata": {"namespace": "team-a", "ownerReferences": [{"kind": "Job", "name": "train"}]},
        "spec": {"nodeName": "n1", "containers": [{"resources": {"requests": {"cpu": "7"}}}]},
        "status": {"phase": "Running"},
    }
    read = facts.read_pod(raw)
    assert (read.job, read.node, read.running, read.ended) == ("team-a/train", "n1", True, False)
    assert read.requests["cpu"] == 7_000
    raw["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    assert not facts.read_pod(raw).running
