"""The command that serves the platform's stand-in: `simulate`."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import click

from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import Interrupts
from fleetdeploy.errors import ExitCode, UsageInvalid
from fleetdeploy.simulator.faults import Faults, even_faults
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.scenario import Scenario, load_scenario
from fleetdeploy.simulator.server import serve
from fleetdeploy.simulator.world import World
from fleetdeploy.storage.atomic import write_atomic
from fleetdeploy.storage.manifest_file import load_manifest

FIRST_APP_ID = 100_000_001
SECRET_MODE = 0o600


@click.command("simulate")
@click.argument("manifest", required=False, type=click.Path(path_type=Path))
@click.option("--apps", type=click.IntRange(1, 200_000), help="So many apps, without a manifest.")
@click.option(
    "--scenario",
    "scenario_file",
    type=click.Path(path_type=Path),
    help="How the platform behaves (YAML or JSON); see docs/simulator.md.",
)
@click.option("--seed", type=int, help="Another seed than the scenario's.")
@click.option(
    "--fault-rate",
    type=click.FloatRange(0, 1),
    help="Share of all calls that go wrong in some way, in place of the scenario's faults.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option(
    "--time-scale", default=1.0, show_default=True, help="Simulated seconds per real second."
)
@click.option(
    "--tokens-out",
    type=click.Path(path_type=Path),
    default=Path("simulator-tokens.json"),
    show_default=True,
    help="Where to write the apps' access tokens.",
)
@click.option("--expose", is_flag=True, help="Allow a host that others can reach.")
@common()
def simulate_command(
    desk: Desk,
    *,
    manifest: Path | None,
    apps: int | None,
    scenario_file: Path | None,
    seed: int | None,
    fault_rate: float | None,
    host: str,
    port: int,
    time_scale: float,
    tokens_out: Path,
    expose: bool,
) -> ExitCode:
    """Serve a simulated platform for a manifest's apps until a signal; then report on it."""
    scenario = load_scenario(scenario_file) if scenario_file else Scenario()
    if seed is not None:
        scenario = scenario.changed({"seed": seed})
    if fault_rate is not None:
        scenario = scenario.changed({"faults": even_faults(fault_rate).model_dump()})
    world = World.from_scenario(scenario, _app_ids(manifest, apps))
    write_tokens(tokens_out, world)
    faults = Faults(scenario.faults, seed=scenario.seed)

    async def run() -> ExitCode:
        interrupts = Interrupts(lambda _: None)
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(
                serve(world, faults, host=host, port=port, time_scale=time_scale, expose=expose)
            )
            desk.say(_how_to_use(url, tokens_out, len(world.app_ids)))
            await _until_signal(interrupts)
        desk.print(json.dumps(report(world), ensure_ascii=False, indent=2))
        return ExitCode.OK

    return anyio.run(run)


def write_tokens(path: Path, world: World) -> None:
    """Write the apps' tokens where `FLEETDEPLOY_TOKENS_FILE` can name them, for us alone."""
    write_atomic(path, json.dumps(dict(world.tokens)).encode() + b"\n", SECRET_MODE)


def _app_ids(manifest: Path | None, apps: int | None) -> list[str]:
    if (manifest is None) == (apps is None):
        raise UsageInvalid("which apps?", hint="name a manifest, or a number with --apps")
    if manifest is not None:
        return [app.app_id for app in load_manifest(manifest).manifest.apps]
    assert apps is not None
    return [str(FIRST_APP_ID + number) for number in range(apps)]


def _how_to_use(url: str, tokens: Path, apps: int) -> str:
    return (
        f"simulated platform with {apps} apps at {url}; stop it with Ctrl-C\n"
        f"in another terminal:\n"
        f"  export FLEETDEPLOY_API_BASE={url} FLEETDEPLOY_TOKENS_FILE={tokens.absolute()}\n"
        f"  fleetdeploy run MANIFEST\n"
        f"what it saw so far: {url}/_simulator/report"
    )


async def _until_signal(interrupts: Interrupts) -> None:
    async with anyio.create_task_group() as tasks:
        interrupts.ask_with(tasks.cancel_scope.cancel)
        await interrupts.watch()
