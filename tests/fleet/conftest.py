"""One fleet for all tests that leave it as they found it.

Such a test module says ``pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="session")]``. Who
breaks things or installs into it starts a fleet of its own.
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local_fleet import Fleet, Options


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """A running fleet with two workers; programs that end unasked are an error at the end of the session."""
    async with Fleet(tmp_path_factory.mktemp("fleet") / "shared", Options(workers=2)) as running:
        yield running
        assert running.deaths == []
