"""A scenario: which platform is simulated, as one file that people can write and share."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Self

import yaml
from pydantic import BeforeValidator, Field, JsonValue, ValidationError, model_validator

from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.simulator.behaviour import (
    AuthRules,
    Behaviour,
    Duration,
    Lifetime,
    Model,
    RateLimit,
    Unsettled,
)
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.faults import FaultScript, PushScript
from fleetdeploy.simulator.outages import ServiceOutage

_MAX_BYTES: Final = 8 * 1024 * 1024
"""A scenario that names 100,000 apps one by one is about this large."""

_TEN_YEARS_S: Final = 3650 * 86400.0

AWKWARD: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "name_not_approved": {"name_approved": False},
        "category_not_approved": {"category": "not_approved"},
        "name_and_category_not_approved": {"name_approved": False, "category": "not_approved"},
        "category_in_review": {"category": "in_review"},
        "entity_not_approved": {"entity_approved": False},
        "authenticity_missing": {"authenticity_passed": False},
        "quota_used_up": {"quota_times": 3, "quota_used": 3},
        "authorization_withdrawn": {"authorization": "withdrawn"},
        "scope_missing": {"authorization": "no_scope"},
        "rejected": {
            "reject_chance": 1.0,
            "reject_reasons": ["服务类目与小程序实际内容不符，请重新选择类目"],
        },
        "upload_fails_once": {"upload_failures": 1},
        "upload_never_works": {"upload_fail_chance": 1.0},
        "foreign_in_audit": {"foreign": [{}]},
        "foreign_uploading": {"foreign": [{"status": None}]},
        "already_online": {"foreign": [{"status": 1, "version": "1.0.0"}]},
    }
)
"""Kinds of client that a scenario can ask for by number, as changes of its `behaviour`."""


def _as_text(value: object) -> object:
    """Take an app id that YAML read as a number for the text it stands for."""
    return str(value) if type(value) is int else value


AppId = Annotated[str, BeforeValidator(_as_text), Field(min_length=1, max_length=64)]
TemplateId = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^[0-9]{1,18}$")]
Changes = dict[str, JsonValue]


class Scenario(Model):
    """Everything that a simulation starts from; the same scenario gives the same outcomes.

    `awkward` gives so many apps, picked by the seed among those that `apps` does not name, a kind
    of trouble from `AWKWARD`. `epoch_unix` is the time of day when the world begins.
    """

    seed: int = 0
    behaviour: Behaviour = Behaviour()
    apps: Mapping[AppId, Changes] = Field(default_factory=dict)
    awkward: Mapping[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    unsettled: Unsettled = Unsettled()
    rate_limit: RateLimit = RateLimit()
    faults: FaultScript = FaultScript()
    outages: Annotated[tuple[ServiceOutage, ...], Field(max_length=1000)] = ()
    latency_s: tuple[Duration, Duration] = (0.05, 0.2)
    ip_whitelisted: bool = True
    broken_templates: tuple[AppId, ...] = ()
    templates: Annotated[tuple[TemplateId, ...], Field(max_length=50)] = ("754", "755")
    token_lifetime_s: Lifetime = _TEN_YEARS_S
    auth: AuthRules = AuthRules()
    pushes: PushScript = PushScript()
    epoch_unix: Annotated[int, Field(ge=0, le=32_503_680_000)] = 1_767_225_600
    keep_calls: Annotated[int, Field(ge=0, le=10_000_000)] = 10_000

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if unknown := sorted(set(self.awkward) - set(AWKWARD)):
            known = ", ".join(AWKWARD)
            raise ValueError(f"awkward: {unknown[0]!r} is not one of {known}")
        for app_id, changes in self.apps.items():
            try:
                self.behaviour.changed(changes)
            except ValidationError as invalid:
                raise ValueError(f"apps.{app_id}.{_problems(invalid)}") from None
        return self

    def cast(self, app_ids: Sequence[str]) -> dict[str, Behaviour]:
        """Give each app its behaviour, in the order of the ids; ordinary apps share one value.

        Raises `SettingsInvalid` if more awkward apps are asked for than there are.
        """
        cast = dict.fromkeys(app_ids, self.behaviour)
        for app_id, changes in self.apps.items():
            if app_id in cast:
                cast[app_id] = self.behaviour.changed(changes)
        chance = Chance(self.seed)
        free = sorted(
            (app_id for app_id in cast if app_id not in self.apps),
            key=lambda app_id: chance.fraction("awkward", app_id),
            reverse=True,
        )
        for kind, count in self.awkward.items():
            behaviour = self.behaviour.changed(AWKWARD[kind])
            for _ in range(count):
                if not free:
                    raise SettingsInvalid(
                        f"the scenario asks for {sum(self.awkward.values())} awkward apps, "
                        f"and there are too few apps to be them",
                        hint="lower the numbers under `awkward`, or simulate more apps",
                    )
                cast[free.pop()] = behaviour
        return cast


def demo_scenario(*, seed: int = 2026) -> Scenario:
    """Return the platform of the demo: 300 apps, a dozen of them awkward, audits of minutes.

    At a `time_scale` of `DEMO_TIME_SCALE` the last audit ends about 20 real seconds after its
    submission.
    """
    return Scenario(
        seed=seed,
        behaviour=Behaviour(effect_delay_s=10.0, build_s=(30.0, 120.0), audit_s=(300.0, 1200.0)),
        awkward={
            "category_not_approved": 2,
            "name_not_approved": 1,
            "authenticity_missing": 2,
            "quota_used_up": 1,
            "authorization_withdrawn": 1,
            "rejected": 3,
            "upload_fails_once": 1,
            "foreign_in_audit": 1,
        },
    )


DEMO_TIME_SCALE: Final = 60.0


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file, YAML or by its suffix JSON.

    Raises `SettingsInvalid` that says what is wrong, and where, for every file that is not one.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > _MAX_BYTES:
        raise SettingsInvalid(f"{path}: larger than {_MAX_BYTES} bytes")
    return parse_scenario(raw, str(path), as_json=path.suffix == ".json")


def parse_scenario(raw: bytes, name: str, *, as_json: bool = False) -> Scenario:
    """Read a scenario from a file's content; `name` is what errors call it.

    Raises `SettingsInvalid` like `load_scenario`.
    """
    try:
        return Scenario.model_validate(_parse(raw, as_json=as_json))
    except ValidationError as invalid:
        raise SettingsInvalid(
            f"{name}: {_problems(invalid)}", hint="docs/simulator.md lists every key"
        ) from None
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsInvalid(f"{name}: not readable: {_one_line(error)}") from None


def _parse(raw: bytes, *, as_json: bool) -> object:
    """Return the file's content; an empty file is a scenario of defaults."""
    parsed: object = json.loads(raw) if as_json else yaml.safe_load(raw)
    return {} if parsed is None else parsed


def _problems(invalid: ValidationError) -> str:
    """Name every problem with its path; the values stay out of it."""
    found = invalid.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(_problem(error["loc"], error["msg"]) for error in found)


def _problem(loc: tuple[int | str, ...], message: str) -> str:
    path = ".".join(map(str, loc))
    text = message.removeprefix("Value error, ")
    return f"{path}: {text}" if path else text


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
