"""What no text of an error may hold, whatever came in."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from fleetdeploy.baidu.replies import RETRY_AFTER_MAX_S
from fleetdeploy.errors import FleetError, ManifestInvalid, PlatformError

SECRET: Final = "45.secret-that-must-not-be-seen.3600"
"""Stands for every token, ticket and code that a target knows."""
LONGEST: Final = 1000
"""Characters; a message is a sentence or two."""
PROBLEMS_MAX: Final = 101
_ACTS: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def check_error(error: FleetError) -> None:
    """Fail unless an error's own words are short, harmless and without a secret.

    `msg` is the platform's own, kept as it came: it has a bound, and what shows it escapes it.
    """
    check_words((error.message, error.hint, error.code))
    if isinstance(error, ManifestInvalid):
        assert len(error.problems) <= PROBLEMS_MAX
        check_words(text for p in error.problems for text in (p.file, p.message, p.path))
    if isinstance(error, PlatformError):
        check_secrets(error.msg or "")
        assert len(error.msg or "") <= LONGEST
        assert 0 <= (error.retry_after_s or 0) <= RETRY_AFTER_MAX_S, "an endless wait"


def check_words(texts: Iterable[str]) -> None:
    for text in texts:
        assert len(text) <= LONGEST, "a message without a bound"
        assert not acting_in(text), f"a message holds {acting_in(text)}"
        check_secrets(text)


def check_secrets(text: str) -> None:
    assert SECRET not in text, "a secret in a text"


def check_shown(text: str) -> None:
    """Fail if an output holds anything that a terminal would obey, line ends aside."""
    acting = acting_in(text.replace("\n", ""))
    assert not acting, f"an output holds {acting}"
    check_secrets(text)


def acting_in(text: str) -> list[str]:
    """Return the characters of a text that show nothing of their own, as code points."""
    if text.isprintable():
        return []
    return sorted({f"U+{ord(c):04X}" for c in text if unicodedata.category(c) in _ACTS})
