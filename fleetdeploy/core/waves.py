"""Which app comes in which wave, and what is wrong with a manifest's waves.

It decides once, before a run: the plan keeps each app's wave, so a resume cannot decide anew.

How it works: the waves take their apps in order, each from what is left. Shares and counts take
the apps whose ids come first in an order of their own, made from the ids alone. So a wave is a
sample of the fleet rather than its oldest clients, and a client that joins moves nobody else
further than it must.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Final

from fleetdeploy.core.findings import At, Finding
from fleetdeploy.core.labels import matches
from fleetdeploy.core.manifest import App, Wave

_SHOWN: Final = 5
"""Ids named in one message."""
_AT: Final[At] = ("rollout", "waves")


def assign(waves: Sequence[Wave], apps: Sequence[App]) -> dict[str, str]:
    """Return the name of each app's wave, by app id. Apps that no wave takes are missing.

    A share is of the whole fleet and rounds up: 10 % of 214 apps are 22.
    """
    left = {app.app_id: app for app in apps}
    taken: dict[str, str] = {}
    for wave in waves:
        chosen = _chosen(wave, left, len(apps))
        taken |= dict.fromkeys(chosen, wave.name)
        for app_id in chosen:
            del left[app_id]
    return taken


def _chosen(wave: Wave, left: Mapping[str, App], fleet: int) -> list[str]:
    if wave.apps is not None:
        return [app_id for app_id in dict.fromkeys(wave.apps) if app_id in left]
    if wave.match is not None:
        return [app_id for app_id, app in left.items() if matches(app.labels, wave.match)]
    amount = _amount(wave, fleet)
    if amount is None:
        return list(left)
    return sorted(left, key=_rank)[:amount]


def _amount(wave: Wave, fleet: int) -> int | None:
    """Return how many apps a wave takes; None for all that are left."""
    if wave.percent is None:
        return wave.count
    # By way of its text: 0.7 is meant as seven tenths, and not as the double next to it.
    return ceil(Fraction(str(wave.percent)) * fleet / 100)


def _rank(app_id: str) -> bytes:
    return hashlib.sha256(app_id.encode()).digest()


def wrong_waves(waves: Sequence[Wave]) -> Iterator[Finding]:
    """Find what is wrong with the waves themselves."""
    first: dict[str, int] = {}
    last = len(waves) - 1
    for index, wave in enumerate(waves):
        at: At = (*_AT, index)
        if first.setdefault(wave.name, index) != index:
            also: At = (*_AT, first[wave.name], "name")
            yield Finding((*at, "name"), "the same name is there twice", also)
        selectors = _selectors(wave)
        if len(selectors) > 1:
            yield Finding(at, f"has {' and '.join(selectors)}: one of them chooses its apps")
        if not selectors and index < last:
            yield Finding(at, "takes all apps that are left, so no wave can follow it")
        yield from _wrong_gate(wave, at, last=index == last)


def _selectors(wave: Wave) -> list[str]:
    chosen = {
        "match": wave.match,
        "percent": wave.percent,
        "count": wave.count,
        "apps": wave.apps,
    }
    return [name for name, value in chosen.items() if value is not None]


def _wrong_gate(wave: Wave, at: At, *, last: bool) -> Iterator[Finding]:
    if wave.approve_within is not None and wave.gate != "approval":
        yield Finding((*at, "approve_within"), "needs gate: approval")
    if not last:
        return
    for key in ("soak", "gate"):
        if getattr(wave, key) not in (None, "auto"):
            yield Finding((*at, key), "holds back the next wave, and there is none")


def idle_waves(waves: Sequence[Wave], apps: Sequence[App]) -> Iterator[Finding]:
    """Find waves that fit no app, apps that are listed and not there, and apps in no wave."""
    known = {app.app_id for app in apps}
    listed: dict[str, At] = {}
    for index, wave in enumerate(waves):
        at: At = (*_AT, index)
        if wave.match is not None and not any(matches(app.labels, wave.match) for app in apps):
            yield Finding((*at, "match"), "matches no app of the fleet")
        for place, app_id in enumerate(wave.apps or ()):
            here: At = (*at, "apps", place)
            if app_id not in known:
                yield Finding(here, "is no app of the fleet")
            elif listed.setdefault(app_id, here) != here:
                yield Finding(here, "the same app is there twice", listed[app_id])
    yield from _left_out(waves, apps)


def _left_out(waves: Sequence[Wave], apps: Sequence[App]) -> Iterator[Finding]:
    taken = assign(waves, apps)
    left = [app.app_id for app in apps if app.app_id not in taken]
    if left:
        shown = ", ".join(left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        yield Finding(
            _AT, f"{len(left)} apps are in no wave ({shown}); add a last one that only has a name"
        )
