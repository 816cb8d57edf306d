"""The manifest as a value: every key, its kind, its bounds and its default.

Reads no files and knows no lines; `core/manifest_check.py` finds what is wrong with one.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fleetdeploy.core.durations import Duration
from fleetdeploy.core.fields import (
    Budget,
    Date,
    Description,
    Endpoint,
    ExtJson,
    Id,
    Labels,
    Line,
    Match,
    Priority,
    Rate,
    Text,
    Version,
    Window,
    Zone,
    parse_budget,
)
from fleetdeploy.core.rules import ForeignPackage

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Audit(Part):
    """What the reviewer reads."""

    content: Text = Field(description="What changed, for the reviewer.")
    remark: Text = Field(description="A remark for the reviewer; the platform asks for one.")


class AuditOverride(Part):
    """What the reviewer reads, where it differs; a key that is left out stays as it was."""

    content: Text | None = Field(default=None, description="What changed, for the reviewer.")
    remark: Text | None = Field(default=None, description="A remark for the reviewer.")


class Overrides(Part):
    """What a group or an app may set differently; what is left out stays as it was."""

    template_id: Id | None = Field(
        default=None, description='Id of the template in the library, as text: "754".'
    )
    version: Version | None = Field(
        default=None,
        description="Version of the package; may hold {date} (YYYYMMDD) and {run_id}.",
    )
    description: Description | None = Field(
        default=None, description="Description of the package; the marker is appended."
    )
    audit: AuditOverride | None = Field(default=None, description="What the reviewer reads.")
    ext_json: ExtJson | None = Field(
        default=None,
        description="Merged by JSON Merge Patch (RFC 7396): null removes a key, a list replaces.",
    )
    priority: Priority | None = Field(
        default=None,
        description="Who goes first where there is not enough for all: the higher; 0 by default.",
    )
    foreign_package: ForeignPackage | None = Field(
        default=None, description="As rollout.foreign_package, where it differs."
    )
    overwrite_foreign: bool | None = Field(
        default=None, description="As rollout.overwrite_foreign, where it differs."
    )


class Group(Overrides):
    """Overrides for all apps that match."""

    name: Line = Field(description="The group's name, for people.")
    match: Match = Field(
        description="Labels, all of which must be equal; a list of values means any of them."
    )


class App(Overrides):
    """One app of the fleet."""

    app_id: Id = Field(description='The app\'s id, as text: "100000282".')
    name: Line | None = Field(default=None, description="The client's name, for people.")
    labels: Labels = Field(
        default={}, description="Free words to choose apps by, like {tier: gold, region: north}."
    )


class Wave(Part):
    """A batch of apps, chosen by one of `match`, `percent`, `count` and `apps`."""

    name: Line = Field(description="The wave's name.")
    match: Match | None = Field(default=None, description="Labels of the wave's apps.")
    percent: Annotated[float, Field(gt=0, le=100)] | None = Field(
        default=None,
        description="Share of the whole fleet, rounded up; always the same apps of a fleet.",
    )
    count: Annotated[int, Field(ge=1, le=200_000)] | None = Field(
        default=None, description="Number of apps; always the same apps of a fleet."
    )
    apps: (
        Annotated[tuple[Id, ...], Field(strict=False, min_length=1, max_length=200_000)] | None
    ) = Field(default=None, description="Ids of the wave's apps.")
    soak: Duration | None = Field(
        default=None,
        description="How long the wave is watched, from its last app's end on, before the next.",
    )
    gate: Literal["auto", "approval"] = Field(
        default="auto",
        description="Whether the next wave opens by itself, or when somebody has approved this.",
    )
    approve_within: Duration | None = Field(
        default=None,
        description="How long to wait for the approval before the run halts; for ever by default.",
    )
    auto_rollback: bool = Field(
        default=False,
        description="When the run halts in this wave, roll back what it released in it.",
    )


DEFAULT_WAVE = Wave(name="all")


class Rollout(Part):
    """How the run goes through the fleet, and when it halts."""

    waves: Annotated[tuple[Wave, ...], Field(strict=False, min_length=1, max_length=100)] = Field(
        default=(DEFAULT_WAVE,),
        description="The batches, in order; the last may take all apps that are left.",
    )
    order: Literal["sequential", "audit_ahead"] = Field(
        default="sequential",
        description="Wave by wave; or audit_ahead: later waves upload and submit as soon as the "
        "first has its first approval, and are released wave by wave.",
    )
    max_failures: Budget = Field(
        default=parse_budget("10%"),
        description="How many apps of the rollout may fail before it halts: a number, or like 5%.",
    )
    max_blocked: Budget | None = Field(
        default=None,
        description="How many apps may be blocked before the run halts; unlimited by default.",
    )
    budget: Literal["strict", "soft"] = Field(
        default="strict",
        description="strict: never more steps under way than max_failures can still bear.",
    )
    halt_on_cause: Annotated[int, Field(ge=0, le=10**6)] = Field(
        default=3,
        description="How many apps that fail for the same new reason halt the run; 0: never.",
    )
    quarantine_after: Annotated[int, Field(ge=0, le=100)] = Field(
        default=3,
        description="After how many bad ends in a row an app is set aside by later runs; 0: never.",
    )
    skip_unchanged: bool = Field(
        default=True, description="Leave apps alone whose content is already online."
    )
    foreign_package: ForeignPackage = Field(
        default="block",
        description="Another package in audit: block the app, wait for its end, or withdraw it.",
    )
    overwrite_foreign: bool = Field(
        default=False,
        description="Replace what somebody released by hand in place of a package of ours.",
    )
    protect_rollback: bool = Field(
        default=False,
        description="Release nothing over a package whose soak is not over: its way back would "
        "be lost.",
    )


class Limits(Part):
    """How hard the platform may be used, by all apps together."""

    requests_per_second: Rate = Field(default=10.0, description="Calls per second, all together.")
    in_flight: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32, description="Calls at once."
    )
    endpoints: dict[Endpoint, Rate] = Field(
        default={}, description="Calls per second to one endpoint, on top of the overall pace."
    )


Times = Annotated[tuple[Window, ...], Field(strict=False, min_length=1, max_length=100)]


class Windows(Part):
    """When something may happen; what has no windows may happen at any time."""

    submit: Times | None = Field(
        default=None,
        description="When packages may be submitted, like Mon-Fri 09:00-18:00 Asia/Shanghai.",
    )
    release: Times | None = Field(
        default=None,
        description="When packages may be released, like Mon-Fri 22:00-06:00 Asia/Shanghai.",
    )

    def all(self) -> Iterator[str]:
        yield from self.submit or ()
        yield from self.release or ()


FREEZE_DAYS_MAX = 366
"""A freeze that lasts longer is a slip in the year."""


class Freeze(Part):
    """Days on which nothing is submitted or released, whatever the windows say."""

    first: Date = Field(alias="from", description="The first day, like 2026-02-10.")
    last: Date | None = Field(
        default=None, alias="to", description="The last day, itself included; else only the first."
    )
    zone: Zone | None = Field(
        default=None,
        description="Where the days begin and end, like Asia/Shanghai; else the windows' zone.",
    )
    reason: Line | None = Field(default=None, description="Why, for people.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        days = ((self.last or self.first) - self.first).days + 1
        if days < 1:
            raise ValueError("ends before it begins")
        if days > FREEZE_DAYS_MAX:
            raise ValueError(f"lasts longer than {FREEZE_DAYS_MAX} days")
        return self


class Manifest(Part):
    """The declared wish: which apps get which package, and how the run goes about it."""

    api_version: Literal["fleetdeploy/v1"] = Field(description="The format of this file.")
    name: Line = Field(description="The fleet's name, for people.")
    template_id: Id = Field(description='Id of the template in the library, as text: "754".')
    version: Version = Field(
        description="Version of the packages; may hold {date} (YYYYMMDD) and {run_id}."
    )
    description: Description = Field(
        default="", description="Description of the packages; the marker is appended."
    )
    audit: Audit = Field(description="What the reviewer reads with each submission.")
    ext_json: ExtJson = Field(
        default={}, description="The fleet's default; extAppid and extEnable are set by the tool."
    )
    groups: Annotated[tuple[Group, ...], Field(strict=False, max_length=200)] = Field(
        default=(), description="Overrides by label, applied in order."
    )
    apps: Annotated[tuple[App, ...], Field(strict=False, max_length=200_000)] = Field(
        default=(), description="The apps; more may be in apps_file."
    )
    apps_file: Line | None = Field(
        default=None,
        description="More apps: a .csv, .json, .jsonl or .yaml file beside the manifest.",
    )
    rollout: Rollout = Field(default=Rollout(), description="How the run goes.")
    limits: Limits = Field(default=Limits(), description="How hard the platform may be used.")
    windows: Windows | None = Field(default=None, description="When something may happen.")
    freezes: Annotated[tuple[Freeze, ...], Field(strict=False, max_length=100)] = Field(
        default=(), description="Days on which nothing is submitted or released."
    )

    @property
    def window_zone(self) -> str | None:
        """The zone that all windows share; None where there are none, or several."""
        zones = {window.rpartition(" ")[2] for window in self.windows.all()} if self.windows else ()
        return next(iter(zones)) if len(zones) == 1 else None


def manifest_schema() -> dict[str, Any]:  # JSON has no narrower type that callers could use
    """Return the manifest's JSON Schema (draft 2020-12), for editors."""
    schema = Manifest.model_json_schema()
    return {"$schema": _DIALECT, **schema, "title": "fleetdeploy manifest"}
