"""Jobs that share waves: what one of them does concerns none of the others.

The judge looks after each test that no pod ran twice, none without quota, and none beside another.
"""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack
from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, JOBS, MANIFEST_WORKS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

BURST = 8
SIZE = 4
SMALL = {"cpu": "100m"}


@pytest_asyncio.fixture(scope="module", loop_scope="package", autouse=True)
async def shared_waves(stack: Stack) -> AsyncIterator[None]:
    await stack.restart(f"--wave-size={SIZE}")
    yield
    await stack.restart()


async def test_one_of_a_shared_wave_is_deleted_and_the_others_run_on(stack: Stack) -> None:
    jobs = [await stack.submit(runs="40s", requests=SMALL) for _ in range(BURST)]
    names = [job["metadata"]["name"] for job in jobs]
    for job in jobs:
        await stack.running(job)
    waves = {copy["metadata"]["name"]: copy["metadata"]["labels"][keys.WAVE] for copy in await copies(stack)}
    shared, members = Counter(waves[name] for name in names).most_common(1)[0]
    assert 2 <= members <= SIZE
    victim = next(job for job in jobs if waves[job["metadata"]["name"]] == shared)
    mates = [job for job in jobs if waves[job["metadata"]["name"]] == shared and job is not victim]

    await stack.hub.delete(
        JOBS, victim["metadata"]["name"], victim["metadata"]["namespace"], uid=victim["metadata"]["uid"]
    )

    async def carried() -> set[str]:
        works = await stack.its.list(MANIFEST_WORKS, label_selector=f"{keys.ORIGIN_BINDING}={shared}")
        return {work["spec"]["workload"]["manifests"][0]["metadata"]["name"] for work in works}

    left = {job["metadata"]["name"] for job in mates}
    await eventually(carried, lambda found: found == left, within=20, what="only the mates carried")
    assert shared in {policy["metadata"]["name"] for policy in await stack.wds.list(BINDING_POLICIES)}
    for job in jobs:
        if job is not victim:
            assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    for job in mates:
        (pod,) = await stack.pods(await stack.workload_of(job))
        assert pod.attempt == "1"
    await stack.nothing_left()


async def copies(stack: Stack) -> list[Obj]:
    return await stack.wds.list(JOBS, label_selector=keys.WAVE)
