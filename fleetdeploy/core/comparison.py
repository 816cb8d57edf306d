"""How what an app is to get compares with what is online: the reasons that a plan gives.

It decides nothing. What our history knows of older content is passed in.
"""

from collections.abc import Mapping

from fleetdeploy.core import sightings
from fleetdeploy.core.differences import changed_keys
from fleetdeploy.core.rules import Value
from fleetdeploy.model import Bundle, Package, PackageStatus


class Past(Value):
    """What our own history knows of a bundle it sent once."""

    template_id: str
    ext_json: str


History = Mapping[tuple[str, str], Past]
"""By app id and fingerprint."""


def upload_reason(bundle: Bundle, rows: tuple[Package, ...], past: Past | None) -> str:
    """Say why the bundle has to go up; `past` is what is known of what is online."""
    live = sightings.online(rows)
    reasons = [_against_online(bundle, live, past)]
    refused = _rejected_before(bundle, rows)
    if refused is not None:
        said = refused.audit_message or refused.remark or "no reason given"
        reasons.append(f"the reviewer rejected this very content before ({said})")
    return "; ".join(reasons)


def _against_online(bundle: Bundle, live: Package | None, past: Past | None) -> str:
    if live is None:
        return "nothing is online yet"
    if live.fingerprint is None:
        return f"what is online (version {live.version}) is not ours"
    if live.fingerprint == bundle.fingerprint:
        return "the same content is online, and skip_unchanged is off"
    if past is not None and past.template_id != bundle.template_id:
        return f"template {bundle.template_id} instead of {past.template_id} (online)"
    return f"the content differs from what is online (version {live.version})"


def _rejected_before(bundle: Bundle, rows: tuple[Package, ...]) -> Package | None:
    return next(
        (
            row
            for row in rows
            if row.status == PackageStatus.AUDIT_FAILED and row.fingerprint == bundle.fingerprint
        ),
        None,
    )


def changed(bundle: Bundle, past: Past | None) -> tuple[str, ...] | None:
    """Return the keys of `ext_json` that differ from what is online, None if nobody knows."""
    return changed_keys(past.ext_json, bundle.ext_json) if past is not None else None


def unknown(bundle: Bundle, live: Package | None, past: Past | None) -> tuple[str, ...]:
    """Say what cannot be compared."""
    if live is None or past is not None or live.fingerprint == bundle.fingerprint:
        return ()
    return ("which keys differ from what is online: our history does not know it",)
