"""What every test shares: the event loop backends, and virtual time."""

import pytest
from trio.testing import MockClock


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Run async tests on trio's virtual clock; a fresh clock for each, it must not be shared.

    Tests that use real sockets or threads override this with asyncio: under the virtual clock
    both look like idle time and make it jump.
    """
    return "trio", {"clock": MockClock(autojump_threshold=0)}
