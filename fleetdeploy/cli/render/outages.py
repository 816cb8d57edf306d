"""Outages as people read them: what is out now, and what was."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from fleetdeploy.cli.render.layout import words
from fleetdeploy.cli.render.safe import safe
from fleetdeploy.cli.render.style import Style
from fleetdeploy.cli.render.times import between, moment, span
from fleetdeploy.core.summary import OutageNote
from fleetdeploy.model import Service

SERVICES: Final[Mapping[Service, str]] = {
    Service.PLATFORM: "the platform",
    Service.UPLOAD: "the upload service",
    Service.BUILD: "the packaging service",
    Service.AUDIT: "the audit service",
    Service.RELEASE: "the release service",
}


def outages_told(outages: Sequence[OutageNote], style: Style, *, alive: bool) -> list[str]:
    """Say what is out, as far as the journal knows, and for how long what was out before."""
    now = [_out(one, style, alive=alive) for one in outages if one.until is None]
    return now + [
        _over(service, over)
        for service in Service
        if (over := [one for one in outages if one.service is service and one.until is not None])
    ]


def _out(outage: OutageNote, style: Style, *, alive: bool) -> str:
    why = f"{words(outage.message)} [{safe(outage.code)}]"
    doing = "probing" if alive else "a resume probes first"
    return f"{SERVICES[outage.service]} is out since {moment(outage.since, style)}; {doing}: {why}"


def _over(service: Service, outages: Iterable[OutageNote]) -> str:
    lasted_s = [between(one.since, one.until) or 0.0 for one in outages]
    often = f" in {len(lasted_s)} outages" if len(lasted_s) > 1 else ""
    return f"{SERVICES[service]} was out for {span(sum(lasted_s))}{often}"


def out_line(service: Service, since: datetime) -> str:
    """Say in a few words what a run waits for: `the platform is out since 03:12 UTC; probing`."""
    return f"{SERVICES[service]} is out since {since.astimezone(UTC):%H:%M} UTC; probing"
