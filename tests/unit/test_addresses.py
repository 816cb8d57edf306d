"""Where tokens may be sent: the host that is checked is the host that is called."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from fleetdeploy.core.addresses import base_url_problem, is_loopback

HERE = [
    "http://127.0.0.1",
    "http://127.8.9.10:1",
    "http://localhost:8080",
    "HTTP://LOCALHOST/under/a/path",
    "http://[::1]:8080",
    "http://[0:0::1]",
]
TRICKS = [
    "http://127.1",
    "http://2130706433",
    "http://0x7f.0.0.1",
    "http://0177.0.0.1",
    "http://0.0.0.0",
    "http://[::]",
    "http://localhost.",
    "http://localhost.example.com",
    "http://127.0.0.1.example.com",
    "http://127.0.0.1@example.com",
    "http://127.0.0.1:80@example.com",
    "http://@127.0.0.1",
    "http://:@127.0.0.1",
    "http://127.0.0.1\\@example.com",
    "http://127.0.0.1\\.example.com",
    "http:\\\\127.0.0.1",
    "http:/127.0.0.1",
    "http:///127.0.0.1",
    "http://127.0.0.1%00.example.com",
    "http://127.0.0.1%2f.example.com",
    "http://localhost%2eexample.com",
    "http://[::1]example.com",
    "http://[::1].example.com:80",
    "http://[::1%25eth0]",
    "http://[v1.127.0.0.1]",
    "http://１27.0.0.1",
    "http://127.0.0.1\t",
    "http://127.0.0.1:80:90",
    "http://127.0.0.1:-1",
    "http://127.0.0.1:+80",
    "http://127.0.0.1,example.com",
    "http://127.0.0.1;example.com",
]


@pytest.mark.parametrize("url", HERE)
def test_plain_http_may_go_to_this_machine(url: str) -> None:
    assert base_url_problem(url) is None
    assert is_loopback(URL(f"{url}/rest", encoded=True).host or "")


@pytest.mark.parametrize("url", TRICKS)
def test_what_only_looks_like_this_machine_is_refused(url: str) -> None:
    assert base_url_problem(url) is not None


@pytest.mark.parametrize("url", ["https://[::1]example.com", "https://example.com\\@evil.example"])
def test_a_host_that_readers_understand_differently_is_refused_with_a_certificate_too(
    url: str,
) -> None:
    assert base_url_problem(url) is not None


PIECES = ["127.0.0.1", "localhost", "[::1]", "evil.example", "@", ":", "\\", "/", "%2f", ".", "80"]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join))
@example("[::1]evil.example")
@example("127.0.0.1\\@evil.example")
def test_the_host_that_is_checked_is_the_one_that_is_called(authority: str) -> None:
    for scheme in ("http", "https"):
        url = f"{scheme}://{authority}"
        if base_url_problem(url) is None:
            called = URL(f"{url}/rest?access_token=x", encoded=True)
            assert called.host == urlsplit(url).hostname
            assert scheme == "https" or is_loopback(called.host or "")
