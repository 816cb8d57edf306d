"""The commands that need neither platform nor runs: `validate`, `schema`."""

import json
from collections import Counter
from pathlib import Path

import click

from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import SystemClock
from fleetdeploy.cli.render.validated import Validated, render_validated
from fleetdeploy.cli.schemas import SCHEMAS
from fleetdeploy.cli.streams import write_out
from fleetdeploy.core.targets import resolve
from fleetdeploy.errors import ExitCode
from fleetdeploy.storage.manifest_file import LoadedManifest, load_manifest


@click.command("validate")
@click.argument("manifest", type=click.Path(path_type=Path))
@common()
def validate_command(desk: Desk, *, manifest: Path) -> ExitCode:
    """Check a manifest, offline: every problem in one go."""
    loaded = load_manifest(manifest)
    desk.print(render_validated(_validated(loaded), desk.output, desk.style))
    return ExitCode.OK


def _validated(loaded: LoadedManifest) -> Validated:
    manifest = loaded.manifest
    targets = resolve(manifest, date=SystemClock().now().astimezone().date(), run_id="RUN_ID")
    budget, blocked = manifest.rollout.max_failures, manifest.rollout.max_blocked
    return Validated(
        name=manifest.name,
        path=str(loaded.path),
        digest=loaded.digest,
        apps=len(targets),
        waves=tuple(dict.fromkeys(target.wave for target in targets)),
        templates=dict(Counter(target.bundle.template_id for target in targets)),
        versions=dict(Counter(target.bundle.version for target in targets)),
        direct_commit=sum(target.bundle.direct_commit for target in targets),
        max_failures=str(budget),
        failures_allowed=budget.allowed(len(targets)),
        max_blocked=str(blocked) if blocked else None,
        blocked_allowed=blocked.allowed(len(targets)) if blocked else None,
        halt_on_cause=manifest.rollout.halt_on_cause or None,
    )


@click.command("schema")
@click.argument("name", required=False, type=click.Choice(sorted(SCHEMAS)))
def schema_command(name: str | None) -> ExitCode:
    """Print the JSON Schema of a file or an output; without a name, list what there is."""
    if name is None:
        write_out("\n".join(sorted(SCHEMAS)))
    else:
        write_out(json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False))
    return ExitCode.OK
