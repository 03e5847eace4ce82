"""What several test files share."""

import pytest
from pulse import PulseServer, missing_tools


@pytest.fixture(scope="session")
def pulse():
    """A sound server without a sound card."""
    missing = missing_tools()
    if missing:
        pytest.fail(f"{', '.join(missing)} missing; run scripts/setup-debian.sh test")
    with PulseServer() as server:
        yield server
