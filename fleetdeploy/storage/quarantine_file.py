"""The file in which a state directory keeps its quarantine: small, and replaced as a whole.

It decides nothing. Where the file is missing nobody is set aside; one that cannot be read is
refused, as somebody may have set an app aside so that it is not touched.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from fleetdeploy.core.quarantine import Quarantine
from fleetdeploy.errors import StateUnusable
from fleetdeploy.storage.atomic import unusable, write_atomic

FILE_NAME: Final = "quarantine.json"

MAX_BYTES: Final = 128 * 1024 * 1024
"""A hundred thousand apps take about half of it; what is longer was not written by us."""

Change = Callable[[Quarantine], Quarantine]


def read_quarantine(state_dir: Path) -> Quarantine:
    """Read it; raises `StateUnusable`."""
    path = state_dir / FILE_NAME
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Quarantine()
    except OSError as error:
        raise unusable("read", path, error) from error
    if len(data) > MAX_BYTES:
        raise _damaged(path, f"is larger than {MAX_BYTES} bytes")
    try:
        return Quarantine.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _damaged(path, f"{place}: {first['msg']}".removeprefix(": ")) from None


def change_quarantine(state_dir: Path, change: Change) -> Quarantine:
    """Replace it by what `change` makes of it, durably; call it inside `StateDir.exclusive`.

    Raises `StateUnusable`; the old content then stays.
    """
    before = read_quarantine(state_dir)
    after = change(before)
    if after != before:
        data = after.model_dump_json(indent=1, exclude_none=True).encode()
        write_atomic(state_dir / FILE_NAME, data + b"\n")
    return after


def _damaged(path: Path, what: str) -> StateUnusable:
    return StateUnusable(
        f"{path} is damaged: {what}",
        hint="restore it from a backup, or move it away: the next run sets aside again whom its "
        "runs make due; what was added or cleared by hand has to be typed again",
    )
