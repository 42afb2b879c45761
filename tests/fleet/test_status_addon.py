"""The status add-on between a real work agent and a real ITS, and the judge on the logs that this leaves.

ManifestWorks are written by hand: KubeStellar's way to them is not what is tested here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from kube_runtime.errors import NotFound
from kube_runtime.objects import Obj, uid_of
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from tests import judge
from vocabulary import keys
from vocabulary.resources import JOBS, MANIFEST_WORKS, WORK_STATUSES

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

WITHIN = 30.0  # seconds for what agents do on their own
BINDING = "transport.kubestellar.io/originOwnerReferenceBindingKey"

T = TypeVar("T")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with Fleet(tmp_path_factory.mktemp("addon") / "fleet", Options(workers=1)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def its(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("its") as space:
        yield space


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("w1") as space:
        yield space


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    """What ``look`` finds, once it finds something."""
    async with asyncio.timeout(WITHIN):
        while not (found := await look()):  # noqa: ASYNC110 - it asks servers, nobody tells
            await asyncio.sleep(0.1)
        return found


def job(name: str, *, runs: str, ends: str = "0s") -> Obj:
    """A Job of one pod that runs so long, and takes so long to end when it is deleted."""
    labels = {keys.WORKLOAD_UID: f"workload-of-{name}"}
    stages = {"pod-complete.stage.kwok.x-k8s.io/delay": runs, "pod-delete.stage.kwok.x-k8s.io/delay": ends}
    container = {"name": "c", "image": "x", "resources": {"requests": {"cpu": "1"}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {
            "template": {
                "metadata": {"labels": labels, "annotations": stages},
                "spec": {"restartPolicy": "Never", "containers": [container]},
            }
        },
    }


def silent(kind: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": f"a-{kind.lower()}", "namespace": "default"},
    }


async def carry(its: Space, name: str, *manifests: Obj) -> Obj:
    work: Obj = {
        "apiVersion": MANIFEST_WORKS.api_version,
        "kind": MANIFEST_WORKS.kind,
        "metadata": {"name": name, "namespace": "w1", "labels": {BINDING: "by-hand"}},
        "spec": {"workload": {"manifests": list(manifests)}},
    }
    return await its.create(MANIFEST_WORKS, work)


async def reports(its: Space, name: str) -> list[Obj]:
    """WorkStatuses of the Job ``name``."""
    found = await its.list(WORK_STATUSES, "w1")
    return [one for one in found if one["spec"]["sourceRef"]["name"] == name]


def complete(status: Obj | None) -> bool:
    conditions = (status or {}).get("conditions") or ()
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)


async def finished_report(its: Space, name: str) -> Obj:
    async def look() -> Obj | None:
        return next((one for one in await reports(its, name) if complete(one.get("status"))), None)

    return await until(look)


async def no_report(its: Space, name: str) -> None:
    async def look() -> bool:
        return not await reports(its, name)

    await until(look)


async def test_a_finished_job_is_reported_as_it_is(its: Space, worker: Space) -> None:
    work = await carry(its, "whole", job("whole", runs="1s"), silent("ConfigMap"), silent("Secret"))

    report = await finished_report(its, "whole")

    real = await worker.get(JOBS, "whole", "default")
    assert report["status"] == real["status"]
    assert report["metadata"]["labels"] == {BINDING: "by-hand"}
    [owner] = report["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
        "ManifestWork",
        "whole",
        uid_of(work),
        True,
    )
    assert report["spec"]["sourceRef"] == {
        "group": "batch",
        "version": "v1",
        "resource": "jobs",
        "kind": "Job",
        "name": "whole",
        "namespace": "default",
    }
    assert report["metadata"]["name"].endswith("-batchv1-job-default-whole")
    assert report["statusDetails"]["lastGenerationIsApplied"] is True
    assert [one["spec"]["sourceRef"]["kind"] for one in await its.list(WORK_STATUSES, "w1")] == ["Job"]


async def test_a_withdrawn_job_loses_its_report(its: Space) -> None:
    work = await carry(its, "withdrawn", job("withdrawn", runs="1h"))

    async def running() -> Any:
        return any((one.get("status") or {}).get("ready") for one in await reports(its, "withdrawn"))

    await until(running)
    await its.delete(MANIFEST_WORKS, "withdrawn", "w1", uid=uid_of(work))

    await no_report(its, "withdrawn")


async def test_what_happened_while_it_was_dead_is_made_good(fleet: Fleet, its: Space, worker: Space) -> None:
    await carry(its, "vanished", job("vanished", runs="1h"))
    await carry(its, "ended", job("ended", runs="2s"))

    async def both() -> bool:
        return bool(await reports(its, "vanished") and await reports(its, "ended"))

    async def ended() -> bool:
        return complete((await worker.get(JOBS, "ended", "default")).get("status"))

    await until(both)
    addon = fleet.component("w1/status-addon")
    await addon.kill()
    gone = await worker.get(JOBS, "vanished", "default")
    await worker.delete(JOBS, "vanished", "default", uid=uid_of(gone))
    await until(ended)
    assert await reports(its, "vanished")
    await addon.restart()

    await finished_report(its, "ended")
    await no_report(its, "vanished")


async def test_the_judge_reads_the_life_of_pods(fleet: Fleet, its: Space, worker: Space) -> None:
    """A pod that takes 2 s to end lives on in the judge's eyes after its Job has gone."""
    work = await carry(its, "leaving", job("leaving", runs="1h", ends="2s"))

    async def running() -> Any:
        return any((one.get("status") or {}).get("ready") for one in await reports(its, "leaving"))

    async def all_gone() -> bool:
        path = "/api/v1/namespaces/default/pods"
        pods = (await worker.get_path(path, {"labelSelector": f"{keys.WORKLOAD_UID}=workload-of-leaving"}))[
            "items"
        ]
        return not pods

    async def job_gone() -> bool:
        try:
            await worker.get(JOBS, "leaving", "default")
        except NotFound:
            return True
        return False

    await until(running)
    await its.delete(MANIFEST_WORKS, "leaving", "w1", uid=uid_of(work))
    await until(job_gone)
    await until(all_gone)

    history = judge.read(fleet.root)
    assert history.unreadable == []
    assert judge.check(history) == []
    [pod] = [pod for pod in history.pods if pod.workload == "workload-of-leaving"]
    [removal] = [
        one
        for one in history.writes
        if one.name == "leaving" and one.resource == "jobs.batch" and one.removed
    ]
    assert pod.bound is not None
    assert pod.ended is not None
    assert pod.ended.earliest > removal.when.latest + 1_500_000  # of the 2 s, from the deletion on
    assert pod.requests["cpu"] == 1_000_000_000
    assert {change.name for change in history.nodes if change.state and change.state.allocatable}
