"""Every way in which a running job loses its quota: it goes back only when the pods have ended (I2).

The pods of these jobs take some seconds to end. What a test does not assert, the judge does: no quota is
released over a living pod, no pod begins without quota, no Workload runs in two places.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import END_TIME, Stack
from vocabulary.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, WORKLOADS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

PRIORITIES = Resource(
    "kueue.x-k8s.io", "v1beta2", "workloadpriorityclasses", "WorkloadPriorityClass", namespaced=False
)
PRIORITY = "kueue.x-k8s.io/priority-class"
QUEUE = "one-cpu"  # room for one job of ONE
ONE = {"cpu": "1"}
SLOW_END = {END_TIME: "4s"}
SECOND = 1_000_000  # microseconds, the judge's unit


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def queue(stack: Stack) -> AsyncIterator[dict[str, str]]:
    yield await stack.make_queue(QUEUE, cpu=1)


async def test_a_preemptor_starts_only_when_the_victims_pods_have_ended(
    stack: Stack, queue: dict[str, str]
) -> None:
    urgent = {"apiVersion": PRIORITIES.api_version, "kind": PRIORITIES.kind, "value": 1000}
    await stack.hub.create(PRIORITIES, urgent | {"metadata": {"name": "urgent"}})
    victim = await stack.submit(runs="5s", labels=queue, requests=ONE, pod_annotations=SLOW_END)
    await stack.running(victim)
    preemptor = await stack.submit(runs="1s", labels=queue | {PRIORITY: "urgent"}, requests=ONE)
    assert (await stack.condition(victim, "Evicted"))["reason"] == "Preempted"
    for job in (preemptor, victim):
        assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    first, second = await stack.pods(await stack.workload_of(victim))
    (between,) = await stack.pods(await stack.workload_of(preemptor))
    assert first.ended is not None
    assert between.ended is not None
    assert first.ended.earliest < between.appeared.latest
    assert between.ended.earliest < second.appeared.latest
    assert (first.attempt, second.attempt) == ("1", "2")


class Way(NamedTuple):
    reason: str
    evicted: str  # reason of the condition Evicted
    resource: Resource
    out: Obj  # spec that evicts
    back: Obj  # spec that lets it run again


DRAIN, GO = {"stopPolicy": "HoldAndDrain"}, {"stopPolicy": "None"}
WAYS = [
    Way("its Workload is deactivated", "Deactivated", WORKLOADS, {"active": False}, {"active": True}),
    Way("its ClusterQueue is drained", "ClusterQueueStopped", CLUSTER_QUEUES, DRAIN, GO),
    Way("its LocalQueue is drained", "LocalQueueStopped", LOCAL_QUEUES, DRAIN, GO),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.reason)
async def test_an_evicted_job_keeps_its_quota_until_its_pods_have_ended_and_runs_again(
    stack: Stack, queue: dict[str, str], way: Way
) -> None:
    job = await stack.submit(runs="4s", labels=queue, requests=ONE, pod_annotations=SLOW_END)
    await stack.running(job)
    workload = await stack.workload_of(job)
    name = workload["metadata"]["name"] if way.resource is WORKLOADS else QUEUE
    where = None if way.resource is CLUSTER_QUEUES else "team-a"
    await stack.change(way.resource, name, where, way.out)
    assert (await stack.condition(job, "Evicted"))["reason"] == way.evicted
    await asyncio.sleep(2)  # half of the pods' end
    assert await stack.reserved(job), "the quota was released while pods were ending"
    await released(stack, job, within=20)
    await stack.nothing_left()
    (pod,) = await stack.pods(workload)
    assert pod.ended is not None
    await stack.change(way.resource, name, where, way.back)
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    assert [pod.attempt for pod in await stack.pods(workload)] == ["1", "2"]


async def test_a_job_that_is_evicted_before_its_first_report_keeps_its_quota_too(
    stack: Stack, queue: dict[str, str]
) -> None:
    """Kueue frees at once what has no active pods (Job.IsActive), and an unreported job has none."""
    reporters = [stack.fleet.component(f"{worker}/status-addon") for worker in stack.fleet.workers]
    for reporter in reporters:
        reporter.stop()
    job = await stack.submit(runs="600s", labels=queue, requests=ONE, pod_annotations=SLOW_END)
    workload = await stack.workload_of(job)
    await eventually(lambda: stack.pods(workload), bool, within=20, what="a pod", every=0.5)
    await deactivate(stack, job)
    await asyncio.sleep(2)  # half of the pods' end
    still = await stack.reserved(job)
    for reporter in reporters:
        reporter.cont()
    assert still, "the quota was released while pods were ending"
    await released(stack, job, within=20)
    await stack.nothing_left()


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_a_deleted_job_holds_its_quota_until_its_pods_have_ended(
    stack: Stack, queue: dict[str, str], propagation: str
) -> None:
    """It stays, Terminating, and its queue's next job waits (docs/design.md, section 2)."""
    job = await stack.submit(runs="600s", labels=queue, requests=ONE, pod_annotations=SLOW_END)
    await stack.running(job)
    workload = await stack.workload_of(job)
    metadata = job["metadata"]
    await stack.hub.delete(JOBS, metadata["name"], "team-a", uid=metadata["uid"], propagation=propagation)
    waiting = await stack.submit(runs="1s", labels=queue, requests=ONE)
    await asyncio.sleep(2)  # half of the pods' end
    leaving = await stack.hub.get(JOBS, metadata["name"], "team-a")
    assert "deletionTimestamp" in leaving["metadata"]
    assert await stack.reserved(job), "the quota was released while pods were ending"
    await stack.gone(job)
    assert (await stack.condition(waiting, "Finished"))["reason"] == "Succeeded"
    (pod,) = await stack.pods(workload)
    (later,) = await stack.pods(await stack.workload_of(waiting))
    assert pod.ended is not None
    assert pod.ended.earliest < later.appeared.latest
    await stack.nothing_left()


async def test_a_deleted_workload_holds_its_quota_until_its_pods_have_ended_and_is_made_again(
    stack: Stack, queue: dict[str, str]
) -> None:
    job = await stack.submit(runs="4s", labels=queue, requests=ONE, pod_annotations=SLOW_END)
    await stack.running(job)
    first = await stack.workload_of(job)
    name, uid = first["metadata"]["name"], first["metadata"]["uid"]
    await stack.hub.delete(WORKLOADS, name, "team-a", uid=uid)
    await asyncio.sleep(2)  # half of the pods' end
    leaving = await stack.workload_of(job)
    assert leaving["metadata"]["uid"] == uid
    assert await stack.reserved(job), "the quota was released while pods were ending"
    second = await eventually(
        lambda: stack.workload_of(job),
        lambda w: bool(w["metadata"]["uid"] != uid),
        within=30,
        what="another Workload",
    )
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    assert len(await stack.pods(first)) == len(await stack.pods(second)) == 1
    await stack.nothing_left()


async def test_a_job_that_its_user_suspends_goes_on(stack: Stack, queue: dict[str, str]) -> None:
    """Kueue unsuspends an admitted job at once (jobframework reconciler, step 7): nothing is to be ended."""
    job = await stack.submit(runs="6s", labels=queue, requests=ONE)
    await stack.running(job)
    await stack.change(JOBS, job["metadata"]["name"], "team-a", {"suspend": True})

    async def suspended() -> bool:
        found = await stack.hub.get(JOBS, job["metadata"]["name"], "team-a")
        return bool(found["spec"]["suspend"])

    await eventually(suspended, lambda is_so: not is_so, within=5, what="Kueue's unsuspending")
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    assert len(await stack.pods(await stack.workload_of(job))) == 1
    await stack.nothing_left()


async def test_the_agent_shortens_the_wait_for_pods_with_a_long_grace(
    stack: Stack, queue: dict[str, str]
) -> None:
    """60 s of grace and a margin would hold the quota for 70 s; the pod needs 15, and its agent says so."""
    job = await stack.submit(
        runs="600s", labels=queue, requests=ONE, grace=60, pod_annotations={END_TIME: "15s"}
    )
    await stack.running(job)
    await deactivate(stack, job)
    await released(stack, job, within=40)
    ended, release = await end_and_release(stack, job)
    assert 0 <= release - ended < 6, "two reports of the agent, each after 2 s, and their way to the hub"
    await stack.nothing_left()


async def test_without_the_agent_the_announced_deadline_ends_the_wait(
    stack: Stack, queue: dict[str, str]
) -> None:
    job = await stack.submit(
        runs="600s", labels=queue, requests=ONE, grace=3, pod_annotations={END_TIME: "2s"}
    )
    await stack.running(job)
    cluster, _ = await stack.placed(job)
    agent = stack.fleet.component(f"{cluster}/metrics-agent")
    await agent.kill()
    await deactivate(stack, job)
    text = (
        await eventually(
            lambda: stack.events(job),
            lambda told: "PodsEnding" in told,
            within=20,
            what="the deadline's text",
        )
    )["PodsEnding"]
    await released(stack, job, within=30)
    await agent.restart()
    announced = re.search(r"over at (\d\d):(\d\d):(\d\d)Z at the latest", text)
    assert announced, text
    hours, minutes, seconds = map(int, announced.groups())
    ended, release = await end_and_release(stack, job)
    late = (release - (hours * 3600 + minutes * 60 + seconds)) % 86_400
    assert late < 3, f"released {late:.1f}s after what was announced: {text}"
    assert release - ended > 8, "the grace of 3 s and the margin of 10 s were not kept"
    await stack.nothing_left()


async def deactivate(stack: Stack, job: Obj) -> None:
    name = (await stack.workload_of(job))["metadata"]["name"]
    await stack.change(WORKLOADS, name, "team-a", {"active": False})


async def released(stack: Stack, job: Obj, *, within: float) -> None:
    await eventually(
        lambda: stack.reserved(job), lambda held: not held, within=within, what="the quota's release"
    )


async def end_and_release(stack: Stack, job: Obj) -> tuple[float, float]:
    """When its one pod ended and its quota was released, unix seconds."""
    workload = await stack.workload_of(job)
    (pod,) = await stack.pods(workload)
    (hold,) = (await stack.history()).workloads[workload["metadata"]["uid"]].holds
    assert pod.ended is not None
    assert hold.released is not None
    return pod.ended.latest / SECOND, hold.released.latest / SECOND
