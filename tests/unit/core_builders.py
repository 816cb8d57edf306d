"""Plain values for tests of the core: defaults for all, override what matters."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fleetdeploy.core.app_state import AppState
from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.lifecycle import SENT, STEP_OF, Event
from fleetdeploy.core.plan import ManifestRef, Plan, PlannedApp, seal
from fleetdeploy.core.plan_ahead import plan_app
from fleetdeploy.core.records import (
    AnyAppRecord,
    AppFinished,
    Entry,
    ErrorNote,
    FoundStage,
    PackageFound,
    RunRecord,
    RunStarted,
    StepDoubted,
    StepFailed,
    StepStarted,
    StepSucceeded,
    Writer,
)
from fleetdeploy.core.replay import RunState
from fleetdeploy.core.rules import RunRules
from fleetdeploy.core.targets import Target
from fleetdeploy.model import (
    AuditNote,
    Bundle,
    Outcome,
    Package,
    Phase,
    RunKind,
    Step,
    Until,
    UploadStatus,
)

APP = "100000282"
OURS = "0123456789"
OTHERS = "abcdefabcd"
"""The fingerprint of an earlier rollout of ours."""
VERSION = "10.30.0.3"
START = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
WRITER = Writer(host="night", pid=7, who="ops", tool_version="0.1.0")
NOTE = ErrorNote(code="platform.busy", message="busy", errno=500, msg="网络繁忙，请稍后重试")


def described(fingerprint: str | None) -> str:
    return f"autumn [fd:{fingerprint}]" if fingerprint else "by hand"


def make_bundle(*, direct_commit: bool = False, version: str = VERSION) -> Bundle:
    return Bundle(
        template_id="754",
        ext_json='{"ext":{"theme":"autumn"},"extAppid":"100000282","extEnable":true}',
        version=version,
        description=described(OURS),
        fingerprint=OURS,
        audit=AuditNote("content", "remark"),
        direct_commit=direct_commit,
    )


def make_row(
    status: int | None,
    package_id: str | None = "58210",
    *,
    fingerprint: str | None = OURS,
    version: str = VERSION,
    said: str = "",
) -> Package:
    return Package(
        version=version,
        description=described(fingerprint),
        package_id=package_id,
        status=status,
        audit_message=said,
    )


def uploading_row(
    *, fingerprint: str | None = OURS, version: str = VERSION, at: str = "01:00:00"
) -> Package:
    return Package(
        version=version,
        description=described(fingerprint),
        upload_status=UploadStatus.UPLOADING,
        commit_time=f"2026/11/24 {at}",
    )


def failed_row(
    code: int | None = 69009, *, version: str = VERSION, at: str = "01:00:00"
) -> Package:
    return replace(
        uploading_row(version=version, at=at),
        upload_status=UploadStatus.FAILED,
        upload_error_code=code,
        upload_error_message="提包服务暂时不可用，请稍后重试",
    )


def make_app(phase: Phase, package_id: str | None = "58210", **fields: object) -> AppState:
    """Return an app in a phase, with the step that it is in and, past the upload, an id."""
    early = phase in (Phase.QUEUED, Phase.UPLOADING, Phase.PROCESSING)
    started = phase in SENT
    state = AppState(
        APP,
        phase=phase,
        package_id=None if early else package_id,
        step=STEP_OF[phase] if started else None,
        attempt=1 if started else 0,
    )
    return replace(state, **fields)  # type: ignore[arg-type]  # names are checked by replace


def record_of(
    event: Event, app_id: str = APP, *, attempt: int = 1, version: str = VERSION
) -> AnyAppRecord:
    """Return a record that stands for an event."""
    verb, _, rest = event.value.partition("_")
    if verb == "obstacle":
        record = record_of(Event(rest), app_id, attempt=attempt, version=version)
        return record.model_copy(update={"package_id": "9", "obstacle": True})
    if verb == "found":
        return PackageFound(
            app_id=app_id, stage=FoundStage(rest), package_id="58210", version=version
        )
    if verb == "ended":
        return AppFinished(app_id=app_id, outcome=Outcome(rest), error=NOTE)
    name, _, how = event.value.rpartition("_")
    step = Step(name)
    if how == "started":
        return StepStarted(app_id=app_id, step=step, attempt=attempt, known=("1",))
    if how == "succeeded":
        return StepSucceeded(app_id=app_id, step=step, attempt=attempt, package_id="58210")
    if how == "doubted":
        return StepDoubted(app_id=app_id, step=step, attempt=attempt, error=NOTE)
    assert how == "failed"
    return StepFailed(app_id=app_id, step=step, attempt=attempt, error=NOTE)


def header(until: Until = Until.RELEASED, kind: RunKind = RunKind.ROLLOUT) -> RunStarted:
    return RunStarted(
        run_id="r1",
        run_kind=kind,
        plan_digest="d",
        manifest_name="storefront",
        manifest_digest="m",
        until=until,
        writer=WRITER,
    )


def entries_of(records: Iterable[RunRecord | AnyAppRecord]) -> list[Entry]:
    """Number the records and let a second pass between two of them."""
    return [
        Entry(seq, START + timedelta(seconds=seq), record) for seq, record in enumerate(records)
    ]


def state_of(*records: RunRecord | AnyAppRecord, apps: Iterable[str] = (APP,)) -> RunState:
    state = RunState.new(apps)
    for entry in entries_of((header(), *records)):
        state.apply(entry)
    return state


def make_target(
    app_id: str = APP, bundle: Bundle | None = None, *, name: str = "Hot Pot House"
) -> Target:
    return Target(app_id, name, {"tier": "gold"}, "all", bundle or make_bundle())


def make_planned(app_id: str = APP, rows: tuple[Package, ...] = ()) -> PlannedApp:
    return plan_app(make_target(app_id), rows, Policy(), Until.RELEASED, {})


def make_plan(*apps: PlannedApp, path: str = "manifest.yaml") -> Plan:
    return seal(
        Plan(
            run_id="r1",
            tool_version="0.1.0",
            created_at=START,
            manifest=ManifestRef(name="storefront", path=path, digest="m"),
            until=Until.RELEASED,
            rules=RunRules(
                skip_unchanged=True,
                wait_for_foreign=False,
                max_failures="10%",
                failures_allowed=1,
                requests_per_second=10,
                in_flight=32,
                endpoints={"submit_audit": 2},
            ),
            waves=("all",),
            apps=apps or (make_planned(),),
        )
    )
