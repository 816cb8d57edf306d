"""From the manifest to what each app is to get.

For each app the fleet's `ext_json`, that of every matching group in order and the app's own are
merged; then the tool sets what only it can know. Which app comes when is not decided here.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pydantic import JsonValue

from fleetdeploy.core.bundle import canonical_json, describe, fingerprint_of
from fleetdeploy.core.fields import MAX_EXT_JSON, ExtJson
from fleetdeploy.core.findings import At, Finding, path_text, quoted
from fleetdeploy.core.foreign import LeftOnline
from fleetdeploy.core.labels import matches
from fleetdeploy.core.manifest import App, Manifest, Overrides
from fleetdeploy.core.merge import merge_patch
from fleetdeploy.core.placeholders import fill
from fleetdeploy.core.rules import ForeignPackage
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.core.soaking import Soaking
from fleetdeploy.core.waves import assign
from fleetdeploy.errors import ManifestInvalid, Problem
from fleetdeploy.model import AuditNote, Bundle

_BOOLEANS: Mapping[str, bool] = MappingProxyType({"true": True, "false": False})
"""The platform's table calls `directCommit` a string (platform-api.md 7): both are understood."""

NO_WAVE = ""
"""Of an app that no wave takes; a manifest that was loaded has none."""
_TOO_LARGE = "the ext_json of all layers together is larger than"


@dataclass(frozen=True, slots=True)
class Undo:
    """The package that a run is to take back, and the version before it where that is known."""

    package_id: str
    back_to: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One app of a run, with what it is to get. `name` is empty where the manifest has none.

    In a run that takes something back, `bundle` is what was sent and `undo` the package of it.
    With `set_aside` a rollout leaves the app alone.
    `foreign_package` and `overwrite_foreign` are None where the run's rules hold; `left_online` is
    what earlier runs know, None where they released nothing. `soaking` are releases of theirs that
    were still being watched when the plan was made.
    """

    app_id: str
    name: str
    labels: Mapping[str, str]
    wave: str
    bundle: Bundle
    undo: Undo | None = None
    priority: int = 0
    set_aside: SetAside | None = None
    foreign_package: ForeignPackage | None = None
    overwrite_foreign: bool | None = None
    left_online: LeftOnline | None = None
    soaking: tuple[Soaking, ...] = ()


@dataclass(frozen=True, slots=True)
class _Draft:
    """What an app is to get so far; `origins` is where each top key of `ext` was last said."""

    template_id: str
    version: str
    description: str
    audit: AuditNote
    priority: int = 0
    ext: ExtJson = field(default_factory=dict)
    origins: Mapping[str, At] = field(default_factory=dict)
    foreign_package: ForeignPackage | None = None
    overwrite_foreign: bool | None = None


def resolve(manifest: Manifest, *, date: dt.date, run_id: str) -> tuple[Target, ...]:
    """Return what each app is to get, in the manifest's order.

    Raises `ManifestInvalid` with every problem; a manifest that was loaded has none.
    """
    targets: list[Target] = []
    problems: dict[At, Problem] = {}
    for outcome in outcomes(manifest, date=date, run_id=run_id):
        if isinstance(outcome, Target):
            targets.append(outcome)
        else:
            place = path_text(outcome.at)
            problems[outcome.at] = Problem(f"manifest {manifest.name}", outcome.message, path=place)
    if problems:
        raise ManifestInvalid(tuple(problems.values()))
    return tuple(targets)


def outcomes(manifest: Manifest, *, date: dt.date, run_id: str) -> Iterator[Target | Finding]:
    """Yield each app's target, or what stands in its way.

    One at a time, because all targets of a large fleet together take a lot of memory.
    """
    values = {"date": f"{date:%Y%m%d}", "run_id": run_id}
    start = _said(_start(manifest), manifest.ext_json, ())
    waves = assign(manifest.rollout.waves, manifest.apps)
    for index, app in enumerate(manifest.apps):
        draft = _draft_of(start, manifest, app, index)
        wrong = _wrong_ext(draft, app.app_id)
        if wrong:
            yield from wrong
            continue
        target = _target(app, draft, waves.get(app.app_id, NO_WAVE), values)
        if len(target.bundle.ext_json) > MAX_EXT_JSON:
            yield Finding(("apps", index), f"{_TOO_LARGE} {MAX_EXT_JSON // 1024} KiB as JSON")
        else:
            yield target


def _start(manifest: Manifest) -> _Draft:
    return _Draft(
        template_id=manifest.template_id,
        version=manifest.version,
        description=manifest.description,
        audit=AuditNote(manifest.audit.content, manifest.audit.remark),
    )


def _draft_of(draft: _Draft, manifest: Manifest, app: App, index: int) -> _Draft:
    for place, group in enumerate(manifest.groups):
        if matches(app.labels, group.match):
            draft = _overridden(draft, group, ("groups", place))
    return _overridden(draft, app, ("apps", index))


def _overridden(draft: _Draft, layer: Overrides, at: At) -> _Draft:
    audit = layer.audit
    if audit is not None:
        note = AuditNote(audit.content or draft.audit.content, audit.remark or draft.audit.remark)
        draft = replace(draft, audit=note)
    if layer.template_id is not None:
        draft = replace(draft, template_id=layer.template_id)
    if layer.version is not None:
        draft = replace(draft, version=layer.version)
    if layer.description is not None:
        draft = replace(draft, description=layer.description)
    if layer.priority is not None:
        draft = replace(draft, priority=layer.priority)
    if layer.foreign_package is not None:
        draft = replace(draft, foreign_package=layer.foreign_package)
    if layer.overwrite_foreign is not None:
        draft = replace(draft, overwrite_foreign=layer.overwrite_foreign)
    return _said(draft, layer.ext_json, at)


def _said(draft: _Draft, ext_json: ExtJson | None, at: At) -> _Draft:
    if not ext_json:
        return draft
    origins = {**draft.origins, **dict.fromkeys(ext_json, (*at, "ext_json"))}
    return replace(draft, ext=_merged(draft.ext, ext_json), origins=origins)


def _merged(target: ExtJson, patch: ExtJson) -> ExtJson:
    merged = merge_patch(target, patch)
    assert isinstance(merged, dict)
    return merged


def _wrong_ext(draft: _Draft, app_id: str) -> Sequence[Finding]:
    """Say what the tool cannot honour in the keys of `ext_json` that it reads itself."""
    ext = draft.ext
    wrong = {}
    if "extAppid" in ext and not _same_id(ext["extAppid"], app_id):
        wrong["extAppid"] = f"is another id than the app's own, {quoted(app_id)}; leave it out"
    if not isinstance(ext.get("extEnable", True), bool):
        wrong["extEnable"] = "must be true or false"
    if _boolean(ext.get("directCommit", False)) is None:
        wrong["directCommit"] = "must be true or false"
    return [Finding((*draft.origins[key], key), message) for key, message in wrong.items()]


def _same_id(value: JsonValue, app_id: str) -> bool:
    # Compared by type first: to Python, True is 1.
    return isinstance(value, str | int) and not isinstance(value, bool) and str(value) == app_id


def _boolean(value: JsonValue) -> bool | None:
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value) if isinstance(value, str) else None


def _target(app: App, draft: _Draft, wave: str, values: Mapping[str, str]) -> Target:
    ext: ExtJson = {"extEnable": True, **draft.ext, "extAppid": app.app_id}
    ext_text = canonical_json(ext)
    fingerprint = fingerprint_of(draft.template_id, ext_text)
    return Target(
        app_id=app.app_id,
        name=app.name or "",
        labels=app.labels,
        wave=wave,
        bundle=Bundle(
            template_id=draft.template_id,
            ext_json=ext_text,
            version=fill(draft.version, values),
            description=describe(draft.description, fingerprint),
            fingerprint=fingerprint,
            audit=draft.audit,
            direct_commit=bool(_boolean(ext.get("directCommit", False))),
        ),
        priority=draft.priority,
        foreign_package=draft.foreign_package,
        overwrite_foreign=draft.overwrite_foreign,
    )
