"""The command that shows the main job: 300 apps against an embedded simulator.

It runs the very commands that a person would type, in processes of their own, and adds nothing
to them but the simulator's address.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from subprocess import DEVNULL

import anyio
import click
from anyio.abc import Process

from fleetdeploy.cli.options import Desk, common
from fleetdeploy.cli.process import unless_interrupted
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
END_S = 8.0
"""A run that is told to end drains for some seconds."""
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
        play = _play_with_kill if kill else _play
        code = await unless_interrupted(partial(play, desk, stage))
    _tell(desk, stage, world)
    return ExitCode.OK if code in EXPECTED else ExitCode.UNEXPECTED


async def _play(desk: Desk, stage: Stage) -> int:
    async with _started(desk, stage, "run", str(stage.manifest)) as process:
        code = [await process.wait()]
    return code[0]


async def _play_with_kill(desk: Desk, stage: Stage) -> int:
    async with _started(desk, stage, "run", str(stage.manifest)) as process:
        with anyio.move_on_after(KILL_AFTER_S):
            await process.wait()
        process.kill()
    desk.say(f"\n\nkill -9 {process.pid}: gone in the middle of everything. And again:\n")
    async with _started(desk, stage, "resume") as process:
        code = [await process.wait()]
    return code[0]


@asynccontextmanager
async def _started(desk: Desk, stage: Stage, *words: str) -> AsyncGenerator[Process]:
    """Start a command of ours; whatever happens, it ends with the block."""
    desk.say(f"$ fleetdeploy {shlex.join(words)}")
    process = await anyio.open_process(
        [sys.executable, "-m", "fleetdeploy", *words],
        stdin=DEVNULL,
        stdout=None,
        stderr=None,
        env=stage.environment,
        cwd=stage.directory,
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.terminate()
            with anyio.move_on_after(END_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()


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
        f"the simulated platform is gone: what `next` names is for clients of yours\n"
        f"\nfor real:\n"
        f"  export FLEETDEPLOY_TOKENS_FILE=tokens.json"
        f'   # {{"app id": "access token", ...}}, mode 0600\n'
        f"  fleetdeploy validate manifest.yaml   # begin with {stage.manifest}\n"
        f"  fleetdeploy plan manifest.yaml       # only reads\n"
        f"  fleetdeploy run manifest.yaml"
    )
