"""Which apps a command is about: the `--only` and `--exclude` flags.

A selector is an app id, `label=value`, or `phase=failed`. `@file` is read by the caller.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fleetdeploy.errors import UsageInvalid
from fleetdeploy.model import Phase

FLAGS_MAX: Final = 20
"""As many ids as a person still copies from a terminal."""


@dataclass(frozen=True, slots=True)
class Selectable:
    """What a selector can see of an app; `phase` is None where no run knows the app."""

    app_id: str
    labels: Mapping[str, str]
    phase: Phase | None = None


@dataclass(frozen=True, slots=True)
class Selector:
    """`key` is empty for an app id, `phase`, or a label's name."""

    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read one selector; raises `UsageInvalid`."""
        key, equals, value = text.strip().partition("=")
        if not equals:
            key, value = "", key
        if not value or (equals and not key):
            raise UsageInvalid(
                f"{text!r} selects nothing",
                hint="use an app id, label=value, phase=failed or @FILE with one of them a line",
            )
        if key == "phase" and value not in frozenset(Phase):
            raise UsageInvalid(
                f"there is no phase {value!r}", hint=f"phases are {', '.join(Phase)}"
            )
        return cls(key, value)

    def __str__(self) -> str:
        return f"{self.key}={self.value}" if self.key else self.value

    def selects(self, app: Selectable) -> bool:
        if not self.key:
            return app.app_id == self.value
        if self.key == "phase":
            return app.phase == self.value
        return app.labels.get(self.key) == self.value


@dataclass(frozen=True, slots=True)
class Selection:
    """Any of `only` (all apps if empty) and none of `exclude`.

    `typed` are the flags as they were given.
    """

    only: tuple[Selector, ...] = ()
    exclude: tuple[Selector, ...] = ()
    typed: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, only: Iterable[str], exclude: Iterable[str]) -> "Selection":
        return cls(tuple(map(Selector.parse, only)), tuple(map(Selector.parse, exclude)))

    def flags(self, chosen: Sequence[str]) -> tuple[str, ...]:
        """Return the words that choose these apps again; none where they would fill a screen.

        What was typed, unless it speaks of a phase: a run changes that.
        """
        if self.everything or (self.typed and not self.needs_phase()):
            return self.typed
        if len(chosen) > FLAGS_MAX:
            return self.typed
        return tuple(word for app_id in chosen for word in ("--only", app_id))

    @property
    def everything(self) -> bool:
        return not self.only and not self.exclude

    @property
    def named(self) -> frozenset[str]:
        """The apps that are asked for by their id."""
        return frozenset(selector.value for selector in self.only if not selector.key)

    def needs_phase(self) -> bool:
        return any(selector.key == "phase" for selector in (*self.only, *self.exclude))

    def apply(self, apps: Sequence[Selectable]) -> frozenset[str]:
        """Return the ids of the selected apps.

        Raises `UsageInvalid` for a selector that fits no app (a typo would otherwise shrink the
        fleet in silence) and for an empty selection.
        """
        for selector in (*self.only, *self.exclude):
            if selector.key != "phase" and not any(selector.selects(app) for app in apps):
                raise UsageInvalid(f"no app fits {selector}", hint="check the id or the label")
        chosen = frozenset(app.app_id for app in apps if self._takes(app))
        if not chosen:
            raise UsageInvalid("the selection is empty", hint="check --only and --exclude")
        return chosen

    def _takes(self, app: Selectable) -> bool:
        if any(selector.selects(app) for selector in self.exclude):
            return False
        return not self.only or any(selector.selects(app) for selector in self.only)
