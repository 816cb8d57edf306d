"""The kinds of value that a manifest is made of; what holds between values is not decided here."""

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)

from fleetdeploy.core.bundle import canonical_json
from fleetdeploy.core.placeholders import check_placeholders
from fleetdeploy.core.windows import parse_window, parse_zone

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_BROKEN_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIRECTION = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?) ?%", re.ASCII)
_DATE = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]", re.ASCII)
MAX_EXT_JSON: Final = 256 * 1024
"""Characters. Nothing is documented; a client's configuration is a thousandth of it."""


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(
            "must be 1 to 64 letters, digits, _ . or -, beginning with a letter or digit"
        )
    return text


def _check_label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError("a label's key must be 1 to 64 letters, digits, _ or -")
    if text == "phase":
        raise ValueError("no label can be called phase: --only phase=... means an app's phase")
    return text


def _check_line(text: str) -> str:
    if _BROKEN_LINE.search(text):
        raise ValueError("holds a line break or a control character")
    return _check_text(text)


def _check_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    if _CONTROL.search(text):
        raise ValueError("holds a control character")
    # They make a terminal show another text than the one that is sent.
    if _DIRECTION.search(text):
        raise ValueError("holds an invisible character that turns the reading direction")
    return text


def _check_description(text: str) -> str:
    if "[fd:" in text:
        raise ValueError("holds [fd:, which begins the tool's own marker")
    # YAML's folded texts end in a line feed that nobody means.
    stripped = text.rstrip()
    return _check_line(stripped) if stripped else ""


Id = Annotated[
    str, AfterValidator(_check_id), Field(json_schema_extra={"pattern": f"^{_ID.pattern}$"})
]
Line = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_line)]
Text = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_check_text)]
Version = Annotated[Line, AfterValidator(check_placeholders)]
Description = Annotated[str, Field(max_length=500), AfterValidator(_check_description)]
LabelKey = Annotated[
    str, AfterValidator(_check_label), Field(json_schema_extra={"pattern": f"^{_LABEL.pattern}$"})
]
Labels = Annotated[dict[LabelKey, Line], Field(max_length=64)]


def _check_ext_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(canonical_json(value)) > MAX_EXT_JSON:
        raise ValueError(f"is larger than {MAX_EXT_JSON // 1024} KiB as JSON")
    return value


ExtJson = Annotated[dict[str, JsonValue], AfterValidator(_check_ext_json)]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Match = Annotated[
    dict[
        LabelKey,
        Annotated[
            tuple[Line, ...],
            BeforeValidator(_as_list),
            Field(strict=False, min_length=1, max_length=1000),
            WithJsonSchema(
                {
                    "anyOf": [
                        {"type": "string", "minLength": 1},
                        {
                            "type": "array",
                            "items": {"type": "string", "minLength": 1},
                            "minItems": 1,
                        },
                    ]
                }
            ),
        ],
    ],
    Field(min_length=1, max_length=64),
]
"""Labels that an app must have; for each the values of which it must have one."""


@dataclass(frozen=True, slots=True)
class FailureBudget:
    """How many of a run's apps may fail before it halts: a number, or a percentage."""

    amount: Decimal
    percentage: bool

    def allowed(self, total: int) -> int:
        """Return how many of `total` apps may fail; one more halts.

        A percentage rounds down: 5 % of 214 is 10, and the 11th failure halts.
        """
        return int(self.amount * total / 100) if self.percentage else int(self.amount)

    def __str__(self) -> str:
        return f"{self.amount}%" if self.percentage else str(self.amount)


def parse_budget(value: object) -> FailureBudget:
    """Read a number of apps, or a text like `5%`; raises `ValueError` for anything else."""
    if isinstance(value, FailureBudget):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**6:
        return FailureBudget(Decimal(value), percentage=False)
    found = _PERCENTAGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or Decimal(found[1]) > 100:  # noqa: PLR2004 - a percentage has one meaning
        raise ValueError("must be a number of apps, or a percentage like 5%, at most 100%")
    return FailureBudget(Decimal(found[1]), percentage=True)


Budget = Annotated[
    FailureBudget,
    BeforeValidator(parse_budget),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 10**6},
                {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,3})? ?%$"},
            ]
        }
    ),
]

Endpoint = Literal[
    "upload",
    "packages",
    "submit_audit",
    "release",
    "rollback",
    "withdraw",
    "package_detail",
    "audit_quota",
    "app_info",
    "tp_token",
    "pre_auth_code",
    "exchange_code",
    "refresh_token",
    "retrieve_code",
    "templates",
    "pushes",
]
Priority = Annotated[int, Field(ge=-1000, le=1000)]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
"""Calls per second. The bound is far above what the platform may bear; it finds slips."""


def _check_window(text: str) -> str:
    parse_window(text)
    return text


def _check_zone(name: str) -> str:
    parse_zone(name)
    return name


def _parse_date(value: object) -> dt.date:
    text = value if isinstance(value, str) and _DATE.fullmatch(value) else ""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a date like 2026-02-10") from None


Window = Annotated[str, Field(max_length=100), AfterValidator(_check_window)]
Zone = Annotated[str, Field(max_length=60), AfterValidator(_check_zone)]
Date = Annotated[
    dt.date,
    BeforeValidator(_parse_date),
    WithJsonSchema({"type": "string", "format": "date", "pattern": f"^{_DATE.pattern}$"}),
]
