"""Which clusters a queue may use is its administrator's word; a job can only ask for fewer of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from tests.fleet.tenants.tenancy import Tenancy, change, example
from vocabulary import keys
from vocabulary.resources import CLUSTER_QUEUES, JOBS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]


@pytest_asyncio.fixture(loop_scope="package")
async def only_w1(tenancy: Tenancy) -> AsyncIterator[None]:
    """The administrator lets team-queue use w1 only."""
    await change(
        tenancy.hub, CLUSTER_QUEUES, "team-queue", lambda m: m["annotations"].update({keys.CLUSTERS: "w1"})
    )
    yield
    await change(tenancy.hub, CLUSTER_QUEUES, "team-queue", lambda m: m["annotations"].pop(keys.CLUSTERS))


def asking_for(clusters: str, name: str) -> Obj:
    job = example(name)
    job["metadata"]["annotations"] = {keys.CLUSTERS: clusters}
    return job


async def test_a_job_cannot_ask_for_a_cluster_that_its_queue_has_not(tenancy: Tenancy, only_w1: None) -> None:
    job = await tenancy.create_job(asking_for("w2", "climber"))
    await tenancy.until_told(job, "none that its queue and the job both name")
    assert not await tenancy.wds.list(JOBS)
    await tenancy.delete_job(job)


@pytest.mark.parametrize("clusters", ["w1,w2", "w1"])
async def test_what_both_allow_is_used(tenancy: Tenancy, only_w1: None, clusters: str) -> None:
    job = await tenancy.create_job(asking_for(clusters, f"modest-{len(clusters)}"))
    assert (await tenancy.condition(job, "Finished"))["reason"] == "Succeeded"
    check = (await tenancy.workload_of(job))["status"]["admissionChecks"][0]
    assert check["podSetUpdates"][0]["annotations"][keys.CLUSTER] == "w1"
    await tenancy.nothing_left()
