"""Windows and freezes as people read them: in a plan, and where a run waits for one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from fleetdeploy.cli.render.layout import count_of, some
from fleetdeploy.cli.render.style import Style
from fleetdeploy.cli.render.times import moment, span
from fleetdeploy.core.hours import calendar_of
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.rules import FreezeRule
from fleetdeploy.core.summary import WindowWait
from fleetdeploy.core.windows import Hours
from fleetdeploy.errors import UsageInvalid

_SHOWN: Final = 5


def hours_facts(plan: Plan, style: Style, at: datetime) -> list[tuple[str, str]]:
    """Say when the plan's submissions and releases may happen, as seen at some moment.

    Freezes that are over by then are left out.
    """
    rules = plan.rules
    try:
        calendar = calendar_of(rules)
    except UsageInvalid as error:
        return [("windows", error.message)]
    facts = [
        *_fact("submits", rules.submit_windows, calendar.submit, at, style),
        *_fact("releases", rules.release_windows, calendar.release, at, style),
    ]
    ahead = [
        _freeze(rule)
        for rule, freeze in zip(rules.freezes, calendar.release.freezes, strict=True)
        if at.astimezone(freeze.zone).date() <= freeze.last
    ]
    if ahead:
        facts.append(("frozen", some(ahead, _SHOWN)))
    return facts


def _fact(
    label: str, windows: Sequence[str], hours: Hours, at: datetime, style: Style
) -> list[tuple[str, str]]:
    when = f"only {some(windows, _SHOWN)}" if windows else "at any time but when frozen"
    frozen = hours.frozen(at)
    if not windows and frozen is None:
        return []
    if hours.is_open(at):
        return [(label, f"{when}; {_closing(hours, at, style)}")]
    why = "frozen, " if frozen else ""
    return [(label, f"{when}; {why}opens {_soon(hours.opens_at(at), at, style)}")]


def _closing(hours: Hours, at: datetime, style: Style) -> str:
    closes = hours.next_change(at)
    return f"open, closes {_soon(closes, at, style)}" if closes else "open"


def _soon(then: datetime, at: datetime, style: Style) -> str:
    return f"in {span((then - at.astimezone(UTC)).total_seconds())} ({moment(then, style)})"


def _freeze(rule: FreezeRule) -> str:
    days = f"{rule.first}" if rule.first == rule.last else f"{rule.first} to {rule.last}"
    return f"{days} {rule.zone}" + (f" ({rule.reason})" if rule.reason else "")


def waits_told(waits: Sequence[WindowWait], style: Style) -> list[str]:
    """Say how many apps wait for which window, and when it opens."""
    return [
        f"{count_of(wait.count, 'app')} {'waits' if wait.count == 1 else 'wait'} for the window "
        f"of {wait.step}: opens {moment(wait.opens_at, style)}"
        for wait in waits
    ]
