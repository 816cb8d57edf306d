"""No secret is ever seen: not in what is printed, written, or shown by `ps`."""

import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from fleetdeploy.simulator.desk import Desk, Pair
from fleetdeploy.simulator.faults import even_faults
from tests.e2e.stage import Command, Stage, open_stage
from tests.e2e.test_auth import export
from tests.e2e.test_kills import FIFTH, killed_after
from tests.e2e.test_listen import LISTEN, NOBODY, body_of, ended, notice, post

pytestmark = pytest.mark.slow

APPS: Final = 8
TROUBLE: Final = {
    "rejected": 1,
    "authorization_withdrawn": 1,
    "scope_missing": 1,
    "upload_fails_once": 1,
    "quota_used_up": 1,
}


def pieces(tokens: Iterable[str]) -> set[str]:
    """Return what must not be found anywhere: each token, and the parts that make it one."""
    return {piece for token in tokens for piece in [token, *token.split(".")] if len(piece) >= 12}


def leaks(stage: Stage, needles: Iterable[str]) -> list[str]:
    """Return the files that hold one of these texts, the tokens file itself excepted."""
    written = {
        path: path.read_bytes()
        for path in stage.directory.rglob("*")
        if path.is_file() and path != stage.tokens
    }
    assert len(written) > 8
    wanted = [needle.encode() for needle in needles]
    return [str(path) for path, data in written.items() if any(one in data for one in wanted)]


def test_no_token_is_in_any_output_file_or_command_line(tmp_path: Path) -> None:
    """With everything that can go wrong, and all that can be told of it."""
    with open_stage(tmp_path, {"faults": FIFTH, "awkward": TROUBLE}, apps=APPS) as stage:
        manifest = stage.manifest()
        tokens = list(stage.platform.world.tokens.values())
        killed_after(stage, 30, "run", manifest, "-vv", "--run-id", "night")
        # Only an interpreter of its own has a command line of its own.
        stage.fresh = True
        command = stage.start("resume", "-vv")
        stage.fresh = False
        command.until(lambda: stage.lines() > 40)
        seen = Path(f"/proc/{command.pid}/cmdline").read_bytes()
        seen += Path(f"/proc/{command.pid}/environ").read_bytes()
        stage.platform.void(tokens[:2])
        result = command.end()
        refused = stage.run("packages", stage.app_ids[0], "-vv", "-o", "json")
        shown = [
            stage.start("report", "-vv", "-o", "json"),
            stage.start("plan", manifest, "-vv", "-o", "json", "--out", "plan.json"),
        ]
        codes = [command.end().code for command in shown]
        needles = pieces(tokens)
        assert leaks(stage, needles) == []
        assert any(needle in stage.tokens.read_text() for needle in needles)
    assert result.code == 3
    assert '"event": "called"' in result.err
    assert codes == [0, 0]
    assert refused.document()["code"] == "platform.token_refused"
    assert not any(needle.encode() in seen for needle in needles)
    assert "access_token" not in result.err


class Witness:
    """Notes every secret that the platform's desk gives out, in all its calls."""

    GIVERS: Final = ("tp_token", "pre_auth_code", "refresh", "exchange", "issue_code", "pair")

    def __init__(self, desk: Desk) -> None:
        self.seen: set[str] = set()
        for name in self.GIVERS:
            setattr(desk, name, self._noting(getattr(desk, name)))

    def _noting(self, give: Callable[..., object]) -> Callable[..., object]:
        def given(*arguments: object) -> object:
            match gift := give(*arguments):
                case Pair():
                    self.seen |= {gift.access_token, gift.refresh_token}
                case str():
                    self.seen.add(gift)
            return gift

        return given


def forms(secret: str) -> set[bytes]:
    """Return how a secret may be written: as it is, quoted, in hex, in Base64 at any offset."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), raw.hex().encode()}
    for offset in range(3):
        # The characters at either end depend on what stands beside it.
        first, last = 4 if offset else 0, (offset + len(raw)) // 3 * 4
        padded = b"\0" * offset + raw
        found |= {encode(padded)[first:last] for encode in (b64encode, urlsafe_b64encode)}
    return found


def test_a_secret_is_recognised_in_any_form() -> None:
    secret = "46.marked?secret>of a client~"
    url = f"https://agency.example/?token={quote(secret)}"
    bodies = [b64encode(f"{'x' * number}{secret}, and more".encode()) for number in range(3)]
    for text in (f"a token: {secret}.".encode(), url.encode(), *bodies):
        assert any(form in text for form in forms(secret)), text


PLANTED: Final = {
    "push_token": "marked-push-token-of-the-agency",
    "push_aes_key": "MarkedKeyOfThePushesThatNobodyMaySeeAtAll10",
}
STORE_KEY: Final = urlsafe_b64encode(b"marked store key of the agency!!").decode()
WRONG_CLIENT_ID: Final = "marked-key-of-another-agency"
ROUGH_POST: Final = {"twice": 0.5, "late": 0.3, "late_s": [0.1, 0.5], "retry_s": 0.5, "forged": 0.8}


class Agency:
    """A stage where our side keeps all secrets itself, and the platform damages a fifth of all.

    What the platform gives out is noted from the beginning.
    """

    def __init__(self, stage: Stage) -> None:
        desk = stage.platform.world.desk
        self.stage = stage
        self.desk = desk
        self._witness = Witness(desk)
        stage.tokens.unlink()
        stage.settings |= {
            "TOKENS_FILE": "",
            "TP_CLIENT_ID": desk.client_id,
            "TP_TICKET": desk.ticket_text(0),
            "PUSH_TOKEN": PLANTED["push_token"],
            "PUSH_AES_KEY": PLANTED["push_aes_key"],
            "STORE_KEY": STORE_KEY,
            "LOG_LEVEL": "debug",
        }

    def needles(self) -> set[bytes]:
        """Return every secret there is so far, in all its forms."""
        tickets = [self.desk.ticket_text(number) for number in range(3)]
        planted = {*PLANTED.values(), STORE_KEY, WRONG_CLIENT_ID, self.desk.client_id, *tickets}
        secrets = planted | self._witness.seen | set(self.stage.platform.world._grants)
        assert len(secrets) > 2 * AGENCY_APPS + len(planted)
        return {form for piece in pieces(secrets) for form in forms(piece)}

    def check_unseen_in_ps(self) -> None:
        """Search the command lines of the processes that run."""
        needles, lines = self.needles(), []
        for one in self.stage.running():
            line = Path(f"/proc/{one.pid}/cmdline").read_bytes()
            assert not any(needle in line for needle in needles), line
            lines.append(line)
        assert all(b"fleetdeploy" in line and b"nursery" not in line for line in lines)
        assert len(lines) > 1

    def check_unseen(self) -> None:
        """Search every file that was ever written and not removed."""
        needles = self.needles()
        for path in self.stage.directory.rglob("*"):
            # What SQLite keeps beside its files may be gone by now.
            with suppress(FileNotFoundError, IsADirectoryError):
                data = path.read_bytes()
                assert not any(needle in data for needle in needles), path


AGENCY_APPS: Final = 5


@contextmanager
def agency(directory: Path) -> Iterator[Agency]:
    scenario = {
        "epoch_unix": int(time.time()),
        "faults": even_faults(0.2).model_dump(),
        "pushes": ROUGH_POST,
        "auth": PLANTED,
        "awkward": {"rejected": 1, "upload_fails_once": 1},
    }
    with open_stage(directory, scenario, apps=AGENCY_APPS) as stage:
        yield Agency(stage)


def play_a_night(agency: Agency, listen: Command) -> None:
    """Let a run be disturbed, killed and resumed, while a client thinks twice."""
    stage, first = agency.stage, agency.stage.app_ids[0]
    platform, world = stage.platform, stage.platform.world
    words = ["run", stage.manifest(), "-vv", "--run-id", "night", "--listen", "127.0.0.1:0"]
    stage.fresh = True
    run = stage.start(*words, LOG_FORMAT="json")
    stage.fresh = False
    run.until(lambda: stage.lines() > 12)
    agency.check_unseen_in_ps()
    run.kill()
    platform.portal.call(agency.desk.void_tp_tokens)
    for app_id in stage.app_ids[1:3]:
        platform.portal.call(world.void_token, app_id)
    for authorization in ("withdrawn", "granted"):
        before = platform.delivered()
        platform.change(first, authorization=authorization)
        listen.until(lambda before=before: platform.delivered() > before)  # type: ignore[misc]
    resumed = stage.run("resume", "night", "-vv", LOG_FORMAT="console", limit_s=120)
    assert resumed.code == 3, resumed.err
    assert '"event": "called"' in run.err()
    assert "called endpoint=" in resumed.err


def test_no_secret_of_an_agency_or_its_clients_is_seen_anywhere(tmp_path: Path) -> None:
    """With lost answers, refused tokens, forged pushes and kills, at debug level."""
    with agency(tmp_path) as ours:
        stage, first = ours.stage, ours.stage.app_ids[0]
        file = export(stage)
        assert stage.run("auth", "import", file, "-vv").code == 0
        Path(file).unlink()
        stage.fresh = True
        listen = stage.start(*LISTEN, "-vv")
        stage.fresh = False
        url = listen.receiver()
        with stage.platform.pushing(url):
            post(url, body_of(stage, notice(1), token=NOBODY))
            post(url, body_of(stage, notice(1)))
            play_a_night(ours, listen)
            refreshed = stage.run("auth", "refresh", "--all", "-vv", limit_s=120)
            wrong = stage.run("auth", "refresh", "--tp", "-vv", TP_CLIENT_ID=WRONG_CLIENT_ID)
            doctor = stage.run("doctor", stage.manifest(), "-vv", limit_s=120)
            told = stage.several(
                ["auth", "list", "-vv"],
                ["report", "-o", "json", "-vv"],
                ["status", "-o", "json", "-vv"],
                ["explain", "night", first, "-vv"],
                ["packages", first, "-vv"],
            )
            # While the receiver lives, its database has files beside it that go with it.
            ours.check_unseen()
            told.append(ended(listen))
        ours.check_unseen()
        desk = ours.desk
        there = {path.name for path in stage.state.rglob("*")}
    assert {"credentials.db", "notices.db", "plan.json", "journal.jsonl"} <= there
    assert (refreshed.code, wrong.code) == (0, 14)
    assert [result.code for result in told] == [0] * len(told)
    assert doctor.code in {0, 3}, doctor.err
    assert "refused" in listen.err()
    assert min(desk.refreshed, desk.exchanged, desk.tp_tokens) > 0
    assert desk.reused_count == 0
