"""Hostile manifests and apps files: a manifest comes out, or `ManifestInvalid`.

The first line of an input is the name of the file that the rest is written to; of an apps file, the
manifest beside it is a sound one.
"""

import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from fleetdeploy.core.bundle import canonical_json
from fleetdeploy.errors import ManifestInvalid
from fleetdeploy.storage.manifest_file import LoadedManifest, load_manifest
from tests.fuzz.words import check_error

FORMS: Final = ("m.yaml", "m.json", "a.csv", "a.json", "a.jsonl", "a.yaml")
_HEAD: Final = """\
api_version: fleetdeploy/v1
name: sample
template_id: "754"
version: "1"
audit: {content: c, remark: r}
groups:
  - {name: gold, match: {tier: gold}, ext_json: {ext: {banner: gold}}}
"""


def try_one(data: bytes) -> str:
    """Load one input; return whether it is a manifest."""
    name, _, content = data.partition(b"\n")
    form = name.decode("ascii", "replace")
    try:
        loaded = _loaded(form if form in FORMS else FORMS[0], content)
    except ManifestInvalid as error:
        check_error(error)
        return "invalid"
    assert loaded.manifest.apps, "a manifest without apps"
    for app in loaded.manifest.apps:
        canonical_json(app.ext_json or {}).encode()
    return "valid"


def _loaded(form: str, content: bytes) -> LoadedManifest:
    path = Path(_folder().name, form)
    path.write_bytes(content)
    if form.startswith("a."):
        path = path.with_name("manifest.yaml")
        path.write_text(f"{_HEAD}apps_file: {form}\n", "utf-8")
    return load_manifest(path)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of this process, which goes with it."""
    return tempfile.TemporaryDirectory(prefix="fleetdeploy-fuzz-")
