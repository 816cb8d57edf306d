"""What each look means: apps, the fleet, causes, exit codes, and the notes of a plan."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleetdeploy.core import fleet_checks as judge
from fleetdeploy.core.app_checks import (
    APP_CHECKS,
    CALLS_SPENT,
    DEVELOPMENT,
    AppSeen,
    check_app,
    template_check,
)
from fleetdeploy.core.credentials import AppCredential, Consent, Intent, Rotation, TpCredential
from fleetdeploy.core.diagnosis import (
    AppCheckup,
    Check,
    Diagnosis,
    State,
    diagnose,
    exit_code_for,
    fine,
    group_checks,
    of_error,
    worst,
)
from fleetdeploy.core.fleet_checks import HeardSeen, SettingsSeen, StateSeen, TokensFrom
from fleetdeploy.core.library import Library, consent_notes, template_notes, with_page
from fleetdeploy.core.plan import PlanNote
from fleetdeploy.core.summary import ManifestNote
from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    ExitCode,
    FleetRefused,
    NotSent,
    PlatformError,
    RateLimited,
    RequestRefused,
    SettingsInvalid,
    StateUnusable,
)
from fleetdeploy.model import AppInfo, AuditQuota, Category, Template

APP = "100000282"
NOW = 1_795_000_000.0
LIBRARY = Library(frozenset({"754"}), complete=True, why_not="")
UNREAD = Library(why_not="FLEETDEPLOY_TP_CLIENT_ID is not set")
GOOD = AppInfo(
    app_id=APP,
    name="火锅店",
    status=1,
    qualification_status=1,
    authenticity_status=1,
    name_audit_status=None,
    categories=(Category("餐饮", 2),),
    scopes=("基础信息设置", DEVELOPMENT),
)
QUOTA = AuditQuota(quota_type=2, total=3, remaining=2)


def seen(
    info: AppInfo | PlatformError | None = GOOD,
    quota: AuditQuota | PlatformError | None = QUOTA,
    *,
    app_id: str = APP,
    why_not: str = "",
) -> AppSeen:
    return AppSeen(app_id, "Hot Pot", "754", info, quota, why_not)


def checkup(**changes: object) -> AppCheckup:
    """Check an app of which everything is in order but for `changes` of what it says."""
    info = replace(GOOD, **changes)  # type: ignore[arg-type]  # names are checked by replace
    return check_app(seen(info), LIBRARY)


def check_of(app: AppCheckup, name: str) -> Check:
    (found,) = [check for check in app.checks if check.name == name]
    return found


def judged(app: AppCheckup) -> dict[str, State]:
    """Return what is not ok."""
    return {check.name: check.state for check in app.checks if check.state is not State.OK}


# --- one app ---


def test_an_app_with_everything_in_order_is_ok_in_every_check() -> None:
    app = checkup()
    assert tuple(check.name for check in app.checks) == APP_CHECKS
    assert (app.state, judged(app)) == (State.OK, {})
    assert check_of(app, "quota").found == "2 of 3 submissions left this week"


@pytest.mark.parametrize(
    ("changes", "name", "state", "code"),
    [
        ({"status": -1}, "status", State.PROBLEM, "platform.app_state_wrong"),
        ({"status": 4}, "status", State.PROBLEM, "platform.app_state_wrong"),
        ({"status": 5}, "status", State.PROBLEM, "platform.app_state_wrong"),
        ({"status": 2}, "status", State.WARNING, "platform.app_state_wrong"),
        ({"status": 6}, "status", State.WARNING, "platform.app_state_wrong"),
        ({"status": 7}, "status", State.WARNING, "platform.app_state_wrong"),
        ({"status": 99}, "status", State.WARNING, "doctor.unclear"),
        ({"status": None}, "status", State.UNKNOWN, "doctor.unclear"),
        ({"name_audit_status": 1}, "name", State.PROBLEM, "platform.name_not_approved"),
        ({"name_audit_status": 3}, "name", State.PROBLEM, "platform.name_not_approved"),
        ({"name_audit_status": 9}, "name", State.UNKNOWN, "doctor.unclear"),
        ({"name": " "}, "name", State.UNKNOWN, "doctor.unclear"),
        ({"categories": ()}, "category", State.UNKNOWN, "doctor.unclear"),
        (
            {"categories": (Category("a", None),)},
            "category",
            State.UNKNOWN,
            "doctor.unclear",
        ),
        (
            {"categories": (Category("a", 2), Category("b", 1))},
            "category",
            State.PROBLEM,
            "platform.category_in_review",
        ),
        (
            {"categories": (Category("a", 3, "资质不全"),)},
            "category",
            State.PROBLEM,
            "platform.category_not_approved",
        ),
        ({"qualification_status": 0}, "entity", State.PROBLEM, "platform.entity_not_approved"),
        ({"qualification_status": 2}, "entity", State.PROBLEM, "platform.entity_not_approved"),
        ({"qualification_status": 3}, "entity", State.PROBLEM, "platform.entity_not_approved"),
        ({"qualification_status": 4}, "entity", State.PROBLEM, "platform.entity_not_approved"),
        ({"qualification_status": 8}, "entity", State.UNKNOWN, "doctor.unclear"),
        ({"qualification_status": None}, "entity", State.UNKNOWN, "doctor.unclear"),
        (
            {"authenticity_status": 3},
            "authenticity",
            State.PROBLEM,
            "platform.authenticity_missing",
        ),
        (
            {"authenticity_status": 7},
            "authenticity",
            State.PROBLEM,
            "platform.authenticity_missing",
        ),
        ({"authenticity_status": None}, "authenticity", State.UNKNOWN, "doctor.unclear"),
        ({"scopes": ()}, "scope", State.UNKNOWN, "doctor.unclear"),
        ({"scopes": ("基础信息设置",)}, "scope", State.WARNING, "platform.scope_missing"),
    ],
)
def test_what_the_platform_says_of_an_app_is_judged(
    changes: dict[str, object], name: str, state: State, code: str
) -> None:
    app = checkup(**changes)
    assert judged(app) == {name: state}
    assert app.state is state
    assert check_of(app, name).code == code


def test_a_refused_category_beside_an_approved_one_is_no_obstacle() -> None:
    assert judged(checkup(categories=(Category("a", 3, "x"), Category("b", 2)))) == {}


def test_the_reasons_of_refused_categories_are_the_platforms_words() -> None:
    app = checkup(categories=(Category("a", 3, "资质不全"), Category("b", 3, "资质不全")))
    assert check_of(app, "category").msg == "资质不全"


@pytest.mark.parametrize(
    ("quota", "state", "found"),
    [
        (AuditQuota(2, 3, 0), State.PROBLEM, "no submission is left this week"),
        (AuditQuota(1, 3, 0), State.PROBLEM, "no submission is left in this period"),
        (AuditQuota(2, 3, None), State.OK, "audits are not limited"),
        (AuditQuota(9, 5, 5), State.OK, "5 of 5 submissions left in this period"),
    ],
)
def test_the_audit_quota_is_judged(quota: AuditQuota, state: State, found: str) -> None:
    check = check_of(check_app(seen(quota=quota), LIBRARY), "quota")
    assert (check.state, check.found) == (state, found)


def test_a_quota_that_cannot_be_read_is_no_problem_of_the_app() -> None:
    error = RequestRefused("platform.unknown_method", "the platform does not know the method")
    app = check_app(seen(quota=error), LIBRARY)
    assert judged(app) == {"quota": State.UNKNOWN}
    assert check_of(app, "quota").found.startswith("could not be checked: the platform does not")


CONSENT = ClientMustAct("auth.consent_needed", f"app {APP}: the client has withdrawn", hint="link")
NO_TOKEN = ClientMustAct("auth.no_token", f"there is no access token for this app (app {APP})")


@pytest.mark.parametrize(
    ("error", "place", "state"),
    [
        (CONSENT, "token", State.PROBLEM),
        (NO_TOKEN, "token", State.PROBLEM),
        (ClientMustAct("platform.token_refused", "refused"), "token", State.PROBLEM),
        (RequestRefused("platform.token_request_refused", "no"), "token", State.PROBLEM),
        (ClientMustAct("platform.authorization_missing", "gone"), "token", State.PROBLEM),
        (NotSent("auth.in_doubt", f"app {APP}: no token yet"), "token", State.UNKNOWN),
        (NotSent("transport.not_connected", "no connection"), "token", State.UNKNOWN),
        (RateLimited("platform.rate_limited", "too many calls"), "token", State.UNKNOWN),
        (AnswerLost("transport.timeout", "late"), "token", State.UNKNOWN),
        (FleetRefused("auth.no_ticket", "no ticket"), "token", State.UNKNOWN),
        (FleetRefused("platform.ip_not_whitelisted", "ip"), "token", State.UNKNOWN),
        (RequestRefused("platform.unknown_error", "what?"), "token", State.UNKNOWN),
        (RequestRefused("platform.unknown_method", "404"), "token", State.UNKNOWN),
        (ClientMustAct("platform.scope_missing", "scope"), "scope", State.PROBLEM),
        (RequestRefused("platform.no_permission", "no"), "scope", State.PROBLEM),
        (RequestRefused("platform.app_not_found", "no app"), "status", State.PROBLEM),
    ],
)
def test_an_error_is_told_where_it_belongs_and_the_rest_is_not_known(
    error: PlatformError, place: str, state: State
) -> None:
    app = check_app(seen(error, None), LIBRARY)
    assert tuple(check.name for check in app.checks) == APP_CHECKS
    assert app.state is state
    found = check_of(app, place)
    assert (found.state, found.code, found.hint) == (state, error.code, error.hint)
    assert check_of(app, "token").state is (state if place == "token" else State.OK)
    rest = [check for check in app.checks if check.name not in ("token", place, "template")]
    assert all(check.state is State.UNKNOWN and not check.code for check in rest)
    assert [cause.code for cause in group_checks([app])] == [error.code]


def test_an_errors_words_do_not_name_one_app_of_many() -> None:
    assert check_of(failing(APP, CONSENT), "token").found == "the client has withdrawn"
    assert (
        check_of(failing(APP, NO_TOKEN), "token").found == "there is no access token for this app"
    )


def test_a_token_of_another_app_is_found_out() -> None:
    app = checkup(app_id="100000283")
    assert check_of(app, "token").code == "doctor.other_app"
    assert "100000283" in check_of(app, "token").found
    assert app.state is State.PROBLEM


def test_an_app_that_was_not_asked_is_unknown_and_says_why() -> None:
    app = check_app(seen(None, None, why_not=CALLS_SPENT), LIBRARY)
    assert app.state is State.UNKNOWN
    (cause,) = group_checks([app])
    assert (cause.code, cause.state) == ("doctor.not_asked", State.UNKNOWN)
    assert "--max-calls" in cause.message
    assert "--max-calls" in cause.hint


@pytest.mark.parametrize(
    ("library", "state"),
    [
        (LIBRARY, State.OK),
        (replace(LIBRARY, complete=False), State.OK),
        (Library(frozenset({"1"}), complete=True), State.PROBLEM),
        (Library(frozenset({"1"}), complete=False, why_not="cut"), State.UNKNOWN),
        (UNREAD, State.UNKNOWN),
    ],
)
def test_a_template_is_missing_only_from_a_list_that_was_read_to_its_end(
    library: Library, state: State
) -> None:
    assert template_check("754", library).state is state


def test_an_app_is_ok_though_the_library_could_not_be_read() -> None:
    """The check of the fleet says so; 300 unknown apps would say nothing."""
    app = check_app(seen(), UNREAD)
    assert (app.state, judged(app)) == (State.OK, {"template": State.UNKNOWN})


# --- the library, page by page ---


def page(*ids: str) -> list[Template]:
    return [Template(template_id) for template_id in ids]


def read(*pages: tuple[Sequence[Template], int | None]) -> Library:
    library = Library()
    for templates, total in pages:
        library = with_page(library, templates, total)
    return library


@pytest.mark.parametrize(
    ("pages", "complete"),
    [
        ([(page("1", "2"), 2)], False),
        ([(page("1", "2"), 2), ([], 2)], True),
        ([(page("1", "2"), None), (page("1", "2"), None)], True),
        ([([], None)], True),
        ([([], 0)], True),
        ([([], 3)], False),
        ([(page("1", "2"), 30), ([], 30)], False),
    ],
)
def test_only_a_page_without_anything_new_ends_the_library(
    pages: list[tuple[Sequence[Template], int | None]], complete: object
) -> None:
    assert read(*pages).complete is complete


# --- the fleet ---


def test_settings_are_judged() -> None:
    store = SettingsSeen(TokensFrom.STORE, push_token=True, aes_key=True)
    assert judge.settings_check(store) == fine(
        "settings", "tokens kept by fleetdeploy, push keys set"
    )
    file = SettingsSeen(TokensFrom.FILE)
    assert judge.settings_check(file).found == "tokens from a file, push keys not set"
    nowhere = judge.settings_check(SettingsSeen(TokensFrom.NOWHERE))
    assert (nowhere.state, nowhere.code) == (State.PROBLEM, "settings.invalid")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (SettingsSeen(TokensFrom.FILE, push_token=True), "FLEETDEPLOY_PUSH_AES_KEY is not"),
        (SettingsSeen(TokensFrom.FILE, aes_key=True), "FLEETDEPLOY_PUSH_TOKEN is not"),
        (SettingsSeen(TokensFrom.FILE, warnings=("STATE_DRI?",)), "STATE_DRI?"),
    ],
)
def test_half_set_and_misspelt_settings_are_warned_of(settings: SettingsSeen, told: str) -> None:
    check = judge.settings_check(settings)
    assert check.state is State.WARNING
    assert told in check.found


def test_the_state_directory_is_judged() -> None:
    assert judge.state_check(StateSeen("/s", there=True)) == fine("state", "/s")
    assert judge.state_check(StateSeen("/s", there=False)).state is State.OK
    open_files = judge.state_check(
        StateSeen("/my state", there=True, open_files=("credentials.db (mode 0644)",))
    )
    assert open_files.state is State.WARNING
    assert open_files.hint == "type: chmod -R go-rwx '/my state'"
    broken = StateUnusable("cannot write in /s: Read-only file system", hint="elsewhere")
    failed = judge.state_check(StateSeen("/s", there=True, error=broken))
    assert (failed.state, failed.code, failed.hint) == (
        State.PROBLEM,
        "state.unusable",
        "elsewhere",
    )


@pytest.mark.parametrize(
    ("free", "apps", "state"),
    [
        (None, 1, State.UNKNOWN),
        (50 * 2**30, 300, State.OK),
        (2**29, 300, State.WARNING),
        (2**26, 300, State.PROBLEM),
        (5 * 2**30, 100_000, State.WARNING),
        (2**30, 100_000, State.PROBLEM),
    ],
)
def test_space_is_judged_by_what_a_night_needs(free: int | None, apps: int, state: State) -> None:
    assert judge.disk_check(free, apps).state is state


def test_runs_at_work_are_named_and_are_fine() -> None:
    assert judge.runs_check(StateSeen("/s", there=True)).found == "none is at work"
    live = StateSeen("/s", there=True, live=("run a: process 7",))
    assert judge.runs_check(live) == fine("runs", "run a: process 7")


def waiting(app_id: str = APP, **fields: object) -> AppCredential:
    consent = Consent(NOW, confirmed=True, checked_at=NOW)
    return replace(AppCredential(app_id), consent=consent, **fields)  # type: ignore[arg-type]  # as above


def test_credentials_that_wait_for_a_client_are_warned_of() -> None:
    plain = judge.credentials_check([AppCredential(APP)], NOW, sealed=False)
    assert plain == fine("credentials", "1 apps known, not sealed, mode 0600")
    many = [waiting(str(number)) for number in range(12)]
    check = judge.credentials_check(many, NOW, sealed=True)
    assert (check.state, check.code) == (State.WARNING, "auth.consent_needed")
    assert check.found.startswith("12 apps known, sealed; ")
    assert check.found.endswith("8, 9 and 2 more")


def test_a_fresh_code_ends_the_wait_for_a_client() -> None:
    assert judge.credentials_check([waiting(code="c")], NOW, sealed=True).state is State.OK


def tp(skew_s: float = 0.0, *, age_s: float = 60.0, token: str | None = None) -> TpCredential:
    """Return a TP token that was made `age_s` ago by a clock that is `skew_s` ahead."""
    theirs = int(NOW - age_s - skew_s)
    return TpCredential(
        access_token=token or f"42.abc.2592000.{theirs + 2_592_000}.x",
        expires_at=NOW - age_s + 2_592_000,
        renewed_at=NOW - age_s,
    )


def test_the_tp_token_is_judged() -> None:
    good = judge.tp_check(tp(), NOW, ticket=True, proven=True)
    assert good == fine("tp_token", "it works; it ends in 30 days")
    untried = judge.tp_check(tp(), NOW, ticket=True, proven=False)
    assert (untried.state, untried.found) == (
        State.OK,
        "there is one, which was not tried; it ends in 30 days",
    )
    alone = judge.tp_check(tp(), NOW, ticket=False, proven=True)
    assert (alone.state, alone.code) == (State.WARNING, "auth.no_ticket")
    opaque = judge.tp_check(TpCredential(access_token="opaque"), NOW, ticket=True, proven=True)
    assert opaque.found == "it works; it does not tell when it ends"


@pytest.mark.parametrize(
    ("error", "needed", "state"),
    [
        (FleetRefused("auth.no_ticket", "no ticket"), True, State.PROBLEM),
        (FleetRefused("platform.client_id_unknown", "unknown key"), False, State.WARNING),
        (NotSent("transport.not_connected", "no connection"), True, State.UNKNOWN),
        (NotSent("transport.not_connected", "no connection"), False, State.UNKNOWN),
    ],
)
def test_a_tp_token_that_cannot_be_had_matters_as_far_as_it_is_needed(
    error: PlatformError, needed: object, state: State
) -> None:
    check = judge.tp_failed(error, needed=bool(needed))
    assert (check.state, check.code) == (state, error.code)


@pytest.mark.parametrize(
    ("skew_s", "push_max_age_s", "state", "told"),
    [
        (0, None, State.OK, "right within 60 s, measured 60 s ago"),
        (-59, 3600, State.OK, "right within 60 s"),
        (300, None, State.WARNING, "this machine is 5 min ahead"),
        (-7200, None, State.WARNING, "this machine is 2 h behind"),
        (-7200, 3600, State.PROBLEM, "every push is refused as too old"),
    ],
)
def test_the_clock_is_compared_with_the_platforms(
    skew_s: float, push_max_age_s: float | None, state: State, told: str
) -> None:
    check = judge.clock_check(tp(skew_s), NOW, push_max_age_s)
    assert check.state is state
    assert told in check.found


@pytest.mark.parametrize("credential", [TpCredential(), tp(token="a.b"), tp(token="1.2.3.x.5")])
def test_a_token_that_tells_no_time_leaves_the_clock_unknown(credential: TpCredential) -> None:
    assert judge.clock_check(credential, NOW, None).state is State.UNKNOWN


def test_the_whitelist_is_judged_by_what_calls_met() -> None:
    assert judge.whitelist_check(admitted=True, turned_away=False).state is State.OK
    assert judge.whitelist_check(admitted=False, turned_away=False).state is State.UNKNOWN
    assert judge.whitelist_check(admitted=True, turned_away=True).state is State.PROBLEM


def test_a_platform_that_does_not_answer_is_a_problem_and_one_not_asked_is_unknown() -> None:
    assert judge.platform_check(reached=True, unreached="").state is State.OK
    assert judge.platform_check(reached=False, unreached="").state is State.UNKNOWN
    dead = judge.platform_check(reached=False, unreached="transport.not_connected")
    assert (dead.state, dead.code) == (State.PROBLEM, "transport.not_connected")


def test_the_templates_of_a_manifest_are_judged_together() -> None:
    wanted = frozenset({"754", "755"})
    assert judge.templates_check(frozenset({"754"}), LIBRARY).state is State.OK
    missing = judge.templates_check(wanted, LIBRARY)
    assert (missing.state, missing.found) == (State.PROBLEM, "not in the library: 755")
    assert judge.templates_check(wanted, UNREAD).state is State.UNKNOWN
    assert judge.templates_check(frozenset(), LIBRARY).state is State.UNKNOWN


def test_the_list_of_pushes_is_judged_by_whether_its_rows_open() -> None:
    assert judge.list_check(0, 0).state is State.OK
    assert judge.list_check(6, 5).state is State.OK
    sealed = judge.list_check(6, 0)
    assert (sealed.state, sealed.code) == (State.PROBLEM, "doctor.push_key")
    refused = RequestRefused("platform.no_permission", "no list here")
    assert judge.list_failed(refused).state is State.WARNING
    assert judge.list_failed(NotSent("transport.timeout", "late")).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("heard", "keys", "state"),
    [
        (HeardSeen(), False, State.UNKNOWN),
        (HeardSeen(), True, State.WARNING),
        (HeardSeen(pushed_at=NOW - 600), True, State.OK),
        (HeardSeen(pushed_at=NOW - 7200), True, State.WARNING),
        (HeardSeen(pushed_at=NOW - 7200, listed_at=NOW - 60), True, State.OK),
        (HeardSeen(pushed_at=NOW + 86_400), True, State.WARNING),
        (HeardSeen(ticket_at=NOW - 60), False, State.UNKNOWN),
    ],
)
def test_the_receiver_is_judged_by_when_it_last_heard(
    heard: HeardSeen, keys: object, state: State
) -> None:
    assert judge.receiver_check(heard, NOW, keys=bool(keys)).state is state


def test_what_was_heard_is_told_with_its_age() -> None:
    heard = HeardSeen(NOW - 7200, NOW - 60, NOW - 600)
    assert judge.receiver_check(heard, NOW, keys=True).found == (
        "last push 2 h ago, last reading of the list 60 s ago, last ticket 10 min ago"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59, "59 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2.6e6, "30 days")],
)
def test_durations_are_rough(seconds: float, text: str) -> None:
    assert judge.rough(seconds) == text


# --- the whole ---


def diagnosis(
    fleet: Sequence[Check] = (), apps: Sequence[AppCheckup] = (), path: str = "shop.yaml"
) -> Diagnosis:
    return diagnose(
        fleet,
        apps,
        checked_at=datetime(2026, 11, 24, tzinfo=UTC),
        manifest=ManifestNote(name="storefront", digest="52b1c0ff") if path else None,
        path=path,
        calls={"b": 2, "a": 1},
    )


def failing(app_id: str, error: PlatformError) -> AppCheckup:
    return check_app(seen(error, None, app_id=app_id), LIBRARY)


def test_apps_stand_together_by_what_was_found_the_worst_and_widest_first() -> None:
    spent = [check_app(seen(None, app_id=str(n), why_not=CALLS_SPENT), LIBRARY) for n in range(5)]
    consent = [
        failing(str(n), ClientMustAct("auth.consent_needed", f"app {n}: withdrawn", hint="h"))
        for n in (10, 11)
    ]
    other = failing("12", ClientMustAct("platform.scope_missing", "no scope", msg="无权限"))
    found = group_checks([*spent, other, *consent])
    assert [(cause.code, cause.count) for cause in found] == [
        ("auth.consent_needed", 2),
        ("platform.scope_missing", 1),
        ("doctor.not_asked", 5),
    ]
    assert found[0].message == "withdrawn"
    assert found[0].app_ids == ("10", "11")
    assert found[1].message == "no scope (无权限)"


def test_an_app_with_two_problems_is_in_two_causes_and_counted_once() -> None:
    app = checkup(status=5, authenticity_status=3)
    whole = diagnosis([], [app, checkup()])
    assert whole.counts == {State.OK: 1, State.PROBLEM: 1}
    assert [cause.count for cause in whole.causes] == [1, 1]
    assert list(whole.calls) == ["a", "b"]


REFUSED_TOKEN = ClientMustAct("platform.token_refused", "refused")


@pytest.mark.parametrize(
    ("fleet", "apps", "code"),
    [
        ([], [], ExitCode.OK),
        ([judge.list_failed(RequestRefused("x", "y"))], [checkup()], ExitCode.OK),
        ([], [checkup(scopes=())], ExitCode.OK),
        ([], [checkup(scopes=("a",))], ExitCode.OK),
        ([], [checkup(status=5), checkup()], ExitCode.INCOMPLETE),
        ([judge.disk_check(1, 1)], [], ExitCode.INCOMPLETE),
        ([judge.credentials_failed(SettingsInvalid("open"))], [], ExitCode.USAGE),
        ([judge.credentials_failed(StateUnusable("broken"))], [], ExitCode.UNEXPECTED),
        (
            [judge.whitelist_check(admitted=False, turned_away=True)],
            [checkup(status=5)],
            ExitCode.CREDENTIALS,
        ),
        (
            [
                judge.tp_failed(FleetRefused("auth.no_ticket", "none"), needed=True),
            ],
            [],
            ExitCode.CREDENTIALS,
        ),
        ([], [failing("1", REFUSED_TOKEN)], ExitCode.INCOMPLETE),
        ([], [failing("1", REFUSED_TOKEN), failing("2", NO_TOKEN)], ExitCode.CREDENTIALS),
        ([], [failing("1", REFUSED_TOKEN), checkup()], ExitCode.INCOMPLETE),
        (
            [
                judge.settings_check(SettingsSeen(TokensFrom.NOWHERE)),
                judge.whitelist_check(admitted=False, turned_away=True),
            ],
            [],
            ExitCode.USAGE,
        ),
    ],
)
def test_the_exit_code_says_whom_it_hits(
    fleet: list[Check], apps: list[AppCheckup], code: ExitCode
) -> None:
    assert exit_code_for(diagnosis(fleet, apps)) is code


def test_the_next_command_depends_on_what_was_found() -> None:
    assert diagnosis(path="my shop.yaml").next == "fleetdeploy plan 'my shop.yaml'"
    assert diagnosis(path="").next == "fleetdeploy doctor MANIFEST"
    broken = diagnosis([judge.disk_check(1, 1)])
    assert broken.next == "fleetdeploy doctor shop.yaml"


def test_the_worst_state_counts() -> None:
    assert worst([]) is State.OK
    assert diagnosis([fine("a", "b")], [checkup(status=5)]).state is State.PROBLEM
    assert diagnosis([judge.runs_check(StateSeen("/s", there=True))], []).state is State.OK


def test_a_diagnosis_reads_back_from_its_json() -> None:
    whole = diagnosis([judge.disk_check(1, 1)], [checkup(status=5)])
    assert Diagnosis.model_validate_json(whole.model_dump_json()) == whole


def test_an_error_that_may_pass_is_unknown_and_keeps_its_words() -> None:
    error = NotSent("transport.not_connected", "no connection", hint="wait", msg="m")
    check = of_error("a", error)
    assert (check.state, check.code, check.hint, check.msg) == (
        State.UNKNOWN,
        "transport.not_connected",
        "wait",
        "m",
    )
    assert check.found == "could not be checked: no connection"


# --- the notes of a plan ---


def test_a_missing_template_is_noted_with_its_apps() -> None:
    by_template = {"754": ["1"], "755": ["2", "3"]}
    assert template_notes(by_template, LIBRARY) == (
        PlanNote(
            code="platform.template_gone",
            message="template 755 is not in the library",
            app_ids=("2", "3"),
            hint="choose a template that is in the library, or add it there again",
        ),
    )


def test_a_library_that_could_not_be_read_is_noted_unless_all_was_seen() -> None:
    (note,) = template_notes({"754": ["1"]}, Library(why_not="no token"))
    assert note == PlanNote(
        code="preflight.unknown",
        message="whether the templates exist could not be checked: no token",
    )
    assert template_notes({"754": ["1"]}, replace(LIBRARY, complete=False)) == ()


def test_apps_of_the_plan_that_wait_for_their_client_are_noted() -> None:
    intent = Intent(Rotation.REFRESH, "h", NOW)
    kept = [waiting("1"), waiting("2"), AppCredential("3", intent=intent), waiting("4", code="c")]
    (note,) = consent_notes(kept, frozenset({"1", "3", "4"}), NOW)
    assert (note.code, note.app_ids) == ("auth.consent_needed", ("1",))
    assert consent_notes(kept, frozenset({"3"}), NOW) == ()
