"""What makes one app's package recognisable: canonical JSON, fingerprint and marker.

The fingerprint is the first 10 hex digits of SHA-256 over the UTF-8 bytes of

    <template_id> LF <canonical ext_json>

A template id holds no line feed, and canonical JSON escapes those within its strings, so that the
first line feed always is the separator. Version, description and audit note are no part of it: the
same content under another version is the same content.
"""

import hashlib
import json

from pydantic import JsonValue


def canonical_json(value: JsonValue) -> str:
    """Write `value` in the one form that goes over the wire: sorted keys, no spaces, not escaped.

    Raises `ValueError` for what JSON in UTF-8 cannot carry: NaN and infinities, lone surrogates,
    a value that holds itself or is nested too deeply.
    """
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a character (a lone surrogate)") from None
    return text


def fingerprint_of(template_id: str, ext_json_text: str) -> str:
    """Return the fingerprint of a template with canonical `ext_json` (see the module's formula)."""
    assert "\n" not in template_id
    content = f"{template_id}\n{ext_json_text}".encode()
    return hashlib.sha256(content).hexdigest()[:10]


def marker_of(fingerprint: str) -> str:
    """Return the marker by which a package on the platform is recognised as ours."""
    return f"[fd:{fingerprint}]"


def describe(description: str, fingerprint: str) -> str:
    """Return what is sent as `user_desc`: the description with the marker at its end."""
    return f"{description.rstrip()} {marker_of(fingerprint)}".lstrip()
