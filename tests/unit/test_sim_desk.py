"""The desk: what is handed out, for how long it is good, and what came twice."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetdeploy.simulator import numbered
from fleetdeploy.simulator.api import Api
from fleetdeploy.simulator.behaviour import Authorization, Unsettled
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.desk import Pair, Reuse
from fleetdeploy.simulator.faults import Faults
from fleetdeploy.simulator.numbered import Numbered
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.simulator.world import World
from fleetdeploy.transport import Reply, Request
from tests.unit.sim_builders import (
    APP,
    CALM,
    exchange,
    get,
    make_world,
    oauth,
    refresh,
    retrieve,
    tp_get,
    tp_token,
    upload,
    without,
)

SHORT = {"token_lifetime_s": 60, "auth": {"refresh_token_lifetime_s": 1000}}
TP_TOKEN_PATH = "/public/2.0/smartapp/auth/tp/token"


def body_of(reply: Reply) -> dict[str, object]:
    body = json.loads(reply.body)
    assert isinstance(body, dict)
    return body


def said(world: World, request: Request, now: float = 0.0) -> dict[str, object]:
    return body_of(Api(world).handle(request, now))


def data_of(world: World, request: Request, now: float = 0.0) -> dict[str, object]:
    body = said(world, request, now)
    assert (body["errno"], body["msg"]) == (0, "success")
    data = body["data"]
    assert isinstance(data, dict)
    return data


def pair_of(world: World, request: Request, now: float = 0.0) -> Pair:
    body = said(world, request, now)
    assert set(body) == {"access_token", "refresh_token", "expires_in"}
    return Pair(str(body["access_token"]), str(body["refresh_token"]))


def oauth_error(world: World, request: Request, now: float = 0.0) -> object:
    reply = Api(world).handle(request, now)
    body = body_of(reply)
    assert reply.status == 400
    assert set(body) == {"error", "error_description"}
    return body["error"]


def ask_tp_token(client_id: str, ticket: str) -> Request:
    return Request("GET", TP_TOKEN_PATH, {"client_id": client_id, "ticket": ticket})


def test_a_ticket_makes_a_tp_token_of_the_documented_form() -> None:
    world = make_world()
    desk = world.desk
    data = data_of(world, ask_tp_token(desk.client_id, desk.ticket(0.0)))
    kind, digits, lifetime, expiry, _ = str(data["access_token"]).split(".")
    assert (kind, len(digits), lifetime) == ("42", 32, "2592000")
    assert int(expiry) == world.scenario.epoch_unix + 2592000
    assert data["expires_in"] == 2592000
    assert len(desk.client_id) == 32


def test_an_unknown_key_and_a_bad_ticket_are_told_apart() -> None:
    world = make_world()
    desk = world.desk
    assert said(world, ask_tp_token("nobody", desk.ticket(0.0)))["errno"] == 50002
    assert said(world, ask_tp_token(desk.client_id, "0" * 32))["errno"] == 50003
    assert said(world, ask_tp_token(desk.client_id, ""))["errno"] == 40001
    assert [violation.errno for violation in world.violations] == [40001]


def test_a_ticket_is_made_every_so_often_and_does_not_live_for_ever() -> None:
    world = make_world(platform={"auth": {"ticket_every_s": 600, "ticket_lifetime_s": 1200}})
    desk = world.desk
    first, second = desk.ticket(599.0), desk.ticket(600.0)
    assert first == desk.ticket(0.0) != second
    assert said(world, ask_tp_token(desk.client_id, first), 1199.0)["errno"] == 0
    assert said(world, ask_tp_token(desk.client_id, first), 1200.0)["errno"] == 50003
    assert said(world, ask_tp_token(desk.client_id, second), 1200.0)["errno"] == 0
    assert said(world, ask_tp_token(desk.client_id, desk.ticket(1800.0)), 1200.0)["errno"] == 50003


def test_a_ticket_that_comes_every_millisecond_is_found_as_fast() -> None:
    world = make_world(platform={"auth": {"ticket_every_s": 0.001, "ticket_lifetime_s": 0.01}})
    assert said(world, ask_tp_token(world.desk.client_id, "x"), 1e9)["errno"] == 50003


@pytest.mark.parametrize("voids", [True, False])
def test_a_new_tp_token_voids_the_old_one_if_the_switch_says_so(*, voids: bool) -> None:
    world = make_world(unsettled=Unsettled(new_tp_token_voids_old=voids))
    old, new = tp_token(world), tp_token(world)
    assert old != new
    assert said(world, tp_get(old, "tp/createpreauthcode")).get("error_code") == (
        110 if voids else None
    )
    assert said(world, tp_get(new, "tp/createpreauthcode"))["errno"] == 0


def test_a_tp_token_expires() -> None:
    world = make_world(platform={"auth": {"tp_token_lifetime_s": 100}})
    request = tp_get(tp_token(world), "tp/createpreauthcode")
    data = data_of(world, request, 99.0)
    assert (len(str(data["pre_auth_code"])), data["expires_in"]) == (32, 1200)
    assert said(world, request, 100.0)["error_code"] == 111


def test_tokens_of_the_wrong_kind_are_refused() -> None:
    world = make_world()
    token = tp_token(world)
    wrong_way = replace(get(world, "package/get"), query={"access_token": token})
    assert said(world, wrong_way)["error_code"] == 110
    for request in (
        tp_get(world.tokens[APP], "tp/createpreauthcode"),
        retrieve(world.tokens[APP]),
        refresh(world.tokens[APP], world.desk.refresh_token(APP)),
    ):
        assert said(world, request)["error_code"] == 110
    assert world.desk.refreshed == 0
    assert said(world, tp_get("", "tp/createpreauthcode"))["error_code"] == 100


def test_the_whitelist_holds_for_every_call() -> None:
    world = make_world(platform={"ip_whitelisted": False})
    token = tp_token(world)
    for request in (
        ask_tp_token(world.desk.client_id, world.desk.ticket(0.0)),
        tp_get(token, "tp/createpreauthcode"),
        refresh(token, world.desk.refresh_token(APP)),
        retrieve(token),
        get(world, "package/get"),
    ):
        assert said(world, request)["errno"] == 40008


def test_a_refresh_gives_a_new_pair_and_spends_the_token() -> None:
    world = make_world(platform=SHORT)
    token, first = tp_token(world), world.desk.pair(APP)
    pair = pair_of(world, refresh(token, first.refresh_token), 50.0)
    assert pair == world.desk.pair(APP) != first
    assert pair.refresh_token.startswith("46.")
    assert world.refusal_of(pair.access_token, 109.0) is None
    assert oauth_error(world, refresh(token, first.refresh_token), 51.0) == "expired_token"
    assert world.desk.reused == [Reuse(51.0, APP, "refresh_token", 0)]
    assert world.desk.pair(APP) == pair


def test_the_expiry_can_be_read_off_a_refresh_token() -> None:
    world = make_world(platform=SHORT)
    pair = pair_of(world, refresh(tp_token(world), world.desk.refresh_token(APP)), 50.0)
    assert pair.refresh_token.split(".")[2:4] == ["1000", str(world.scenario.epoch_unix + 1050)]


def test_an_expired_refresh_token_is_refused_and_then_counts_as_processed() -> None:
    world = make_world(platform=SHORT)
    token, old = tp_token(world), world.desk.refresh_token(APP)
    assert oauth_error(world, refresh(token, old), 1000.0) == "invalid_grant"
    assert world.desk.reused == []
    assert world.desk.refresh_token(APP) == ""
    assert oauth_error(world, refresh(token, old), 1001.0) == "expired_token"
    assert [reuse.nth for reuse in world.desk.reused] == [0]


@pytest.mark.parametrize(
    "text", ["x", "", "46", "46.1.2.3.4", "46." + "0" * 32 + ".1.2." + "0" * 12, "é" * 44]
)
def test_what_nobody_wrote_is_nobodys(text: str) -> None:
    world = make_world()
    token = tp_token(world)
    expected = "invalid_grant" if text else "invalid_request"
    assert oauth_error(world, refresh(token, text)) == expected
    assert oauth_error(world, exchange(token, text)) == expected
    assert world.desk.reused == []


def test_a_refresh_token_that_was_tampered_with_spends_nothing() -> None:
    world = make_world()
    token, good = tp_token(world), world.desk.refresh_token(APP)
    longer = good.replace(".315360000.", ".999999999.")
    assert longer != good
    assert oauth_error(world, refresh(token, longer)) == "invalid_grant"
    assert world.desk.reused == []
    pair_of(world, refresh(token, good))


def test_a_token_of_an_earlier_world_of_the_same_seed_is_unknown() -> None:
    earlier, later = make_world(), make_world()
    token = tp_token(earlier)
    spent = pair_of(earlier, refresh(token, earlier.desk.refresh_token(APP))).refresh_token
    assert oauth_error(later, refresh(tp_token(later), spent)) == "invalid_grant"
    code = earlier.consent(APP, 0.0)
    assert oauth_error(later, exchange(tp_token(later), code)) == "invalid_grant"
    assert later.desk.reused == []


def test_a_code_is_recovered_exchanged_and_then_spent() -> None:
    world = make_world()
    token, lost = tp_token(world), world.desk.refresh_token(APP)
    data = data_of(world, retrieve(token))
    assert data["expires_in"] == 18000
    code = str(data["authorization_code"])
    assert world.desk.refresh_token(APP) == lost
    pair = pair_of(world, exchange(token, code), 17999.0)
    assert world.desk.pair(APP) == pair
    assert oauth_error(world, refresh(token, lost), 17999.0) == "invalid_grant"
    assert world.desk.reused == []
    assert oauth_error(world, exchange(token, code), 17999.0) == "invalid_grant"
    assert world.desk.reused == [Reuse(17999.0, APP, "code", 1)]
    assert oauth_error(world, refresh(token, lost), 18000.0) == "expired_token"
    assert world.desk.reused_count == 2


def test_each_recovered_code_is_another_and_lives_its_time() -> None:
    world = make_world()
    token = tp_token(world)
    first, second = (str(data_of(world, retrieve(token))["authorization_code"]) for _ in "ab")
    assert first != second
    assert oauth_error(world, exchange(token, first), 18000.0) == "invalid_grant"
    assert oauth_error(world, exchange(token, first), 18000.0) == "invalid_grant"
    assert [reuse.nth for reuse in world.desk.reused] == [1]


@pytest.mark.parametrize("voids", [True, False])
def test_a_recovered_code_ends_the_pair_at_once_if_the_switch_says_so(*, voids: bool) -> None:
    world = make_world(unsettled=Unsettled(recovered_code_voids_pair=voids))
    token, pair = tp_token(world), world.desk.pair(APP)
    said(world, retrieve(token))
    refusal = world.refusal_of(pair.access_token, 0.0)
    assert (refusal is not None) == voids
    assert (world.desk.refresh_token(APP) == "") == voids
    if voids:
        assert oauth_error(world, refresh(token, pair.refresh_token)) == "invalid_grant"
        assert world.desk.reused == []


def test_a_withdrawn_authorization_ends_pair_and_codes_until_a_new_consent() -> None:
    world = make_world()
    token, pair = tp_token(world), world.desk.pair(APP)
    code = str(data_of(world, retrieve(token))["authorization_code"])
    world.change(APP, authorization=Authorization.WITHDRAWN)
    assert said(world, retrieve(token))["errno"] == 50032
    assert said(world, get(world, "package/get"))["errno"] == 50032
    assert oauth_error(world, refresh(token, pair.refresh_token)) == "invalid_grant"
    assert oauth_error(world, exchange(token, code)) == "invalid_grant"
    assert world.desk.reused == []
    fresh = world.consent(APP, 10.0)
    assert world.desk.refresh_token(APP) == ""
    assert pair_of(world, exchange(token, fresh), 3609.0) == world.desk.pair(APP)


def test_a_pair_from_before_the_withdrawal_does_not_come_back_with_the_consent() -> None:
    world = make_world(authorization="withdrawn")
    token, old = tp_token(world), world.desk.refresh_token(APP)
    world.consent(APP, 0.0)
    assert oauth_error(world, refresh(token, old)) == "invalid_grant"


def test_an_app_without_the_scope_still_gets_its_tokens() -> None:
    world = make_world(authorization="no_scope")
    token = tp_token(world)
    pair_of(world, refresh(token, world.desk.refresh_token(APP)))
    assert "authorization_code" in data_of(world, retrieve(token))


def test_an_app_that_nobody_knows_has_no_relation() -> None:
    world = make_world()
    token = tp_token(world)
    assert said(world, retrieve(token, "999"))["errno"] == 50032
    assert said(world, retrieve(token, "x"))["errno"] == 40001


def test_malformed_oauth_calls_are_told_in_its_own_words() -> None:
    world = make_world()
    token = tp_token(world)
    assert oauth_error(world, oauth(token, "password")) == "unsupported_grant_type"
    assert oauth_error(world, oauth(token, "refresh_token")) == "invalid_request"
    assert world.ledger.violation_count == 2
    post = replace(refresh(token, "x"), method="POST")
    assert said(world, post)["errno"] == 501


def test_a_request_that_was_throttled_or_lost_spends_nothing() -> None:
    world = make_world(platform={"rate_limit": {"per_second": 1}})
    request = refresh(tp_token(world), world.desk.refresh_token(APP))
    script = {"endpoints": {"refresh_token": {"request_lost": 1.0}}, "max_consecutive": 1}
    scenario = world.scenario.changed({"faults": script})
    api = Api(world, Faults(scenario.faults))
    lost = api.deliver(request, 0.0)
    assert (lost.reply, lost.app_id, lost.endpoint) == (None, APP, "refresh_token")
    assert api.deliver(get(world, "package/get"), 0.0).reply is not None
    throttled = api.deliver(request, 0.5).reply
    assert throttled is not None
    assert body_of(throttled)["error_code"] == 18
    assert api.deliver(request, 1.5).reply is None
    assert (world.desk.refreshed, world.desk.reused) == (0, [])
    assert api.deliver(request, 3.0).reply is not None
    assert (world.desk.refreshed, world.desk.reused) == (1, [])


def test_a_lost_answer_spends_the_token_and_a_second_try_is_on_the_books() -> None:
    world = make_world()
    token, old = tp_token(world), world.desk.refresh_token(APP)
    script = world.scenario.changed({"faults": {"rates": {"answer_lost": 1.0}}}).faults
    api = Api(world, Faults(script))
    assert api.deliver(refresh(token, old), 0.0).reply is None
    assert world.desk.refreshed == 1
    api.deliver(refresh(token, old), 1.0)
    assert [(reuse.app_id, reuse.nth) for reuse in world.desk.reused] == [(APP, 0)]


def test_faults_know_the_app_of_a_token_call_where_it_can_be_known() -> None:
    world = make_world()
    api, token = Api(world), tp_token(world)
    code = world.consent(APP, 0.0)
    asked = [
        refresh(token, world.desk.refresh_token(APP)),
        exchange(token, code),
        retrieve(token),
        retrieve(token, "999"),
        refresh(token, "x"),
        tp_get(token, "tp/createpreauthcode"),
        ask_tp_token("", ""),
    ]
    assert [api.deliver(request, 0.0).app_id for request in asked] == [APP] * 3 + [""] * 4
    assert world.traffic.by_endpoint == {
        "refresh_token": 2,
        "exchange_code": 1,
        "retrieve_code": 2,
        "pre_auth_code": 1,
        "tp_token": 1,
    }


def test_tokens_live_by_the_clock_of_the_wire() -> None:
    """In a world that runs fast-forward an hour of a token is still an hour of the client's."""
    world = make_world(platform={"token_lifetime_s": 3600})
    api = Api(world)
    reply = api.deliver(get(world, "package/get"), 36_000.0, wire_now=3599.0).reply
    assert reply is not None
    assert body_of(reply)["errno"] == 0
    reply = api.deliver(get(world, "package/get"), 36_010.0, wire_now=3600.0).reply
    assert reply is not None
    assert body_of(reply)["error_code"] == 111


def test_tp_tokens_can_be_voided_all_at_once() -> None:
    world = make_world()
    token = tp_token(world)
    world.desk.void_tp_tokens()
    assert said(world, tp_get(token, "tp/createpreauthcode"))["error_code"] == 110


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["refresh", "exchange", "retrieve"]), st.integers(0, 9))))
def test_whatever_comes_works_once_and_every_repeat_is_on_the_books(
    moves: list[tuple[str, int]],
) -> None:
    """Held against the plainest model there is: what works now, and what was presented."""
    world = make_world()
    desk = world.desk
    live, refresh_tokens, codes = desk.refresh_token(APP), [desk.refresh_token(APP)], [""]
    presented: set[str] = set()
    repeats = 0
    for what, choice in moves:
        if what == "retrieve":
            codes.append(str(desk.retrieve(APP, 0.0)))
            continue
        texts = refresh_tokens if what == "refresh" else codes
        text = texts[-1 - choice % len(texts)]
        ought = text == live if what == "refresh" else text not in presented | {""}
        repeats += text in presented
        answer = desk.refresh(text, 0.0) if what == "refresh" else desk.exchange(text, 0.0)
        assert isinstance(answer, Pair) == ought
        presented |= {text} - {""}
        if isinstance(answer, Pair):
            live = answer.refresh_token
            refresh_tokens.append(live)
        assert desk.refresh_token(APP) == live
        assert desk.reused_count == repeats
    assert world.desk.refreshed + world.desk.exchanged == len(refresh_tokens) - 1


def test_the_keys_of_the_pushes_are_in_no_repr() -> None:
    rules = Scenario().auth
    text = repr(Scenario()) + repr(rules)
    assert rules.push_token not in text
    assert rules.push_aes_key not in text


def test_the_report_counts_and_names_no_secret() -> None:
    world = make_world()
    token = tp_token(world)
    secrets = [token, world.desk.ticket(0.0), world.desk.refresh_token(APP), world.tokens[APP]]
    said(world, refresh(token, secrets[2]))
    said(world, refresh(token, secrets[2]))
    code = str(data_of(world, retrieve(token))["authorization_code"])
    said(world, exchange(token, code))
    text = json.dumps(report(world)) + repr(world.desk.pair(APP)) + repr(world.desk._accounts)
    assert report(world)["credentials"] == {
        "tp_tokens": 1,
        "refreshed": 1,
        "exchanged": 1,
        "retrieved": 1,
        "reused": 1,
    }
    for secret in [*secrets, code, world.desk.refresh_token(APP)]:
        assert secret not in text


def test_the_desk_keeps_nothing_of_apps_that_nobody_asked_for() -> None:
    world = World.from_scenario(Scenario(), [str(number) for number in range(2000)])
    api = Api(world)
    api.deliver(Request("GET", "/rest/2.0/smartapp/app/info", {"access_token": "x"}), 0.0)
    assert (world.desk._accounts, world._apps) == ({}, {})
    assert len(world.pairs()) == 2000


def test_access_tokens_of_a_long_night_do_not_pile_up() -> None:
    world = make_world(platform=SHORT)
    token = tp_token(world)
    for minute in range(100):
        pair_of(world, refresh(token, world.desk.refresh_token(APP)), 60.0 * minute)
    assert len(world._grants) < 20
    assert len(world.desk._accounts[APP].unseen) == 0


def test_the_same_seed_hands_out_the_same_and_names_nobody() -> None:
    first, second = make_world(), make_world()
    assert first.desk.pair(APP) == second.desk.pair(APP)
    assert first.consent(APP, 0.0) == second.consent(APP, 0.0)
    assert tp_token(first) == tp_token(second)
    assert APP not in first.desk.refresh_token(APP) + first.consent(APP, 0.0)
    other = World.from_scenario(Scenario(seed=1, behaviour=CALM), [APP])
    assert other.desk.client_id != first.desk.client_id


def test_a_copy_of_a_world_goes_its_own_way() -> None:
    world = make_world(audit_s=(1.0, 1.0))
    Api(world).handle(upload(world), 0.0)
    copied = deepcopy(world)
    token = tp_token(copied)
    pair_of(copied, refresh(token, copied.desk.refresh_token(APP)))
    copied.submit_audit(APP, 1_000_000, "", 10.0)
    list(copied.pushes_due(100.0))
    assert (world.desk.refreshed, world.pushes.made) == (0, 0)
    assert [push.event for push in copied.pushes.kept] == ["ticket", "PACKAGE_AUDIT_PASS"]


@pytest.mark.parametrize("place", [Numbered(0, 0), Numbered(2**24 - 1, 2**24 - 1), Numbered(7, 3)])
def test_a_numbered_text_is_known_again_and_only_for_its_kind(place: Numbered) -> None:
    chance = Chance(3)
    text = numbered.write(chance, "code", place)
    assert len(text) == 44
    assert numbered.read(chance, "code", text) == place
    assert numbered.read(chance, "refresh_token", text) is None
    assert numbered.read(Chance(4), "code", text) is None
    assert numbered.read(chance, "code", text[:-1]) is None
    assert numbered.read(chance, "code", text[:-1] + ("0" if text[-1] != "0" else "1")) is None


def test_a_form_without_the_app_is_refused() -> None:
    world = make_world()
    assert said(world, without(retrieve(tp_token(world)), "app_id"))["errno"] == 40001
