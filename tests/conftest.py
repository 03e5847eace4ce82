"""What several test files share."""

import pytest
from pulse import PulseServer, missing_tools


@pytest.fixture(scope="session")
def sound_server():
    """A sound server without a sound card."""
    missing = missing_tools()
    if missing:
        pytest.fail(f"{', '.join(missing)} missing; run scripts/setup-debian.sh test")
    with PulseServer() as server:
        yield server


@pytest.fixture
def pulse(sound_server):
    """The sound server, which runs even if a test that failed had killed it."""
    if not sound_server.is_running():
        sound_server.start()
    return sound_server
