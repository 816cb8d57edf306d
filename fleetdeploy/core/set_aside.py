"""An app that rollouts leave alone for the time being: since when, why, and what they end it with.

Which apps are set aside, and how they come back, is decided in `quarantine.py`.
"""

from pydantic import AwareDatetime, ConfigDict

from fleetdeploy.core.decisions import Note
from fleetdeploy.core.endings import QUARANTINED
from fleetdeploy.core.records import AppFinished, ErrorNote
from fleetdeploy.core.rules import Value
from fleetdeploy.model import Outcome


class SetAside(Value):
    """One app in quarantine. Fields that another version has written are ignored.

    `runs` are those that ended it badly in a row, newest first, `reason` the end of the newest, and
    `fingerprint` the content that did not get through. `by` is who set it aside by hand, in `note`
    the reason that was typed; then there are neither runs nor a reason.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    app_id: str
    name: str = ""
    since: AwareDatetime
    runs: tuple[str, ...] = ()
    reason: ErrorNote | None = None
    fingerprint: str | None = None
    by: str | None = None
    note: str = ""

    @property
    def why(self) -> str:
        """Tell people why, in whole."""
        if self.reason is None:
            return self._by_whom
        words = f" ({self.reason.msg})" if self.reason.msg else ""
        return f"set aside after {len(self.runs)} bad ends in a row: {self.reason.message}{words}"

    @property
    def error(self) -> ErrorNote:
        """Say what a run ends the app with: the same of all that are set aside for one cause.

        So without the reason's message, which may name the app or its packages.
        """
        if self.reason is None:
            return QUARANTINED.note(self._by_whom)
        ends = f"{len(self.runs)} bad ends in a row, the last of them {self.reason.code}"
        return QUARANTINED.note(f"set aside after {ends}", msg=self.reason.msg or "")

    @property
    def _by_whom(self) -> str:
        return f"set aside by {self.by}{f': {self.note}' if self.note else ''}"


def leave_alone(entry: SetAside) -> Note:
    """End an app that is set aside: the only decision of a rollout that needs no look."""
    record = AppFinished(app_id=entry.app_id, outcome=Outcome.BLOCKED, error=entry.error)
    return Note(record, entry.why)


def is_set_aside(error: ErrorNote | None) -> bool:
    """Whether an app ended because it was set aside, and not by anything that was tried."""
    return error is not None and error.code == QUARANTINED.code
