"""The file that credentials are brought in: all that is wrong has a place, and no token is told."""

import json
import os
from pathlib import Path

import pytest

from fleetdeploy.errors import SettingsInvalid
from fleetdeploy.storage import credentials_file
from fleetdeploy.storage.credentials_file import Brought, read_credentials, read_private

REFRESH = "46.marked-refresh.315360000.2093001600.a"
ACCESS = "45.marked-access.3600.1777641600.b"
MARK = "marked"


def problems_of(text: str, file: str = "in.json") -> list[str]:
    """Read what cannot be read, and return what is told of it, but for the count."""
    with pytest.raises(SettingsInvalid) as caught:
        read_credentials(text.encode(), file)
    error = caught.value
    assert MARK not in f"{error!r}{error.message}{error.hint}{error.__context__}{error.__cause__}"
    first, *others = error.message.splitlines()
    assert "in the credentials" in first
    return others


def test_json_brings_either_token_or_both() -> None:
    whole = {
        "100": {"refresh_token": REFRESH, "access_token": ACCESS},
        "200": {"refresh_token": "r2"},
        "300": {"access_token": "a3", "refresh_token": None},
    }
    brought = read_credentials(json.dumps(whole).encode(), "in.json")
    assert brought == (
        Brought("100", REFRESH, ACCESS),
        Brought("200", "r2"),
        Brought("300", access_token="a3"),
    )
    assert MARK not in repr(brought)


def test_csv_brings_the_same_in_any_order_of_columns() -> None:
    text = f"access_token, app_id ,refresh_token\r\n{ACCESS},100,{REFRESH}\r\n\r\n,200,r2\r\n"
    brought = read_credentials(text.encode(), "in.csv")
    assert brought == (Brought("100", REFRESH, ACCESS), Brought("200", "r2"))


@pytest.mark.parametrize("text", ["app_id,refresh_token\n1,a\n", ' {"1": {"refresh_token": "a"}}'])
def test_the_form_is_seen_where_the_name_does_not_tell(text: str) -> None:
    assert read_credentials(text.encode(), "stdin") == (Brought("1", "a"),)


def test_every_problem_is_told_at_once_with_its_place() -> None:
    text = f"""\
{{
  "100": {{"refresh_token": "{REFRESH}", "marked-key": 1}},
  "200": {{"refresh_token": "", "access_token": 5}},
  "marked.app": {{"refresh_token": "r3"}},
  "400": "{ACCESS}",
  "500": {{}},
  "600": {{"refresh_token": "r6"}},
  "600": {{"refresh_token": "r7"}},
  "700": {{"refresh_token": "marked with a space"}},
  "800": {{"refresh_token": "r6"}},
  "900": {{"refresh_token": "r9", "access_token": "r9"}},
  "901": {{"refresh_token": "x", "refresh_token": "y"}},
  "902": {{"refresh_token": ["{REFRESH}", {{"marked": []}}]}}
}}
"""
    token = "is not a token: 1 to 4096 printable ASCII characters without spaces or line ends"
    assert problems_of(text) == [
        "in.json:2:72: app 100: has a key that is none of refresh_token, access_token",
        "in.json:3:11: app 200: refresh_token is empty: leave it out instead",
        "in.json:3:32: app 200: access_token must be a text",
        "in.json:4:3: what stands in place of the app id is none: 1 to 20 digits",
        'in.json:5:10: app 400: must be an object like {"refresh_token": "..."}',
        "in.json:6:3: app 500: has no token",
        "in.json:8:3: app 600: is there twice, first on line 7",
        f"in.json:9:3: app 700: refresh_token {token}",
        "in.json:10:3: app 800: refresh_token is the same as one of app 600",
        "in.json:11:3: app 900: both tokens are the same",
        "in.json:12:33: app 901: refresh_token is there twice",
        "in.json:13:11: app 902: refresh_token must be a text",
    ]


def test_problems_of_csv_are_told_by_line_and_column_number() -> None:
    text = f"app_id,refresh_token\n100\n{REFRESH},200\n300,\n400,a b\n500,r5\n500,r5\n"
    token = "is not a token: 1 to 4096 printable ASCII characters without spaces or line ends"
    assert problems_of(text, "in.csv") == [
        "in.csv:2: has 1 cells, but there are 2 columns",
        "in.csv:3: what stands in place of the app id is none: 1 to 20 digits",
        "in.csv:4: app 300: has no token",
        f"in.csv:5: app 400: refresh_token {token}",
        "in.csv:7: app 500: is there twice, first on line 6",
    ]


@pytest.mark.parametrize(
    ("text", "file", "told"),
    [
        (f"100,{REFRESH}\n", "in.csv", "in.csv:1: column 1 is none of app_id"),
        ("app_id;refresh_token\n", "in.csv", "in.csv:1: column 1 is none of app_id"),
        ("app_id\n100\n", "in.csv", "in.csv:1: there is no column of tokens"),
        ("app_id,app_id,access_token\n", "in.csv", "in.csv:1: the column app_id is there twice"),
        ("", "in.csv", "in.csv:1: the first line must name columns"),
        ("app_id,access_token\n", "in.csv", "in.csv: names no app"),
        (f'app_id,access_token\n1,"{ACCESS}\n', "in.csv", "in.csv:2: is not CSV"),
        ("{}", "in.json", "in.json: names no app"),
        (f'["{ACCESS}"]', "in.json", "in.json:1:1: is not a JSON object"),
        (f'"{ACCESS}"', "in", "in:1:1: is not a JSON object"),
        (f'{{"1": {{"access_token": {ACCESS}}}}}', "in.json", "in.json:1:24: is not JSON"),
        (f'{{"1" "{ACCESS}"}}', "in.json", "in.json:1:6: is not JSON: expected a colon"),
        (f'{{"1": {{"access_token": "a"}}}} {ACCESS}', "in.json", "there is more after its end"),
        ('{"1": {"access_token": "a"}', "in.json", "is not JSON: it ends where"),
        ("{" + '"1":[' * 70_000, "in.json", "is not JSON"),
        (r'{"1": {"access_token": "\ud83d"}}', "in.json", "app 1: access_token must be a text"),
    ],
)
def test_what_has_another_shape_is_refused_without_a_quotation(
    text: str, file: str, told: str
) -> None:
    assert told in "\n".join(problems_of(text, file))


def test_bytes_that_are_no_text_are_refused_with_their_place() -> None:
    with pytest.raises(SettingsInvalid, match=r"in.json:2:1: byte 0xff is not UTF-8"):
        read_credentials(b'{\n\xff"marked', "in.json")


def test_only_the_first_of_very_many_problems_are_told() -> None:
    text = "app_id,access_token\n" + "x,y\n" * 10_000
    problems = problems_of(text, "in.csv")
    assert len(problems) == credentials_file.PROBLEMS_TOLD + 1
    assert problems[-1] == "and more"


def test_more_apps_than_there_can_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials_file, "APPS_MAX", 2)
    text = "app_id,access_token\n1,a\n2,b\n3,c\n4,d\n"
    assert problems_of(text, "in.csv") == ["in.csv: has more than 2 apps"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "in.json"
    path.write_text("{}")
    path.chmod(mode)
    with pytest.raises(SettingsInvalid, match="open to others") as caught:
        read_private(path)
    assert caught.value.hint == f"type: chmod 600 {path}"
    path.chmod(0o600)
    assert read_private(path) == b"{}"


def test_only_a_regular_file_of_some_size_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "large").write_bytes(b"12345")
    (tmp_path / "large").chmod(0o600)
    for name, told in (
        ("pipe", "not a regular file"),
        (".", "regular file|directory"),
        ("none", "cannot be read: No such file"),
        ("large", "larger than 4 bytes"),
        ("a\0b", "cannot be"),
    ):
        with pytest.raises(SettingsInvalid, match=told):
            read_private(tmp_path / name, size_max=4)
