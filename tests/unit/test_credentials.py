"""What to do with a credential next: nothing is spent twice, nothing is given up too soon."""

from dataclasses import replace

import pytest

from fleetdeploy.core.credentials import (
    CONSENT_RECHECK_S,
    EARLY_MAX_S,
    LEAST_MAX_S,
    AppCredential,
    Freshness,
    Intent,
    Rotation,
    TpCredential,
    app_freshness,
    awaits_consent,
    choose,
    claim,
    expiry_of,
    has_code,
    imported,
    is_held,
    let_go,
    need_consent,
    renew_tp,
    succeed,
    take_code,
    take_ticket,
    tp_freshness,
)
from fleetdeploy.model import AuthorizationCode, Grant, Ticket

NOW = 1_000_000.0
PAIR = AppCredential(
    "100", access_token="access", expires_at=NOW + 3600, refresh_token="refresh", renewed_at=NOW
)
INTENT = Intent(Rotation.REFRESH, "me", NOW)
GRANT = Grant("access 2", 3600.0, "refresh 2")
CODE = AuthorizationCode("100", "code", 60.0)


@pytest.mark.parametrize(
    ("left_s", "lifetime_s", "expected"),
    [
        (3600, 3600, Freshness.GOOD),
        (EARLY_MAX_S + 1, 3600, Freshness.GOOD),
        (EARLY_MAX_S, 3600, Freshness.DUE),
        (LEAST_MAX_S + 1, 3600, Freshness.DUE),
        (LEAST_MAX_S, 3600, Freshness.STALE),
        (0, 3600, Freshness.STALE),
        (-5, 3600, Freshness.STALE),
        (8, 10, Freshness.GOOD),
        (2.5, 10, Freshness.DUE),
        (1, 10, Freshness.STALE),
        (86_400, 30 * 86_400, Freshness.GOOD),
    ],
)
def test_a_token_is_judged_by_what_it_has_left(
    left_s: float, lifetime_s: float, expected: Freshness
) -> None:
    credential = replace(PAIR, expires_at=NOW + left_s, renewed_at=NOW + left_s - lifetime_s)
    assert app_freshness(credential, NOW) is expected
    tp = TpCredential(
        access_token="t", expires_at=credential.expires_at, renewed_at=credential.renewed_at
    )
    assert tp_freshness(tp, NOW) is expected


def test_without_a_token_there_is_nothing_fresh_and_without_an_end_everything_is() -> None:
    assert app_freshness(AppCredential("100"), NOW) is Freshness.STALE
    assert app_freshness(replace(PAIR, expires_at=None), NOW + 1e9) is Freshness.GOOD


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("45.0123456789abcdef.3600.1577808000.x", 1577808000.0),
        ("42.ff.2592000.1577808000.a.b", 1577808000.0),
        ("opaque", None),
        ("45.ff.3600.soon.x", None),
        ("45.ff.3600.15778080001577808000.x", None),
        ("45.ff.x.1577808000.x", None),
        ("", None),
    ],
)
def test_a_token_tells_its_end_if_it_has_the_usual_shape(
    token: str, expected: float | None
) -> None:
    assert expiry_of(token) == expected


def test_a_code_goes_first_then_the_refresh_token_then_only_recovery_is_left() -> None:
    assert choose(take_code(PAIR, CODE, NOW), NOW) is Rotation.EXCHANGE
    assert choose(PAIR, NOW) is Rotation.REFRESH
    assert choose(replace(PAIR, refresh_token=""), NOW) is Rotation.RECOVER
    assert choose(AppCredential("100"), NOW) is Rotation.RECOVER


def test_a_code_that_is_over_is_not_sent() -> None:
    late = take_code(PAIR, CODE, NOW)
    assert has_code(late, NOW + 59.0)
    assert not has_code(late, NOW + 60.0)
    assert choose(late, NOW + 60.0) is Rotation.REFRESH


def test_a_refresh_token_in_doubt_is_never_chosen_again() -> None:
    """A kill between the intent and the pair: the token may be spent."""
    doubted = claim(PAIR, INTENT)
    assert choose(doubted, NOW) is Rotation.RECOVER
    recovering = claim(doubted, Intent(Rotation.RECOVER, "you", NOW))
    assert recovering.refresh_token == ""
    assert choose(let_go(recovering), NOW) is Rotation.RECOVER


def test_a_refresh_of_which_nothing_arrived_may_be_sent_again() -> None:
    assert let_go(claim(PAIR, INTENT)) == PAIR


def test_a_code_is_given_away_with_its_intent() -> None:
    claimed = claim(take_code(PAIR, CODE, NOW), Intent(Rotation.EXCHANGE, "me", NOW))
    assert not has_code(claimed, NOW)
    assert choose(claimed, NOW) is Rotation.RECOVER


def test_a_code_that_comes_after_a_doubt_settles_it() -> None:
    doubted = take_code(claim(PAIR, INTENT), CODE, NOW)
    assert choose(doubted, NOW) is Rotation.EXCHANGE


def test_a_new_pair_settles_everything_but_a_newer_code() -> None:
    credential = need_consent(claim(PAIR, INTENT), NOW, confirmed=False)
    renewed = succeed(credential, GRANT, NOW + 5)
    assert renewed == AppCredential(
        "100",
        access_token="access 2",
        expires_at=NOW + 3605,
        refresh_token="refresh 2",
        renewed_at=NOW + 5,
    )
    assert has_code(succeed(take_code(credential, CODE, NOW), GRANT, NOW), NOW)


def test_only_somebody_else_who_lives_holds_a_rotation() -> None:
    claimed = claim(PAIR, INTENT)
    assert is_held(claimed, "you", lambda _: True)
    assert not is_held(claimed, "you", lambda _: False)
    assert not is_held(claimed, "me", lambda _: True)
    assert not is_held(PAIR, "you", lambda _: True)


def test_a_withdrawal_is_believed_only_when_the_platform_confirms_it() -> None:
    pushed = need_consent(PAIR, NOW, confirmed=False)
    assert not awaits_consent(pushed, NOW)
    assert (pushed.access_token, pushed.refresh_token) == ("access", "refresh")
    confirmed = need_consent(pushed, NOW + 10, confirmed=True)
    assert awaits_consent(confirmed, NOW + 10)
    assert (confirmed.access_token, confirmed.refresh_token) == ("", "")
    assert confirmed.consent is not None
    assert (confirmed.consent.since, confirmed.consent.checked_at) == (NOW, NOW + 10)


def test_a_client_that_may_have_authorized_again_is_asked_about_now_and_then() -> None:
    gone = need_consent(PAIR, NOW, confirmed=True)
    assert awaits_consent(gone, NOW + CONSENT_RECHECK_S - 1)
    assert not awaits_consent(gone, NOW + CONSENT_RECHECK_S)
    # A clock that was set back must not shut a client out.
    assert not awaits_consent(gone, NOW - 1)
    assert not awaits_consent(take_code(gone, CODE, NOW), NOW)


def test_tickets_that_come_late_change_nothing() -> None:
    first = take_ticket(TpCredential(), Ticket("one", 100.0))
    second = take_ticket(first, Ticket("two", 200.0))
    assert (second.ticket, second.ticket_at) == ("two", 200.0)
    assert take_ticket(second, Ticket("one", 100.0)) == second
    assert take_ticket(second, Ticket("two", 200.0)) == second


def test_a_renewed_tp_token_keeps_the_ticket() -> None:
    known = take_ticket(TpCredential(), Ticket("one", 100.0))
    renewed = renew_tp(known, Grant("tp", 2_592_000.0), NOW)
    assert (renewed.ticket, renewed.access_token) == ("one", "tp")
    assert renewed.expires_at == NOW + 2_592_000.0


def test_what_is_imported_replaces_what_was_known() -> None:
    doubted = claim(PAIR, INTENT)
    brought = imported(doubted, "45.ff.3600.2000000000.x", "fresh", NOW)
    assert brought.intent is None
    assert brought.expires_at == 2_000_000_000.0
    assert choose(brought, NOW) is Rotation.REFRESH


def test_no_repr_shows_a_secret() -> None:
    secrets = ("access", "refresh", "code", "ticket")
    shown = [
        repr(replace(PAIR, code="code")),
        repr(TpCredential(ticket="ticket", access_token="access")),
        repr(GRANT),
        repr(CODE),
        repr(Ticket("ticket", 1.0)),
    ]
    for text in shown:
        assert not any(f"'{secret}" in text for secret in secrets), text
