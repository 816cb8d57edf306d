"""Settings: who wins, what is refused, and that no secret is ever repeated."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetdeploy.cli.settings import SECRETS, Settings, load_settings, settings_table
from fleetdeploy.errors import SettingsInvalid

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def refused(cwd: Path, environ: dict[str, str] | None = None, **flags: object) -> list[str]:
    """Return the problems, one a line."""
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(flags, cwd, environ or {})
    count, *problems = caught.value.message.splitlines()
    assert count.split()[0] == str(len(problems))
    return problems


def test_defaults_hold_where_nothing_is_said(tmp_path: Path) -> None:
    found = load_settings({}, tmp_path, {})
    assert found.api_base == "https://openapi.baidu.com"
    assert found.state_dir == tmp_path / ".fleetdeploy"
    assert found.tokens_file is None
    assert (found.poll_initial, found.poll_max, found.settle) == (3.0, 300.0, 10.0)
    assert (found.log_format, found.log_level) == ("auto", "info")
    assert found.warnings == ()


def test_flags_win_over_environment_over_dotenv_over_toml(tmp_path: Path) -> None:
    write(
        tmp_path / "fleetdeploy.toml",
        'settle = "1s"\npoll_max = "1m"\npoll_initial = 1\nlog_level = "error"\n',
    )
    write(
        tmp_path / ".env",
        "FLEETDEPLOY_SETTLE=2s\nFLEETDEPLOY_POLL_MAX=2m\nexport FLEETDEPLOY_POLL_INITIAL='2'\n",
    )
    environ = {"FLEETDEPLOY_SETTLE": "3s", "FLEETDEPLOY_POLL_MAX": "3m"}
    found = load_settings({"settle": 4.0, "state_dir": None}, tmp_path, environ)
    assert found.settle == 4.0
    assert found.poll_max == 180.0
    assert found.poll_initial == 2.0
    assert found.log_level == "error"


def test_relative_paths_are_taken_from_the_directory_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "fleetdeploy.toml", 'state_dir = "state"\ntokens_file = "/t/tokens.json"\n')
    found = load_settings({}, tmp_path, {})
    assert found.state_dir == tmp_path / "state"
    assert found.tokens_file == Path("/t/tokens.json")


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    found = load_settings({}, tmp_path, {"FLEETDEPLOY_TP_TICKET": "", "FLEETDEPLOY_SETTLE": ""})
    assert found.tp_ticket is None
    assert found.settle == 10.0


def test_every_problem_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    write(
        tmp_path / "fleetdeploy.toml", 'settle = true\nstate_dir = 5\npolmax = 3\napi_base = ""\n'
    )
    write(
        tmp_path / ".env",
        "# notes\n\nFLEETDEPLOY_LOG_LEVEL=loud\nhalf a line\nFLEETDEPLOY_TP_TICKET\n",
    )
    problems = refused(tmp_path, {"FLEETDEPLOY_POLL_INITIAL": "0"}, poll_max="5x")
    assert sorted(problems) == [
        '--poll-max: must be a number of seconds, or like 90s, 30m, 6h or 2d (it is "5x")',
        (
            ".env:3: FLEETDEPLOY_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error' "
            '(it is "loud")'
        ),
        ".env:4: is not like NAME=value",
        ".env:5: FLEETDEPLOY_TP_TICKET: has no value",
        'FLEETDEPLOY_POLL_INITIAL (environment): must be more than 0 seconds (it is "0")',
        (
            "fleetdeploy.toml:1: settle: must be a number of seconds, or like 90s, 30m, 6h or 2d "
            '(it is "True")'
        ),
        (
            'fleetdeploy.toml:2: state_dir: must be text: put it in quotes (it is "5"); '
            "type for example .fleetdeploy"
        ),
        "fleetdeploy.toml:3: polmax: unknown setting; did you mean poll_max?",
        "fleetdeploy.toml:4: api_base: must not be empty; leave it out instead",
    ]


def test_poll_bounds_that_cross_name_both_places(tmp_path: Path) -> None:
    write(tmp_path / "fleetdeploy.toml", 'poll_initial = "10m"\n')
    assert refused(tmp_path) == [
        (
            "fleetdeploy.toml:1: poll_initial and poll_max (default): "
            "poll_initial (10m) is longer than poll_max (5m)"
        )
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080",
        "http://127.8.9.1",
        "http://[::1]:80/",
        "http://localhost:1",
        "https://openapi.baidu.com/",
    ],
)
def test_addresses_that_keep_tokens_safe_are_taken(tmp_path: Path, url: str) -> None:
    found = load_settings({}, tmp_path, {"FLEETDEPLOY_API_BASE": url})
    assert found.api_base == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://openapi.baidu.com",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://128.0.0.1",
        "https://me:hunter2@openapi.baidu.com",
        "ftp://localhost",
        "openapi.baidu.com",
        "https://",
        "https://[::1",
        "https://host:99999999",
        "https://a b",
        "https://host/?token=hunter2",
        "https://host/\x1b",
    ],
)
def test_other_addresses_are_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    (problem,) = refused(tmp_path, {"FLEETDEPLOY_API_BASE": url})
    assert problem.startswith("FLEETDEPLOY_API_BASE (environment): ")
    assert "hunter2" not in problem
    assert "\x1b" not in problem


def test_unknown_variables_are_warned_of_and_their_values_are_not_told(tmp_path: Path) -> None:
    write(tmp_path / ".env", "FLEETDEPLOY_TP_TICKT=hunter2\nOTHER_TOOL=1\n", 0o644)
    environ = {"fleetdeploy_settle": "1", "FLEETDEPLOY_ZZZZ": "hunter2", "PATH": "/bin"}
    assert load_settings({}, tmp_path, environ).warnings == (
        (
            "fleetdeploy_settle (environment): is no setting and is ignored; "
            "did you mean FLEETDEPLOY_SETTLE?"
        ),
        "FLEETDEPLOY_ZZZZ (environment): is no setting and is ignored",
        (
            ".env:1: FLEETDEPLOY_TP_TICKT: is no setting and is ignored; "
            "did you mean FLEETDEPLOY_TP_TICKET?"
        ),
    )


def test_a_variable_with_a_hostile_name_does_no_harm_in_a_warning(tmp_path: Path) -> None:
    (warning,) = load_settings({}, tmp_path, {"FLEETDEPLOY_\x1b[2J": "1"}).warnings
    assert warning.isprintable()


def test_a_key_written_like_a_variable_is_recognised(tmp_path: Path) -> None:
    write(tmp_path / "fleetdeploy.toml", 'FLEETDEPLOY_STATE_DIR = "x"\n')
    assert refused(tmp_path) == [
        "fleetdeploy.toml:1: FLEETDEPLOY_STATE_DIR: unknown setting; did you mean state_dir?"
    ]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
@pytest.mark.parametrize("file", [".env", "fleetdeploy.toml"])
def test_a_file_with_secrets_that_others_can_read_is_refused(
    tmp_path: Path, file: str, mode: int
) -> None:
    text = "FLEETDEPLOY_TP_TICKET=hunter2\n" if file == ".env" else 'tp_ticket = "hunter2"\n'
    write(tmp_path / file, text, mode)
    assert refused(tmp_path) == [
        (
            f"{file}: holds secrets (tp_ticket) and is open to others (mode {mode:04o}); "
            f"type: chmod 600 {file}"
        )
    ]


def test_a_file_without_secrets_may_be_read_by_others(tmp_path: Path) -> None:
    write(tmp_path / "fleetdeploy.toml", "settle = 5\n", 0o644)
    assert load_settings({}, tmp_path, {}).settle == 5.0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("settle = 5\ntp_ticket = hunter2\n", "fleetdeploy.toml:2:13: "),
        ('tp_ticket = "hunter2\n', "fleetdeploy.toml:1:21: "),
        ("a = 1\na = 2\n", "fleetdeploy.toml:2:6: "),
        (f"a = {'[' * 5000}", "fleetdeploy.toml: "),
        (f"a = {'9' * 5000}", "fleetdeploy.toml: "),
    ],
)
def test_broken_toml_is_told_with_its_line_and_not_quoted(
    tmp_path: Path, text: str, place: str
) -> None:
    write(tmp_path / "fleetdeploy.toml", text)
    (problem,) = refused(tmp_path)
    assert problem.startswith(place)
    assert "hunter2" not in problem


def test_files_that_are_no_text_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (tmp_path / "fleetdeploy.toml").write_bytes(b"settle = 5\n# \xff\xfe\n")
    assert refused(tmp_path) == [
        ".env: is not a regular file",
        "fleetdeploy.toml:2: is not UTF-8",
    ]


def test_a_pipe_in_place_of_a_file_does_not_hold_the_program_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    assert refused(tmp_path) == [".env: is not a regular file"]


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "fleetdeploy.toml", "#" * (64 * 1024 + 1))
    assert refused(tmp_path) == ["fleetdeploy.toml: is larger than 65536 bytes"]


def test_a_file_of_very_many_keys_is_refused_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "fleetdeploy.toml", "".join(f"k{number} = 1\n" for number in range(101)))
    assert refused(tmp_path) == ["fleetdeploy.toml: has more than 100 keys"]


@pytest.mark.parametrize("file", [".env", "fleetdeploy.toml"])
@pytest.mark.parametrize("mode", [0o646, 0o602, 0o666])
def test_a_file_that_everybody_can_change_is_refused_with_or_without_secrets(
    tmp_path: Path, file: str, mode: int
) -> None:
    """Whoever changes the platform's address there is sent the tokens."""
    name = "FLEETDEPLOY_API_BASE" if file == ".env" else "api_base"
    write(tmp_path / file, f'{name}="https://evil.example"\n', mode)
    told = f"{file}: can be changed by everybody (mode {mode:04o}); type: chmod o-w {file}"
    assert refused(tmp_path) == [told]


def test_secrets_are_not_interpolated_and_show_in_no_text_of_the_settings(tmp_path: Path) -> None:
    write(tmp_path / ".env", "FLEETDEPLOY_TP_TICKET='hunter2-${HOME}'\n")
    found = load_settings({}, tmp_path, {"FLEETDEPLOY_PUSH_AES_KEY": AES_KEY})
    assert found.tp_ticket is not None
    assert found.tp_ticket.get_secret_value() == "hunter2-${HOME}"
    assert found.push_aes_key is not None
    assert found.push_aes_key.get_secret_value() == AES_KEY
    for text in (repr(found), str(found), str(found.model_dump()), found.model_dump_json()):
        assert "hunter2" not in text
        assert AES_KEY not in text


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_that_cannot_be_used_is_refused_and_not_repeated(
    tmp_path: Path, name: str
) -> None:
    variable = f"FLEETDEPLOY_{name.upper()}"
    with pytest.raises(SettingsInvalid) as caught:
        load_settings({}, tmp_path, {variable: "hunter2 and more\n"})
    assert variable in caught.value.message
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = error.__context__


def test_a_secret_that_is_a_number_in_toml_is_asked_for_as_text(tmp_path: Path) -> None:
    write(tmp_path / "fleetdeploy.toml", "tp_client_id = 123456789\n")
    assert refused(tmp_path) == ["fleetdeploy.toml:1: tp_client_id: must be text: put it in quotes"]


def test_levels_and_formats_may_be_written_in_capitals(tmp_path: Path) -> None:
    environ = {"FLEETDEPLOY_LOG_LEVEL": "DEBUG", "FLEETDEPLOY_LOG_FORMAT": "Json"}
    found = load_settings({}, tmp_path, environ)
    assert (found.log_level, found.log_format) == ("debug", "json")


def test_a_home_directory_is_understood_and_one_that_is_not_there_refused(tmp_path: Path) -> None:
    found = load_settings({}, tmp_path, {"FLEETDEPLOY_STATE_DIR": "~/state"})
    assert found.state_dir == Path.home() / "state"
    (problem,) = refused(tmp_path, {"FLEETDEPLOY_STATE_DIR": "~nobody-of-this-name/x"})
    assert "no such home directory" in problem


@given(
    st.dictionaries(
        st.sampled_from([f"FLEETDEPLOY_{name.upper()}" for name in Settings.model_fields]),
        st.text(max_size=30),
        max_size=4,
    )
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_environment_holds_gives_settings_or_their_error(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    try:
        found = load_settings({}, tmp_path, environ)
    except SettingsInvalid as error:
        assert all(line.isprintable() for line in error.message.splitlines())  # noqa: PT017 - one of two ends
    else:
        assert 0 < found.poll_initial <= found.poll_max


@given(st.binary(max_size=80))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_files_hold_gives_settings_or_their_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / ".env").write_bytes(b"FLEETDEPLOY_SETTLE=" + data)
    (tmp_path / "fleetdeploy.toml").write_bytes(b"settle = " + data)
    try:
        load_settings({}, tmp_path, {})
    except SettingsInvalid as error:
        assert error.message  # noqa: PT017 - one of two ends


def test_the_environment_of_the_process_is_read_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETDEPLOY_SETTLE", "7s")
    assert load_settings({}, tmp_path).settle == 7.0


def test_the_table_in_the_docs_is_in_step_with_the_code() -> None:
    text = DOCS.read_text(encoding="utf-8")
    generated = text.split("<!-- generated: settings -->")[1].split("<!-- end -->")[0]
    assert generated.strip() == settings_table()


def test_the_table_names_every_setting_once() -> None:
    rows = settings_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [
        f"FLEETDEPLOY_{name.upper()}" for name in Settings.model_fields
    ]
