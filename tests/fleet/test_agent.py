"""The metrics agent, with its own rights on a real worker: why pods do not run, and the lease.

Neither a controller nor KubeStellar takes part: ClusterMetrics and heartbeat are written by hand.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from tests.fleet.jobs.programs import eventually
from vocabulary import keys
from vocabulary.cluster_metrics import WorkloadPods
from vocabulary.report_reading import parse_report
from vocabulary.resources import CLUSTER_METRICS, CONFIG_MAPS, JOBS, MANIFEST_WORKS, NAMESPACES, PODS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

WITHIN = 30.0  # seconds for what agents do on their own
LEASE = 6.0
RUNS = "pod-complete.stage.kwok.x-k8s.io/delay"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with Fleet(tmp_path_factory.mktemp("agent") / "fleet", Options(workers=1)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("w1") as space:
        await space.create(
            CLUSTER_METRICS,
            {
                "apiVersion": CLUSTER_METRICS.api_version,
                "kind": CLUSTER_METRICS.kind,
                "metadata": {"name": "w1"},
            },
        )
        yield space


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def its(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("its") as space:
        yield space


def job(name: str, namespace: str = "default", *, cpu: str = "1", lease: float | None = None) -> Obj:
    """A Job of one pod that runs for ten minutes, as a worker has it from a copy of ours."""
    labels = {keys.WORKLOAD_UID: workload_of(name)}
    leased = {keys.LEASE_SECONDS: str(int(lease or 0)), keys.LEASED_FROM: f"{time.time():.3f}"}
    annotations = {} if lease is None else leased
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
        "spec": {
            "template": {
                "metadata": {"labels": labels, "annotations": {RUNS: "10m"}},
                "spec": {"restartPolicy": "Never", "containers": [container]},
            }
        },
    }


def workload_of(name: str) -> str:
    return f"workload-of-{name}"


async def reported(worker: Space, name: str, want: Callable[[WorkloadPods | None], bool]) -> WorkloadPods:
    """What the agent says about the pods of ``name``, once it is as wanted."""

    async def look() -> WorkloadPods | None:
        status = (await worker.get(CLUSTER_METRICS, "w1")).get("status")
        workloads = parse_report(status).workloads if status else ()
        return next((one for one in workloads if one.uid == workload_of(name)), None)

    found = await eventually(look, want, within=WITHIN, what=f"the report about {name}")
    return found or WorkloadPods("", 0, 0, 0)


async def pods_of(worker: Space, name: str) -> list[Obj]:
    return await worker.list(PODS, label_selector=f"{keys.WORKLOAD_UID}={workload_of(name)}")


async def suspended(worker: Space, name: str) -> bool:
    return bool((await worker.get(JOBS, name, "default"))["spec"].get("suspend"))


async def test_a_pod_that_fits_nowhere(worker: Space) -> None:
    await worker.create(JOBS, job("huge", cpu="9999"))
    said = await reported(worker, "huge", lambda pods: bool(pods and pods.problem))
    assert said.problem.startswith("Unschedulable: 0/")
    assert "Insufficient cpu" in said.problem
    assert (said.bound, said.waiting, said.ready) == (0, 1, 0)


async def test_an_image_that_is_not_to_be_had(worker: Space) -> None:
    await worker.create(JOBS, job("typo"))
    await reported(worker, "typo", lambda pods: pods is not None and pods.ready == 1 and not pods.problem)
    (pod,) = await pods_of(worker, "typo")
    # What kubelet 1.36 writes; the simulated one pulls nothing.
    message = 'Back-off pulling image "x": ErrImagePull: failed to resolve reference "x": not found'
    waiting = {"reason": "ImagePullBackOff", "message": message}
    container = {"name": "c", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status: dict[str, Any] = {
        "phase": "Pending",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{**container, "state": {"waiting": waiting}}],
    }
    patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
    await worker.patch(PODS, patch, name=pod["metadata"]["name"], namespace="default", subresource="status")
    said = await reported(worker, "typo", lambda pods: bool(pods and pods.problem))
    assert said.problem == 'ErrImagePull: failed to resolve reference "x": not found'
    assert (said.bound, said.ready) == (1, 0)


async def test_a_pod_that_the_worker_refuses(worker: Space) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": labels}}
    await worker.create(NAMESPACES, space)
    made = await worker.create(JOBS, job("bare", "strict"))
    said = await reported(worker, "bare", lambda pods: bool(pods and pods.problem))
    assert said.problem.startswith('FailedCreate: Error creating: pods "bare-…" is forbidden: violates')
    assert (said.bound, said.waiting) == (0, 0)
    await worker.delete(JOBS, "bare", "strict", uid=made["metadata"]["uid"])
    await reported(worker, "bare", lambda pods: pods is None)  # its event is there for an hour


async def test_what_ends_and_what_no_amount_shows(worker: Space) -> None:
    """The object takes all that the agent tells: what its kind does not know, the server would drop."""
    slow = job("slow")
    template = slow["spec"]["template"]
    template["metadata"]["annotations"] |= {"pod-delete.stage.kwok.x-k8s.io/delay": "20s"}
    template["spec"]["terminationGracePeriodSeconds"] = 60
    await worker.create(JOBS, slow)
    await reported(worker, "slow", lambda pods: pods is not None and pods.ready == 1)
    (pod,) = await pods_of(worker, "slow")
    await worker.delete(PODS, pod["metadata"]["name"], "default", uid=pod["metadata"]["uid"])
    asked_at = time.time()
    said = await reported(worker, "slow", lambda pods: pods is not None and pods.terminating == 1)
    assert 50 < said.terminating_until - asked_at < 65
    nodes = parse_report((await worker.get(CLUSTER_METRICS, "w1"))["status"]).nodes
    (leaving,) = (group for group in nodes if group.terminating)
    assert leaving.terminating["cpu"] == 1000
    assert leaving.terminating_until == said.terminating_until

    claiming = job("claiming")
    spec = claiming["spec"]["template"]["spec"]
    spec["resourceClaims"] = [{"name": "gpu", "resourceClaimName": "nowhere"}]
    await worker.create(JOBS, claiming)
    await reported(worker, "claiming", lambda pods: pods is not None and pods.waiting == 1)
    (left_out,) = parse_report((await worker.get(CLUSTER_METRICS, "w1"))["status"]).not_counted
    assert left_out.about.startswith("pod default/claiming-")
    assert "resource claim" in left_out.why


async def beat(worker: Space) -> None:
    heartbeat = {
        "metadata": {"name": keys.HEARTBEAT_PREFIX + "w1", "namespace": keys.SYSTEM_NAMESPACE},
        "data": {keys.BEAT_AT: f"{time.time():.3f}"},
    }
    await worker.apply(CONFIG_MAPS, heartbeat, field_manager="hub")


@asynccontextmanager
async def beating(worker: Space) -> AsyncIterator[None]:
    """The hub, connected."""

    async def every_second() -> None:
        while True:
            await beat(worker)
            await asyncio.sleep(1)

    await beat(worker)
    task = asyncio.create_task(every_second())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def carry(its: Space, carried: Obj) -> Obj:
    """As KubeStellar carries a copy, create-only."""
    name, namespace = carried["metadata"]["name"], carried["metadata"]["namespace"]
    which = {"group": JOBS.group, "resource": JOBS.plural, "name": name, "namespace": namespace}
    return await its.create(
        MANIFEST_WORKS,
        {
            "apiVersion": MANIFEST_WORKS.api_version,
            "kind": MANIFEST_WORKS.kind,
            "metadata": {"name": name, "namespace": "w1"},
            "spec": {
                "workload": {"manifests": [carried]},
                "manifestConfigs": [{"resourceIdentifier": which, "updateStrategy": {"type": "CreateOnly"}}],
            },
        },
    )


async def test_a_leased_job_ends_when_the_hub_falls_silent(worker: Space, its: Space) -> None:
    await worker.create(JOBS, job("unleased"))
    async with beating(worker):
        work = await carry(its, job("leased", lease=LEASE))
        await reported(worker, "leased", lambda pods: pods is not None and pods.ready == 1)
        await asyncio.sleep(2 * LEASE)
        assert not await suspended(worker, "leased"), "longer than its lease, but the hub was heard"
    silent_since = time.monotonic()
    await eventually(lambda: suspended(worker, "leased"), bool, within=WITHIN, what="the suspension")
    took = time.monotonic() - silent_since
    assert LEASE - 1.5 < took < LEASE + 2, took
    await reported(worker, "leased", lambda pods: pods is None)
    assert not await pods_of(worker, "leased")
    assert not await suspended(worker, "unleased")

    # The work agent does not undo it when it looks at its work again, nor when the hub is back.
    async with beating(worker):
        body = {
            "metadata": {"uid": work["metadata"]["uid"]},
            "spec": {"deleteOption": {"propagationPolicy": "Foreground"}},
        }
        looked_at = await its.patch(MANIFEST_WORKS, body, name="leased", namespace="w1")

        async def seen() -> bool:
            read = await its.get(MANIFEST_WORKS, "leased", "w1")
            return any(
                condition["type"] == "Applied"
                and condition.get("observedGeneration") == looked_at["metadata"]["generation"]
                for condition in read["status"]["conditions"]
            )

        await eventually(seen, bool, within=WITHIN, what="the work agent's second look")
        assert await suspended(worker, "leased")
        assert not await pods_of(worker, "leased")


async def test_a_leased_job_that_never_sees_a_heartbeat(fleet: Fleet, worker: Space) -> None:
    name = keys.HEARTBEAT_PREFIX + "w1"
    heartbeat = await worker.get(CONFIG_MAPS, name, keys.SYSTEM_NAMESPACE)
    await worker.delete(CONFIG_MAPS, name, keys.SYSTEM_NAMESPACE, uid=heartbeat["metadata"]["uid"])
    (agent,) = (one for one in fleet.components if one.name == "w1/metrics-agent")
    await agent.restart()  # else it remembers the last beat
    await worker.create(JOBS, job("unheard", lease=LEASE))
    await reported(worker, "unheard", lambda pods: pods is not None and pods.ready == 1)
    assert not await suspended(worker, "unheard")
    await eventually(lambda: suspended(worker, "unheard"), bool, within=WITHIN, what="the suspension")
    await reported(worker, "unheard", lambda pods: pods is None)
