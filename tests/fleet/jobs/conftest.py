"""One fleet with our controllers for the tests of this folder; the judge looks at it after each of them."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fleet.jobs.stack import Stack, running_stack


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("jobs")
    async with running_stack(folder) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="package", autouse=True)
async def judged(stack: Stack) -> AsyncIterator[None]:
    yield
    stack.judged()
