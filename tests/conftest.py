"""Settings of all tests."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# No deadline per example: the machine that runs this may be busy with six API servers.
# In CI the same examples each time, so that a red run is about the change; elsewhere new ones, which is how
# properties find what nobody thought of. A failing one prints how to replay it.
settings.register_profile("kueue-ks", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.load_profile("kueue-ks")


@pytest.fixture(autouse=True)
def own_log_settings() -> Iterator[None]:
    """What one test makes of the log (the simulation silences it), the next must not find."""
    yield
    structlog.reset_defaults()
