"""Everything that is wrong with a manifest, in one go, from plain values.

Knows no files: what it finds has a path in the structure, and whoever read the files knows the
lines. One mistake must not hide the others, so what is sound is checked further without the rest.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ValidationError

from fleetdeploy.core.bundle import canonical_json
from fleetdeploy.core.findings import MAX_FINDINGS, At, Finding, Known, findings_of
from fleetdeploy.core.labels import matches
from fleetdeploy.core.manifest import (
    App,
    Audit,
    AuditOverride,
    Freeze,
    Group,
    Limits,
    Manifest,
    Rollout,
    Wave,
    Windows,
)
from fleetdeploy.core.targets import outcomes
from fleetdeploy.core.waves import idle_waves, wrong_waves

MAX_APPS: Final = 200_000
"""Twice the largest fleet that one process is meant to carry."""
MAX_SHARED: Final = 1024 * 1024
"""Characters of all that the fleet and its groups say in `ext_json`: each app may take them all."""
MAX_FLEET: Final = 512 * 1024 * 1024
"""Characters of all apps' `ext_json` together, which a plan holds: 5 KiB for each of 100,000."""

_SAMPLE: Mapping[str, object] = {
    "api_version": "fleetdeploy/v1",
    "name": "sample",
    "template_id": "0",
    "version": "0",
    "audit": {"content": "sample", "remark": "sample"},
}
"""Stands in for required keys that are missing or wrong while the rest is checked."""
_SAMPLE_DATE: Final = dt.date(2000, 1, 1)


def _known(models: Mapping[At, type[BaseModel]]) -> Known:
    return {
        at: tuple(field.alias or name for name, field in model.model_fields.items())
        for at, model in models.items()
    }


_KNOWN_FLEET: Known = _known(
    {
        (): Manifest,
        ("audit",): Audit,
        ("groups",): Group,
        ("groups", "audit"): AuditOverride,
        ("rollout",): Rollout,
        ("rollout", "waves"): Wave,
        ("limits",): Limits,
        ("windows",): Windows,
        ("freezes",): Freeze,
    }
)
_KNOWN_APP: Known = _known({(): App, ("audit",): AuditOverride})


@dataclass(frozen=True, slots=True)
class Checked:
    """A manifest, or what is wrong with it."""

    manifest: Manifest | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Apps:
    """The sound apps, where each stood in the list, and what is wrong with the others."""

    sound: tuple[App, ...]
    indexes: tuple[int, ...]
    findings: tuple[Finding, ...]


def check(fleet: Mapping[str, object], entries: Sequence[object], *, complete: bool) -> Checked:
    """Check the manifest `fleet` (its key `apps` aside) with the apps in `entries`.

    Unless `complete`, some apps could not be read, and nothing is said of what they might mend.
    The manifest is there only when nothing is wrong.
    """
    apps = _checked_apps(entries[:MAX_APPS])
    draft, findings = _checked_fleet(fleet, apps.sound)
    findings += _crowd(entries, complete=complete)
    findings += apps.findings
    findings += _repeated(entries)
    shared = _too_much_shared(draft)
    findings += shared or _resolved(draft, apps)
    findings += _unzoned(draft, fleet)
    findings += wrong_waves(draft.rollout.waves)
    if complete and not apps.findings:
        findings += _idle_groups(draft)
        findings += idle_waves(draft.rollout.waves, draft.apps) if entries else []
    return Checked(None if findings else draft, tuple(findings))


def _checked_apps(entries: Sequence[object]) -> _Apps:
    sound: list[App] = []
    indexes: list[int] = []
    findings: list[Finding] = []
    for index, entry in enumerate(entries):
        if len(findings) >= MAX_FINDINGS:
            message = f"is not checked: there are {MAX_FINDINGS:,} problems with the apps before"
            findings.append(Finding(("apps", index), message))
            break
        try:
            sound.append(App.model_validate(entry))
        except ValidationError as error:
            findings += findings_of(error, ("apps", index), _KNOWN_APP)
        else:
            indexes.append(index)
    return _Apps(tuple(sound), tuple(indexes), tuple(findings))


def _checked_fleet(
    fleet: Mapping[str, object], apps: Sequence[App]
) -> tuple[Manifest, list[Finding]]:
    try:
        return Manifest.model_validate({"apps": apps, **fleet}), []
    except ValidationError as error:
        findings = findings_of(error, (), _KNOWN_FLEET)
        # Of all errors, also those that are too many to be told.
        wrong = {details["loc"][0] for details in error.errors(include_url=False) if details["loc"]}
    sound = {key: value for key, value in fleet.items() if key not in wrong}
    return Manifest.model_validate({**_SAMPLE, **sound, "apps": apps}), findings


def _crowd(entries: Sequence[object], *, complete: bool) -> list[Finding]:
    if len(entries) > MAX_APPS:
        return [Finding(("apps",), f"has more than {MAX_APPS:,} apps")]
    if not entries and complete:
        return [Finding((), "the fleet is empty: there is no app in apps or in apps_file")]
    return []


def _repeated(entries: Sequence[object]) -> list[Finding]:
    """Find app ids that were there before, also among apps that are wrong in other ways."""
    first: dict[str, int] = {}
    findings = []
    for index, entry in enumerate(entries):
        app_id = entry.get("app_id") if isinstance(entry, Mapping) else None
        if not isinstance(app_id, str):
            continue
        if first.setdefault(app_id, index) != index:
            also: At = ("apps", first[app_id], "app_id")
            findings.append(Finding(("apps", index, "app_id"), "the same app is there twice", also))
    return findings


def _too_much_shared(draft: Manifest) -> list[Finding]:
    layers = (draft.ext_json, *(group.ext_json for group in draft.groups))
    if sum(len(canonical_json(layer)) for layer in layers if layer) <= MAX_SHARED:
        return []
    message = f"say more than {MAX_SHARED // 1024} KiB of ext_json, that of the fleet included"
    return [Finding(("groups",), message)]


def _resolved(draft: Manifest, apps: _Apps, max_chars: int = MAX_FLEET) -> list[Finding]:
    # A mistake in a layer that many apps share is found for each of them, and said once.
    findings: dict[At, Finding] = {}
    chars = 0
    for outcome in outcomes(draft, date=_SAMPLE_DATE, run_id="sample"):
        if isinstance(outcome, Finding):
            at = _original(outcome.at, apps.indexes)
            findings[outcome.at] = Finding(at, outcome.message)
        else:
            chars += len(outcome.bundle.ext_json)
        if chars > max_chars:
            message = f"get more than {max_chars // 1024**2} MiB of ext_json, all together"
            return [*findings.values(), Finding(("apps",), message)]
        if len(findings) >= MAX_FINDINGS:
            break
    return list(findings.values())


def _original(at: At, indexes: Sequence[int]) -> At:
    match at:
        case ("apps", int(index), *rest):
            return ("apps", indexes[index], *rest)
        case _:
            return at


def _unzoned(draft: Manifest, fleet: Mapping[str, object]) -> list[Finding]:
    """Find freezes of which nothing says where their days begin and end."""
    if draft.window_zone is not None or (fleet.get("windows") and draft.windows is None):
        return []
    return [
        Finding(("freezes", index), "names no zone, and the windows do not agree on one")
        for index, freeze in enumerate(draft.freezes)
        if freeze.zone is None
    ]


def _idle_groups(draft: Manifest) -> list[Finding]:
    return [
        Finding(("groups", index, "match"), "matches no app of the fleet")
        for index, group in enumerate(draft.groups)
        if not any(matches(app.labels, group.match) for app in draft.apps)
    ]
