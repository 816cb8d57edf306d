"""Plans, states and journals for tests: defaults for all, override one."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from fleetdeploy.core.plan import (
    Action,
    ManifestRef,
    Plan,
    PlannedApp,
    seal,
)
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Entry,
    ErrorNote,
    RunRecord,
    RunStarted,
    StepFailed,
    StepStarted,
    StepSucceeded,
    Writer,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.core.rules import RunRules
from fleetdeploy.model import Outcome, Step, Until

RUN_ID = "20261124-0307-k3f9"
START = datetime(2026, 11, 24, 3, 7, tzinfo=UTC)
WRITER = Writer(host="night", pid=7, who="ops", tool_version="0.1.0")
NOTE = ErrorNote(
    code="platform.category_not_approved",
    message="no service category of the app is approved yet",
    hint="wait for the review of the category",
    errno=69002,
    msg="服务类目审核通过后，可以提交小程序代码包审核",
)
HOSTILE = "\x1b[2J\x07a\nb\rc\td\x00\x7f\x9b31m\u202eevil\u2066\u2069\u2028\ud800|<b>`*\\"
"""Moves the cursor, fakes a line, turns the direction, and is no valid UTF-8 at the end."""


def make_planned(app_id: str = "100000282", **fields: object) -> PlannedApp:
    return PlannedApp.model_validate(
        {
            "app_id": app_id,
            "name": "Hot Pot House",
            "wave": "all",
            "template_id": "754",
            "version": "10.30.0.3",
            "description": "autumn [fd:0123456789]",
            "ext_json": f'{{"extAppid":"{app_id}","extEnable":true}}',
            "fingerprint": "0123456789",
            "audit_content": "routine",
            "audit_remark": "agency",
            "action": Action.UPLOAD,
            "start": Step.UPLOAD,
            "reason": "nothing is online yet",
            **fields,
        }
    )


def make_rules(**fields: object) -> RunRules:
    return RunRules.model_validate(
        {
            "skip_unchanged": True,
            "wait_for_foreign": False,
            "max_failures": "5%",
            "failures_allowed": 1,
            "requests_per_second": 10.0,
            "in_flight": 32,
            **fields,
        }
    )


def make_plan(apps: int | Iterable[PlannedApp] = 3, **fields: object) -> Plan:
    """Make a sealed plan of so many equal apps, or of these."""
    if isinstance(apps, int):
        apps = [make_planned(str(100000282 + place)) for place in range(apps)]
    return seal(
        Plan.model_validate(
            {
                "run_id": RUN_ID,
                "tool_version": "0.1.0",
                "created_at": START,
                "manifest": ManifestRef(name="storefront", path="shop.yaml", digest="52b1c0ff"),
                "until": Until.RELEASED,
                "rules": make_rules(),
                "waves": ("all",),
                "apps": tuple(apps),
                **fields,
            }
        )
    )


def make_header(**fields: object) -> RunStarted:
    return RunStarted.model_validate(
        {
            "run_id": RUN_ID,
            "plan_digest": "9f2c41d0",
            "manifest_name": "storefront",
            "manifest_digest": "52b1c0ff",
            "writer": WRITER,
            **fields,
        }
    )


def make_entry(record: RunRecord | AnyAppRecord, seq: int = 0, *, after_s: float = 0) -> Entry:
    return Entry(seq, START + timedelta(seconds=after_s), record)


def make_entries(
    records: Iterable[RunRecord | AnyAppRecord], *, every_s: float = 60
) -> list[Entry]:
    """Make a journal: the header, then these, one a minute."""
    told = [make_header(), *records]
    return [make_entry(record, seq, after_s=seq * every_s) for seq, record in enumerate(told)]


def make_state(plan: Plan, records: Iterable[RunRecord | AnyAppRecord] = ()) -> RunState:
    """Fold a journal of these records over the plan's apps."""
    return replay(RunState.new(app.app_id for app in plan.apps), make_entries(records))


def released(app_id: str, package_id: str = "58210") -> list[AnyAppRecord]:
    """Return the records of an app that went through without trouble."""
    sent = (Step.UPLOAD, Step.SUBMIT_AUDIT, Step.RELEASE)
    records: list[AnyAppRecord] = []
    for step in (
        Step.UPLOAD,
        Step.AWAIT_UPLOAD,
        Step.SUBMIT_AUDIT,
        Step.AWAIT_AUDIT,
        Step.RELEASE,
        Step.AWAIT_RELEASE,
    ):
        if step in sent:
            records.append(StepStarted(app_id=app_id, step=step, attempt=1))
        found: Mapping[str, str] = {"package_id": package_id} if step is Step.AWAIT_UPLOAD else {}
        records.append(StepSucceeded(app_id=app_id, step=step, attempt=1, **found))
    return records


def blocked(app_id: str, error: ErrorNote = NOTE) -> list[AnyAppRecord]:
    """Return the records of an app whose upload was refused until a person acts."""
    return [
        StepStarted(app_id=app_id, step=Step.UPLOAD, attempt=1),
        StepFailed(app_id=app_id, step=Step.UPLOAD, attempt=1, error=error),
        AppFinished(app_id=app_id, outcome=Outcome.BLOCKED, error=error),
    ]
