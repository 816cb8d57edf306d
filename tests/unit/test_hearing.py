"""Where pushes are received, and whom that lets in."""

import pytest

from fleetdeploy.cli.hearing import address_of, exposure_of
from fleetdeploy.cli.listening import listen_command
from fleetdeploy.receiver.limits import Address


def test_a_receiver_listens_on_loopback_unless_told_otherwise() -> None:
    hosts = [option.default for option in listen_command.params if option.name == "host"]
    assert hosts == ["127.0.0.1"]
    assert Address().host == address_of("8088").host == address_of(":8088").host == "127.0.0.1"
    assert exposure_of(address_of("8088")) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])  # noqa: S104
def test_a_receiver_that_other_machines_reach_says_so(host: str) -> None:
    assert "where other machines reach it over plain HTTP" in exposure_of(Address(host, 8088))
