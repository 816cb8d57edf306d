"""No access token is ever seen: not in what is printed, written, or shown by `ps`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.stage import Stage, open_stage
from tests.e2e.test_kills import FIFTH, killed_after

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
        command = stage.start("resume", "-vv")
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
