"""Laws of deciding, over lists of rows that no platform should send."""

from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fleetdeploy.core.app_state import AppState, advance
from fleetdeploy.core.decide import decide
from fleetdeploy.core.decisions import (
    NOTES_MAX,
    Confirm,
    Decision,
    Do,
    Note,
    Policy,
    Poll,
    Rest,
    Sight,
)
from fleetdeploy.core.lifecycle import TERMINAL
from fleetdeploy.core.records import StepFailed, StepStarted
from fleetdeploy.model import Bundle, Package, PackageStatus, Phase, Step, Until, UploadStatus
from tests.unit.core_builders import (
    NOTE,
    OTHERS,
    OURS,
    VERSION,
    described,
    make_app,
    make_bundle,
    make_target,
)

pytestmark = pytest.mark.slow

law = settings(deadline=None, max_examples=300)

ID = "58210"
OF_OTHER_KINDS = {
    Phase.ROLLING_BACK,
    Phase.REVERTING,
    Phase.WITHDRAWING,
    Phase.LEAVING_AUDIT,
}
OPEN_PHASES = sorted(set(Phase) - TERMINAL - OF_OTHER_KINDS)

any_row = st.builds(
    Package,
    version=st.sampled_from([VERSION, VERSION, VERSION, "9.9", ""]),
    description=st.sampled_from([OURS, OURS, OURS, OTHERS, None]).map(described),
    package_id=st.sampled_from([ID, ID, ID, None, "1", "2", "99999"]),
    status=st.sampled_from([3, 6, 4, None, 1, 5, 7, 8, -1, 10**18]),
    upload_status=st.sampled_from([None, 1, 2, 3]),
    upload_error_code=st.sampled_from([None, -1, 40001, 69009, 69010]),
    commit_time=st.sampled_from(["", "2026/11/24 01:00:00"]),
)
any_rows = st.lists(any_row, max_size=5).map(tuple)


def is_well_formed(row: Package) -> bool:
    return (row.package_id is None) == (row.status is None)


# As documented: a row still uploading has neither id nor status, and an id names one row.
rows_as_documented = st.lists(
    any_row.filter(is_well_formed), max_size=5, unique_by=lambda row: row.package_id or object()
).map(tuple)


@st.composite
def apps(draw: st.DrawFn, phases: list[Phase] = OPEN_PHASES) -> AppState:
    """Draw an app as replay could have left it."""
    return make_app(
        draw(st.sampled_from(phases)),
        draw(st.sampled_from([ID, ID, "1"])),
        version=draw(st.sampled_from([None, None, "9.9"])),
        known=draw(st.sampled_from([(), ("1",), (ID,)])),
        error=draw(st.sampled_from([None, NOTE])),
        in_doubt_before=draw(st.booleans()),
    )


silences = st.none() | st.floats(0, 200)
missing_things = st.sampled_from(["", *Step, "package", "audit", "earlier step"])
lasts = st.floats(0, 4000)
policies = st.builds(
    Policy,
    skip_unchanged=st.booleans(),
    foreign_package=st.sampled_from(["block", "wait", "withdraw"]),
)
bundles = st.builds(make_bundle, direct_commit=st.booleans())
circumstances = {"absent_s": silences, "missing": missing_things, "phase_s": lasts}
sights = st.builds(Sight, rows_as_documented, **circumstances)
any_sights = st.builds(Sight, any_rows, **circumstances)
untils = st.sampled_from(Until)


@law
@given(apps(), bundles, any_sights, policies, untils)
def test_a_decision_is_made_for_any_rows(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy, until: Until
) -> None:
    decision = decide(app, make_target(bundle=bundle), sight, policy, until)
    assert isinstance(decision, Note | Do | Poll | Confirm | Rest)
    if isinstance(decision, Note | Do):
        assert advance(app, decision.record) != app


@law
@given(apps(), bundles, any_sights, policies, untils)
def test_what_one_look_settles_fits_the_table_and_comes_to_an_end(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy, until: Until
) -> None:
    seen = [app]
    while not app.terminal:
        decision = decide(app, make_target(bundle=bundle), sight, policy, until)
        if not isinstance(decision, Note):
            break
        app, sight = advance(app, decision.record), Sight(sight.rows)
        seen.append(app)
        assert len(seen) < 8, seen


def first_do(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> tuple[AppState, StepStarted] | None:
    """Take what one look settles, then return what is sent, if anything."""
    for _ in range(NOTES_MAX):
        if app.terminal:
            return None
        decision: Decision = decide(app, make_target(bundle=bundle), sight, policy, Until.RELEASED)
        if isinstance(decision, Do):
            return app, decision.record
        if not isinstance(decision, Note):
            return None
        app, sight = advance(app, decision.record), Sight(sight.rows)
    raise AssertionError("one look, and no end of decisions")


def silent_about(missing: str, sight: Sight, policy: Policy) -> bool:
    lasted = sight.absent_s is not None and sight.absent_s >= policy.settle_s
    return lasted and sight.missing == missing


def version_of(app: AppState, bundle: Bundle) -> str:
    return bundle.version if app.version is None else app.version


def furthest_row(rows: Sequence[Package], package_id: str | None) -> Package | None:
    """Of several rows with one id the one nearest to being online is what the package is."""
    order = [1, 6, 4, 3]
    mine = [row for row in rows if row.package_id == package_id]
    return min(mine, key=lambda r: order.index(r.status) if r.status in order else 9, default=None)


def silent(sight: Sight, policy: Policy) -> bool:
    """Whether an earlier run's step has left no trace for long enough."""
    return silent_about("earlier step", sight, policy)


@law
@given(apps(), bundles, sights, policies)
def test_only_our_own_approved_package_is_released(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> None:
    """Promise 2, from any state and after whatever the same look settled before."""
    sent = first_do(app, bundle, sight, policy)
    if sent is None or sent[1].step is not Step.RELEASE:
        return
    after, record = sent
    row = furthest_row(sight.rows, record.package_id)
    assert row is not None
    assert (row.status, row.fingerprint) == (PackageStatus.AUDIT_PASSED, bundle.fingerprint)
    assert row.version == version_of(after, bundle)


@law
@given(apps([Phase.APPROVED]), bundles, sights, policies)
def test_an_app_is_released_only_with_the_package_that_it_went_by(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> None:
    decision = decide(app, make_target(bundle=bundle), sight, policy, Until.RELEASED)
    row = furthest_row(sight.rows, app.package_id)
    shown = (
        row is not None
        and row.status == PackageStatus.AUDIT_PASSED
        and row.version == version_of(app, bundle)
        and row.fingerprint == bundle.fingerprint
    )
    assert isinstance(decision, Do) == (
        shown and (silent(sight, policy) or not app.in_doubt_before)
    )


@law
@given(apps(), bundles, sights, policies)
def test_only_our_own_built_package_is_submitted_and_only_when_nothing_else_is_in_audit(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> None:
    sent = first_do(app, bundle, sight, policy)
    if sent is None or sent[1].step is not Step.SUBMIT_AUDIT:
        return
    after, record = sent
    [row] = [row for row in sight.rows if row.package_id == record.package_id]
    assert (row.status, row.fingerprint) == (PackageStatus.DEVELOPMENT, bundle.fingerprint)
    assert row.version == version_of(after, bundle)
    assert not [row for row in sight.rows if row.status == PackageStatus.IN_AUDIT]


def is_underway(row: Package, bundle: Bundle) -> bool:
    """Whether a row is this bundle on its way, so that an upload would make a second one."""
    if row.fingerprint != bundle.fingerprint:
        return False
    if row.package_id is None:
        return row.upload_status != UploadStatus.FAILED
    return row.status in {
        PackageStatus.DEVELOPMENT,
        PackageStatus.IN_AUDIT,
        PackageStatus.AUDIT_PASSED,
    }


@law
@given(apps(), bundles, sights, policies)
def test_nothing_is_uploaded_while_the_same_content_is_on_its_way(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> None:
    """Promise 1: whatever the versions, whatever we remember, whatever the same look settled."""
    sent = first_do(app, bundle, sight, policy)
    if sent is not None and sent[1].step is Step.UPLOAD:
        assert not [row for row in sight.rows if is_underway(row, bundle)]


@law
@given(apps([Phase.QUEUED]), bundles, sights, policies)
def test_after_a_run_in_doubt_nothing_is_uploaded_before_silence_lasted(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> None:
    if app.in_doubt_before and not silent(sight, policy):
        assert not isinstance(
            decide(app, make_target(bundle=bundle), sight, policy, Until.RELEASED), Do
        )


@law
@given(apps([Phase.UPLOADING, Phase.SUBMITTING, Phase.RELEASING]), bundles, sights, policies)
def test_j3_doubt_is_settled_as_failed_only_after_the_settle_time(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> None:
    decision = decide(app, make_target(bundle=bundle), sight, policy, Until.RELEASED)
    assert isinstance(decision, Note | Confirm)
    if isinstance(decision, Note) and isinstance(decision.record, StepFailed):
        assert decision.record.settled
        assert app.step is not None
        assert silent_about(app.step, sight, policy)


@law
@given(apps(), bundles, sights, policies, untils)
def test_the_order_of_rows_does_not_change_what_is_decided(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy, until: Until
) -> None:
    """The platform's order means nothing (platform-api.md 1.1)."""
    # Which of several equally good rows is named in words may differ; what is done must not.
    turned = replace(sight, rows=sight.rows[::-1])
    one, two = (decide(app, make_target(bundle=bundle), s, policy, until) for s in (sight, turned))
    assert type(one) is type(two)
    if isinstance(one, Do) and isinstance(two, Do):
        assert one.record.model_copy(update={"known": ()}) == two.record.model_copy(
            update={"known": ()}
        )


@law
@given(apps(), bundles, sights, policies)
def test_a_run_that_stops_earlier_sends_nothing_beyond(
    app: AppState, bundle: Bundle, sight: Sight, policy: Policy
) -> None:
    for until, beyond in (
        (Until.UPLOADED, {Step.SUBMIT_AUDIT, Step.RELEASE}),
        (Until.APPROVED, {Step.RELEASE}),
    ):
        decision = decide(app, make_target(bundle=bundle), sight, policy, until)
        assert not (isinstance(decision, Do) and decision.record.step in beyond)


@law
@given(apps(), sights, policies)
def test_with_direct_commit_nothing_is_submitted(
    app: AppState, sight: Sight, policy: Policy
) -> None:
    """There is no such step then: the platform submits at upload (platform-api.md 1.2)."""
    sent = first_do(app, make_bundle(direct_commit=True), sight, policy)
    assert sent is None or sent[1].step is not Step.SUBMIT_AUDIT
