"""What a plan notes beforehand, and that notes decide nothing."""

from collections import deque
from dataclasses import dataclass, field, replace

import pytest

from fleetdeploy.cli.preflight import PATIENCE_S, preflight, read_library
from fleetdeploy.cli.render.plan import render_plan
from fleetdeploy.cli.render.style import PLAIN, Output
from fleetdeploy.core.credentials import Consent
from fleetdeploy.core.plan import Plan, PlanNote, check_digest, seal
from fleetdeploy.core.targets import Target
from fleetdeploy.errors import AnswerLost, PlatformError, StateUnusable
from fleetdeploy.model import Template
from fleetdeploy.ports import TemplatePage
from tests.builders import HOSTILE, make_plan
from tests.unit.auth_builders import APP, TP_REFUSED, Desk, Office, office
from tests.unit.core_builders import make_bundle, make_target

LOST = AnswerLost("transport.timeout", "the platform did not answer in time")


@dataclass
class Shelf(Desk):
    """A desk whose library has these templates, so many on a page."""

    templates_there: list[str] = field(default_factory=lambda: ["754"])
    on_page: int = 200
    promised: int | None = None

    async def templates(self, tp_token: str, page: int) -> TemplatePage:
        await self._enter("templates", tp_token)
        rows = self.templates_there[(page - 1) * self.on_page : page * self.on_page]
        return TemplatePage(tuple(map(Template, rows)), self.promised)


def target(template_id: str = "754", app_id: str = APP) -> Target:
    return make_target(app_id, replace(make_bundle(), template_id=template_id))


async def noted(at: Office, *targets: Target, ours: bool = True) -> list[str]:
    notes = await preflight(at.credentials, targets, at.wall.now(), ours=ours)
    return [f"{note.code}: {note.message} {list(note.app_ids)}" for note in notes]


@pytest.mark.anyio
async def test_a_library_that_has_all_templates_costs_one_call_and_no_note() -> None:
    async with office(Shelf()) as at:
        await at.credentials.tp.token()
        assert await noted(at, target(), target(app_id="101")) == []
        assert at.desk.calls == ["tp_token", "templates"]


@pytest.mark.anyio
async def test_a_template_that_is_missing_is_noted_after_a_look_at_the_end() -> None:
    async with office(Shelf(on_page=1, templates_there=["1", "2"])) as at:
        await at.credentials.tp.token()
        assert await noted(at, target("2"), target("755", "101")) == [
            "platform.template_gone: template 755 is not in the library ['101']"
        ]
        assert at.desk.calls.count("templates") == 3


@pytest.mark.anyio
async def test_no_token_is_made_just_for_a_note() -> None:
    async with office(Shelf()) as at:
        (said,) = await noted(at, target())
        assert at.desk.calls == []
    assert said.startswith("preflight.unknown: whether the templates exist could not be checked")
    assert "no token" in said


@pytest.mark.anyio
@pytest.mark.parametrize("error", [LOST, TP_REFUSED], ids=["lost", "refused twice"])
async def test_whatever_the_platform_says_is_a_note(error: PlatformError) -> None:
    desk = Shelf(errors={"templates": deque([error, error])})
    async with office(desk) as at:
        await at.credentials.tp.token()
        (said,) = await noted(at, target())
    assert said.startswith("preflight.unknown")


@pytest.mark.anyio
async def test_a_refused_token_is_replaced_once() -> None:
    desk = Shelf(errors={"templates": deque([TP_REFUSED])})
    async with office(desk) as at:
        await at.credentials.tp.token()
        assert await noted(at, target()) == []
        assert desk.calls == ["tp_token", "templates", "tp_token", "templates"]


@pytest.mark.anyio
async def test_a_plan_does_not_wait_long_for_a_note() -> None:
    async with office(Shelf()) as at:
        await at.credentials.tp.token()
        at.desk.takes_s = 10 * PATIENCE_S
        before = at.wall.unix()
        (said,) = await noted(at, target())
        assert at.wall.unix() - before == pytest.approx(PATIENCE_S)
    assert "did not answer in time" in said


@pytest.mark.anyio
async def test_a_library_without_end_is_left_after_some_pages() -> None:
    endless = Shelf(on_page=1, templates_there=[str(number) for number in range(1000)])
    async with office(endless) as at:
        library = await read_library(at.credentials, frozenset({"754"}))
    assert not library.complete
    assert endless.calls.count("templates") == 5


@pytest.mark.anyio
async def test_apps_that_wait_for_their_client_are_noted_without_a_call() -> None:
    async with office(Shelf()) as at:
        await at.credentials.tp.token()
        consent = Consent(at.wall.unix(), confirmed=False, checked_at=at.wall.unix())
        await at.store.change_app(APP, lambda known: replace(known, consent=consent))
        (said,) = await noted(at, target(), target(app_id="101"))
        assert said.startswith("auth.consent_needed")
        assert said.endswith(f"['{APP}']")
        assert await noted(at, target(), ours=False) == []
        assert at.desk.calls == ["tp_token", "templates", "templates"]


@pytest.mark.anyio
async def test_a_store_that_fails_is_a_note_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> tuple[()]:
        raise StateUnusable("cannot read credentials.db: Input/output error")

    async with office(Shelf()) as at:
        await at.credentials.tp.token()
        monkeypatch.setattr(at.store, "apps", fail)
        (said,) = await noted(at, target())
    assert said.startswith("preflight.unknown: who waits for a client")


# --- notes in a plan ---


OLD_PLAN = (
    r'{"schema_version":1,"run_id":"20261124-0307-k3f9","run_kind":"rollout","tool_ver'
    r'sion":"0.1.0","created_at":"2026-11-24T03:07:00Z","manifest":{"name":"storefront'
    r'","path":"shop.yaml","digest":"52b1c0ff"},"until":"released","rules":{"skip_unch'
    r'anged":true,"wait_for_foreign":false,"max_failures":"5%","failures_allowed":1,"r'
    r'equests_per_second":10.0,"in_flight":32,"endpoints":{}},"waves":["all"],"apps":['
    r'{"app_id":"100000282","name":"Hot Pot House","labels":{},"wave":"all","template_'
    r'id":"754","version":"10.30.0.3","description":"autumn [fd:0123456789]","ext_json'
    r'":"{\"extAppid\":\"100000282\",\"extEnable\":true}","fingerprint":"0123456789","'
    r'audit_content":"routine","audit_remark":"agency","direct_commit":false,"action":'
    r'"upload","start":"upload","reason":"nothing is online yet","package_id":null,"on'
    r'line":null,"changed":null,"unknown":[],"error":null,"in_doubt_before":false}],"d'
    r'igest":"19d2cb7c3d798fd701a702b54f2a7865df80e61c97e2f9dd4789179b946028c5"}'
)
NOTE = PlanNote(code="platform.template_gone", message="gone", app_ids=("1",), hint="choose")


def test_notes_do_not_count_in_the_digest() -> None:
    plan = make_plan(1)
    with_notes = seal(plan.model_copy(update={"notes": (NOTE,)}))
    assert with_notes.digest == plan.digest
    check_digest(with_notes, "here")


def test_a_plan_saved_before_there_were_notes_can_be_read() -> None:
    """Its digest is of that time: nothing that has come since may count in it."""
    plan = Plan.model_validate_json(OLD_PLAN)
    check_digest(plan, "here")
    assert plan.notes == ()


def test_notes_are_told_before_the_next_command() -> None:
    plan = make_plan(1, notes=(NOTE, PlanNote(code="preflight.unknown", message="not known")))
    text = render_plan(plan, Output.TEXT, PLAIN)
    assert text.endswith(
        "\n\nwarning: gone (1 app: 1)\n  hint: choose\nwarning: not known\n\n"
        "next: fleetdeploy run shop.yaml"
    )
    markdown = render_plan(plan, Output.MARKDOWN, PLAIN)
    assert "\n## Warnings\n\n- gone (1 app: `1`). choose\n- not known.\n\n" in markdown
    assert Plan.model_validate_json(render_plan(plan, Output.JSON, PLAIN)) == plan


def test_a_plan_without_notes_looks_as_before() -> None:
    assert "warning" not in render_plan(make_plan(1), Output.TEXT, PLAIN)
    assert "Warnings" not in render_plan(make_plan(1), Output.MARKDOWN, PLAIN)


def test_hostile_notes_do_no_harm() -> None:
    note = PlanNote(code=HOSTILE, message=HOSTILE, app_ids=(HOSTILE,), hint=HOSTILE)
    for output in (Output.TEXT, Output.MARKDOWN):
        assert "\x1b" not in render_plan(make_plan(1, notes=(note,)), output, PLAIN)
