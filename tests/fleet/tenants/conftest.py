"""One fleet with our controllers for the attacks of this folder; the judge looks at it after each of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from local_fleet import Fleet, Options
from tests.fleet.jobs.programs import install_everywhere, quota_is_filled, running_programs
from tests.fleet.tenants.tenancy import Tenancy


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def tenancy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenancy]:
    folder = tmp_path_factory.mktemp("tenants")
    async with Fleet(folder / "fleet", Options(workers=2)) as fleet, AsyncExitStack() as connections:
        await install_everywhere(fleet)
        async with running_programs(fleet, folder) as programs:
            hub, wds, its, *workers = [
                await connections.enter_async_context(fleet.space(context))
                for context in ("hub", "wds", "its", *fleet.workers)
            ]
            await quota_is_filled(hub)
            yield Tenancy(fleet, programs, hub, wds, its, dict(zip(fleet.workers, workers, strict=True)))


@pytest_asyncio.fixture(loop_scope="package", autouse=True)
async def judged(tenancy: Tenancy) -> AsyncIterator[None]:
    yield
    tenancy.judged()
