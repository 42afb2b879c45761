"""A job runs once: known failures of others, each made to happen (I1, I3, I4).

The judge looks for a second run after each test; what these tests assert is what else the user was promised.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack
from tests.judge.history import History
from vocabulary import keys
from vocabulary.report_reading import parse_report
from vocabulary.resources import (
    CLUSTER_METRICS,
    CLUSTER_QUEUES,
    JOBS,
    MANIFEST_WORKS,
    NODES,
    PODS,
    WORK_STATUSES,
    WORKLOADS,
)
from workload_controller.reading import seconds

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

# Of a Job that was removed by hand the agent has told all before we withdraw it: its silence is waited out.
GRACE = 3
QUICK = ("--retry-delay=2",)
BURST = 100
ROOM = {"w1": 2 * 7, "w2": 2 * 11 + 3}  # pods of 1 cpu beside the foreign ones of half_full


@pytest_asyncio.fixture(scope="module", loop_scope="package", autouse=True)
async def quick_retries(stack: Stack) -> AsyncIterator[None]:
    """A job is tried again 2 s after its attempt failed, not 30."""
    await stack.restart(*QUICK)
    yield
    await stack.restart()


async def test_a_job_that_its_ttl_removes_ran_once(stack: Stack) -> None:
    """On a worker, the work agent would make the removed Job again and it would run (kubestellar #3961).

    That takes it minutes, so what is looked at is why it cannot: no TTL there, and nothing to make again.
    """
    job = await stack.submit(runs="2s", ttlSecondsAfterFinished=8)
    workload = await stack.workload_of(job)
    await stack.running(job)
    cluster, _ = await stack.placed(job)
    async with stack.fleet.space(cluster) as worker:
        there = await worker.get(JOBS, job["metadata"]["name"], "team-a")
    assert "ttlSecondsAfterFinished" not in there["spec"]
    await stack.condition(job, "Finished")
    await stack.nothing_left()
    assert await stack.hub.get(JOBS, job["metadata"]["name"], "team-a"), "withdrawn for its end, not its TTL"
    await stack.gone(job)
    await asyncio.sleep(5)
    assert len(await stack.pods(workload)) == 1
    assert not await stack.hub.list(WORKLOADS, "team-a", label_selector=f"{keys.KUEUE_JOB_UID}={uid(job)}")


async def test_labels_that_change_while_it_runs_change_nothing(stack: Stack) -> None:
    """On the hub job they go nowhere; on its copy KubeStellar tells the ManifestWork, and an agent that then
    updated the Job would be refused, because its pod template cannot change (kubestellar #3960)."""
    job = await stack.submit(runs="9s")
    await stack.running(job)
    name = job["metadata"]["name"]
    before = await work_of(stack, job)
    touched = {"labels": {"team": "blue"}, "annotations": {"note": "touched"}}
    for space in (stack.hub, stack.wds):
        own = {"uid": (await space.get(JOBS, name, "team-a"))["metadata"]["uid"]}
        await space.patch(JOBS, {"metadata": own | touched}, name=name, namespace="team-a")
    await asyncio.sleep(4)  # twice KubeStellar's delay
    after = await work_of(stack, job)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert {c["type"]: c["status"] for c in after["status"]["conditions"]}["Applied"] == "True"
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    assert len(await stack.pods(await stack.workload_of(job))) == 1


async def test_of_two_jobs_the_deleted_one_disappears_and_the_other_runs_on(stack: Stack) -> None:
    """One policy for both would lose both, or neither (kubestellar #2512, #2332)."""
    stays, goes = [await stack.submit(runs="8s") for _ in range(2)]
    for job in (stays, goes):
        await stack.running(job)
    workloads = [await stack.workload_of(job) for job in (stays, goes)]
    await stack.hub.delete(JOBS, goes["metadata"]["name"], "team-a", uid=uid(goes))
    await stack.gone(goes)
    assert (await stack.hub.get(JOBS, stays["metadata"]["name"], "team-a"))["status"]["active"] == 1
    assert (await stack.condition(stays, "Finished"))["reason"] == "Succeeded"
    assert [len(await stack.pods(workload)) for workload in workloads] == [1, 1]
    await stack.nothing_left()


async def test_a_job_that_is_removed_on_its_worker_runs_again_elsewhere(stack: Stack) -> None:
    """The work agent would create it again after minutes, unnoticed (docs/design.md, section 4)."""
    job = await stack.submit(runs="8s", grace=GRACE)
    cluster = await remove_on_worker(stack, job)
    told = await eventually(
        lambda: stack.events(job),
        lambda events: "WorkerJobRemoved" in events,
        within=40,
        what="the event of the removal",
    )
    assert f"WorkerJobRemoved on {cluster}: its Job was deleted there by hand" in told["WorkerJobRemoved"]
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    elsewhere, attempt = await stack.placed(job)
    assert (elsewhere != cluster, attempt) == (True, 2)
    pods = await stack.pods(await stack.workload_of(job))
    assert [(pod.cluster, pod.attempt) for pod in pods] == [(cluster, "1"), (elsewhere, "2")]
    await stack.nothing_left()


async def test_a_job_that_is_removed_on_its_worker_stays_away_where_its_user_said_so(stack: Stack) -> None:
    job = await stack.submit(runs="8s", grace=GRACE, annotations={keys.ON_JOB_REMOVED: "reject"})
    cluster = await remove_on_worker(stack, job)
    assert (await stack.condition(job, "Evicted"))["reason"] == "AdmissionCheck"
    workload = await eventually(
        lambda: stack.workload_of(job),
        lambda workload: not workload["spec"]["active"],
        within=30,
        what="a deactivated Workload, when its pods have ended",
    )
    told = (await stack.events(job))["WorkerJobRemoved"]
    assert f"the Job on {cluster}" in told
    assert f"set spec.active of Workload {workload['metadata']['name']} to true" in told
    assert len(await stack.pods(workload)) == 1
    await stack.nothing_left()


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def half_full(stack: Stack) -> AsyncIterator[None]:
    """Foreign pods on half of each standard node, known to us."""
    async with AsyncExitStack() as connections:
        made = []
        for worker in stack.fleet.workers:
            space = await connections.enter_async_context(stack.fleet.space(worker))
            for node in await space.list(NODES, label_selector="node-class=standard"):
                half = int(node["status"]["capacity"]["cpu"]) // 2
                if not node["spec"].get("unschedulable"):
                    made.append(
                        (space, await space.create(PODS, foreign_pod(node["metadata"]["name"], half)))
                    )
        await eventually(
            lambda: foreign_cpu(stack),
            lambda cpu: cpu == 44_000,  # half of 2 * 16 + 2 * 24 + 8
            within=20,
            what="the foreign pods in the agents' reports",
        )
        yield
        for space, pod in made:
            await space.delete(PODS, pod["metadata"]["name"], "default", uid=uid(pod))


@pytest.mark.parametrize(
    "crash", [False, True], ids=["undisturbed", "the controller is killed in the middle"]
)
async def test_a_hundred_admissions_in_one_second_overbook_nothing(
    stack: Stack, half_full: None, crash: bool
) -> None:
    """Kueue has quota for all of them, the clusters have room for 39: only the ledger holds the rest back."""
    name = f"burst-{crash}".lower()
    queue = await stack.make_queue(name, cpu=BURST)
    await stack.change(CLUSTER_QUEUES, name, None, {"stopPolicy": "Hold"})
    jobs = await asyncio.gather(
        *(stack.submit(runs="1s", labels=queue, requests={"cpu": "1"}) for _ in range(BURST))
    )
    workloads = [await stack.workload_of(job) for job in jobs]
    await stack.change(CLUSTER_QUEUES, name, None, {"stopPolicy": "None"})
    if crash:
        copies = lambda: stack.wds.list(JOBS)  # noqa: E731
        await eventually(
            copies, lambda found: len(found) > 15, within=30, what="the first copies", every=0.05
        )
        await stack.programs.kill("workload-controller")
        await stack.programs.start("workload-controller", options=QUICK)
    await eventually(
        lambda: waiting_in(stack, name),
        lambda waiting: waiting >= BURST // 4,
        within=30,
        what="jobs with quota that wait for room",
    )
    assert await reserved_within(stack, workloads) <= 1
    for job in jobs:
        assert (await stack.condition(job, "Finished", within=150))["reason"] == "Succeeded"
    await stack.nothing_left()
    history = await stack.history()
    ours = {uid(workload) for workload in workloads}
    most = {worker: most_copies(history, ours, worker) for worker in ROOM}
    assert all(most[worker] <= room for worker, room in ROOM.items()), f"{most} of {ROOM}"
    assert len([pod for pod in history.pods if pod.workload in ours]) == BURST


async def reserved_within(stack: Stack, workloads: list[Obj]) -> float:
    """Seconds between the first and the last reservation of quota; Kueue notes whole seconds."""
    times = []
    for workload in workloads:
        metadata = workload["metadata"]
        now = await stack.hub.get(WORKLOADS, metadata["name"], metadata["namespace"])
        conditions = {c["type"]: c for c in now["status"]["conditions"]}
        assert conditions["QuotaReserved"]["status"] == "True"
        times.append(seconds(conditions["QuotaReserved"]["lastTransitionTime"]))
    return max(times) - min(times)


def most_copies(history: History, workloads: set[str], cluster: str) -> int:
    """How many copies for a cluster certainly were there at one instant, those that were leaving included.

    What is promised to a cluster counts, not what has begun there: pods begin later, a few at a time.
    """
    steps = []
    for write in history.writes:
        ours = write.labels.get(keys.WORKLOAD_UID) in workloads and write.labels.get(keys.CLUSTER) == cluster
        if ours and (write.space, write.resource) == ("control", "jobs.batch"):
            steps += [(write.when.latest, 1)] * write.created + [(write.when.earliest, -1)] * write.removed
    most = living = 0
    for _, change in sorted(steps):  # at one instant, what gives room comes first
        living += change
        most = max(most, living)
    return most


async def waiting_in(stack: Stack, queue: str) -> int:
    """How many Workloads of the queue are told that no cluster has room."""
    waiting = 0
    for workload in await stack.hub.list(WORKLOADS, "team-a"):
        if workload["spec"]["queueName"] == queue:
            checks = (workload.get("status") or {}).get("admissionChecks", ())
            waiting += any("0 of 1 pods fit; asks cpu 1" in check["message"] for check in checks)
    return waiting


async def foreign_cpu(stack: Stack) -> int:
    """What the agents' reports, as they reached the ITS, count as others' use; milli-units."""
    statuses = await stack.its.list(WORK_STATUSES)
    reports = [
        parse_report(s["status"]) for s in statuses if s["spec"]["sourceRef"]["kind"] == CLUSTER_METRICS.kind
    ]
    return sum(node.count * node.foreign.get("cpu", 0) for report in reports for node in report.nodes)


async def remove_on_worker(stack: Stack, job: Obj) -> str:
    """Delete the Job by the worker's API once it runs there; returns the cluster's name."""
    await stack.running(job)
    cluster, _ = await stack.placed(job)
    name = job["metadata"]["name"]
    async with stack.fleet.space(cluster) as worker:
        there = await worker.get(JOBS, name, "team-a")
        await worker.delete(JOBS, name, "team-a", uid=uid(there))
    return cluster


async def work_of(stack: Stack, job: Obj) -> Obj:
    """The ManifestWork that carries its copy."""
    cluster, _ = await stack.placed(job)
    for work in await stack.its.list(MANIFEST_WORKS, cluster):
        for manifest in work["spec"]["workload"]["manifests"]:
            if (manifest["kind"], manifest["metadata"]["name"]) == ("Job", job["metadata"]["name"]):
                return work
    pytest.fail(f"no ManifestWork of {job['metadata']['name']} in {cluster}")


def foreign_pod(node: str, cpu: int) -> Obj:
    container = {"name": "main", "image": "busybox:1.37", "resources": {"requests": {"cpu": str(cpu)}}}
    return {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "metadata": {"name": f"foreign-{node}", "namespace": "default"},
        "spec": {"nodeName": node, "containers": [container]},
    }


def uid(obj: Obj) -> str:
    return str(obj["metadata"]["uid"])
