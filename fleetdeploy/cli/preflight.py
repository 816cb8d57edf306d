"""What can be learnt of the fleet without a call for each app: the library, and known consents."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import anyio

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.core.credentials import Freshness, tp_freshness
from fleetdeploy.core.library import (
    PAGES_MAX,
    Library,
    consent_notes,
    template_notes,
    with_page,
)
from fleetdeploy.core.plan import PlanNote
from fleetdeploy.core.targets import Target
from fleetdeploy.errors import FleetError

PATIENCE_S: Final = 15.0
"""A plan does not wait longer for what it only notes; a page takes a second."""


async def preflight(
    credentials: Credentials, targets: Sequence[Target], now: datetime, *, ours: bool
) -> tuple[PlanNote, ...]:
    """Return what is worth knowing before a run. Raises nothing that only the notes would miss.

    `ours`: the apps' tokens are kept by us, so that our own books know who waits for a client.
    """
    by_template: dict[str, list[str]] = {}
    for target in targets:
        by_template.setdefault(target.bundle.template_id, []).append(target.app_id)
    library = await _library_at_hand(credentials, frozenset(by_template), now.timestamp())
    notes = template_notes(by_template, library)
    if not ours:
        return notes
    app_ids = frozenset(target.app_id for target in targets)
    try:
        kept = await credentials.store.apps()
    except FleetError as error:
        message = f"who waits for a client's consent could not be checked: {error.message}"
        return (*notes, PlanNote(code="preflight.unknown", message=message))
    return (*notes, *consent_notes(kept, app_ids, now.timestamp()))


async def _library_at_hand(credentials: Credentials, wanted: frozenset[str], now: float) -> Library:
    """Read the library if there is a TP token; none is made for it."""
    library = Library(why_not="the platform did not answer in time")
    try:
        if tp_freshness(await credentials.store.tp(), now) is Freshness.STALE:
            return Library(why_not="there is no token of the third-party platform at hand")
        with anyio.move_on_after(PATIENCE_S):
            library = await read_library(credentials, wanted)
    except FleetError as error:
        return Library(why_not=error.message)
    return library


async def read_library(credentials: Credentials, wanted: frozenset[str]) -> Library:
    """Page through the library until all that is wanted was seen, or its end.

    Raises `PlatformError`s.
    """
    library = Library()
    for page in range(1, PAGES_MAX + 1):
        before = library.ids
        read = await credentials.templates(page)
        library = with_page(library, read.templates, read.total)
        if library.ids == before or wanted <= library.ids:
            break
    return library
