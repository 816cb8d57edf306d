"""How credentials are told: states by their times, troubled ones first, never a token."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fleetdeploy.cli.render.auth_results import (
    ConsentLink,
    Imported,
    Removed,
    RotationRow,
    Sealing,
    StoreKey,
    failed_row,
    render_imported,
    render_key,
    render_link,
    render_removed,
    render_rotations,
    render_sealing,
    rotations,
)
from fleetdeploy.cli.render.credentials import (
    CredentialList,
    Standing,
    credential_list,
    credential_row,
    instant,
    render_credential_list,
    standing_of,
    tp_row,
)
from fleetdeploy.cli.render.style import ANSI, PLAIN, Output, Style
from fleetdeploy.core.credentials import (
    AppCredential,
    Consent,
    Intent,
    Rotation,
    TpCredential,
)
from fleetdeploy.errors import ClientMustAct, UsageInvalid

AT = datetime(2026, 11, 24, 3, 7, tzinfo=UTC)
NOW = AT.timestamp()
HOUR = 3600.0
STYLE = Style(zone=UTC)
PAIR = AppCredential(
    "100",
    access_token="marked-access",
    expires_at=NOW + HOUR,
    refresh_token="marked-refresh",
    renewed_at=NOW,
)
DEAD = Intent(Rotation.REFRESH, "dead", NOW - 60)
LIVE = replace(DEAD, holder="live")
CONSENT = Consent(NOW - HOUR, confirmed=True, checked_at=NOW)


def is_alive(holder: str) -> bool:
    return holder == "live"


CASES = {
    Standing.READY: PAIR,
    Standing.DUE: replace(PAIR, renewed_at=NOW - HOUR, expires_at=NOW + 300),
    Standing.EXPIRED: replace(PAIR, expires_at=NOW - 1),
    Standing.RENEWING: replace(PAIR, intent=LIVE),
    Standing.IN_DOUBT: replace(PAIR, intent=DEAD),
    Standing.NEEDS_CONSENT: replace(PAIR, consent=CONSENT, intent=DEAD),
    Standing.CODE_WAITING: AppCredential("100", code="marked-code", code_expires_at=NOW + 60),
    Standing.EMPTY: AppCredential("100", code="marked-code", code_expires_at=NOW - 1),
}


@pytest.mark.parametrize("state", list(Standing))
def test_each_state_is_recognised(state: Standing) -> None:
    assert standing_of(CASES[state], NOW, is_alive) is state


def test_a_refresh_token_without_an_access_token_is_due() -> None:
    assert standing_of(AppCredential("1", refresh_token="r"), NOW, is_alive) is Standing.DUE


def test_a_code_outranks_a_consent_that_a_push_denies() -> None:
    doubted = replace(CASES[Standing.CODE_WAITING], consent=replace(CONSENT, confirmed=False))
    assert standing_of(doubted, NOW, is_alive) is Standing.CODE_WAITING


@pytest.mark.parametrize("unix", [-1.0, 999_999_999_999.0, float("inf"), float("nan"), None])
def test_a_time_that_no_calendar_holds_is_not_known(unix: float | None) -> None:
    assert instant(unix) is None


def listed(*credentials: AppCredential, tp: TpCredential | None = None) -> CredentialList:
    tp = (
        TpCredential("marked-ticket", NOW - 250, "marked-tp", NOW + HOUR, NOW) if tp is None else tp
    )
    rows = [credential_row(one, NOW, is_alive) for one in credentials]
    return credential_list(rows, tp_row(tp, NOW, ticket_in_settings=False), AT, sealed=True)


FLEET = [replace(one, app_id=str(100 + n)) for n, one in enumerate(CASES.values())]

TEXT = """\
app  state          renewed     token ends  refresh token  note
105  needs consent  0s ago      in 1h 00m   yes            since 2026-11-24 02:07:00 UTC; \
the platform says so
104  in doubt       0s ago      in 1h 00m   yes            rotation begun 1m 00s ago
107  empty          -           -           no
102  expired        0s ago      1s ago      yes
106  code waiting   -           -           no             code ends in 1m 00s
103  renewing       0s ago      in 1h 00m   yes            rotation begun 1m 00s ago
101  due            1h 00m ago  in 5m 00s   yes
100  ready          0s ago      in 1h 00m   yes

8 apps: 1 needs consent, 1 in doubt, 1 empty, 1 expired, 1 code waiting, 1 renewing, 1 due, 1 ready
third-party platform: ticket 4m 10s ago; token ends in 1h 00m
store: sealed with a key

next: fleetdeploy auth authorize 105 --redirect-uri URI"""


def test_the_list_tells_troubled_apps_first() -> None:
    told = render_credential_list(listed(*FLEET), Output.TEXT, STYLE)
    assert "\n".join(line.rstrip() for line in told.splitlines()) == TEXT


@pytest.mark.parametrize("output", [Output.TEXT, Output.JSON])
@pytest.mark.parametrize("style", [PLAIN, ANSI])
def test_no_form_of_the_list_holds_a_secret(output: Output, style: Style) -> None:
    assert "marked" not in render_credential_list(listed(*FLEET), output, style)
    assert "marked" not in repr(listed(*FLEET))


def test_json_tells_the_same_in_the_same_order() -> None:
    document = json.loads(render_credential_list(listed(*FLEET), Output.JSON, PLAIN))
    assert document["schema_version"] == 1
    assert [row["state"] for row in document["apps"]] == list(Standing)
    assert document["counts"] == dict.fromkeys(Standing, 1)
    assert document["apps"][0]["consent_since"] == "2026-11-24T02:07:00Z"
    assert document["tp"]["state"] == "ready"


def test_only_consents_and_a_missing_ticket_need_somebody() -> None:
    assert listed(*FLEET).needs_somebody
    assert not listed(*(one for one in FLEET if one.consent is None)).needs_somebody
    without = listed(PAIR, tp=TpCredential())
    assert without.needs_somebody
    assert without.next == "fleetdeploy listen"


def test_a_tp_token_that_works_needs_no_ticket_yet() -> None:
    tp = TpCredential(access_token="t", expires_at=NOW + HOUR, renewed_at=NOW)
    assert not listed(PAIR, tp=tp).needs_somebody


def test_an_empty_store_says_what_to_do() -> None:
    told = render_credential_list(listed(), Output.TEXT, PLAIN)
    assert told.startswith("no credentials of apps\n")
    assert told.endswith("next: fleetdeploy auth import FILE")


def test_a_token_that_does_not_tell_its_end_is_said_to_be_so() -> None:
    told = render_credential_list(listed(replace(PAIR, expires_at=None)), Output.TEXT, PLAIN)
    assert "not known" in told


REFUSED = ClientMustAct(
    "auth.consent_needed", "app 1: gone", hint="send", errno=50032, msg="没有\n授权"
)


def test_failures_come_first_and_each_hint_once() -> None:
    rows = [
        RotationRow(app_id="3", renewed=True, expires_at=instant(NOW + HOUR)),
        failed_row("2", REFUSED),
        failed_row("1", REFUSED),
    ]
    told = rotations(AT, rows)
    assert (told.renewed, told.failed) == (1, 2)
    assert render_rotations(told, Output.TEXT, PLAIN) == (
        "app 1 failed: app 1: gone [auth.consent_needed]\n"
        '  the platform: 50032 "没有 授权"\n'
        "app 2 failed: app 1: gone [auth.consent_needed]\n"
        '  the platform: 50032 "没有 授权"\n'
        "\n"
        "hint: send\n"
        "\n"
        "1 app renewed: 3; the first token ends in 1h 00m"
    )
    document = json.loads(render_rotations(told, Output.JSON, PLAIN))
    assert document["apps"][0]["error"]["errno"] == 50032


def test_a_rotation_of_nobody_says_so() -> None:
    assert render_rotations(rotations(AT, []), Output.TEXT, PLAIN) == "no apps"


def test_the_tp_token_is_told_beside_the_apps() -> None:
    tp = tp_row(TpCredential("t", NOW, "a", NOW + HOUR, NOW), NOW, ticket_in_settings=True)
    told = render_rotations(rotations(AT, [], tp), Output.TEXT, PLAIN)
    assert told == (
        "third-party platform: ticket 0s ago, ticket in the settings; token ends in 1h 00m"
    )


def test_an_error_of_ours_has_no_number_of_the_platform() -> None:
    row = failed_row("1", UsageInvalid("no", hint="yes"))
    assert row.error is not None
    assert (row.error.code, row.error.errno, row.hint) == ("usage.invalid", None, "yes")


def test_the_small_answers_are_told_in_both_forms() -> None:
    imported = Imported(apps=3, new=1, replaced=1, unchanged=1)
    removed = Removed(removed=("1",), unknown=("2",))
    link = ConsentLink(app_id=None, link="https://x.example/?a=b", expires_at=AT, next="n")
    texts = [
        render_imported(imported, Output.TEXT, PLAIN),
        render_removed(removed, Output.TEXT),
        render_link(link, Output.TEXT),
        render_key(StoreKey(key="k"), Output.TEXT),
        render_sealing(Sealing(sealed=True, credentials=1), Output.TEXT),
        render_sealing(Sealing(sealed=False, credentials=2), Output.TEXT),
    ]
    assert texts == [
        "credentials of 3 apps: 1 new, 1 replaced, 1 there already\n\nnext: fleetdeploy auth list",
        "removed: 1\nnothing was kept of: 2",
        "https://x.example/?a=b",
        "k",
        "1 credential sealed with the first key",
        "2 credentials open, not sealed",
    ]
    documents = [
        render_imported(imported, Output.JSON, PLAIN),
        render_removed(removed, Output.JSON),
        render_link(link, Output.JSON),
        render_key(StoreKey(key="k"), Output.JSON),
        render_sealing(Sealing(sealed=True, credentials=1), Output.JSON),
    ]
    assert all(json.loads(document)["schema_version"] == 1 for document in documents)


def test_a_key_and_a_link_are_in_no_repr() -> None:
    link = ConsentLink(app_id=None, link="marked", expires_at=AT, next="n")
    assert "marked" not in f"{StoreKey(key='marked')!r}{link!r}"
