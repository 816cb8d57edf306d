"""The log of a run: one line an event, which does no harm wherever it is shown."""

import json
from pathlib import Path

import pytest

from fleetdeploy.cli.options import Desk
from fleetdeploy.cli.render.style import Output, Style
from fleetdeploy.cli.settings import load_settings
from fleetdeploy.cli.watching import open_watcher
from fleetdeploy.receiver.results import Kind, Result

HOSTILE = '\x1b[2J\x9b2J\x7f\u202e\u2028{"event": "forged"}\n{"event": "forged"}\r\ud800审核'


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["json", "console"])
async def test_what_comes_from_outside_neither_steers_a_terminal_nor_fakes_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    settings = load_settings({}, tmp_path, {"FLEETDEPLOY_LOG_FORMAT": form})
    desk = Desk(Output.TEXT, Style(colour=False), 0, _settings=settings)
    async with open_watcher(desk, live=False) as watcher:
        watcher.pushed(Result(Kind.FAILED, "bug", HOSTILE))
    line = capsys.readouterr().err.removesuffix("\n")
    assert line.isprintable()
    assert "审核" in line
    if form == "json":
        logged = json.loads(line)
        assert (logged["event"], logged["detail"]) == ("pushed", HOSTILE)
