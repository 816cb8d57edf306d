"""The command that shows the main job: 300 apps against an embedded simulator.

It runs the very commands that a person would type, in processes of their own, and adds nothing
to them but the simulator's address.
"""

import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from subprocess import DEVNULL

import anyio
import click
from anyio.abc import Process

from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.simulating import write_tokens
from fleetdeploy.errors import ExitCode, StateUnusable
from fleetdeploy.simulator.faults import Faults
from fleetdeploy.simulator.report import report
from fleetdeploy.simulator.scenario import DEMO_TIME_SCALE, demo_scenario
from fleetdeploy.simulator.server import serve
from fleetdeploy.simulator.world import World
from fleetdeploy.storage.manifest_file import load_manifest

MANIFEST = "manifests/demo.yaml"
KILL_AFTER_S = 8.0
"""In the middle of the demo: uploads done, audits out, the first releases under way."""
EXPECTED = (ExitCode.OK, ExitCode.INCOMPLETE)
"""A dozen clients of the demo are awkward, so that not every app can be released."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: its directory, the manifest, the environment of its commands."""

    directory: Path
    manifest: Path
    environment: Mapping[str, str]


@click.command("demo")
@click.option("--kill", is_flag=True, help="Kill the run in the middle, and resume it.")
@common()
def demo_command(desk: Desk, *, kill: bool) -> ExitCode:
    """Roll out to 300 simulated clients in about half a minute; nothing leaves this machine."""
    return anyio.run(partial(_demo, desk, kill=kill))


def demo_manifest() -> Path:
    """Return the demo's manifest: from the installed package, else from the source tree."""
    package = Path(str(files("fleetdeploy")))
    for root in (package, package.parent):
        if (root / MANIFEST).is_file():
            return root / MANIFEST
    raise StateUnusable(f"{MANIFEST} is missing from the installation", hint="install it again")


async def _demo(desk: Desk, *, kill: bool) -> ExitCode:
    manifest = demo_manifest()
    scenario = demo_scenario()
    world = World.from_scenario(
        scenario, [app.app_id for app in load_manifest(manifest).manifest.apps]
    )
    async with AsyncExitStack() as stack:
        faults = Faults(scenario.faults, seed=scenario.seed)
        url = await stack.enter_async_context(serve(world, faults, time_scale=DEMO_TIME_SCALE))
        stage = _set_up(url, manifest, world)
        desk.say(
            f"a simulated platform with {len(world.app_ids)} clients listens on {url}; "
            f"an audit takes 5 to 20 s here\n"
        )
        code = await (_play_with_kill(desk, stage) if kill else _play(desk, stage))
    _tell(desk, stage, world)
    return ExitCode.OK if code in EXPECTED else ExitCode.UNEXPECTED


async def _play(desk: Desk, stage: Stage) -> int:
    process = await _start(desk, stage, "run", str(stage.manifest))
    return await process.wait()


async def _play_with_kill(desk: Desk, stage: Stage) -> int:
    process = await _start(desk, stage, "run", str(stage.manifest))
    with anyio.move_on_after(KILL_AFTER_S):
        return await process.wait()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    desk.say(f"\n\nkill -9 {process.pid}: gone in the middle of everything. And again:\n")
    return await (await _start(desk, stage, "resume")).wait()


async def _start(desk: Desk, stage: Stage, *words: str) -> Process:
    desk.say(f"$ fleetdeploy {shlex.join(words)}")
    return await anyio.open_process(
        [sys.executable, "-m", "fleetdeploy", *words],
        stdin=DEVNULL,
        stdout=None,
        stderr=None,
        env=stage.environment,
        cwd=stage.directory,
    )


def _set_up(url: str, manifest: Path, world: World) -> Stage:
    """Make a directory for the demo's runs; it stays, so that they can be looked at."""
    directory = Path(tempfile.mkdtemp(prefix="fleetdeploy-demo-"))
    tokens = directory / "tokens.json"
    write_tokens(tokens, world)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FLEETDEPLOY_")}
    settings = {
        "FLEETDEPLOY_API_BASE": url,
        "FLEETDEPLOY_TOKENS_FILE": str(tokens),
        "FLEETDEPLOY_STATE_DIR": str(directory / "state"),
        # The simulator's clock runs 60 times as fast as ours, and so do these.
        "FLEETDEPLOY_POLL_INITIAL": "0.5",
        "FLEETDEPLOY_POLL_MAX": "2",
        "FLEETDEPLOY_SETTLE": "0.5",
        # Progress and the summary are what the demo shows, not the log.
        "FLEETDEPLOY_LOG_FORMAT": "console",
        "FLEETDEPLOY_LOG_LEVEL": "warning",
    }
    return Stage(directory, manifest, {**inherited, **settings})


def _tell(desk: Desk, stage: Stage, world: World) -> None:
    """Say what the platform saw, where the run can be looked at, and how to begin for real."""
    saw = report(world)
    assert isinstance(saw["duplicates"], dict)
    state = shlex.quote(str(stage.directory / "state"))
    desk.say(
        f"\nwhat the platform saw: {saw['effects']}, done twice: {saw['duplicates']['count']}\n"
        f"\nlook around:\n"
        f"  fleetdeploy report --state-dir {state}\n"
        f"  fleetdeploy history --state-dir {state}\n"
        f"\nfor real:\n"
        f"  export FLEETDEPLOY_TOKENS_FILE=tokens.json"
        f'   # {{"app id": "access token", ...}}, mode 0600\n'
        f"  fleetdeploy validate manifest.yaml   # begin with {stage.manifest}\n"
        f"  fleetdeploy plan manifest.yaml       # only reads\n"
        f"  fleetdeploy run manifest.yaml"
    )
