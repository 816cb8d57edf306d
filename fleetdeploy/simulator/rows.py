"""The packages of the simulated world and what can be said no to, as plain values."""

from dataclasses import dataclass
from typing import Final

from fleetdeploy.model import PackageStatus, UploadStatus

BUSINESS_EXCEPTION: Final = -1024
BAD_PARAMETER: Final = 40001
IP_NOT_WHITELISTED: Final = 40008
NO_SCOPE: Final = 45001
CATEGORY_IN_REVIEW: Final = 45003
ENTITY_NOT_APPROVED: Final = 50033
NO_AUTHORIZATION: Final = 50032
AUTHENTICITY_MISSING: Final = 50038
NAME_NOT_APPROVED: Final = 69001
CATEGORY_NOT_APPROVED: Final = 69002
NAME_AND_CATEGORY_NOT_APPROVED: Final = 69003
EXT_JSON_UNREADABLE: Final = 69004
PACKAGE_NOT_FOUND: Final = 69005
QUOTA_USED_UP: Final = 69013
NO_PERMISSION: Final = 6001
CLIENT_UNKNOWN: Final = 50002
TICKET_INVALID: Final = 50003
GATEWAY_TOKEN_INVALID: Final = 110
GATEWAY_TOKEN_EXPIRED: Final = 111


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no: a business `errno`, or with `gateway` an `error_code` (platform-api.md 5.1).

    `oauth` is the word of an OAuth error, which has no number. `violation` says that a lawful
    client would not have asked.
    """

    errno: int
    msg: str
    gateway: bool = False
    violation: bool = False
    oauth: str = ""


@dataclass(slots=True, kw_only=True)
class Row:
    """One package of one app. `number` counts the app's packages from 1.

    `coming` is the status that an accepted call will bring about and reads do not show yet;
    `audit_round` counts how often it went into audit. Times are seconds of the world.
    """

    number: int
    version: str
    description: str
    template_id: str
    committed_at: float
    committer: str
    direct_commit: bool = False
    package_id: int | None = None
    status: int | None = None
    upload_status: UploadStatus | None = None
    upload_error: int | None = None
    remark: str = ""
    audit_message: str = ""
    rollback_version: str = ""
    coming: PackageStatus | None = None
    audit_round: int = 0
    gone: bool = False

    @property
    def developing(self) -> bool:
        return self.status is None or self.status == PackageStatus.DEVELOPMENT


@dataclass(frozen=True, slots=True)
class UploadWish:
    """What an upload asks for."""

    template_id: str
    version: str
    description: str
    direct_commit: bool = False


@dataclass(frozen=True, slots=True)
class QuotaState:
    """Submissions of one period; -1 where unlimited (platform-api.md 6)."""

    times: int
    remaining: int
