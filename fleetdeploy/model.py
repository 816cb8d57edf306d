"""The words of the job as plain values: no behaviour beyond what each can say of itself."""

import re
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

MARKER_PATTERN = re.compile(r"\[fd:([0-9a-f]{10})\]\s*$")


class RunKind(StrEnum):
    ROLLOUT = "rollout"
    ROLLBACK = "rollback"
    WITHDRAW = "withdraw"


class Step(StrEnum):
    UPLOAD = "upload"
    AWAIT_UPLOAD = "await_upload"
    SUBMIT_AUDIT = "submit_audit"
    AWAIT_AUDIT = "await_audit"
    RELEASE = "release"
    AWAIT_RELEASE = "await_release"
    ROLLBACK = "rollback"
    AWAIT_ROLLBACK = "await_rollback"
    WITHDRAW = "withdraw"
    AWAIT_WITHDRAW = "await_withdraw"

    def submits(self, *, direct_commit: bool) -> bool:
        """Whether it hands a package to the reviewers; an upload with `directCommit` does."""
        return self is Step.SUBMIT_AUDIT or (self is Step.UPLOAD and direct_commit)


class Service(StrEnum):
    """What can be out of order by itself on the platform's side."""

    PLATFORM = "platform"
    """The platform as a whole: not even reads get through."""
    UPLOAD = "upload"
    BUILD = "build"
    """The packaging service: uploads are accepted, and what is uploaded cannot be built."""
    AUDIT = "audit"
    RELEASE = "release"


class Phase(StrEnum):
    """Where an app is in our state machine; see `core/lifecycle.py`."""

    QUEUED = "queued"
    UPLOADING = "uploading"
    PROCESSING = "processing"
    UPLOADED = "uploaded"
    SUBMITTING = "submitting"
    AUDITING = "auditing"
    APPROVED = "approved"
    RELEASING = "releasing"
    PUBLISHING = "publishing"
    ROLLING_BACK = "rolling_back"
    REVERTING = "reverting"
    WITHDRAWING = "withdrawing"
    LEAVING_AUDIT = "leaving_audit"
    RELEASED = "released"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Outcome(StrEnum):
    """How an app ended; every outcome is also a terminal phase of the same name."""

    RELEASED = "released"
    ROLLED_BACK = "rolled_back"
    WITHDRAWN = "withdrawn"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Until(StrEnum):
    """How far a run goes; an app rests in the phase of the same name."""

    UPLOADED = "uploaded"
    APPROVED = "approved"
    RELEASED = "released"


class PackageStatus(IntEnum):
    """The platform's word for a package (platform-api.md 1.1); unknown codes stay plain ints."""

    ONLINE = 1
    DEVELOPMENT = 3
    IN_AUDIT = 4
    AUDIT_FAILED = 5
    AUDIT_PASSED = 6
    ROLLING_BACK = 8


class UploadStatus(IntEnum):
    """Of a row that is not a finished package yet (platform-api.md 1.1)."""

    UPLOADING = 1
    FAILED = 3


@dataclass(frozen=True, slots=True)
class Package:
    """One row of the platform's list. A row still uploading has no `package_id` and no `status`.

    `description` is the platform's `version_desc` (what was sent as `user_desc`);
    `audit_message` is its `msg`. `commit_time` is text without a zone: never order by it.
    """

    version: str
    description: str = ""
    package_id: str | None = None
    status: int | None = None
    upload_status: int | None = None
    upload_status_text: str = ""
    upload_error_code: int | None = None
    upload_error_message: str = ""
    committer: str = ""
    commit_time: str = ""
    remark: str = ""
    audit_message: str = ""
    rollback_version: str = ""

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint in our marker, or None for a package that is not ours."""
        found = MARKER_PATTERN.search(self.description)
        return found.group(1) if found else None


@dataclass(frozen=True, slots=True)
class AuditNote:
    """What the reviewer reads: the `content` and `remark` of a submission."""

    content: str
    remark: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one app is to get.

    `ext_json` is canonical JSON text; `description` ends in the marker. `direct_commit` says that
    `ext_json` asks the platform to submit at upload (platform-api.md 1.2).
    """

    template_id: str
    ext_json: str
    version: str
    description: str
    fingerprint: str
    audit: AuditNote
    direct_commit: bool = False


@dataclass(frozen=True, slots=True)
class AuditQuota:
    """Submissions left for one app; `remaining` is None where unlimited (platform-api.md 6)."""

    quota_type: int
    total: int
    remaining: int | None


@dataclass(frozen=True, slots=True)
class Category:
    name: str
    audit_status: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AppInfo:
    """What the platform says of an app (platform-api.md 2.3); None where it said nothing."""

    app_id: str
    name: str
    status: int | None
    qualification_status: int | None
    authenticity_status: int | None
    name_audit_status: int | None
    categories: tuple[Category, ...] = ()
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """A template of the third-party platform's library (platform-api.md 2.1)."""

    template_id: str
    version: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a TP token is made from; pushed every 10 minutes. `created_at` is unix seconds."""

    text: str = field(repr=False)
    created_at: float


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """A one-time code that stands for a client's consent; `expires_in_s` from when it came."""

    app_id: str
    text: str = field(repr=False)
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class PreAuthCode:
    """What a consent link is made from (platform-api.md 3, step 3)."""

    text: str = field(repr=False)
    expires_in_s: float


@dataclass(frozen=True, slots=True)
class Grant:
    """New tokens. `refresh_token` is empty for a TP token, and works once for an app's."""

    access_token: str = field(repr=False)
    expires_in_s: float
    refresh_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """A push from the platform, or a row of its list of pushes: a hint to look, never a truth.

    `event` is the platform's own name (platform-api.md 4.3), `event_time` its text without a zone.
    """

    app_id: str
    event: str
    event_time: str = ""
    package_id: str | None = None
    package_version: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """One message of the platform, decrypted. `key` is the same for the same message.

    It holds a ticket, or a notice, and with it perhaps the code of a client's consent.
    """

    key: str
    ticket: Ticket | None = None
    notice: Notice | None = None
    code: AuthorizationCode | None = None
