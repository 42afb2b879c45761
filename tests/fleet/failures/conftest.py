"""One fleet with links that can be cut, and a controller of short patience, for the tests of this folder."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from local_fleet import Fleet, Options
from tests.fleet.failures.trouble import IMPATIENT, Trouble
from tests.fleet.jobs.programs import install_everywhere, quota_is_filled, running_programs


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def trouble(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trouble]:
    folder = tmp_path_factory.mktemp("failures")
    options = Options(workers=2, proxied=True, heartbeat=1.0)
    async with Fleet(folder / "fleet", options) as fleet, AsyncExitStack() as connections:
        await install_everywhere(fleet)
        async with running_programs(fleet, folder) as programs:
            spaces = [
                await connections.enter_async_context(fleet.space(context))
                for context in ("hub", "wds", "its", *fleet.workers)
            ]
            await quota_is_filled(spaces[0])
            await programs.kill("workload-controller")
            await programs.start("workload-controller", options=IMPATIENT)
            yield Trouble(fleet, programs, *spaces)


@pytest_asyncio.fixture(loop_scope="package", autouse=True)
async def judged(trouble: Trouble) -> AsyncIterator[None]:
    yield
    trouble.judged()
