"""What apps have in common when they fail: the cause that they share, if it is ours to mend.

A bad template, a refused `ext_json` or a sentence that no reviewer accepts meets every app of a
fleet with the same answer. Such answers are told apart here from what is one client's own affair
and from trouble that passes: an outage or a lost answer is no cause.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from fleetdeploy.core import endings
from fleetdeploy.core.records import AppFinished, ErrorNote
from fleetdeploy.model import Outcome

OURS: Final = frozenset(
    {
        endings.REJECTED.code,
        endings.UPLOAD_FAILED.code,
        endings.UPLOAD_REFUSED.code,
        endings.TEMPLATE_BROKEN.code,
        "platform.bad_parameter",
        "platform.base_library_refused",
        "platform.description_refused",
        "platform.domain_refused",
        "platform.ext_json_unreadable",
        "platform.no_permission",
        "platform.signature_refused",
        "platform.unknown_error",
        "platform.unknown_method",
    }
)
"""Codes of what we sent; the others are the client's affair, the platform's, or an accident."""

WORDS_MAX: Final = 200
"""Reviewers who agree differ in their last sentence rather than in their first."""

Cause = str
"""A code, and the platform's words without what differs from app to app."""

_NO_WORD: Final = re.compile(r"[\W\d_]+")
"""Numbers too: they are ids, pages and dates."""


def cause_of(error: ErrorNote) -> Cause | None:
    """Return the cause that other apps may share; None for what is not ours to mend."""
    if error.code not in OURS:
        return None
    words = _NO_WORD.sub(" ", unicodedata.normalize("NFKC", error.msg or "").casefold())
    return f"{error.code} {words.strip()[:WORDS_MAX]}".strip()


def cause_of_end(record: AppFinished) -> Cause | None:
    """Return the cause of an app's end, where it is one that counts as a failure."""
    if record.error is None or record.outcome not in _FAILURES:
        return None
    return cause_of(record.error)


_FAILURES = frozenset({Outcome.FAILED, Outcome.REJECTED})

KnownCauses = Mapping[str, Cause]
"""By app id, the cause that its last run ended it with: to meet it again is no news."""
