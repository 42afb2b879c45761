"""A worker that is cut off from the ITS: what its jobs do is what their users chose, and nothing else.

Its agents go on without the hub; the stand-in of OCM's registration makes the cluster Unknown after 5 s.
"""

import asyncio
import time
from datetime import datetime

import pytest

from kube_runtime.errors import NotFound
from kube_runtime.objects import Obj
from tests.fleet.failures.trouble import LEASE, LOST_AFTER, SETTLE, Trouble, uid
from tests.fleet.jobs.programs import eventually
from vocabulary import keys
from vocabulary.resources import CONFIG_MAPS, JOBS, MANAGED_CLUSTERS, WORKLOADS
from workload_controller.admission_check import NEWBORN

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

UNKNOWN_AFTER = 5
GRACE = 1
RECONNECTED = 90  # seconds; client-go doubles its pauses between tries to watch up to 30 s and more
CPU = {"cpu": "1"}  # all that the queues of make_queue give
BEAT = keys.HEARTBEAT_PREFIX + "w1"


async def run_on_w1(trouble: Trouble, queue: dict[str, str], runs: str, **annotations: str) -> Obj:
    """A running job; its queue must allow w1 only."""
    job = await trouble.submit(runs=runs, labels=queue, grace=GRACE, annotations=annotations, requests=CPU)
    await trouble.running(job)
    assert await trouble.placed(job) == ("w1", 1)
    return job


async def queue_on_w1(trouble: Trouble, name: str) -> dict[str, str]:
    queue = await trouble.make_queue(name, cpu=8)
    await trouble.may_use(name, "w1")
    return queue


async def beat_on_w1(trouble: Trouble) -> float:
    """What the agent there reads, 0 without a heartbeat."""
    try:
        found = await trouble.workers["w1"].get(CONFIG_MAPS, BEAT, keys.SYSTEM_NAMESPACE)
    except NotFound:
        return 0.0
    return float(found["data"][keys.BEAT_AT])


async def test_a_short_outage_changes_nothing(trouble: Trouble) -> None:
    queue = await queue_on_w1(trouble, "short")
    policies = ("atMostOnce", "atLeastOnce")  # a lease is the worker's own to judge
    jobs = [await run_on_w1(trouble, queue, "14s", **{keys.ON_CLUSTER_LOSS: each}) for each in policies]
    await trouble.may_use("short", "w1,w2")
    async with trouble.cut_off("w1"):
        await trouble.availability("w1", "Unknown")
        told = await trouble.hears(jobs[0], "ClusterUnreachable")
        assert f"a loss below {LOST_AFTER}s changes nothing" in told
        await asyncio.sleep(2)  # well below LOST_AFTER
    for job in jobs:
        assert (await trouble.condition(job, "Finished"))["reason"] == "Succeeded"
        assert len(await trouble.pods(await trouble.workload_of(job))) == 1
        assert await trouble.placed(job) == ("w1", 1)
    await trouble.nothing_left()


async def test_in_a_long_outage_each_job_does_what_its_user_chose(trouble: Trouble) -> None:
    queue = await queue_on_w1(trouble, "long")
    held = await run_on_w1(trouble, queue, "30s")
    evicted = await run_on_w1(trouble, queue, "600s", **{keys.ON_CLUSTER_LOSS: "atMostOnce"})
    leased = await run_on_w1(trouble, queue, "30s", **{keys.ON_CLUSTER_LOSS: "leased"})
    twice = await run_on_w1(trouble, queue, "30s", **{keys.ON_CLUSTER_LOSS: "atLeastOnce"})
    trouble.may_run_twice.add(uid(await trouble.workload_of(twice)))
    beat = await eventually(lambda: beat_on_w1(trouble), bool, within=15, what="a heartbeat on w1")
    await eventually(lambda: beat_on_w1(trouble), lambda at: at > beat, within=LEASE, what="the next one")
    await trouble.may_use("long", "w1,w2")
    on_w1 = trouble.workers["w1"]
    first = {
        job["metadata"]["name"]: await on_w1.get(JOBS, job["metadata"]["name"], "team-a")
        for job in (leased, twice)
    }

    async with trouble.cut_off("w1"):
        # The lease: the worker ends its job on its own, long before it may start elsewhere.
        async def suspended() -> bool:
            there = await trouble.on_worker("w1", leased)
            return there is not None and bool(there["spec"].get("suspend"))

        await eventually(suspended, bool, within=LEASE + 5, what="the suspension by the agent")

        # atMostOnce: held, also when it is evicted meanwhile.
        told = await trouble.hears(held, "ClusterLost", within=UNKNOWN_AFTER + LOST_AFTER + 10)
        assert "with atMostOnce it and its quota are held until w1 is back" in told
        assert "kubectl delete managedcluster w1" in told
        workload = await trouble.workload_of(evicted)
        await trouble.change(WORKLOADS, workload["metadata"]["name"], "team-a", {"active": False})
        await trouble.condition(evicted, "Evicted")

        # atLeastOnce: elsewhere, at once.
        told = await trouble.hears(twice, "ClusterLost on w1")
        assert "policy atLeastOnce" in told
        await started_on_w2(trouble, twice, within=30)

        # leased: elsewhere, when nothing of it can be left.
        told = await trouble.hears(leased, "ClusterLost on w1", within=60)
        assert "policy leased" in told
        await started_on_w2(trouble, leased, within=30)
        for job in held, evicted:
            assert await trouble.reserved(job)
            assert await trouble.on_worker("w2", job) is None

    for job in (twice, leased):  # the first Job is taken away, and what it says is not believed
        name = job["metadata"]["name"]
        await gone_from_w1(trouble, job)
        assert (await trouble.condition(job, "Finished"))["reason"] == "Succeeded"
        assert await trouble.placed(job) == ("w2", 2)
        hub_job = await trouble.hub.get(JOBS, name, "team-a")
        assert hub_job["status"]["startTime"] != first[name]["status"]["startTime"]
        pods = await trouble.pods(await trouble.workload_of(job))
        assert [(pod.cluster, pod.attempt) for pod in pods] == [("w1", "1"), ("w2", "2")]
    assert (await trouble.condition(held, "Finished"))["reason"] == "Succeeded"
    assert len(await trouble.pods(await trouble.workload_of(held))) == 1

    async def released() -> bool:
        return not await trouble.reserved(evicted)

    await eventually(released, bool, within=RECONNECTED, what="the quota of the evicted job")
    await gone_from_w1(trouble, evicted)
    await trouble.ended(evicted)
    await eventually(
        lambda: beat_on_w1(trouble), lambda at: not at, within=RECONNECTED, what="the heartbeat's end"
    )


async def gone_from_w1(trouble: Trouble, job: Obj) -> None:
    await eventually(
        lambda: trouble.on_worker("w1", job),
        lambda there: there is None,
        within=RECONNECTED,
        what=f"the end of {job['metadata']['name']} on w1",
    )


async def started_on_w2(trouble: Trouble, job: Obj, *, within: float) -> None:
    async def ready() -> int:
        there = await trouble.on_worker("w2", job)
        return (there or {}).get("status", {}).get("ready") or 0

    await eventually(ready, bool, within=within, what=f"a pod of {job['metadata']['name']} on w2")


async def test_a_cluster_that_flaps_gets_no_job_before_it_has_settled(trouble: Trouble) -> None:
    queue = await queue_on_w1(trouble, "flapping")
    created = datetime.fromisoformat(
        (await trouble.its.get(MANAGED_CLUSTERS, "w1"))["metadata"]["creationTimestamp"]
    )
    await asyncio.sleep(max(0.0, created.timestamp() + NEWBORN - time.time()))  # what may not be a return
    async with trouble.cut_off("w1"):
        await trouble.availability("w1", "Unknown")
    job = await trouble.submit(labels=queue, grace=GRACE, requests=CPU)
    await trouble.reads(job, "it came back a moment ago, used again in")
    async with trouble.cut_off("w1"):
        await trouble.availability("w1", "Unknown")
    back_since = await available_since(trouble)
    await trouble.condition(job, "Admitted")
    assert time.time() >= back_since + SETTLE
    assert await available_since(trouble) == back_since
    assert (await trouble.condition(job, "Finished"))["reason"] == "Succeeded"
    assert (await trouble.placed(job))[0] == "w1"
    await trouble.nothing_left()


async def available_since(trouble: Trouble) -> float:
    """The second in which w1's ManagedCluster became what it is; the first that the controller can see."""
    conditions = (await trouble.its.get(MANAGED_CLUSTERS, "w1"))["status"]["conditions"]
    since = {c["type"]: c["lastTransitionTime"] for c in conditions}["ManagedClusterConditionAvailable"]
    return datetime.fromisoformat(since).timestamp()
