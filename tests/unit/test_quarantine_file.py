"""The quarantine on disk: whole or old, private, and refused where it is not ours."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetdeploy.core.quarantine import Quarantine
from fleetdeploy.core.set_aside import SetAside
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.quarantine_file import (
    FILE_NAME,
    MAX_BYTES,
    change_quarantine,
    read_quarantine,
)
from tests.builders import HOSTILE, NOTE

NOW = datetime(2026, 11, 24, 3, 7, tzinfo=UTC)
ONE = SetAside(
    app_id="100000282",
    name="Hot Pot House",
    since=NOW,
    runs=("r2", "r1"),
    reason=NOTE,
    fingerprint="0123456789",
)
TWO = SetAside(app_id="100000283", since=NOW + timedelta(hours=1), by="ops on night", note="a | b")


def test_without_a_file_nobody_is_set_aside_and_none_is_made(tmp_path: Path) -> None:
    assert read_quarantine(tmp_path / "not there") == Quarantine()
    assert change_quarantine(tmp_path, lambda quarantine: quarantine) == Quarantine()
    assert list(tmp_path.iterdir()) == []


def test_what_was_kept_is_read_again_and_is_for_this_user_only(tmp_path: Path) -> None:
    put = change_quarantine(tmp_path, lambda quarantine: quarantine.put([ONE, TWO]))
    assert read_quarantine(tmp_path) == put
    left = change_quarantine(tmp_path, lambda quarantine: quarantine.let_out([ONE.app_id], NOW))
    assert read_quarantine(tmp_path) == left == Quarantine(entries=(TWO,), back={ONE.app_id: NOW})
    (file,) = tmp_path.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == (FILE_NAME, 0o600)


def test_words_that_would_harm_a_terminal_are_kept_as_they_are(tmp_path: Path) -> None:
    words = HOSTILE.encode("utf-8", "replace").decode()
    hostile = TWO.model_copy(update={"note": words})
    change_quarantine(tmp_path, lambda quarantine: quarantine.put([hostile]))
    assert read_quarantine(tmp_path).entries == (hostile,)


def test_a_change_that_changes_nothing_does_not_touch_the_disk(tmp_path: Path) -> None:
    change_quarantine(tmp_path, lambda quarantine: quarantine.put([ONE]))
    before = (tmp_path / FILE_NAME).stat()
    change_quarantine(tmp_path, lambda quarantine: quarantine.put([ONE]))
    after = (tmp_path / FILE_NAME).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_a_newer_version_wrote_beside_is_ignored(tmp_path: Path) -> None:
    change_quarantine(tmp_path, lambda quarantine: quarantine.put([ONE]))
    file = tmp_path / FILE_NAME
    newer = file.read_text("utf-8").replace('"runs"', '"mood": "bad", "runs"', 1)
    file.write_text(newer.replace('"format"', '"and": [1], "format"', 1), "utf-8")
    assert read_quarantine(tmp_path) == Quarantine(entries=(ONE,))


def test_a_torn_file_is_refused_wherever_it_was_cut_off(tmp_path: Path) -> None:
    change_quarantine(tmp_path, lambda quarantine: quarantine.put([ONE, TWO]))
    file = tmp_path / FILE_NAME
    whole = file.read_bytes()
    for length in range(len(whole.rstrip())):
        file.write_bytes(whole[:length])
        with pytest.raises(StateUnusable, match="is damaged"):
            read_quarantine(tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"null",
        b"\xff\xfe{}",
        b'{"format": 2}',
        b'{"entries": [{"app_id": "1"}]}',
        b'{"entries": [{"app_id": "1", "since": "2026-11-24T03:07:00"}]}',
        b'{"back": {"1": "yesterday"}}',
        b"[" * 100_000,
    ],
)
def test_a_file_of_something_else_is_refused_with_the_way_out(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / FILE_NAME
    file.write_bytes(data)
    with pytest.raises(StateUnusable) as caught:
        change_quarantine(tmp_path, lambda quarantine: quarantine.put([ONE]))
    assert str(file) in caught.value.message
    assert "move it away" in caught.value.hint
    assert file.read_bytes() == data


def test_a_file_beyond_measure_is_not_read_to_its_end(tmp_path: Path) -> None:
    with (tmp_path / FILE_NAME).open("wb") as file:
        file.truncate(2 * MAX_BYTES)
    with pytest.raises(StateUnusable, match="larger than"):
        read_quarantine(tmp_path)


def test_a_directory_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StateUnusable, match="cannot read"):
        read_quarantine(tmp_path)
