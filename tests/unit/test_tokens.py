"""Tokens from a file and from a table: never readable by others, never shown."""

import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetdeploy.baidu.tokens import StaticTokens, TokensFile
from fleetdeploy.errors import ClientMustAct, SettingsInvalid, TokenRefused
from fleetdeploy.ports import TokenSource

OLD = "45.old-token-that-must-not-be-seen.3600.1577808000.x"
NEW = "45.new-token-that-must-not-be-seen.3600.1577811600.x"

Write = Callable[[object], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put a document, or a text as it is, into a private tokens file; another inode each time."""
    path = tmp_path / "tokens.json"

    def put(document: object) -> Path:
        text = document if isinstance(document, str) else json.dumps(document)
        beside = tmp_path / "tokens.new"
        beside.write_text(text, "utf-8")
        beside.chmod(0o600)
        return beside.rename(path)

    return put


REFUSED = TokenRefused("platform.token_refused", "refused", errno=110, msg="invalid")


async def after_refusal(tokens: TokenSource, app_id: str, token: str) -> str | None:
    """Refuse a token, and return what the source gives next; None if it has no other."""
    tokens.refused(app_id, REFUSED, token)
    try:
        await tokens.prepare(app_id)
    except ClientMustAct as error:
        final = error
    else:
        return tokens.token(app_id)
    assert (final.code, final.errno, final.msg) == ("platform.token_refused", 110, "invalid")
    assert token not in shown(final)
    return None


@pytest.mark.anyio
async def test_a_token_is_found_by_its_app(write: Write) -> None:
    tokens = TokensFile(write({"100": OLD, "200": NEW}))
    for app_id, token in (("100", OLD), ("200", NEW)):
        await tokens.prepare(app_id)
        assert tokens.token(app_id) == token


@pytest.mark.anyio
async def test_an_app_without_a_token_is_blocked(write: Write) -> None:
    for tokens in (TokensFile(write({"100": OLD})), StaticTokens({"100": OLD})):
        with pytest.raises(ClientMustAct) as caught:
            await tokens.prepare("999")
        assert caught.value.code == "auth.no_token"
        assert "app 999" in caught.value.message
        assert OLD not in shown(caught.value)
        assert tokens.token("999") is None


@pytest.mark.anyio
async def test_a_refused_token_is_looked_up_again(write: Write) -> None:
    tokens = TokensFile(write({"100": OLD}))
    assert await after_refusal(tokens, "100", OLD) is None
    write({"100": NEW})
    assert await after_refusal(tokens, "100", OLD) == NEW
    await tokens.prepare("100")
    assert tokens.token("100") == NEW


@pytest.mark.anyio
async def test_a_refusal_is_told_once_and_the_token_then_tried_again(write: Write) -> None:
    """A later call asks the platform anew: what refused the token may have passed."""
    for tokens in (TokensFile(write({"100": OLD})), StaticTokens({"100": OLD})):
        assert await after_refusal(tokens, "100", OLD) is None
        await tokens.prepare("100")
        assert tokens.token("100") == OLD


@pytest.mark.anyio
async def test_a_missing_app_is_looked_up_again(write: Write) -> None:
    tokens = TokensFile(write({"100": OLD}))
    write({"100": OLD, "200": NEW})
    await tokens.prepare("200")
    assert tokens.token("200") == NEW


@pytest.mark.anyio
async def test_a_token_that_another_app_caused_to_be_read_is_given_at_once(write: Write) -> None:
    tokens = TokensFile(write({"100": OLD, "200": OLD}))
    write({"100": NEW, "200": NEW})
    assert await after_refusal(tokens, "100", OLD) == NEW
    assert await after_refusal(tokens, "200", OLD) == NEW


@pytest.mark.anyio
async def test_an_unchanged_file_is_not_read_again(write: Write) -> None:
    """Rewritten in place with its size and times put back, the change must go unnoticed."""
    path = write({"100": OLD})
    tokens = TokensFile(path)
    status = path.stat()
    path.write_text(json.dumps({"100": NEW}), "utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert await after_refusal(tokens, "100", OLD) is None
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert await after_refusal(tokens, "100", OLD) == NEW


@pytest.mark.anyio
@pytest.mark.parametrize("broken", ['{"100": "45.ha', "[]", '{"100": 7}', ""])
async def test_while_a_new_version_cannot_be_read_the_old_tokens_stay(
    write: Write, broken: str
) -> None:
    tokens = TokensFile(write({"100": OLD}))
    write(broken)
    assert await after_refusal(tokens, "100", OLD) is None
    assert tokens.token("100") == OLD
    write({"100": NEW})
    assert await after_refusal(tokens, "100", OLD) == NEW


@pytest.mark.anyio
async def test_a_file_that_is_gone_or_opened_to_others_keeps_the_old_tokens(write: Write) -> None:
    path = write({"100": OLD})
    tokens = TokensFile(path)
    write({"100": NEW}).chmod(0o644)
    assert await after_refusal(tokens, "100", OLD) is None
    path.unlink()
    assert await after_refusal(tokens, "100", OLD) is None
    assert tokens.token("100") == OLD


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_file_that_others_can_open_is_refused_with_the_command_to_type(
    write: Write, mode: int
) -> None:
    path = write({"100": OLD})
    path.chmod(mode)
    with pytest.raises(SettingsInvalid) as caught:
        TokensFile(path)
    assert f"{mode:04o}" in caught.value.message
    assert caught.value.hint == f"type: chmod 600 {path}"


@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        ('{"100": "' + OLD, "not JSON at line 1"),
        ('{"100": "' + OLD + '",\n}', "not JSON at line 2"),
        (json.dumps([OLD]), "holds no JSON object"),
        (json.dumps(OLD), "holds no JSON object"),
        (json.dumps({OLD: 7}), "no usable token for one of the apps"),
        (json.dumps({"100": [OLD]}), "no usable token for app '100'"),
        (json.dumps({"100": OLD + "\n"}), "no usable token for app '100'"),
        (json.dumps({"100": "秘" + OLD}), "no usable token for app '100'"),
        (json.dumps({"100": ""}), "no usable token for app '100'"),
        (json.dumps({"100": OLD * 100}), "no usable token for app '100'"),
        ('{"100": "' + OLD + '", "100": "' + NEW + '"}', "names an app twice"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_without_quoting_it(
    write: Write, contents: str, problem: str
) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        TokensFile(write(contents))
    assert problem in caught.value.message
    assert "must-not-be-seen" not in shown(caught.value)


def test_a_file_that_is_not_utf_8_is_refused(write: Write) -> None:
    path = write({})
    path.write_bytes(b'{"100": "\xff"}')
    with pytest.raises(SettingsInvalid, match="is not UTF-8"):
        TokensFile(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read: No such file"):
        TokensFile(tmp_path / "none.json")


def test_a_pipe_or_directory_in_its_place_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "directory").mkdir(0o700)
    for name in ("pipe", "directory"):
        with pytest.raises(SettingsInvalid):
            TokensFile(tmp_path / name)


@pytest.mark.anyio
async def test_a_table_has_another_token_only_if_it_differs() -> None:
    tokens = StaticTokens({"100": NEW})
    assert await after_refusal(tokens, "100", OLD) == NEW
    assert await after_refusal(tokens, "100", NEW) is None


def test_no_token_is_in_a_repr(write: Write) -> None:
    for tokens in (StaticTokens({"100": OLD}), TokensFile(write({"100": OLD}))):
        assert "1 apps" in repr(tokens)
        assert OLD not in repr(tokens)


def shown(error: BaseException) -> str:
    """Write all that a traceback could show, chained errors and what they hold included."""
    texts = ["".join(traceback.format_exception(error))]
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is not None:
            texts.append(f"{link!r} {link} {vars(link)!r}")
            links += [link.__cause__, link.__context__]
    return "\n".join(texts)
