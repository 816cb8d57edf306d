"""Which apps are set aside, and which come back: pure, from how earlier runs ended them.

An app that ends badly in run after run spends budgets and calls, and tells nobody anything new. It
is set aside until the cause is gone, as far as that can be known: what a client has to mend on the
platform shows in `doctor`'s checks, anything else can only change with the content that is sent.
Whom a person set aside comes back when a person says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.diagnosis import AppCheckup, State
from fleetdeploy.core.endings import (
    CONSENT_NEEDED,
    QUARANTINED,
    QUOTA_USED_UP,
    WOULD_LOSE_WAY_BACK,
)
from fleetdeploy.core.plan import Action, Plan, PlannedApp, PlanNote, planned_from
from fleetdeploy.core.quota import REFUSED as QUOTA_REFUSED
from fleetdeploy.core.records import ErrorNote
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.set_aside import SetAside, is_set_aside, leave_alone
from fleetdeploy.core.targets import Target
from fleetdeploy.model import Outcome, RunKind

JUDGES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "platform.name_not_approved": ("name",),
        "platform.category_not_approved": ("category",),
        "platform.name_and_category_not_approved": ("name", "category"),
        "platform.category_in_review": ("category",),
        "platform.entity_not_approved": ("entity",),
        "platform.authenticity_missing": ("authenticity",),
        "platform.authorization_missing": ("token",),
        "platform.token_refused": ("token",),
        "platform.grant_refused": ("token",),
        "platform.token_request_refused": ("token",),
        "auth.no_token": ("token",),
        CONSENT_NEEDED.code: ("token",),
        "platform.scope_missing": ("scope",),
        "platform.app_state_wrong": ("status",),
        "platform.app_not_found": ("status",),
    }
)
"""By code, the checks of `app_checks.py` that show whether it would come again."""

PASSES: Final = frozenset({QUOTA_USED_UP.code, QUOTA_REFUSED, WOULD_LOSE_WAY_BACK.code})
"""What ends by itself on a day that is known: such an end is no part of a row."""

_BAD: Final = frozenset({Outcome.FAILED, Outcome.REJECTED, Outcome.BLOCKED})


class Quarantine(BaseModel):
    """All apps that are set aside, and when others came back: ends up to then do not count."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    entries: tuple[SetAside, ...] = ()
    back: dict[str, AwareDatetime] = Field(default_factory=dict)

    def by_id(self) -> dict[str, SetAside]:
        return {entry.app_id: entry for entry in self.entries}

    def put(self, entries: Iterable[SetAside]) -> "Quarantine":
        """Set apps aside, in place of what was said of them before."""
        by_id = self.by_id() | {entry.app_id: entry for entry in entries}
        back = {app_id: at for app_id, at in self.back.items() if app_id not in by_id}
        return self.model_copy(update={"entries": tuple(by_id.values()), "back": back})

    def let_out(self, app_ids: Iterable[str], at: datetime) -> "Quarantine":
        """Let apps come back, with a fresh row."""
        gone = frozenset(app_ids)
        entries = tuple(entry for entry in self.entries if entry.app_id not in gone)
        back = self.back | dict.fromkeys(gone & self.by_id().keys(), at)
        return self.model_copy(update={"entries": entries, "back": back})

    def let_out_unchanged(self, entries: Iterable[SetAside], at: datetime) -> "Quarantine":
        """Let out those of whom nobody has said anything else since they were looked at."""
        still = self.by_id()
        return self.let_out([one.app_id for one in entries if still.get(one.app_id) == one], at)

    def put_planned(self, entries: Iterable[SetAside], planned_at: datetime) -> "Quarantine":
        """Set aside what a plan says, but for those who are in, or were let out since."""
        inside = self.by_id()
        return self.put(
            entry
            for entry in entries
            if entry.app_id not in inside
            and not (entry.app_id in self.back and self.back[entry.app_id] >= planned_at)
        )


class WayBack(StrEnum):
    """What brings an app back, beside `quarantine clear`."""

    DOCTOR = "doctor"
    """`doctor` finds that the client has mended it."""
    CONTENT = "content"
    """The app is to get other content than what did not get through."""
    CLEAR = "clear"
    """Nothing else: a person set it aside."""


def way_back(entry: SetAside) -> WayBack:
    if entry.reason is None:
        return WayBack.CLEAR
    return WayBack.DOCTOR if entry.reason.code in JUDGES else WayBack.CONTENT


@dataclass(frozen=True, slots=True)
class _BadEnd:
    run_id: str
    error: ErrorNote
    planned: PlannedApp


class Rows:
    """The bad ends in a row of apps, gathered from runs that are taken in from the newest on.

    An end by success, or before the app last came back, ends a row. A run that did not try the app,
    did not bring it to an end, found its audit quota used up, or kept its way back while a soak
    went on, is no part of one.
    """

    def __init__(
        self, app_ids: Iterable[str], after: int | None, quarantine: Quarantine | None = None
    ) -> None:
        inside = quarantine.by_id() if quarantine else {}
        self._after = after
        self._back = quarantine.back if quarantine else {}
        self._open: dict[str, list[_BadEnd]] = {}
        self._due: dict[str, list[_BadEnd]] = {}
        if after is not None:
            self._open = {app_id: [] for app_id in app_ids if app_id not in inside}

    @property
    def undecided(self) -> bool:
        """Whether an older run may still tell that an app is due."""
        return any(self._open.values())

    def take(self, plan: Plan, state: RunState) -> None:
        """Take in the next older run; those that take something back say nothing of a rollout."""
        if plan.run_kind is not RunKind.ROLLOUT:
            return
        for planned in plan.apps:
            if planned.app_id in self._open:
                self._take_app(plan.run_id, planned, state.apps[planned.app_id])

    def _take_app(self, run_id: str, planned: PlannedApp, app: AppState) -> None:
        outcome, error = app.outcome, app.error
        passes = error is not None and error.code in PASSES
        if outcome in (None, Outcome.CANCELLED) or passes or is_set_aside(error):
            return
        row = self._open[app.app_id]
        if outcome not in _BAD or error is None or self._was_back(app):
            del self._open[app.app_id]
            return
        row.append(_BadEnd(run_id, error, planned))
        if len(row) == self._after:
            self._due[app.app_id] = self._open.pop(app.app_id)

    def _was_back(self, app: AppState) -> bool:
        back, ended = self._back.get(app.app_id), app.updated_at
        return back is not None and ended is not None and ended <= back

    def due(self, now: datetime) -> dict[str, SetAside]:
        """Return those who are to be set aside, by app id."""
        return {
            app_id: SetAside(
                app_id=app_id,
                name=row[0].planned.name,
                since=now,
                runs=tuple(end.run_id for end in row),
                reason=row[0].error,
                fingerprint=row[0].planned.fingerprint,
            )
            for app_id, row in self._due.items()
        }


@dataclass(frozen=True, slots=True)
class Admission:
    """Whom a run sets aside, by app id; who of them is `new`, and who comes `back` with it."""

    set_aside: Mapping[str, SetAside] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    back: tuple[SetAside, ...] = ()

    def marked(self, targets: Iterable[Target]) -> tuple[Target, ...]:
        """Return the targets, each with what sets it aside."""
        return tuple(
            replace(target, set_aside=self.set_aside.get(target.app_id)) for target in targets
        )


def admit(
    targets: Sequence[Target], quarantine: Quarantine, due: Mapping[str, SetAside]
) -> Admission:
    """Choose who of these apps is set aside; what was never tried gets its try."""
    inside = quarantine.by_id()
    entries = {**due, **inside}
    concerned = [target for target in targets if target.app_id in entries]
    tried = [one for one in concerned if not _has_new_content(one, entries[one.app_id])]
    out = {one.app_id for one in concerned} - {one.app_id for one in tried}
    return Admission(
        {one.app_id: entries[one.app_id] for one in tried},
        tuple(one.app_id for one in tried if one.app_id not in inside),
        tuple(entry for app_id, entry in inside.items() if app_id in out),
    )


def _has_new_content(target: Target, entry: SetAside) -> bool:
    other = target.bundle.fingerprint != entry.fingerprint
    return other and way_back(entry) is WayBack.CONTENT


def admission_notes(admission: Admission, named: Iterable[str] = ()) -> tuple[PlanNote, ...]:
    """Tell who is newly set aside, who comes back, and who of those `named` by id stays out."""
    back = tuple(entry.app_id for entry in admission.back)
    asked_for = tuple(app_id for app_id in named if app_id in admission.set_aside)
    notes = (
        PlanNote(
            code=QUARANTINED.code,
            message="set aside from now on, as run after run ended badly",
            app_ids=admission.new,
            hint=QUARANTINED.hint,
        ),
        PlanNote(
            code=QUARANTINED.code,
            message="back from quarantine, as the content is another one",
            app_ids=back,
        ),
        PlanNote(
            code=QUARANTINED.code,
            message="asked for by id, and set aside all the same",
            app_ids=asked_for,
            hint=f"to try them: fleetdeploy quarantine clear {' '.join(asked_for)}",
        ),
    )
    return tuple(note for note in notes if note.app_ids)


def plan_set_aside(target: Target, *, in_doubt_before: bool = False) -> PlannedApp:
    """Predict what a run does for an app that is set aside: it is not even looked at."""
    assert target.set_aside is not None
    note = leave_alone(target.set_aside)
    return planned_from(
        target,
        action=Action.SET_ASIDE,
        reason=note.why,
        error=target.set_aside.error,
        in_doubt_before=in_doubt_before,
    )


def recovered(quarantine: Quarantine, checkups: Iterable[AppCheckup]) -> tuple[SetAside, ...]:
    """Return whom a check-up lets out: what ended them shows as mended, and nothing else as bad."""
    inside = quarantine.by_id()
    return tuple(
        inside[checkup.app_id]
        for checkup in checkups
        if checkup.app_id in inside and _is_mended(inside[checkup.app_id], checkup)
    )


def _is_mended(entry: SetAside, checkup: AppCheckup) -> bool:
    judges = JUDGES.get(entry.reason.code, ()) if entry.reason else ()
    states = {check.name: check.state for check in checkup.checks}
    fine = all(states[name] is State.OK for name in judges)
    return bool(judges) and fine and State.PROBLEM not in states.values()
