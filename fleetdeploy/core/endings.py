"""Why an app ended, a step failed or a run halted, by what we saw ourselves: the words for people.

Decides nothing: `decide.py` says when each of these applies. Errors that the platform answers with
have their words in the client's table instead (`baidu/causes.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fleetdeploy.core.records import ErrorNote
from fleetdeploy.model import Package, Step


@dataclass(frozen=True, slots=True)
class Ending:
    """One code, with what it means, what the tool does, and what a person does next."""

    code: str
    meaning: str
    does: str
    hint: str

    def note(self, message: str = "", *, errno: int | None = None, msg: str = "") -> ErrorNote:
        """Say it of one app; `message` in place of the meaning where there is more to tell."""
        return ErrorNote(
            code=self.code,
            message=message or self.meaning,
            hint=self.hint,
            errno=errno,
            msg=msg or None,
        )


UPLOAD_FAILED = Ending(
    "upload.failed",
    "the platform could not build the package",
    "tries again a few times, then app ends `failed`",
    "read the platform's own words beside this, then run again",
)
UPLOAD_UNAVAILABLE = Ending(
    "upload.unavailable",
    "the platform could not build the package: its packaging service is down",
    "waits for the service if several apps meet it; else tries again a few times, then app ends "
    "`failed`",
    "run again when the service is back",
)
UPLOAD_REFUSED = Ending(
    "upload.refused",
    "the platform could not build the package: it refuses a parameter",
    "app ends `failed`",
    "mend this app's ext_json, then run again",
)
TEMPLATE_BROKEN = Ending(
    "upload.template_broken",
    "the platform could not build the package: it cannot read the template",
    "stops the run (exit 4)",
    "mend the template or name another one, then run again",
)
NOT_VISIBLE = Ending(
    "upload.not_visible",
    "the uploaded package does not show",
    "app ends `failed`, after half an hour",
    "look at `fleetdeploy packages APP`; the next run adopts whatever is there by then",
)
NOT_BUILT = Ending(
    "upload.not_built",
    "the platform is still building the package",
    "app ends `failed`, after half an hour",
    "look at `fleetdeploy packages APP`; the next run adopts whatever is there by then",
)
NOT_SUBMITTED = Ending(
    "upload.not_submitted",
    "directCommit is set, and the platform has not submitted the package",
    "app ends `failed`, after half an hour",
    "check the app's audit quota and papers, or leave directCommit out; then run again",
)
RELEASE_NOT_VISIBLE = Ending(
    "release.not_visible",
    "the released package does not show as online",
    "app ends `failed`, after half an hour",
    "look at `fleetdeploy packages APP`; the next run adopts whatever is there by then",
)
NO_EFFECT = Ending(
    "step.no_effect",
    "a step left no trace on the platform",
    "tries again a few times, then app ends `failed`",
    "run again; if it goes on, look at the platform's console",
)
REJECTED = Ending(
    "audit.rejected",
    "the reviewer rejected the package",
    "app ends `rejected`",
    "mend what the reviewer names, then run again",
)
QUOTA_USED_UP = Ending(
    "audit.quota_used_up",
    "the app's submissions of this period are used up",
    "asks before each submission and sends nothing; app ends `blocked`",
    "run again when a new period has begun; `fleetdeploy doctor` shows what is left",
)
WITHDRAWN = Ending(
    "audit.withdrawn",
    "the package went back from audit without a verdict",
    "app ends `cancelled`",
    "run again to submit it again",
)
FOREIGN_IN_AUDIT = Ending(
    "package.foreign_in_audit",
    "another package of the app is in audit",
    "app ends `blocked`; or waits or withdraws it, as `foreign_package` says",
    "wait for its verdict, then run again; or set foreign_package to wait or withdraw",
)
FOREIGN_ONLINE = Ending(
    "package.foreign_online",
    "somebody released another package in place of ours",
    "app ends `blocked`: nothing is sent",
    "ask who released it; set overwrite_foreign: true for this app to replace it, then run again",
)
QUARANTINED = Ending(
    "app.quarantined",
    "the app is in quarantine: run after run ended badly, or somebody set it aside",
    "leaves the app alone: it ends `blocked`, and counts against no budget",
    "see `fleetdeploy quarantine list`; to let it run again: `fleetdeploy quarantine clear APP`",
)
WOULD_LOSE_WAY_BACK = Ending(
    "release.would_lose_way_back",
    "what is online still soaks: a release would lose the way back to the version before it",
    "with `protect_rollback` app ends `blocked`: nothing is released",
    "run again when the soak is over; or set protect_rollback: false to release all the same",
)
GONE = Ending(
    "package.gone",
    "our package was replaced or removed",
    "app ends `failed`",
    "see who uploaded with `fleetdeploy packages APP`, then run again",
)
SUPERSEDED = Ending(
    "run.superseded",
    "a newer run has taken this app over",
    "app ends `cancelled` in the older run",
    "look at the newer run",
)
WINDOW_CLOSED = Ending(
    "window.closed",
    "its window closed, or a freeze began, before the request could leave",
    "waits until it may be sent",
    "nothing: it is sent when the window opens",
)
NO_WAY_BACK = Ending(
    "rollback.no_way_back",
    "the platform names no version to go back to",
    "app ends `blocked`",
    "roll out content that works",
)
GOES_ON = Ending(
    "run.goes_on",
    "the run that is taken back is not finished, and a resume would go on with it",
    "is halted first where all of it is taken back; else goes on",
    "`fleetdeploy halt RUN` stops it; a resume of a halted run needs `--override-halt REASON`",
)
NOT_ONLINE = Ending(
    "rollback.not_online",
    "what was to be rolled back is not online any more",
    "leaves the app alone: it ends `unchanged`",
    "nothing, if what is online now is wanted; look at `fleetdeploy packages APP`",
)
TWO_ONLINE = Ending(
    "rollback.two_online",
    "two packages show as online at once",
    "looks again, then app ends `failed`, after half an hour",
    "look at `fleetdeploy packages APP` and at the platform's console",
)
ROLLBACK_NOT_VISIBLE = Ending(
    "rollback.not_visible",
    "the rollback was taken, and the version before is not online",
    "app ends `failed`, after half an hour",
    "look at `fleetdeploy packages APP`; type the rollback again: it goes on from what is there",
)
OTHER_VERSION = Ending(
    "rollback.other_version",
    "another version came online than the one to go back to",
    "app ends `cancelled`",
    "somebody released meanwhile, it seems: look at `fleetdeploy packages APP`",
)
NOT_IN_AUDIT = Ending(
    "withdraw.not_in_audit",
    "what was to be withdrawn is not in audit any more",
    "leaves the app alone: it ends `unchanged`",
    "what is approved is not online: leave it there, or release it",
)
WITHDRAW_NOT_VISIBLE = Ending(
    "withdraw.not_visible",
    "the withdrawal was taken, and the package is still in audit",
    "app ends `failed`, after half an hour",
    "look at `fleetdeploy packages APP`; then give the same command again",
)
TOO_LATE = Ending(
    "withdraw.too_late",
    "the verdict fell before the withdrawal took effect",
    "app ends `cancelled`",
    "what is approved is not online: leave it there, or release it",
)
BUDGET_EXCEEDED = Ending(
    "run.budget_exceeded",
    "more apps of the rollout failed, were rejected or cancelled than max_failures allows",
    "halts the run (exit 4)",
    "look at the causes; go on with `fleetdeploy resume --override-halt REASON`",
)
BLOCKED_EXCEEDED = Ending(
    "run.blocked_exceeded",
    "more apps are blocked than max_blocked allows",
    "halts the run (exit 4)",
    "look at what they wait for; go on with `fleetdeploy resume --override-halt REASON`",
)
WAVE_IN_VAIN = Ending(
    "run.wave_in_vain",
    "a wave ended without a single app released: nothing shows that the next should follow",
    "halts the run (exit 4)",
    "look at the causes; go on with `fleetdeploy resume --override-halt REASON`",
)
NOT_APPROVED = Ending(
    "run.not_approved",
    "nobody approved a wave in the time that its gate allows",
    "halts the run (exit 4)",
    "look at the wave; go on with `fleetdeploy resume --override-halt REASON`",
)
HALTED_BY_OPERATOR = Ending(
    "run.halted_by_operator",
    "somebody halted the run",
    "halts the run (exit 4)",
    "go on with `fleetdeploy resume --override-halt REASON`",
)
CAUSE_SHARED = Ending(
    "run.cause_shared",
    "several apps failed for the same reason, which is new and ours or the template's",
    "halts the run (exit 4)",
    "mend what they share and run again; or go on with `fleetdeploy resume --override-halt REASON`",
)

NO_TICKET = Ending(
    "auth.no_ticket",
    "there is no ticket of the third-party platform yet",
    "stops the run (exit 14)",
    "run the receiver, which is sent one every 10 minutes, or set `FLEETDEPLOY_TP_TICKET`",
)
CONSENT_NEEDED = Ending(
    "auth.consent_needed",
    "the client has withdrawn its authorization, or never gave it",
    "app ends `blocked`",
    "send the client the link of `fleetdeploy auth authorize APP --redirect-uri URI`; "
    "the next run goes on",
)
IN_DOUBT = Ending(
    "auth.in_doubt",
    "the answer to a token call was lost, and no new token could be had so far",
    "tries again",
    "it is tried again; if it lasts, type `fleetdeploy auth recover APP`",
)
OUTLIVED = Ending(
    "auth.token_outlived",
    "every token was over before the call that needs it could be sent",
    "tries again",
    "it is tried again; if it lasts, look whether answers take minutes, and at the clock of this "
    "machine (`fleetdeploy doctor`)",
)
CODE_OF_ANOTHER_APP = Ending(
    "auth.code_of_another_app",
    "the code that was brought is another app's",
    "throws the tokens away (exit 3)",
    "the code is spent: type `fleetdeploy auth recover APP` for tokens of that app",
)
CODE_UNCHECKED = Ending(
    "auth.code_unchecked",
    "the platform does not tell whose the code was that was brought",
    "throws the tokens away (exit 3)",
    "try `fleetdeploy auth recover APP` later; if you are sure, get another code and give "
    "--unchecked",
)

ENDINGS = (
    UPLOAD_FAILED,
    UPLOAD_UNAVAILABLE,
    UPLOAD_REFUSED,
    TEMPLATE_BROKEN,
    NOT_VISIBLE,
    NOT_BUILT,
    NOT_SUBMITTED,
    RELEASE_NOT_VISIBLE,
    NO_EFFECT,
    REJECTED,
    QUOTA_USED_UP,
    WITHDRAWN,
    FOREIGN_IN_AUDIT,
    QUARANTINED,
    FOREIGN_ONLINE,
    WOULD_LOSE_WAY_BACK,
    GONE,
    SUPERSEDED,
    WINDOW_CLOSED,
    NO_WAY_BACK,
    GOES_ON,
    NOT_ONLINE,
    TWO_ONLINE,
    ROLLBACK_NOT_VISIBLE,
    OTHER_VERSION,
    NOT_IN_AUDIT,
    WITHDRAW_NOT_VISIBLE,
    TOO_LATE,
    BUDGET_EXCEEDED,
    BLOCKED_EXCEEDED,
    WAVE_IN_VAIN,
    NOT_APPROVED,
    HALTED_BY_OPERATOR,
    CAUSE_SHARED,
    NO_TICKET,
    CONSENT_NEEDED,
    IN_DOUBT,
    OUTLIVED,
    CODE_OF_ANOTHER_APP,
    CODE_UNCHECKED,
)

_BY_UPLOAD_ERROR: Mapping[int | None, Ending] = {
    40001: UPLOAD_REFUSED,
    69009: UPLOAD_UNAVAILABLE,
    69010: TEMPLATE_BROKEN,
}


def upload_failure(row: Package) -> ErrorNote:
    """Tell why a build failed (platform-api.md 1.1, `upload_err_code`)."""
    ending = _BY_UPLOAD_ERROR.get(row.upload_error_code, UPLOAD_FAILED)
    msg = row.upload_error_message or row.upload_status_text
    return ending.note(errno=row.upload_error_code, msg=msg)


def rejection(row: Package) -> ErrorNote:
    """Tell the reviewer's verdict, in the reviewer's own words."""
    return REJECTED.note(msg=row.audit_message or row.remark)


def overdue(ending: Ending, waited_s: float) -> ErrorNote:
    return ending.note(f"{ending.meaning}, after {waited_s:.0f} s")


def no_effect(step: Step) -> ErrorNote:
    return NO_EFFECT.note(f"{step} left no trace on the platform")


def gone(package_id: str | None, version: str) -> ErrorNote:
    return GONE.note(f"package {package_id} (version {version}) was replaced or removed")
