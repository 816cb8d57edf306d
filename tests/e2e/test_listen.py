"""The receiver as a process of its own and inside a run: what is pushed to it, and by whom."""

import json
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
import pytest
from jsonschema import Draft202012Validator

from fleetdeploy.baidu.envelope import PushKeys
from fleetdeploy.baidu.events import PushReader
from fleetdeploy.cli.hearing import RENEW_EVERY_S, keep_tp_token
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.core.credentials import TpCredential
from fleetdeploy.errors import StateUnusable
from fleetdeploy.simulator.envelope import Seal, encrypt, envelope
from fleetdeploy.storage.memory_store import MemoryDisk, MemoryStore
from fleetdeploy.storage.notice_log import SqliteNoticeLog
from tests.e2e.stage import (
    LIMIT_S,
    QUICK,
    Command,
    Document,
    Result,
    Stage,
    assert_calm,
    assert_plain,
    open_stage,
)
from tests.e2e.test_auth import states
from tests.tidy import ROOT
from tests.unit.auth_builders import office

pytestmark = pytest.mark.slow

APPS: Final = 6
AUDITS: Final = {**QUICK, "audit_s": [70, 110]}
"""Four or five seconds, in which an app is looked at a dozen times if nothing is heard of it."""
FEW_LOOKS: Final = 10
"""Two before it is uploaded, some until the audit shows, one a verdict, one until it is online."""
LISTEN: Final = ("listen", "--port", "0")
CLIENTS: Final = 8
MANY: Final = 4000
NOBODY: Final = "a token that nobody gave him"


@contextmanager
def stage_that_hears(
    directory: Path,
    behaviour: Mapping[str, object] = QUICK,
    *,
    apps: int = APPS,
    push_list: bool = False,
) -> Iterator[Stage]:
    """A stage whose commands can open pushes and renew tokens, and have no ticket yet."""
    today = {
        "epoch_unix": int(time.time()),
        "behaviour": behaviour,
        "unsettled": {"push_list": push_list},
    }
    with open_stage(directory, today, apps=apps) as stage:
        desk = stage.platform.world.desk
        stage.tokens.unlink()
        stage.settings |= {
            "TOKENS_FILE": "",
            "TP_CLIENT_ID": desk.client_id,
            "PUSH_TOKEN": desk.rules.push_token,
            "PUSH_AES_KEY": desk.rules.push_aes_key,
        }
        yield stage


def body_of(
    stage: Stage, message: Mapping[str, object], *, token: str | None = None, age_s: float = 0.0
) -> bytes:
    """Seal and sign a message as the platform would, or as somebody who lacks the token."""
    rules = stage.platform.world.desk.rules
    seal = Seal(rules.push_token, rules.push_aes_key, str(rules.tp_app_id))
    sealed = encrypt(json.dumps(message), seal, b"sixteen letters.")
    return envelope(sealed, token or seal.token, str(int(time.time() - age_s)), "17")


def notice(number: int, app_id: str = "200000001") -> dict[str, object]:
    return {"appId": int(app_id), "event": "PACKAGE_AUDIT_PASS", "packageId": number}


@dataclass(frozen=True)
class Answer:
    """All that is told to whoever pushes, but the time of day."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def connection_to(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return HTTPConnection(parts.hostname, parts.port, timeout=LIMIT_S)


def post(url: str, body: bytes) -> Answer:
    """Push a body once, over a connection of its own."""
    connection = connection_to(url)
    connection.request("POST", urlsplit(url).path, body, {"content-type": "application/json"})
    reply = connection.getresponse()
    headers = tuple((name, value) for name, value in reply.getheaders() if name != "Date")
    answer = Answer(reply.status, headers, reply.read())
    connection.close()
    return answer


def ended(command: Command) -> Result:
    """End a receiver as a supervisor does."""
    command.signal(signal.SIGTERM)
    result = command.end()
    assert result.code == 0, result.err
    assert_calm(result)
    return result


def check_few_looks(stage: Stage) -> None:
    looks = stage.platform.looks()
    assert set(looks) == set(stage.app_ids)
    assert max(looks.values()) <= FEW_LOOKS, looks


def check_released(stage: Stage, result: Result) -> None:
    assert result.code == 0, result.err
    assert_calm(result)
    effects = stage.platform.effects()
    assert effects == dict.fromkeys(("upload", "submit_audit", "release"), len(stage.app_ids))
    stage.platform.check_lawful()


def test_pushes_to_a_process_of_its_own_wake_a_run_and_bring_its_ticket(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path, AUDITS) as stage:
        listen = stage.start(*LISTEN, "-o", "json")
        with stage.platform.pushing(listen.receiver()):
            listen.until(stage.platform.delivered)
            run = stage.run("run", stage.manifest())
            delivered = stage.platform.delivered()
        check_released(stage, run)
        check_few_looks(stage)
        told = ended(listen).document()
    schema = json.loads((ROOT / "fleetdeploy/schemas/listen.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(told)
    assert told["taken"] == delivered == APPS + 1
    assert (told["refused"], told["failed"], told["throttled"]) == (0, 0, 0)
    assert stage.platform.world.desk.tp_tokens == 1


def test_a_run_can_receive_the_pushes_itself(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path, AUDITS) as stage:
        stage.settings["TP_TICKET"] = stage.platform.world.desk.ticket_text(0)
        run = stage.start("run", stage.manifest(), "--listen", "127.0.0.1:0", "-v")
        with stage.platform.pushing(run.receiver()):
            result = run.end()
            delivered = stage.platform.delivered()
        check_released(stage, result)
        check_few_looks(stage)
    assert delivered == APPS + 1
    assert '"result": "taken"' in result.err


def test_whatever_is_wrong_with_a_push_gets_the_same_answer_and_one_line(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path) as stage:
        # An empty host must not mean every address of this machine.
        listen = stage.start(*LISTEN, "--host", "", LOG_FORMAT="console")
        url = listen.receiver()
        assert urlsplit(url).hostname == "127.0.0.1"
        good = body_of(stage, notice(1))
        wrong = {
            "signature": body_of(stage, notice(2), token=NOBODY),
            "stale": body_of(stage, notice(3), age_s=7200),
            "malformed": b"{" * 1000,
            "too_large": b" " * 70_000,
        }
        answers = {reason: post(url, body) for reason, body in wrong.items()}
        taken = [post(url, good), post(url, good)]
        result = ended(listen)
    assert answers == dict.fromkeys(wrong, Answer(403, answers["stale"].headers, b"refused\n"))
    assert [(answer.status, answer.body) for answer in taken] == [(200, b"success")] * 2
    line = re.compile(r"\S+Z info {4}pushed result=refused reason=(\S+)")
    logged = [found[1] for found in map(line.fullmatch, result.err.splitlines()) if found]
    assert logged == list(wrong)
    assert len(result.err.splitlines()) == len(wrong) + 2, result.err
    assert_plain(result)
    assert "pushes taken      2\n       refused    4 (" in result.out


def test_what_is_under_way_at_a_signal_is_taken_and_counted(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path, apps=1) as stage, ThreadPoolExecutor(1) as sender:
        listen = stage.start(*LISTEN, "-o", "json")
        url = listen.receiver()
        with closing(sqlite3.connect(stage.state / "notices.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = sender.submit(post, url, body_of(stage, notice(1)))
            listen.until(lambda: health(url)["under_way"])
            listen.signal(signal.SIGTERM)
            listen.until(lambda: "finishing what is under way" in listen.err())
            other.execute("ROLLBACK")
        told = listen.end().document()
        # On a machine that is slow enough it was answered before the disk was done.
        assert answer.result().body in {b"success", b"not now\n"}
    assert told["taken"] == 1


def health(url: str) -> Document:
    connection = connection_to(url)
    connection.request("GET", "/health")
    shown: Document = json.loads(connection.getresponse().read())
    connection.close()
    return shown


def push_until_killed(url: str, bodies: list[bytes]) -> list[bytes]:
    """Push one after the other; return those that were answered with success."""
    connection, taken = connection_to(url), []
    try:
        for body in bodies:
            connection.request("POST", "/push", body)
            reply = connection.getresponse()
            if (reply.status, reply.read()) == (200, b"success"):
                taken.append(body)
    except (OSError, HTTPException):
        pass
    finally:
        connection.close()
    return taken


@dataclass(frozen=True)
class Kept:
    """What the log of notices knows of some pushes, and how many notices it holds."""

    known: int
    notices: int


def kept(stage: Stage, bodies: list[bytes]) -> Kept:
    """Read the log as any process of the state directory would."""
    rules = stage.platform.world.desk.rules
    reader = PushReader(PushKeys(rules.push_token, rules.push_aes_key), 3600.0)
    keys = [reader.open(body, time.time()).key for body in bodies]

    async def look() -> Kept:
        with SqliteNoticeLog.open(stage.state, SystemClock()) as log:
            known = sum([await log.knows(key) for key in keys])
            return Kept(known, len(await log.since(0)))

    return anyio.run(look)


def test_what_was_answered_with_success_outlives_a_kill(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path, apps=1) as stage:
        bodies = [body_of(stage, notice(number)) for number in range(1, MANY + 1)]
        listen = stage.start(*LISTEN)
        url = listen.receiver()
        shares = [bodies[client::CLIENTS] for client in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            pushed = [clients.submit(push_until_killed, url, share) for share in shares]
            listen.until(lambda: int(str(health(url)["taken"])) >= MANY // 10)
            listen.kill()
        taken = [body for one in pushed for body in one.result()]
        assert MANY // 10 <= len(taken) < MANY
        assert kept(stage, taken).known == len(taken)

        again = stage.start(*LISTEN, "-o", "json")
        repeated = bodies[: MANY // 4]
        assert push_until_killed(again.receiver(), repeated) == repeated
        assert ended(again).document()["taken"] == len(repeated)
        both = list(dict.fromkeys([*taken, *repeated]))
        after = kept(stage, both)
    assert after.known == len(both)
    # At most what was on disk and not yet answered, one of each client.
    assert len(both) <= after.notices <= len(both) + CLIENTS


def test_a_code_that_is_pushed_is_exchanged_before_its_minute_is_over(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path, apps=2) as stage:
        platform, app_id = stage.platform, stage.app_ids[0]
        listen = stage.start(*LISTEN)
        with platform.pushing(listen.receiver()):
            listen.until(platform.delivered)
            platform.change(app_id, authorization="withdrawn")
            listen.until(lambda: platform.delivered() == 2)
            platform.change(app_id, authorization="granted")
            desk = platform.world.desk
            listen.until(lambda: desk.exchanged)
            listen.until(lambda: states(stage) == {app_id: "ready"})
            ended(listen)
    assert (desk.exchanged, desk.retrieved, desk.refreshed) == (1, 0, 0)
    assert desk.reused_count == 0


class FailsOnce(MemoryStore):
    """The first change of the platform's own credential finds the disk full."""

    failures = 1

    async def change_tp(self, change: Callable[[TpCredential], TpCredential]) -> TpCredential:
        if self.failures:
            self.failures -= 1
            raise StateUnusable("no room")
        return await super().change_tp(change)


@pytest.mark.anyio
async def test_a_disk_that_is_full_for_a_moment_does_not_end_the_receiver() -> None:
    store = FailsOnce(MemoryDisk(), "one")
    async with office(store=store) as here, anyio.create_task_group() as tasks:
        tasks.start_soon(keep_tp_token, here.credentials)
        await anyio.sleep(RENEW_EVERY_S / 2)
        assert await store.tp() == TpCredential()
        await anyio.sleep(RENEW_EVERY_S)
        assert (await store.tp()).access_token
        tasks.cancel_scope.cancel()


def damage_the_end(log: Path) -> None:
    """Overwrite the page that knows how many notices there ever were, and no other."""
    with closing(sqlite3.connect(log)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_sequence'"
        (page,) = connection.execute(query).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with log.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_a_run_goes_on_without_a_log_whose_end_cannot_be_read(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path, apps=1) as stage:
        stage.settings["TP_TICKET"] = stage.platform.world.desk.ticket_text(0)
        stage.state.mkdir(mode=0o700)
        kept(stage, [])
        damage_the_end(stage.state / "notices.db")
        run = stage.run("run", stage.manifest())
        check_released(stage, run)
        listen = stage.run(*LISTEN)
    assert "notices: " in run.err
    assert "notices.db is damaged" in run.err
    assert listen.code == 1
    assert_calm(listen)


def check_refused(stage: Stage, told: list[str], *commands: list[str]) -> None:
    """Check that each of some commands is a misuse that is explained, and sends nothing."""
    results = stage.several(*commands)
    for result, text in zip(results, told, strict=True):
        assert result.code == 2, result.err
        assert text in result.err
        assert_calm(result)
        assert_plain(result)
    assert stage.platform.calls() == 0
    assert stage.run_ids() == []


def test_a_receiver_that_cannot_be_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with stage_that_hears(tmp_path, apps=1, push_list=True) as stage, socket.socket() as taken:
        stage.settings["TP_TICKET"] = stage.platform.world.desk.ticket_text(0)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = ["run", stage.manifest()]
        cannot = f"cannot listen on 127.0.0.1 port {port}: "
        told = {
            cannot: ["listen", "--port", port],
            f"{cannot}[": [*run, "--listen", f"127.0.0.1:{port}"],
            "cannot listen on 192.0.2.1 port 0": ["listen", "--host", "192.0.2.1", "--port", "0"],
            "'nowhere' is no address to listen on": [*run, "--listen", "nowhere"],
            "is no address to listen": [*run, "--listen", "9" * 5000],
            "--no-wait does not": [*run, "--listen", "127.0.0.1:0", "--no-wait"],
            "is not in the range": ["listen", "--port", "65536"],
        }
        check_refused(stage, list(told), *told.values())
        stage.settings |= {"PUSH_TOKEN": "", "PUSH_AES_KEY": ""}
        neither = "FLEETDEPLOY_PUSH_TOKEN and FLEETDEPLOY_PUSH_AES_KEY not set"
        check_refused(stage, [neither] * 2, ["listen"], [*run, "--listen", "127.0.0.1:0"])
