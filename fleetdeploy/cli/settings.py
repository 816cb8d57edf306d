"""What the surroundings say: flags, environment, `.env`, `fleetdeploy.toml`, defaults.

Every problem is told in one go, each with the place it comes from; a secret's value is never
repeated. Nothing here opens the tokens file or the state directory.

How it works: `load_settings` collects what each source says together with its place, and lets the
strongest win. The model then checks the values. It reads no source by itself, so that a value
always has a place that a person can mend.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from fleetdeploy.cli.settings_sources import PREFIX, Collected, Said, collect
from fleetdeploy.core.addresses import base_url_problem
from fleetdeploy.core.durations import Duration, format_duration
from fleetdeploy.core.findings import quoted
from fleetdeploy.errors import SettingsInvalid

AES_KEY_CHARS: Final = 43
"""platform-api.md 4.1: 43 letters and digits, base64 of 32 bytes without its last sign."""
_SECRET_MAX: Final = 4096


def _api_base(url: str) -> str:
    """Return the address without a slash at its end; the messages do not repeat it."""
    problem = base_url_problem(url)
    if problem:
        raise ValueError(problem)
    return url.rstrip("/")


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("must be more than 0 seconds")
    return seconds


def _path(path: Path) -> Path:
    if not str(path).isprintable():
        raise ValueError("holds a character that cannot be printed")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("begins with ~ and there is no such home directory") from None


def _lowered(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _secret(secret: SecretStr) -> SecretStr:
    """Check what can be sent at all; a line end in a key comes from a sloppy paste."""
    value = secret.get_secret_value()
    if not 0 < len(value) <= _SECRET_MAX or not all("!" <= char <= "~" for char in value):
        raise ValueError("must be printable ASCII without spaces or line ends")
    return secret


def _aes_key(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    if len(value) != AES_KEY_CHARS or not (value.isascii() and value.isalnum()):
        raise ValueError(f"must be {AES_KEY_CHARS} letters and digits")
    return secret


def _keyring_entry(text: str) -> str:
    service, slash, user = text.partition("/")
    if not (service and slash and user) or not text.isprintable():
        raise ValueError("must be SERVICE/USER")
    return text


Span = Annotated[Duration, AfterValidator(_positive)]
KeyringEntry = Annotated[str, AfterValidator(_keyring_entry)]
FilePath = Annotated[Path, AfterValidator(_path)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
LogFormat = Annotated[Literal["auto", "console", "json"], BeforeValidator(_lowered)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lowered)]


class Settings(BaseSettings):
    """All settings; durations are seconds, paths are relative to where they were said."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    api_base: Annotated[str, AfterValidator(_api_base)] = Field(
        default="https://openapi.baidu.com",
        description="the platform's address; plain http is allowed to loopback only",
    )
    state_dir: FilePath = Field(
        default=Path(".fleetdeploy"), description="where runs, credentials and locks are kept"
    )
    tokens_file: FilePath | None = Field(
        default=None,
        description="JSON object, app id to access token, for those who manage tokens elsewhere; "
        "read again when a token is refused",
    )
    tp_client_id: Secret | None = Field(
        default=None,
        description="the third-party platform's key; with it fleetdeploy keeps the tokens itself "
        "(secret)",
    )
    tp_ticket: Secret | None = Field(
        default=None,
        description="the third-party platform's ticket, where no receiver runs (secret)",
    )
    push_token: Secret | None = Field(
        default=None, description="the token that signs pushes, for the receiver (secret)"
    )
    push_aes_key: Annotated[Secret, AfterValidator(_aes_key)] | None = Field(
        default=None,
        description="the key that encrypts pushes, 43 letters and digits, for the receiver "
        "(secret)",
    )
    push_max_age: Span = Field(
        default=3600.0, description="how old a push may be to be taken from the receiver"
    )
    store_key: Secret | None = Field(
        default=None,
        description="the key that seals credentials on disk; of several, separated by commas, "
        "the first seals and all open (secret)",
    )
    store_key_file: FilePath | None = Field(
        default=None, description="a file (mode 0600) with such keys, one a line"
    )
    store_keyring: KeyringEntry | None = Field(
        default=None,
        description="such keys from the system's keyring: SERVICE/USER of the entry",
    )
    poll_initial: Span = Field(
        default=3.0, description="how soon an app that waits is looked at again, at first"
    )
    poll_max: Span = Field(
        default=300.0,
        description="how long the looks may grow apart; with many waiting apps further still",
    )
    settle: Span = Field(
        default=10.0,
        description="how long after a lost answer the platform's silence proves nothing: "
        "its calls take effect with a delay",
    )
    log_format: LogFormat = Field(
        default="auto",
        description="the log on stderr: console or json; auto is console on a terminal, else json",
    )
    log_level: LogLevel = Field(
        default="info", description="the least that is logged: debug, info, warning or error"
    )
    _warnings: tuple[str, ...] = PrivateAttr(default=())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What looks like a mistake and is none for certain, for the log."""
        return self._warnings

    def said_in(self, cwd: Path, warnings: tuple[str, ...]) -> "Settings":
        """Return them with relative paths taken from `cwd`, and with warnings."""
        paths: dict[str, Path | None] = {"state_dir": cwd / self.state_dir}
        for name in ("tokens_file", "store_key_file"):
            said: Path | None = getattr(self, name)
            paths[name] = cwd / said if said else None
        self._warnings = warnings
        return self.model_copy(update=paths)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only from the caller: `load_settings` knows where each came from."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _poll_bounds(self) -> "Settings":
        if self.poll_initial > self.poll_max:
            initial, longest = format_duration(self.poll_initial), format_duration(self.poll_max)
            raise ValueError(f"poll_initial ({initial}) is longer than poll_max ({longest})")
        return self

    @model_validator(mode="after")
    def _one_key_source(self) -> "Settings":
        said = [name for name in KEY_SOURCES if getattr(self, name) is not None]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} say the same thing: keep one of them")
        return self


KEY_SOURCES: Final = ("store_key", "store_key_file", "store_keyring")
SECRETS: Final = frozenset({"tp_client_id", "tp_ticket", "push_token", "push_aes_key", "store_key"})
_UNREPEATED: Final = SECRETS | {"api_base"}
"""Values that no message shows: an address may hold a password."""

_EXAMPLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "api_base": "https://openapi.baidu.com",
        "state_dir": ".fleetdeploy",
        "tokens_file": "tokens.json",
        "store_key_file": "store.key",
        "store_keyring": "fleetdeploy/deploy",
    }
)


def load_settings(
    overrides: Mapping[str, object], cwd: Path, environ: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of this process.

    `overrides` are what flags said, by setting, None where a flag was not given; they never hold
    a secret. `.env` and `fleetdeploy.toml` are looked for in `cwd`, and relative paths are taken
    from there. Raises `SettingsInvalid` with every problem.
    """
    assert overrides.keys() <= Settings.model_fields.keys() - SECRETS
    said = collect(overrides, cwd, environ, tuple(Settings.model_fields), SECRETS)
    settings, problems = _checked(said)
    problems = [*said.problems, *problems]
    if settings is None or problems:
        raise SettingsInvalid(_told(problems), hint=_HINT)
    return settings.said_in(cwd, said.warnings)


_HINT: Final = "the settings are explained in docs/settings.md"


def _told(problems: list[str]) -> str:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"{count} in the settings", *problems])


def _checked(said: Collected) -> tuple[Settings | None, list[str]]:
    """Build the settings, or say what is wrong with each."""
    values = {name: one.value for name, one in said.values.items()}
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    # Told out here: the error above holds every value, secrets too.
    return None, [_problem(one, said.values) for one in details]


def _problem(details: ErrorDetails, values: Mapping[str, Said]) -> str:
    if not details["loc"]:
        names = [name for name in KEY_SOURCES if name in values]
        group = names if len(names) > 1 and "keep one" in _reason(details) else _BOUNDS
        places = [values[n].place if n in values else f"{n} (default)" for n in group]
        return f"{' and '.join(places)}: {_reason(details)}"
    name = str(details["loc"][0])
    said = values[name]
    example = _EXAMPLES.get(name)
    shown = "" if name in _UNREPEATED else _seen(said.value)
    typed = f"; type for example {example}" if example else ""
    return f"{said.place}: {_reason(details)}{shown}{typed}"


def _seen(value: object) -> str:
    return f" (it is {quoted(str(value))})" if isinstance(value, str | int | float) else ""


_BOUNDS: Final = ("poll_initial", "poll_max")


def _reason(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return str(context["error"])
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_type" | "path_type":
            return "must be text: put it in quotes"
        case _:
            return "cannot be understood"


def settings_table() -> str:
    """Return the settings as a Markdown table for `docs/settings.md`."""
    head = ["| setting | default | meaning |", "| --- | --- | --- |"]
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([*head, *rows])


def _default(value: object) -> str:
    if value is None:
        return "none"
    return f"`{format_duration(value)}`" if isinstance(value, float) else f"`{value}`"
