"""JSON Merge Patch (RFC 7396): how the layers of `ext_json` become one value."""

from pydantic import JsonValue


def merge_patch(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Return `target` with `patch` applied; neither is changed.

    A null in the patch removes the key. Anything but an object replaces the target whole, lists
    included. The result may share parts with both inputs.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
