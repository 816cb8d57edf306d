"""From a manifest to a plan: select, resolve, look at the platform, predict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random

from fleetdeploy.cli.connect import Link, PaceLimits
from fleetdeploy.cli.preflight import preflight
from fleetdeploy.cli.process import SystemClock, tool_version
from fleetdeploy.cli.settings import Settings
from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.drift import drifted
from fleetdeploy.core.manifest import Freeze, Manifest, Wave
from fleetdeploy.core.plan import ManifestRef, Plan, PlannedApp, PlanNote, seal
from fleetdeploy.core.plan_ahead import plan_app, plan_unread
from fleetdeploy.core.quarantine import Rows, admission_notes, admit, plan_set_aside
from fleetdeploy.core.rules import FreezeRule, RunRules, WaveRule, with_budgets
from fleetdeploy.core.selection import Selectable, Selection
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.core.so_far import rollout_id
from fleetdeploy.core.targets import Target, resolve
from fleetdeploy.core.way_back import way_back_notes
from fleetdeploy.engine.pipeline import error_note
from fleetdeploy.engine.run import Looks
from fleetdeploy.engine.survey import Survey, survey
from fleetdeploy.errors import FleetError, FleetRefused, PlanMismatch, UsageInvalid
from fleetdeploy.model import Package, Phase, Until
from fleetdeploy.storage.archive import Before, every_run, look_back
from fleetdeploy.storage.manifest_file import LoadedManifest, load_manifest
from fleetdeploy.storage.quarantine_file import read_quarantine
from fleetdeploy.storage.run_dir import StateDir, new_run_id


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be planned: resolved, selected, not yet compared with the platform.

    `rollout` is the id of the rollout that it is a part of, empty for none; `named` are the apps
    that were asked for by their id, `chosen` the flags that chose all of them.
    """

    run_id: str
    until: Until
    manifest: ManifestRef
    rules: RunRules
    targets: tuple[Target, ...]
    created_at: datetime
    rollout: str = ""
    named: frozenset[str] = frozenset()
    chosen: tuple[str, ...] = ()

    @property
    def limits(self) -> PaceLimits:
        return limits_of(self.rules)

    @property
    def app_ids(self) -> tuple[str, ...]:
        return tuple(target.app_id for target in self.targets)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, the looks it was made from, and what earlier runs leave to it.

    `back` are those who leave the quarantine with the run.
    """

    plan: Plan
    looks: Looks
    before: Before
    back: tuple[SetAside, ...] = ()


def limits_of(rules: RunRules) -> PaceLimits:
    return PaceLimits(rules.requests_per_second, rules.in_flight, rules.endpoints)


def policy_of(rules: RunRules, settings: Settings) -> Policy:
    return Policy(
        skip_unchanged=rules.skip_unchanged,
        foreign_package=rules.in_foreign_audit,
        overwrite_foreign=bool(rules.overwrite_foreign),
        protect_rollback=bool(rules.protect_rollback),
        settle_s=settings.settle,
        vanish_s=settings.settle * VANISH_FACTOR,
    )


VANISH_FACTOR = 6
"""Calling a package gone ends its app, so its silence must last longer than that of a request."""


def wish_of(
    loaded: LoadedManifest,
    selection: Selection,
    state_dir: StateDir,
    *,
    until: Until,
    run_id: str | None,
    now: datetime,
) -> Wish:
    """Resolve a manifest and choose its apps, offline.

    `{date}` in a version is the local date of this machine. Raises `UsageInvalid`.
    """
    chosen_id = run_id or new_run_id(now, Random())  # noqa: S311 - an id, not a secret
    state_dir.check_free(chosen_id)
    targets = resolve(loaded.manifest, date=now.astimezone().date(), run_id=chosen_id)
    chosen = _select(targets, selection, state_dir)
    return Wish(
        run_id=chosen_id,
        until=until,
        manifest=reference_of(loaded),
        rules=_rules(loaded.manifest, len(chosen)),
        targets=chosen,
        created_at=now,
        rollout=_rollout(loaded.manifest),
        named=selection.named,
        chosen=selection.flags([target.app_id for target in chosen]),
    )


def wish_again(plan: Plan) -> Wish:
    """Return the wish that a saved plan came from, exactly."""
    return Wish(
        run_id=plan.run_id,
        until=plan.until,
        manifest=plan.manifest,
        rules=plan.rules,
        targets=plan.targets(),
        created_at=plan.created_at,
        rollout=plan.so_far.rollout if plan.so_far else "",
        chosen=plan.chosen or (),
    )


Foresee = Callable[[str, tuple[Package, ...]], tuple[Package, ...]]
"""From what an app's packages look like to what they will when the plan is carried out."""


def as_seen(_app_id: str, rows: tuple[Package, ...]) -> tuple[Package, ...]:
    """Foresee no change."""
    return rows


async def make_plan(
    wish: Wish,
    link: Link,
    state_dir: StateDir,
    settings: Settings,
    at_once: int,
    foresee: Foresee = as_seen,
) -> Planned:
    """Look at every app and predict. Reads only.

    What is cheap to know beforehand is noted. Raises the platform's refusal where it would meet
    every app.
    """
    quarantine = read_quarantine(state_dir.path)
    rows = Rows(wish.app_ids, wish.rules.quarantine_after, quarantine)
    before = look_back(state_dir, wish.app_ids, wish.rollout, rows)
    admission = admit(wish.targets, quarantine, rows.due(wish.created_at))
    tried = [app_id for app_id in wish.app_ids if app_id not in admission.set_aside]
    seen = await survey(link.platform, tried, at_once=at_once)
    seen.rows = {app_id: foresee(app_id, rows) for app_id, rows in seen.rows.items()}
    check_credentials(seen)
    policy = policy_of(wish.rules, settings)
    targets = admission.marked(wish.targets)
    watched = (_with_soaks(target, before, wish.created_at) for target in targets)
    apps = tuple(_plan_one(target, seen, before, policy, wish.until) for target in watched)
    plan = Plan(
        run_id=wish.run_id,
        tool_version=tool_version(),
        created_at=wish.created_at,
        manifest=wish.manifest,
        until=wish.until,
        rules=with_budgets(wish.rules, max(len(apps), before.so_far.apps)),
        waves=(),
        apps=apps,
        notes=(
            *admission_notes(admission, sorted(wish.named)),
            *_way_back_notes(wish, apps, seen),
            *await _notes(wish, link, settings),
        ),
        so_far=before.so_far.without(admission.set_aside) if wish.rollout else None,
        chosen=wish.chosen or None,
    )
    waves = tuple(wave.name for wave in plan.course().waves)
    plan = seal(plan.model_copy(update={"waves": waves}))
    return Planned(plan, seen.looks(), before, admission.back)


def _way_back_notes(wish: Wish, apps: tuple[PlannedApp, ...], seen: Survey) -> tuple[PlanNote, ...]:
    """Warn of releases over what still soaks; a run that releases nothing loses nothing."""
    if wish.until is not Until.RELEASED:
        return ()
    protect = bool(wish.rules.protect_rollback)
    return way_back_notes(apps, seen.rows, wish.created_at, protect=protect)


async def _notes(wish: Wish, link: Link, settings: Settings) -> tuple[PlanNote, ...]:
    """Look at the library and our own books; after the looks, which may have renewed the token."""
    if link.credentials is None:
        return ()
    ours = settings.tokens_file is None
    return await preflight(link.credentials, wish.targets, SystemClock().now(), ours=ours)


def check_credentials(seen: Survey) -> None:
    """Raise `FleetRefused` if not one app could be read for want of a good token."""
    errors = list(seen.errors.values())
    if seen.rows or len(errors) <= 1 or not all(e.code in _TOKEN_CODES for e in errors):
        return
    refused = FleetRefused(
        errors[0].code,
        f"not one of {len(errors)} apps has a token that works: {errors[0].message}",
        hint="put fresh tokens into the tokens file, then run again",
        errno=errors[0].errno,
        msg=errors[0].msg,
    )
    refused.credentials = True
    raise refused


_TOKEN_CODES = frozenset({"platform.token_refused", "auth.no_token"})


def check_not_stale(saved: Plan, now: Plan) -> None:
    """Raise `PlanMismatch` if the platform or the manifest moved since a plan was saved."""
    _check_manifest(saved.manifest)
    moved = drifted(saved.apps, now.apps)
    if moved:
        more = [f"and {len(moved) - SHOWN} more"] if len(moved) > SHOWN else []
        lines = ["the platform has moved since the plan was made", *moved[:SHOWN], *more]
        raise PlanMismatch(
            "\n".join(lines),
            hint="make a new plan and review it: fleetdeploy plan MANIFEST --out FILE",
        )


SHOWN = 5
"""Apps named in an error; all of them would hide its point."""


def _check_manifest(reference: ManifestRef) -> None:
    path = Path(reference.path)
    if not path.exists():  # a reviewed plan may be run where its manifest is not
        return
    if load_manifest(path).digest != reference.digest:
        raise PlanMismatch(
            f"{reference.path} was changed after the plan was made",
            hint="make a new plan and review it: fleetdeploy plan MANIFEST --out FILE",
        )


def _plan_one(
    target: Target, seen: Survey, before: Before, policy: Policy, until: Until
) -> PlannedApp:
    target = with_history(target, before)
    doubted = target.app_id in before.doubted
    if target.set_aside is not None:
        return plan_set_aside(target, in_doubt_before=doubted)
    error = seen.errors.get(target.app_id)
    if error is not None:
        planned = plan_unread(target, error_note(error), in_doubt_before=doubted)
    else:
        rows = seen.rows[target.app_id]
        planned = plan_app(target, rows, policy, until, before.history, in_doubt_before=doubted)
    return planned.model_copy(update={"known_cause": before.causes.get(target.app_id)})


def with_history(target: Target, before: Before) -> Target:
    """Return the target with what our runs left online; a saved plan may know where nobody does."""
    left = before.left_online.get(target.app_id, target.left_online)
    return replace(target, left_online=left)


def _with_soaks(target: Target, before: Before, now: datetime) -> Target:
    """Return the target with what our runs released and is still being watched."""
    soaking = before.soaking.get(target.app_id, target.soaking)
    return replace(target, soaking=tuple(one for one in soaking if now < one.until))


def reference_of(loaded: LoadedManifest) -> ManifestRef:
    path = str(loaded.path.absolute())
    if path != path.encode("utf-8", "replace").decode("utf-8"):
        raise UsageInvalid(
            f"a plan cannot name {path!r}: it is not UTF-8 text", hint="rename the manifest"
        )
    return ManifestRef(name=loaded.manifest.name, path=path, digest=loaded.digest)


def _rules(manifest: Manifest, apps: int) -> RunRules:
    rollout, limits, windows = manifest.rollout, manifest.limits, manifest.windows
    return RunRules(
        skip_unchanged=rollout.skip_unchanged,
        wait_for_foreign=rollout.foreign_package == "wait",
        max_failures=str(rollout.max_failures),
        failures_allowed=rollout.max_failures.allowed(apps),
        max_blocked=str(rollout.max_blocked) if rollout.max_blocked else None,
        blocked_allowed=rollout.max_blocked.allowed(apps) if rollout.max_blocked else None,
        halt_on_cause=rollout.halt_on_cause or None,
        quarantine_after=rollout.quarantine_after or None,
        requests_per_second=limits.requests_per_second,
        in_flight=limits.in_flight,
        endpoints=dict(limits.endpoints),
        submit_windows=(windows and windows.submit) or (),
        release_windows=(windows and windows.release) or (),
        freezes=tuple(_freeze(freeze, manifest.window_zone) for freeze in manifest.freezes),
        waves=_waves(rollout.waves),
        order=rollout.order if rollout.order == "audit_ahead" else None,
        budget=rollout.budget if rollout.budget == "soft" else None,
        foreign_package=rollout.foreign_package,
        overwrite_foreign=rollout.overwrite_foreign or None,
        protect_rollback=rollout.protect_rollback or None,
    )


def _waves(waves: Sequence[Wave]) -> tuple[WaveRule, ...]:
    """Return what the plan says of the waves: nothing, where there is one that does nothing."""
    rules = tuple(
        WaveRule(
            name=wave.name,
            soak_s=wave.soak or 0.0,
            gate="approval" if wave.gate == "approval" else None,
            approve_within_s=wave.approve_within,
            auto_rollback=wave.auto_rollback,
        )
        for wave in waves
    )
    return () if rules == (WaveRule(name=waves[0].name),) else rules


def _rollout(manifest: Manifest) -> str:
    return rollout_id(manifest.name, manifest.template_id, manifest.version)


def _freeze(freeze: Freeze, window_zone: str | None) -> FreezeRule:
    zone = freeze.zone or window_zone
    assert zone is not None, "a manifest that was loaded says it"
    last = freeze.last or freeze.first
    return FreezeRule(first=freeze.first, last=last, zone=zone, reason=freeze.reason or "")


def _select(
    targets: Sequence[Target], selection: Selection, state_dir: StateDir
) -> tuple[Target, ...]:
    if selection.everything:
        return tuple(targets)
    phases = last_phases(state_dir) if selection.needs_phase() else {}
    chosen = selection.apply(
        [Selectable(t.app_id, t.labels, phases.get(t.app_id)) for t in targets]
    )
    return tuple(target for target in targets if target.app_id in chosen)


def last_phases(state_dir: StateDir) -> dict[str, Phase]:
    """Return where the newest readable run that knows an app left it."""
    phases: dict[str, Phase] = {}
    for _, recorded in every_run(state_dir):
        if not isinstance(recorded, FleetError):
            for app in recorded.state.apps.values():
                phases.setdefault(app.app_id, app.phase)
    return phases
