"""Which keys of two `ext_json` texts differ, as dotted paths."""

import json


def changed_keys(before: str, after: str, *, most: int = 50) -> tuple[str, ...]:
    """Return the sorted dotted paths at which two JSON texts differ, `most` at the most.

    Objects are compared key by key; everything else, lists too, as a whole.
    """
    paths = sorted(_differences(json.loads(before), json.loads(after), ""))
    if len(paths) > most:
        return (*paths[:most], f"and {len(paths) - most} more")
    return tuple(paths)


def _same(one: object, other: object) -> bool:
    """Compare as JSON does: `1` is not `true`, whatever Python says."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _differences(before: object, after: object, path: str) -> list[str]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [] if _same(before, after) else [path or "(all of it)"]
    found: list[str] = []
    for key in before.keys() | after.keys():
        inner = f"{path}.{key}" if path else str(key)
        if key in before and key in after:
            found += _differences(before[key], after[key], inner)
        else:
            found.append(inner)
    return found
