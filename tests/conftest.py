"""What every test shares: the event loop backends, and virtual time."""

import pytest
from hypothesis import settings
from trio.testing import MockClock

# Machines differ: a test that is slow is not a test that failed.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run async tests on trio's virtual clock; a fresh clock for each, it must not be shared.

    Tests that use real sockets or threads override this with asyncio: under the virtual clock
    both look like idle time and make it jump.
    """
    return "trio", {"clock": MockClock(autojump_threshold=0)}
