"""The `auth` commands as people type them, against the simulated desk; no secret is ever told."""

import json
import os
import pty
import select
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen, run
from typing import Final

import pytest

from tests.e2e.stage import LIMIT_S, Result, Stage, assert_calm, assert_plain, open_stage

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "200000001", "200000002", "200000003"
LOST: Final = {"faults": {"rates": {"answer_lost": 0.3}}}
NO_TOKENS: Final = "45.marked-nobody.3600.1777641600.b"


@contextmanager
def stage_with_key(
    directory: Path, scenario: Mapping[str, object] | None = None, *, apps: int = 3
) -> Iterator[Stage]:
    """A stage whose commands keep tokens themselves; nothing is imported yet."""
    with open_stage(directory, scenario, apps=apps) as stage:
        desk = stage.platform.world.desk
        stage.tokens.unlink()
        stage.settings |= {
            "TOKENS_FILE": "",
            "TP_CLIENT_ID": desk.client_id,
            "TP_TICKET": desk.ticket_text(0),
        }
        yield stage


def write_private(stage: Stage, name: str, text: str) -> str:
    path = stage.directory / name
    path.touch(0o600)
    path.write_text(text, "utf-8")
    return str(path)


def export(stage: Stage, *app_ids: str) -> str:
    """Write the pairs of apps, as another tool would export them; of all if none is named."""
    pairs = stage.platform.portal.call(stage.platform.world.pairs)
    whole = {
        app_id: {"refresh_token": pair.refresh_token, "access_token": pair.access_token}
        for app_id, pair in pairs.items()
        if not app_ids or app_id in app_ids
    }
    return write_private(stage, "export.json", json.dumps(whole))


def consent(stage: Stage, app_id: str) -> str:
    world = stage.platform.world
    return stage.platform.portal.call(partial(world.consent, app_id, wire_now=0.0))


def states(stage: Stage) -> dict[str, str]:
    apps = stage.run("auth", "list", "-o", "json").document()["apps"]
    assert isinstance(apps, list)
    return {row["app_id"]: row["state"] for row in apps}


def check_refused(result: Result, code: int, told: str) -> None:
    assert result.code == code, result.err
    assert told in result.err
    assert_calm(result)
    assert_plain(result)


def reused(stage: Stage) -> int:
    """Return how many refresh tokens and codes came to the platform a second time."""
    return stage.platform.world.desk.reused_count


def test_what_was_imported_is_refreshed_and_carries_a_run(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        imported = stage.run("auth", "import", export(stage), "-o", "json")
        assert imported.document() == {
            "schema_version": 1,
            "apps": 3,
            "new": 3,
            "replaced": 0,
            "unchanged": 0,
        }
        again = stage.run("auth", "import", export(stage))
        assert again.out.startswith("credentials of 3 apps: 0 new, 0 replaced, 3 there already")
        refreshed = stage.run("auth", "refresh", "--all", "--tp", "-o", "json").document()
        assert (refreshed["renewed"], refreshed["failed"]) == (3, 0)
        assert states(stage) == dict.fromkeys(stage.app_ids, "ready")
        assert (stage.state / "credentials.db").stat().st_mode & 0o777 == 0o600
        assert stage.run("run", stage.manifest()).code == 0
        assert reused(stage) == 0
        stage.platform.check_lawful()


def test_an_import_never_undoes_a_rotation_unless_told_so(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        old = export(stage)
        assert stage.run("auth", "import", old).code == 0
        assert stage.run("auth", "refresh", FIRST).code == 0
        refused, replaced, listed = stage.several(
            ["auth", "import", old], ["auth", "import", old, "--replace"], ["auth", "list"]
        )
        check_refused(
            refused,
            2,
            f"1 app of the file can be renewed with what is kept here already, "
            f"which would be lost: {FIRST}",
        )
        assert "0 new, 1 replaced, 2 there already" in replaced.out
        assert "3 apps: 3 ready" in listed.out


def with_input(stage: Stage, text: str, *words: str) -> Result:
    """Run a command that reads what is piped to it."""
    ended = run(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-m", "fleetdeploy", *words],
        input=text.encode(),
        capture_output=True,
        env=stage.environment({}),
        cwd=stage.directory,
        timeout=LIMIT_S,
        check=False,
    )
    return Result(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def test_a_link_is_printed_and_the_code_that_comes_back_is_taken(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        back = "https://agency.example/back?x=1"
        asked = stage.run("auth", "authorize", FIRST, "--redirect-uri", back, "-o", "json")
        link = str(asked.document()["link"])
        assert link.startswith("https://smartprogram.baidu.com/mappconsole/tp/authorization?")
        assert "redirect_uri=https%3A%2F%2Fagency.example%2Fback%3Fx%3D1" in link
        assert "the link is good for 20m 00s" in asked.err
        assert f"next: fleetdeploy auth authorize {FIRST} --code-file -" in asked.err
        address = f"{back}&authorization_code={consent(stage, FIRST)}&expires_in=3600\n"
        taken = with_input(stage, address, "auth", "authorize", FIRST, "--code-file", "-")
        assert taken.code == 0, taken.err
        assert taken.out.startswith(f"1 app renewed: {FIRST}; the first token ends in")
        file = write_private(stage, "code", consent(stage, SECOND))
        assert stage.run("auth", "authorize", SECOND, "--code-file", file).code == 0
        assert states(stage) == dict.fromkeys([FIRST, SECOND], "ready")


def test_a_code_of_another_app_brings_its_tokens_to_nobody(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        file = write_private(stage, "code", consent(stage, SECOND))
        taken = stage.run("auth", "authorize", FIRST, "--code-file", file)
        assert taken.code == 3
        assert f"the code was app {SECOND}'s and not app {FIRST}'s" in taken.out
        assert f"fleetdeploy auth recover {SECOND}" in taken.out
        assert states(stage) == {FIRST: "ready"}
        assert stage.run("auth", "recover", SECOND).code == 0
        assert reused(stage) == 0
        written = stage.run("packages", FIRST)
        assert written.code == 0, written.err


def test_a_withdrawn_consent_is_told_until_the_client_gives_it_again(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        stage.run("auth", "import", export(stage))
        stage.platform.change(FIRST, authorization="withdrawn")
        failed = stage.run("auth", "refresh", "--all", "-o", "json")
        assert failed.code == 3
        document = failed.document()
        assert (document["renewed"], document["failed"]) == (2, 1)
        checked, unchecked, narrowed = stage.several(
            ["auth", "list", "--check"],
            ["auth", "list", "-o", "json"],
            ["auth", "list", "--check", "--exclude", FIRST],
        )
        assert (checked.code, unchecked.code, narrowed.code) == (3, 0, 0)
        assert checked.out.splitlines()[1].startswith(f"{FIRST}  needs consent")
        assert f"next: fleetdeploy auth authorize {FIRST} --redirect-uri URI" in checked.out
        file = write_private(stage, "code", consent(stage, FIRST))
        assert stage.run("auth", "authorize", FIRST, "--code-file", file).code == 0
        assert states(stage) == dict.fromkeys(stage.app_ids, "ready")


class Typist:
    """Somebody at the terminal of a command."""

    def __init__(self, process: "Popen[bytes]", terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self._shown = b""

    def answer(self, question: str, text: str) -> None:
        """Wait for a question, then type; the echo is turned off before it is asked, if at all."""
        while question.encode() not in self._shown:
            assert self._read(), self._shown
        os.write(self._terminal, f"{text}\n".encode())

    def end(self) -> Result:
        while self._read():
            pass
        out, _ = self._process.communicate(timeout=LIMIT_S)
        return Result(self._process.returncode, out.decode(), self._shown.decode())

    def _read(self) -> bool:
        """Take in what is shown next; False at the end."""
        ready, _, _ = select.select([self._terminal], [], [], LIMIT_S)
        assert ready, self._shown
        try:
            chunk = os.read(self._terminal, 4096)
        except OSError:
            return False
        self._shown += chunk
        return bool(chunk)


@contextmanager
def typist(stage: Stage, *words: str) -> Iterator[Typist]:
    """Start a command at a terminal of its own, with only its data elsewhere."""
    ours, theirs = pty.openpty()
    process = Popen(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-m", "fleetdeploy", *words],
        stdin=theirs,
        stdout=PIPE,
        stderr=theirs,
        env=stage.environment({}),
        cwd=stage.directory,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Typist(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(LIMIT_S)
        os.close(ours)


def test_what_is_forgotten_is_confirmed_by_its_number(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        _, refused = stage.several(
            ["auth", "import", export(stage)], ["auth", "remove", FIRST, SECOND]
        )
        check_refused(refused, 2, "give --yes")
        with typist(stage, "auth", "remove", FIRST, SECOND) as somebody:
            somebody.answer("Forget 2 apps? Type 2 to go on", "yes")
            assert somebody.end().code == 2
        with typist(stage, "auth", "remove", FIRST, "42") as somebody:
            somebody.answer("Type 2 to go on", "2")
            assert somebody.end().out == f"removed: {FIRST}\nnothing was kept of: 42\n"
        removed, listed = stage.several(
            ["auth", "remove", "--yes", SECOND, THIRD], ["auth", "list"]
        )
        assert removed.out == f"removed: {SECOND}, {THIRD}\n"
        assert listed.out.startswith("no credentials of apps")


def test_a_code_is_typed_unseen(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        code = consent(stage, FIRST)
        words = ["auth", "authorize", FIRST, "--code-file", "-", "-vv"]
        with typist(stage, *words) as somebody:
            somebody.answer("code, or the address with it", code)
            result = somebody.end()
        assert result.code == 0, result.err
        assert code not in result.out + result.err
        assert states(stage) == {FIRST: "ready"}


def test_the_store_is_sealed_resealed_and_opened(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        pairs = stage.platform.world.pairs()
        needles = [pair.refresh_token for pair in pairs.values()]
        made, document, imported, keyless = stage.several(
            ["auth", "key"],
            ["auth", "key", "-o", "json"],
            ["auth", "import", export(stage)],
            ["auth", "reseal"],
        )
        first, second = made.out.strip(), str(document.document()["key"])
        assert "STORE_KEY_FILE" in made.err
        assert first != second
        assert imported.code == 0
        check_refused(keyless, 2, "there is no key to seal with")
        assert found(stage.state, needles)

        stage.settings["STORE_KEY_FILE"] = write_private(stage, "store.key", f"{first}\n")
        assert "store: sealed with a key" in stage.run("auth", "list").out
        assert not found(stage.state, needles)

        write_private(stage, "store.key", f"{second}\n{first}\n")
        assert stage.run("auth", "reseal").out == "3 credentials sealed with the first key\n"
        write_private(stage, "store.key", f"{first}\n")
        assert stage.run("auth", "list").code == 2

        write_private(stage, "store.key", f"{second}\n")
        refused, opened = stage.several(["auth", "unseal"], ["auth", "unseal", "--yes"])
        check_refused(refused, 2, "give --yes")
        assert opened.out == "3 credentials open, not sealed\n"
        stage.settings["STORE_KEY_FILE"] = ""
        assert states(stage) == dict.fromkeys(stage.app_ids, "ready")


REFUSED = [
    (["reseal"], 2, "there is no store"),
    (["unseal", "--yes"], 2, "there is no store"),
    (["import", "OPEN"], 2, "type: chmod 600"),
    (["import", "nowhere.json"], 2, "nowhere.json cannot be read"),
    (["import", "WRONG"], 2, "3 problems in the credentials"),
    (["import", "-"], 2, "must name columns"),
    (["refresh"], 2, "nobody to refresh"),
    (["refresh", "--all", FIRST], 2, "exclude each other"),
    (["refresh", "42"], 2, "nothing is kept of 1 app: 42"),
    (["recover", NO_TOKENS], 2, "argument 1 is not an app id"),
    (["recover"], 2, "Missing argument"),
    (["remove", FIRST, NO_TOKENS, "--yes"], 2, "argument 2 is not an app id"),
    (["authorize"], 2, "either --redirect-uri or --code-file"),
    (["authorize", FIRST, "--redirect-uri", "javascript:x"], 2, "not an address of the web"),
    (["authorize", "--code-file", "-"], 2, "whose code is it?"),
    (["authorize", FIRST, "--code-file", "-"], 2, "that is no code"),
    (["authorize", FIRST, "--code-file", "OPEN"], 2, "type: chmod 600"),
    (["list", "--only", "tier=gold"], 2, "chosen by app id"),
    (["list", "--only", FIRST], 2, f"no app fits {FIRST}"),
]


def test_what_makes_no_sense_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        files = {
            "OPEN": export(stage),
            "WRONG": write_private(
                stage, "w.csv", f"app_id,access_token\n1,{NO_TOKENS} \n{NO_TOKENS},\n"
            ),
        }
        Path(files["OPEN"]).chmod(0o644)
        commands = [["auth", *(files.get(word, word) for word in words)] for words, *_ in REFUSED]
        for result, (words, code, told) in zip(stage.several(*commands), REFUSED, strict=True):
            check_refused(result, code, told)
            assert "marked" not in result.out + result.err, words
        assert stage.platform.calls() == 0


def test_without_a_key_or_a_ticket_it_is_said_what_is_missing(tmp_path: Path) -> None:
    with stage_with_key(tmp_path) as stage:
        stage.run("auth", "import", export(stage))
        no_key = stage.run("auth", "refresh", "--all", TP_CLIENT_ID="")
        check_refused(no_key, 2, "FLEETDEPLOY_TP_CLIENT_ID")
        no_ticket = stage.run("auth", "refresh", "--all", TP_TICKET="")
        check_refused(no_ticket, 14, "there is no ticket of the third-party platform yet")
        listed = stage.run("auth", "list", "--check", TP_TICKET="")
        assert listed.code == 3
        assert "third-party platform: no ticket; no token yet" in listed.out
        bad = stage.run("auth", "refresh", "--all", "-o", "json", TP_TICKET="marked-ticket")
        assert bad.code == 14
        assert bad.document()["code"] == "platform.ticket_refused"
        assert "marked" not in bad.out + bad.err
        assert states(stage) == dict.fromkeys(stage.app_ids, "ready")


def found(directory: Path, needles: Iterable[str]) -> list[str]:
    """Return the files under a directory that hold one of these texts."""
    wanted = [needle.encode() for needle in needles]
    return [
        str(path)
        for path in directory.rglob("*")
        if path.is_file() and any(one in path.read_bytes() for one in wanted)
    ]


def test_kills_in_the_middle_of_many_rotations_lose_and_spend_nothing(tmp_path: Path) -> None:
    """Thirty answers in a hundred are lost on top of it, and no secret is told at -vv."""
    with stage_with_key(tmp_path, LOST, apps=5) as stage:
        world = stage.platform.world
        secrets = {world.desk.client_id, world.desk.ticket_text(0)}
        file = export(stage)
        key = stage.run("auth", "key").out.strip()
        (tmp_path / "000.out").unlink()
        stage.settings["STORE_KEY_FILE"] = write_private(stage, "store.key", key)
        assert stage.run("auth", "import", file, "-vv").code == 0
        Path(file).unlink()

        def note() -> None:
            for pair in stage.platform.portal.call(world.pairs).values():
                secrets.update((pair.access_token, pair.refresh_token))

        note()
        # Only an interpreter of its own has a command line of its own.
        stage.fresh = True
        for goal in (3, 5):
            command = stage.start("auth", "refresh", "--all", "-vv")
            calls = stage.platform.calls() + goal
            command.until(lambda calls=calls: stage.platform.calls() >= calls)  # type: ignore[misc]
            seen = Path(f"/proc/{command.pid}/cmdline").read_bytes()
            assert not any(secret.encode() in seen for secret in secrets)
            command.kill()
            note()
        stage.fresh = False
        for _ in range(2):
            code = consent(stage, FIRST)
            secrets.add(code)
            path = write_private(stage, "code", code)
            stage.run("auth", "authorize", FIRST, "--code-file", path, "-vv", "-o", "json")
            Path(path).unlink()
            note()
        ended = stage.run("auth", "refresh", "--all", "-vv", limit_s=120)
        note()
        assert ended.code == 0, ended.err
        assert '"event": "called"' in ended.err
        assert states(stage) == dict.fromkeys(stage.app_ids, "ready")
        assert reused(stage) == 0
        assert len(secrets) > 16
        assert found(tmp_path, secrets) == []
