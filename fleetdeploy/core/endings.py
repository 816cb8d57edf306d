"""Why an app ended, or a step failed, by what a look showed: the words for people.

Decides nothing: `decide.py` says when each of these applies. Errors that the platform answers with
have their words in the client's table instead.
"""

from collections.abc import Mapping

from fleetdeploy.core.records import ErrorNote
from fleetdeploy.model import Package, Step

REFUSED = "upload.refused"
TEMPLATE_BROKEN = "upload.template_broken"

_UPLOAD_ERROR_UNKNOWN = ("upload.failed", "see the platform's message; it is tried a few times")
_UPLOAD_ERRORS: Mapping[int | None, tuple[str, str]] = {
    40001: (REFUSED, "mend this app's ext_json, then run again"),
    69009: ("upload.unavailable", "the packaging service is down; it is tried a few times"),
    69010: (TEMPLATE_BROKEN, "mend the template or name another one, then resume"),
}


def upload_failure(row: Package) -> ErrorNote:
    """Return the platform's reason (platform-api.md 1.1, `upload_err_code`)."""
    code, hint = _UPLOAD_ERRORS.get(row.upload_error_code, _UPLOAD_ERROR_UNKNOWN)
    return ErrorNote(
        code=code,
        message="the platform could not build the package",
        hint=hint,
        errno=row.upload_error_code,
        msg=row.upload_error_message or row.upload_status_text or None,
    )


def rejection(row: Package) -> ErrorNote:
    """Return the reviewer's verdict, in the reviewer's own words."""
    return ErrorNote(
        code="audit.rejected",
        message="the reviewer rejected the package",
        hint="mend what the reviewer names, then run again",
        msg=row.audit_message or row.remark or None,
    )


def foreign_in_audit(why: str) -> ErrorNote:
    return ErrorNote(
        code="package.foreign_in_audit",
        message=why,
        hint="wait for its verdict or withdraw it, then run again; "
        "or set rollout.foreign_package: wait",
    )


def withdrawn() -> ErrorNote:
    return ErrorNote(
        code="audit.withdrawn",
        message="the package went back from audit without a verdict",
        hint="run again to submit it again",
    )


def gone(package_id: str | None, version: str) -> ErrorNote:
    return ErrorNote(
        code="package.gone",
        message=f"package {package_id} (version {version}) was replaced or removed",
        hint="see who uploaded with `fleetdeploy packages`, then run again",
    )


def overdue(code: str, why: str, waited_s: float) -> ErrorNote:
    return ErrorNote(
        code=code,
        message=f"{why}, after {waited_s:.0f} s",
        hint="look at `fleetdeploy packages`; the next run adopts whatever is there by then",
    )


def no_effect(step: Step) -> ErrorNote:
    return ErrorNote(
        code="step.no_effect",
        message=f"{step} had no effect on the platform",
        hint="run again; if it goes on, look at the platform's console",
    )
