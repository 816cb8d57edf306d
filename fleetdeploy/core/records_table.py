"""The records of a journal as tables for `docs/journal.md`, made from the models themselves."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Final, Literal, get_args, get_origin

from pydantic import BaseModel

from fleetdeploy.core.records import AnyAppRecord, RunRecord, RunStarted

_PLAIN: Final[dict[object, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    datetime: "time, UTC",
    tuple[str, ...]: "list of texts",
    dict[str, int]: "object: text to whole number",
}


def records_table() -> str:
    """Return two Markdown tables: the kinds of record, and the values of their fields."""
    models = get_args(RunRecord | AnyAppRecord)
    kinds = [_kind_row(model) for model in models]
    values: dict[str, str] = {}
    for model in models:
        for path, value in _values(model, ""):
            seen = values.setdefault(path, value)
            assert seen == value, f"{path} means different things in different records"
    fields = [f"| `{path}` | {value} |" for path, value in values.items()]
    heads = ["| kind | meaning | fields |", "| --- | --- | --- |"]
    return "\n".join([*heads, *kinds, "", "| field | value |", "| --- | --- |", *fields])


def _kind_row(model: type[BaseModel]) -> str:
    optional = model is not RunStarted  # the header is written whole
    names = [
        f"`{name}`" + ("?" if optional and not field.is_required() else "")
        for name, field in model.model_fields.items()
        if name != "kind"
    ]
    kind = model.model_fields["kind"].default
    return f"| `{kind}` | {_summary(model)} | {', '.join(names)} |"


def _summary(model: type[BaseModel]) -> str:
    """Return the first paragraph of the model's docstring on one line."""
    paragraph = (model.__doc__ or "").strip().partition("\n\n")[0]
    return " ".join(paragraph.split())


def _values(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        if name == "kind":
            continue
        inner = _without_none(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _values(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _describe(inner)


def _without_none(annotation: object) -> object:
    if isinstance(annotation, UnionType):
        (inner,) = (part for part in get_args(annotation) if part is not NoneType)
        return inner
    return annotation


def _describe(annotation: object) -> str:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{member}`" for member in annotation)
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    return _PLAIN[annotation]
