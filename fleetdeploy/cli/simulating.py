"""The command that serves the platform's stand-in: `simulate`."""

import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.lowlevel
import click

from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import Interrupts
from fleetdeploy.cli.render.layout import harmless_json
from fleetdeploy.errors import ExitCode, UsageInvalid
from fleetdeploy.simulator.faults import Faults, even_faults
from fleetdeploy.simulator.pusher_http import pushing
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.scenario import Scenario, load_scenario
from fleetdeploy.simulator.server import serve
from fleetdeploy.simulator.world import World
from fleetdeploy.storage.atomic import write_atomic
from fleetdeploy.storage.manifest_file import load_manifest

FIRST_APP_ID = 100_000_001
SECRET_MODE = 0o600
ENVIRONMENT = ("API_BASE", "TP_CLIENT_ID", "TP_TICKET", "PUSH_TOKEN", "PUSH_AES_KEY")
"""What `--env-out` sets."""


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
@click.option(
    "--credentials-out",
    type=click.Path(path_type=Path),
    help="Where to write the apps' pairs of tokens, for `fleetdeploy auth import`.",
)
@click.option(
    "--env-out",
    type=click.Path(path_type=Path),
    help="Where to write the settings that fit this platform, its keys included: NAME=value.",
)
@click.option("--push-to", help="The URL of a receiver on this machine, to push to.")
@click.option("--expose", is_flag=True, help="Allow a host, or a receiver, that others can reach.")
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
    credentials_out: Path | None,
    env_out: Path | None,
    push_to: str | None,
    expose: bool,
) -> ExitCode:
    """Serve a simulated platform for a manifest's apps until a signal; then report on it."""
    scenario = _scenario(scenario_file, seed, fault_rate)
    world = World.from_scenario(scenario, _app_ids(manifest, apps))
    write_tokens(tokens_out, world)
    if credentials_out is not None:
        write_pairs(credentials_out, world)
    faults = Faults(scenario.faults, seed=scenario.seed)

    async def run() -> ExitCode:
        interrupts = Interrupts(lambda _: None)
        async with AsyncExitStack() as stack:
            url = await stack.enter_async_context(
                serve(world, faults, host=host, port=port, time_scale=time_scale, expose=expose)
            )
            if env_out is not None:
                write_environment(env_out, url, world)
            if push_to is not None:
                await stack.enter_async_context(pushing(world, push_to, expose=expose))
            use = _how_to_use(url, tokens_out, len(world.app_ids))
            rotate = _how_to_rotate(credentials_out, env_out)
            await _until_signal(interrupts, lambda: desk.say(use + rotate))
        desk.print(harmless_json(report(world), indent=2))
        return ExitCode.OK

    return anyio.run(run)


def _scenario(file: Path | None, seed: int | None, fault_rate: float | None) -> Scenario:
    """Read the scenario, with what the flags replace.

    Unless it says when its world begins, that is now: clients and receivers go by the time of day.
    """
    scenario = load_scenario(file) if file else Scenario()
    changes: dict[str, object] = {}
    if "epoch_unix" not in scenario.model_fields_set:
        changes["epoch_unix"] = int(time.time())
    if seed is not None:
        changes["seed"] = seed
    if fault_rate is not None:
        changes["faults"] = even_faults(fault_rate).model_dump()
    return scenario.changed(changes)


def write_tokens(path: Path, world: World) -> None:
    """Write the apps' tokens where `FLEETDEPLOY_TOKENS_FILE` can name them, for us alone."""
    write_atomic(path, json.dumps(dict(world.tokens)).encode() + b"\n", SECRET_MODE)


def write_pairs(path: Path, world: World) -> None:
    """Write the apps' pairs as `auth import` reads them, for us alone."""
    pairs = {
        app_id: {"refresh_token": pair.refresh_token, "access_token": pair.access_token}
        for app_id, pair in world.pairs().items()
    }
    write_atomic(path, json.dumps(pairs).encode() + b"\n", SECRET_MODE)


def write_environment(path: Path, url: str, world: World) -> None:
    """Write the settings that fit a world that is served, for us alone."""
    desk = world.desk
    rules = desk.rules
    values = (url, desk.client_id, desk.ticket(0.0), rules.push_token, rules.push_aes_key)
    settings = zip(ENVIRONMENT, values, strict=True)
    lines = [f"FLEETDEPLOY_{name}={value}\n" for name, value in settings]
    write_atomic(path, "".join(lines).encode(), SECRET_MODE)


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


def _how_to_rotate(credentials: Path | None, env: Path | None) -> str:
    """Name the files; what is in them stays there."""
    lines = []
    if env is not None:
        lines += [
            f"  set -a; . {env.absolute()}; set +a",
            f"which sets {', '.join(f'FLEETDEPLOY_{name}' for name in ENVIRONMENT)}",
        ]
    if credentials is not None:
        lines.append(f"  fleetdeploy auth import {credentials.absolute()}")
    return "\n".join(["\nwith tokens that rotate, and pushes:", *lines]) if lines else ""


async def _until_signal(interrupts: Interrupts, ready: Callable[[], None]) -> None:
    """Call `ready` once signals are heard, and wait for one."""
    async with anyio.create_task_group() as tasks:
        interrupts.ask_with(tasks.cancel_scope.cancel)
        tasks.start_soon(interrupts.watch)
        await anyio.lowlevel.checkpoint()
        ready()
