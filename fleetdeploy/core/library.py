"""The template library as far as it could be read, and what a plan should say beforehand; pure.

A template that is missing is a note, never a refusal: how the list of templates answers was not
tried against the real platform.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from fleetdeploy.core.credentials import AppCredential, has_code
from fleetdeploy.core.endings import CONSENT_NEEDED
from fleetdeploy.core.plan import PlanNote
from fleetdeploy.model import Template

PAGES_MAX: Final = 5
"""The library holds 50 at most (platform-api.md 2.1): one page, and one more to see its end."""
TEMPLATE_GONE: Final = "platform.template_gone"
TEMPLATE_HINT: Final = "choose a template that is in the library, or add it there again"


@dataclass(frozen=True, slots=True)
class Library:
    """`complete`: what is not in `ids` is not there. Else `why_not` says why nobody knows."""

    ids: frozenset[str] = field(default_factory=frozenset)
    complete: bool = False
    why_not: str = "the library was not read"

    def lacks(self, template_id: str) -> bool:
        return self.complete and template_id not in self.ids


def with_page(library: Library, templates: Iterable[Template], total: int | None) -> Library:
    """Add a page; one that brings nothing new is the end, unless more were promised.

    Not so the promised number itself: whether it counts the library or the page is documented
    nowhere.
    """
    ids = library.ids | {template.template_id for template in templates}
    if ids != library.ids:
        return replace(library, ids=ids, why_not="its list was not read to the end")
    if total is not None and total > len(ids):
        return Library(ids, why_not=f"only {len(ids)} of {total} templates were listed")
    return Library(ids, complete=True, why_not="")


def template_notes(app_ids: Mapping[str, Sequence[str]], library: Library) -> tuple[PlanNote, ...]:
    """Say which templates are not in the library, or why nobody knows; `app_ids` by template."""
    missing = tuple(
        PlanNote(
            code=TEMPLATE_GONE,
            message=f"template {template_id} is not in the library",
            app_ids=tuple(together),
            hint=TEMPLATE_HINT,
        )
        for template_id, together in app_ids.items()
        if library.lacks(template_id)
    )
    if library.complete or library.ids.issuperset(app_ids):
        return missing
    message = f"whether the templates exist could not be checked: {library.why_not}"
    return (PlanNote(code="preflight.unknown", message=message),)


def consent_notes(
    credentials: Iterable[AppCredential], app_ids: frozenset[str], now: float
) -> tuple[PlanNote, ...]:
    """Say which of these apps wait for their client to authorize again."""
    waiting = tuple(one.app_id for one in credentials if one.app_id in app_ids and awaits(one, now))
    if not waiting:
        return ()
    note = PlanNote(
        code=CONSENT_NEEDED.code,
        message="the client has withdrawn its authorization, or never gave it",
        app_ids=waiting,
        hint="send the client the link of `fleetdeploy auth authorize APP --redirect-uri URI`",
    )
    return (note,)


def awaits(credential: AppCredential, now: float) -> bool:
    """Whether an app waits for its client, by what we heard last."""
    return credential.consent is not None and not has_code(credential, now)
