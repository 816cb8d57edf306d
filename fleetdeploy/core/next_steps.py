"""What a run ends with, and the command that a person would most likely type next."""

import shlex

from fleetdeploy.core.orders import waiting_wave
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.records import NEED_OVERRIDE, HaltCause, StopReason
from fleetdeploy.core.replay import SUCCESSES, RunState
from fleetdeploy.core.set_aside import is_set_aside
from fleetdeploy.errors import ExitCode
from fleetdeploy.model import Outcome, Until


def exit_code_of(state: RunState) -> ExitCode:
    """Return the exit code of a run that has stopped; a signal's code is the caller's to know."""
    if state.halted is not None:
        credentials = state.halted.cause is HaltCause.CREDENTIALS
        return ExitCode.CREDENTIALS if credentials else ExitCode.HALTED
    resting = state.stopped is not None and state.stopped.reason is StopReason.RESTING
    if not state.finished and not resting:
        return ExitCode.UNFINISHED
    there = (
        app.outcome in SUCCESSES or (resting and not app.terminal) for app in state.apps.values()
    )
    return ExitCode.OK if all(there) else ExitCode.INCOMPLETE


def next_command(plan: Plan, state: RunState, *, alive: bool) -> str:
    """Return the command that a person would most likely type now."""
    if state.superseded_by is not None:
        return f"fleetdeploy status {state.superseded_by}"
    if state.header is None and not alive:
        return start_command(plan)
    if state.finished:
        return _next_after_end(plan, state)
    if not alive and state.halted is not None and state.halted.cause is HaltCause.CAUSE:
        # What they share is to be mended first, and then the same run would not take it up.
        return start_command(plan)
    if not alive and state.halted is not None and state.halted.cause in NEED_OVERRIDE:
        return f'fleetdeploy resume {plan.run_id} --override-halt "REASON"'
    if state.paused is not None:
        return f"fleetdeploy resume {plan.run_id}"
    if wave := waiting_wave(plan, state):
        # A name that begins with a dash would be taken for a flag.
        named = f"-- {shlex.quote(wave)}" if wave.startswith("-") else shlex.quote(wave)
        return f"fleetdeploy approve {plan.run_id} {named}"
    if alive:
        return f"fleetdeploy status {plan.run_id}"
    if state.stopped is not None and state.stopped.reason is StopReason.RESTING:
        return f"fleetdeploy resume {plan.run_id} --until released"
    return f"fleetdeploy resume {plan.run_id}"


def _all_else_is_well(state: RunState) -> bool:
    """Whether nobody but those in quarantine is not where it should be."""
    return all(app.outcome in SUCCESSES or is_set_aside(app.error) for app in state.apps.values())


def _next_after_end(plan: Plan, state: RunState) -> str:
    if exit_code_of(state) is ExitCode.OK or _no_use_again(plan, state):
        return f"fleetdeploy report {plan.run_id}"
    return "fleetdeploy quarantine list" if _all_else_is_well(state) else start_command(plan)


def _no_use_again(plan: Plan, state: RunState) -> bool:
    """Whether the same command would end alike: what failed may go back yet, the rest not."""
    failed = any(app.outcome is Outcome.FAILED for app in state.apps.values())
    return plan.of_run is not None and not failed


def start_command(plan: Plan) -> str:
    """Return the command that makes a run like this one: of the same apps, and going as far."""
    if plan.of_run is not None:
        words = ["fleetdeploy", plan.run_kind, plan.of_run]
    else:
        words = ["fleetdeploy", "run", plan.manifest.path]
    if plan.resubmit is not None:
        words += ["--and-resubmit", plan.resubmit.path]
    if plan.until is not Until.RELEASED:
        words += ["--until", plan.until]
    return shlex.join([*words, *(plan.chosen or ())])
