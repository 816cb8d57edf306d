"""The command that says whether everything is in place: `doctor`. It only reads.

All that it may change are tokens, as one that is over is renewed to see whether it can be, and the
quarantine: whom it finds mended it lets out.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import anyio
import click

from fleetdeploy.auth.keeper import Credentials
from fleetdeploy.cli.asking import Answers, Asker, Budget, Questions, TpSeen, ask_tp
from fleetdeploy.cli.connect import connect
from fleetdeploy.cli.evidence import NO_KEY, Errand, Evidence, diagnosis_of, tokens_from
from fleetdeploy.cli.hearing import list_opener
from fleetdeploy.cli.options import Desk, common, selecting, selection
from fleetdeploy.cli.planning import Wish, wish_of
from fleetdeploy.cli.premises import look_at_state
from fleetdeploy.cli.process import SystemClock, this_holder, unless_interrupted
from fleetdeploy.cli.render.doctor import render_doctor
from fleetdeploy.cli.settings import Settings
from fleetdeploy.cli.vault import open_log
from fleetdeploy.cli.watching import open_watcher
from fleetdeploy.core.diagnosis import Diagnosis, QuarantineSeen, exit_code_for
from fleetdeploy.core.fleet_checks import HeardSeen, TokensFrom
from fleetdeploy.core.library import Library
from fleetdeploy.core.quarantine import recovered
from fleetdeploy.engine.run import first_of
from fleetdeploy.errors import (
    ExitCode,
    FleetError,
    PlatformError,
    RunLocked,
    SettingsInvalid,
    StateUnusable,
    UsageInvalid,
)
from fleetdeploy.model import Until
from fleetdeploy.notices.inbox import LISTED, PUSHED
from fleetdeploy.storage.manifest_file import load_manifest
from fleetdeploy.storage.notice_log import FILE_NAME as NOTICES
from fleetdeploy.storage.quarantine_file import change_quarantine, read_quarantine

MAX_CALLS: Final = 1000
"""Of 300 apps each has its two, and a new token; minutes, at the usual pace."""


@click.command("doctor")
@click.argument("manifest", required=False, type=click.Path(path_type=Path))
@click.option(
    "--max-calls",
    default=MAX_CALLS,
    show_default=True,
    type=click.IntRange(min=0),
    help="Ask the platform no more once so many calls were made; an app takes two.",
)
@selecting
@common(markdown=True)
def doctor_command(
    desk: Desk,
    *,
    manifest: Path | None,
    max_calls: int,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
) -> ExitCode:
    """Say whether everything is in place: settings, credentials, and each app's papers."""
    wish = None
    if manifest is not None:
        wish = wish_of(
            load_manifest(manifest),
            selection(only, exclude),
            desk.state_dir,
            until=Until.RELEASED,
            run_id=None,
            now=SystemClock().now(),
        )
    elif only or exclude:
        raise UsageInvalid("--only and --exclude choose from a manifest", hint="name one")
    errand = Errand(str(manifest) if manifest else "", wish, max_calls)
    act = partial(_examine, desk, errand)
    diagnosis = _with_quarantine(desk, anyio.run(unless_interrupted, act))
    desk.print(render_doctor(diagnosis, desk.output, desk.style))
    return exit_code_for(diagnosis)


def _with_quarantine(desk: Desk, diagnosis: Diagnosis) -> Diagnosis:
    """Let out whom the check-up finds mended, and say who is back and who is not.

    A disk that does not let us is no reason to keep back what was found.
    """
    examined, path = [app.app_id for app in diagnosis.apps], desk.state_dir.path
    try:
        quarantine = read_quarantine(path)
        inside = [app_id for app_id in examined if app_id in quarantine.by_id()]
        mended = recovered(quarantine, diagnosis.apps)
        if mended:
            with desk.state_dir.exclusive(this_holder()):
                now = SystemClock().now()
                quarantine = change_quarantine(
                    path, lambda current: current.let_out_unchanged(mended, now)
                )
    except (RunLocked, StateUnusable) as error:
        desk.say(f"warning: nobody is let out of quarantine: {error.message}")
        return diagnosis
    left = quarantine.by_id()
    seen = QuarantineSeen(
        back=tuple(app_id for app_id in inside if app_id not in left),
        kept=tuple(app_id for app_id in inside if app_id in left),
    )
    return diagnosis.model_copy(update={"quarantine": seen}) if inside else diagnosis


async def _examine(desk: Desk, errand: Errand) -> Diagnosis:
    """Look around here, ask the platform whatever can be asked, and judge it."""
    settings = desk.settings
    evidence = Evidence(look_at_state(desk.state_dir))
    if evidence.state.error is not None:
        evidence.error = evidence.state.error
    elif tokens_from(settings) is not TokensFrom.NOWHERE:
        evidence.error = await _unless_unusable(partial(_ask, desk, errand, evidence))
    if evidence.state.error is None:
        evidence.heard = await _heard(settings, evidence)
    return diagnosis_of(settings, errand, evidence, SystemClock().now())


async def _heard(settings: Settings, evidence: Evidence) -> HeardSeen | FleetError:
    """Read when the platform was last heard of; a log that nobody wrote is not made."""
    if not (settings.state_dir / NOTICES).exists():
        return HeardSeen(ticket_at=evidence.tp.ticket_at)
    try:
        with open_log(settings) as log:
            pushed, listed = await log.last_alive(PUSHED), await log.last_alive(LISTED)
    except (SettingsInvalid, StateUnusable) as error:
        return error
    return HeardSeen(pushed, listed, evidence.tp.ticket_at)


async def _unless_unusable(act: Callable[[], Awaitable[None]]) -> FleetError | None:
    """Await `act`; return what makes settings or disk unusable, raise everything else."""
    try:
        await act()
    except BaseExceptionGroup as group:
        error = first_of(group)
    except (SettingsInvalid, StateUnusable) as alone:
        error = alone
    else:
        return None
    if isinstance(error, SettingsInvalid | StateUnusable):
        return error
    raise error


async def _ask(desk: Desk, errand: Errand, evidence: Evidence) -> None:
    """Ask the TP's side, then the apps; `evidence` has what was found so far at any time."""
    rng = Random()  # noqa: S311 - jitter, not a secret
    async with open_watcher(desk, live=False) as watcher:
        answers = evidence.answers = Answers(watcher)
        async with connect(desk.settings, errand.limits, answers, rng) as link:
            evidence.counts = link.counts
            budget = Budget(link.counts, errand.max_calls)
            if link.credentials is not None:
                await _ask_tp(desk.settings, errand, link.credentials, budget, evidence)
            else:
                evidence.tp_seen = TpSeen(library=Library(why_not=NO_KEY))
            if errand.wish is not None:
                asker = Asker(link, budget, answers, _questions(desk, errand.wish, evidence))
                evidence.apps = await asker.ask_all()
            if link.credentials is not None:
                evidence.tp = await link.credentials.store.tp()


async def _ask_tp(
    settings: Settings,
    errand: Errand,
    credentials: Credentials,
    budget: Budget,
    evidence: Evidence,
) -> None:
    evidence.kept = await credentials.store.apps()
    now = SystemClock().now().timestamp()
    assert evidence.answers is not None, "whoever connects has it"
    evidence.tp_seen = await ask_tp(
        credentials, budget, evidence.answers, errand.templates, list_opener(settings), now
    )


def _questions(desk: Desk, wish: Wish, evidence: Evidence) -> Questions:
    ours = tokens_from(desk.settings) is TokensFrom.STORE and evidence.kept is not None
    kept = {one.app_id: one for one in evidence.kept or ()} if ours else None
    token = evidence.tp_seen.token
    return Questions(
        wish.targets,
        wish.limits.in_flight,
        SystemClock().now().timestamp(),
        kept,
        token if isinstance(token, PlatformError) else None,
    )
