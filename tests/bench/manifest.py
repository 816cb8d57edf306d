"""Loading a manifest: reading, checking and placing every word, against the bare parsers."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import yaml

from fleetdeploy.storage.manifest_file import load_manifest
from tests.bench.parts import seconds
from tests.bench.table import Figure
from tests.simulator.harness import app_ids

HEAD: Final = """\
api_version: fleetdeploy/v1
name: storefront
template_id: "754"
version: "10.30.{date}"
description: "autumn storefront"
audit: {content: "routine template update", remark: "submitted by the agency"}
ext_json: {extEnable: true, ext: {theme: autumn}}
groups:
  - {name: gold, match: {tier: gold}, ext_json: {ext: {banner: gold}}}
"""
TIERS: Final = ("gold", "silver", "basic")


def manifest_figures(folder: Path, apps: int) -> Iterator[Figure]:
    """Yield how long so many apps take to load as YAML and as CSV."""
    yaml_path = folder / "inline.yaml"
    yaml_path.write_text(HEAD + "apps:\n" + "".join(map(_yaml_app, app_ids(apps))), "utf-8")
    csv_path = folder / "clients.csv"
    rows = "".join(map(_csv_app, app_ids(apps)))
    csv_path.write_text("app_id,name,labels.tier,labels.region,ext.host\n" + rows, "utf-8")
    with_csv = folder / "with_csv.yaml"
    with_csv.write_text(HEAD + "apps_file: clients.csv\n", "utf-8")
    yield _figure("YAML", yaml_path, "yaml.CSafeLoader alone", lambda: _bare_yaml(yaml_path), apps)
    yield _figure("CSV", with_csv, "csv.DictReader alone", lambda: _bare_csv(csv_path), apps)


def _figure(form: str, path: Path, floor_is: str, bare: Callable[[], int], apps: int) -> Figure:
    def load() -> None:
        assert len(load_manifest(path).manifest.apps) == apps

    def floor() -> None:
        assert bare() == apps

    name = f"manifest of {apps:,} apps as {form}"
    return Figure(name, seconds(load), "s", seconds(floor), floor_is)


def _bare_yaml(path: Path) -> int:
    return len(yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["apps"])


def _bare_csv(path: Path) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        return len(list(csv.DictReader(file)))


def _yaml_app(app_id: str) -> str:
    tier = TIERS[int(app_id) % len(TIERS)]
    return (
        f'  - app_id: "{app_id}"\n'
        f"    name: Client {app_id}\n"
        f"    labels: {{tier: {tier}, region: north}}\n"
        f"    ext_json: {{ext: {{host: c{app_id}.shops.example}}}}\n"
    )


def _csv_app(app_id: str) -> str:
    tier = TIERS[int(app_id) % len(TIERS)]
    return f"{app_id},Client {app_id},{tier},north,c{app_id}.shops.example\n"
