"""How the simulated platform behaves, as validated values; decides nothing itself.

`Behaviour` is per app, `Unsettled` holds one switch for everything that no source settles
(platform-api.md 9), `RateLimit` holds for the platform as a whole.
"""

import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from fleetdeploy.model import PackageStatus

_DURATION: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)([smhd])")
_UNIT_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    """Read `90s`, `30m`, `6h` or `2d` as seconds; leave everything else to the type's own check."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * _UNIT_S[found[2]] if found else value


def _both_ends(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value, value)


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("the first number is larger than the second")
    return span


Duration = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_seconds)]
Span = Annotated[tuple[Duration, Duration], AfterValidator(_ordered), BeforeValidator(_both_ends)]
Lifetime = Annotated[Duration, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=4096)]


class Model(BaseModel):
    """A value read from a scenario file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return a copy with some fields replaced, validated as a whole."""
        return self.model_validate(self.model_dump() | dict(changes))


class AuditShape(StrEnum):
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"


class CategoryState(StrEnum):
    APPROVED = "approved"
    IN_REVIEW = "in_review"
    NOT_APPROVED = "not_approved"


class Authorization(StrEnum):
    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    """The relation is gone: errno 50032."""
    NO_SCOPE = "no_scope"
    """The relation stands without the scope for packages: errno 45001."""


class ForeignPackage(Model):
    """A package that somebody made in the console; a `status` of none means still uploading."""

    version: Text = "console-1.0"
    description: Text = "by hand"
    status: PackageStatus | None = PackageStatus.IN_AUDIT
    template_id: Text = "1"


class UploadError(IntEnum):
    """What `upload_err_code` can say (platform-api.md 1.1)."""

    UNKNOWN = -1
    BAD_PARAMETER = 40001
    SERVICE_DOWN = 69009
    TEMPLATE_BROKEN = 69010


class Behaviour(Model):
    """One app on the platform: its pace, its luck and what its owner has got approved.

    `upload_failures` is how many of the first uploads fail to build; `status` is the app's own, as
    `app/info` tells it (platform-api.md 2.3). The audit quota is -1 where
    unlimited, else the submissions allowed in each `quota_period_s`, of which `quota_used` are
    used up in the first period.
    """

    effect_delay_s: Duration = 3.0
    build_s: Span = (1.0, 5.0)
    audit_s: Span = (3600.0, 28800.0)
    audit_shape: AuditShape = AuditShape.UNIFORM
    rollback_s: Span = (5.0, 20.0)
    upload_fail_chance: Probability = 0.0
    upload_failures: Annotated[int, Field(ge=0)] = 0
    upload_error: UploadError = UploadError.SERVICE_DOWN
    reject_chance: Probability = 0.0
    reject_reasons: Annotated[tuple[Text, ...], Field(min_length=1)] = (
        "页面内容为空，请完善内容后重新提交",
        "服务类目与小程序实际内容不符，请重新选择类目",
        "小程序存在无法正常使用的功能，请修改后重新提交",
    )
    name_approved: bool = True
    category: CategoryState = CategoryState.APPROVED
    entity_approved: bool = True
    authenticity_passed: bool = True
    authorization: Authorization = Authorization.GRANTED
    status: Annotated[int, Field(ge=-1, le=7)] = 1
    quota_times: Annotated[int, Field(ge=-1)] = -1
    quota_used: Annotated[int, Field(ge=0)] = 0
    quota_period_s: Annotated[Duration, Field(gt=0)] = 7 * 86400.0
    foreign: tuple[ForeignPackage, ...] = ()


class DevelopmentRows(StrEnum):
    MANY = "many"
    ONE = "one"


class RowOrder(StrEnum):
    SHUFFLED = "shuffled"
    NEWEST_FIRST = "newest_first"
    OLDEST_FIRST = "oldest_first"


class WithdrawnTo(StrEnum):
    DEVELOPMENT = "development"
    GONE = "gone"


class Unsettled(Model):
    """One switch for each thing that no source settles; each default has its reason.

    The errnos default to -1024, the platform's own "business exception", because no code is
    documented for these cases and a client must not learn to rely on one.
    """

    development_rows: DevelopmentRows = DevelopmentRows.MANY
    """Whether a new upload's row replaces older development rows; `many` hides a client's row
    among others, which is harder to get right."""
    reviewed_rows_stay: bool = True
    """Whether rows with status 5 and 6 stay when a newer package goes into audit."""
    row_order: RowOrder = RowOrder.SHUFFLED
    """Shuffled anew for each list, so that nobody comes to rely on an order."""
    duplicate_version_errno: int | None = None
    """Refuse an upload of a version that the app already has; none accepts it, so that a client
    that sends twice is found out instead of being protected."""
    in_audit_errno: int | None = -1024
    """Refuse a submission while another package of the app is in audit; none accepts it."""
    wrong_status_errno: int = -1024
    """Submitting, releasing, rolling back or withdrawing a package of the wrong status."""
    nothing_to_roll_back_errno: int = -1024
    checks_lag: bool = True
    """Whether the platform's own checks see an accepted call only when reads do. If they lag, a
    call that is sent twice at once is accepted twice."""
    withdrawn_to: WithdrawnTo = WithdrawnTo.DEVELOPMENT
    withdraw_returns_quota: bool = False
    direct_commit_uses_quota: bool = True
    rollback_depth: Annotated[int, Field(ge=0, le=100)] = 1
    """How many former online versions are kept to go back to."""
    token_error_http: Annotated[int, Field(ge=200, le=499)] = 200
    """HTTP status of gateway errors 110 and 111; a sibling service uses 401."""
    new_token_voids_old: bool = False
    """Whether a newly issued app token ends the life of the one before at once."""
    new_tp_token_voids_old: bool = False
    """The same of TP tokens."""
    recovered_code_voids_pair: bool = False
    """Whether asking for a code ends the present pair at once, and not only the code's exchange."""
    push_names_package: bool = True
    """Whether the push of a verdict says which package it is about; older samples do not."""
    push_list: bool = True
    """Whether the list of pushes may be read; false answers errno 6001."""
    push_list_tickets: bool = False
    """Whether the list shows tickets too, 144 a day."""
    push_list_delay_s: Duration = 0.0
    """How much later than it was pushed a push is in the list."""


class AuthRules(Model):
    """How long what the desk hands out is good for, and the third-party platform's fixed values.

    Lifetimes are the documented ones; how long a ticket is good for is documented nowhere.
    The push token and key are no secrets: whoever plays with the simulator has to know them.
    """

    ticket_every_s: Lifetime = 600.0
    ticket_lifetime_s: Lifetime = 86400.0
    tp_token_lifetime_s: Lifetime = 30 * 86400.0
    refresh_token_lifetime_s: Lifetime = 3650 * 86400.0
    pre_auth_code_lifetime_s: Lifetime = 1200.0
    consent_code_lifetime_s: Lifetime = 3600.0
    push_code_lifetime_s: Lifetime = 60.0
    recovered_code_lifetime_s: Lifetime = 18000.0
    tp_app_id: Annotated[int, Field(ge=1, lt=2**63)] = 17_328_232
    push_token: Annotated[str, Field(pattern=r"^[!-~]{1,64}$", repr=False)] = "simulated-push-token"  # noqa: S105 - as known as the simulator itself
    push_aes_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{43}$", repr=False)] = (
        "SimulatedKeyOfThePushesThatIsNoSecretAtAll1"
    )


class RateAnswer(StrEnum):
    GATEWAY = "gateway"
    """`error_code` 18."""
    ERRNO = "errno"
    """`errno` 50029."""
    HTTP_429 = "http_429"


class RateLimit(Model):
    """Requests allowed in any one second, over the whole platform; none means no limit."""

    per_second: Annotated[int, Field(ge=1)] | None = None
    answer: RateAnswer = RateAnswer.GATEWAY
    retry_after_s: Annotated[int, Field(ge=0)] | None = None
    """Sent as the header `Retry-After`, with status 429 only."""
