"""One fleet with our controllers for the tests of this folder; the judge looks at it after each of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local_fleet import Fleet, Options
from tests.fleet.jobs.programs import install_everywhere, quota_is_filled, running_programs
from tests.fleet.jobs.stack import Stack


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("jobs")
    async with Fleet(folder / "fleet", Options(workers=2)) as fleet:
        await install_everywhere(fleet)
        async with (
            running_programs(fleet, folder) as programs,
            fleet.space("hub") as hub,
            fleet.space("wds") as wds,
            fleet.space("its") as its,
        ):
            await quota_is_filled(hub)
            yield Stack(fleet, programs, hub, wds, its)


@pytest_asyncio.fixture(loop_scope="package", autouse=True)
async def judged(stack: Stack) -> AsyncIterator[None]:
    yield
    stack.judged()
