"""How the engine waits for the end of an outage, on virtual time and with a journal that lags."""

from random import Random

import anyio
import pytest

from fleetdeploy.core.breaker import (
    COSTLY_PROBE_MAX_S,
    EXCUSED_FOR_S,
    PROBE_INITIAL_S,
    PROBE_MAX_S,
    TROUBLES,
)
from fleetdeploy.core.records import (
    ErrorNote,
    StepDoubted,
    StepFailed,
    StepSucceeded,
)
from fleetdeploy.core.replay import RunState, replay
from fleetdeploy.engine.ledger import Ledger
from fleetdeploy.engine.outages import PROBED_S, Outages
from fleetdeploy.engine.scheduler import Next
from fleetdeploy.model import Service, Step
from fleetdeploy.storage.memory_journal import MemoryJournal
from tests.builders import make_header
from tests.simulator.harness import VirtualWall
from tests.simulator.parts import Watcher

pytestmark = pytest.mark.anyio

IDS = [str(number) for number in range(300)]
CUT_OFF = ErrorNote(code="transport.cut_off", message="cut off")
DOWN = ErrorNote(code="platform.service_unavailable", message="down", errno=69009)
REFUSED = ErrorNote(code="platform.scope_missing", message="no scope", errno=45001)


class Scene:
    """The outages of one process on a journal whose records take a while to become durable."""

    def __init__(self, *, waits: bool = True, data: bytes = b"", latency_s: float = 0.5) -> None:
        self.journal = MemoryJournal(VirtualWall(), latency_s=latency_s, data=data)
        self.state = replay(RunState.new(IDS), self.journal.contents.entries)
        self.ledger = Ledger(self.journal, self.state, Watcher())
        self.outages = Outages(
            self.ledger, VirtualWall(), Random(1), waits=waits, apps=lambda: len(IDS)
        )
        self.ended = 0
        self.outages.on_end = self._end

    def _end(self) -> None:
        self.ended += 1

    async def begin(self) -> None:
        await self.ledger.append(make_header())

    async def no_look_gets_through(self) -> None:
        for app_id in IDS[:TROUBLES]:
            await self.outages.look_failed(app_id, CUT_OFF)

    def kinds(self) -> list[str]:
        entries = MemoryJournal(VirtualWall(), data=self.journal.data).contents.entries
        return [entry.record.kind for entry in entries[1:]]


async def scene_with(*, waits: bool = True) -> Scene:
    scene = Scene(waits=waits)
    await scene.begin()
    return scene


def build_failed(
    app_id: str, error: ErrorNote = DOWN, step: Step = Step.AWAIT_UPLOAD
) -> StepFailed:
    return StepFailed(app_id=app_id, step=step, attempt=1, error=error)


async def test_while_nothing_is_out_nobody_is_held_and_nothing_is_written() -> None:
    scene = await scene_with()
    await scene.outages.looked("1")
    assert scene.outages.hold_look("1", None) is None
    assert scene.outages.hold_step("1", Step.UPLOAD) is None
    assert scene.kinds() == []


async def test_an_outage_of_the_platform_holds_all_and_lets_one_look_probe() -> None:
    scene = await scene_with()
    await scene.no_look_gets_through()
    assert scene.kinds() == ["outage_began"]
    assert scene.outages.platform_is_out
    held = scene.outages.hold_look("7", None)
    assert held is not None
    assert held.patient
    assert 0.0 < held.delay_s <= PROBE_INITIAL_S
    await anyio.sleep(PROBE_INITIAL_S)
    assert scene.outages.hold_look("7", None) is None
    assert scene.outages.hold_look("8", None) is not None
    assert scene.outages.hold_step("7", Step.UPLOAD) is not None
    await scene.outages.looked("7")
    assert scene.ended == 1
    assert scene.outages.platform_back_at == anyio.current_time() - 0.5
    assert scene.outages.hold_look("8", None) is None
    assert scene.kinds() == ["outage_began", "outage_ended"]


async def test_refused_looks_are_answers() -> None:
    scene = await scene_with()
    for app_id in IDS:
        await scene.outages.look_failed(app_id, REFUSED)
    assert not scene.outages.platform_is_out


async def test_an_outage_of_the_packaging_holds_uploads_alone_until_something_is_built() -> None:
    scene = await scene_with()
    for app_id in IDS[:TROUBLES]:
        await scene.outages.recorded(build_failed(app_id))
    assert scene.state.outages[-1].service is Service.BUILD
    assert scene.outages.hold_step("7", Step.UPLOAD) is not None
    assert scene.outages.hold_step("8", Step.RELEASE) is None
    assert scene.outages.hold_look("9", None) is None
    await anyio.sleep(PROBE_INITIAL_S)
    # The look of one that waits for its upload is part of the probe: the others make none.
    assert scene.outages.hold_look("7", Step.UPLOAD) is None
    assert scene.outages.hold_look("8", Step.UPLOAD) is not None
    assert scene.outages.hold_step("7", Step.UPLOAD) is None
    await scene.outages.recorded(StepSucceeded(app_id="7", step=Step.UPLOAD, attempt=2))
    assert scene.outages.hold_step("8", Step.UPLOAD) is not None
    await scene.outages.recorded(StepSucceeded(app_id="7", step=Step.AWAIT_UPLOAD, attempt=1))
    assert scene.outages.hold_step("8", Step.UPLOAD) is None


async def test_a_run_that_does_not_wait_sees_a_probe_out_and_leaves_otherwise() -> None:
    scene = await scene_with(waits=False)
    await scene.no_look_gets_through()
    held = scene.outages.hold_look("7", None)
    assert held is not None
    assert held.patient
    await anyio.sleep(PROBE_INITIAL_S)
    assert scene.outages.hold_look("7", None) is None
    assert scene.outages.hold_look("8", None) == Next(PROBED_S)


async def test_the_next_process_begins_with_a_probe() -> None:
    scene = await scene_with()
    await scene.no_look_gets_through()
    after = Scene(data=scene.journal.data)
    assert after.outages.platform_is_out
    assert after.outages.hold_look("7", None) is None
    assert after.outages.hold_look("8", None) is not None
    await after.outages.looked("7")
    assert after.kinds() == ["outage_began", "outage_ended"]


async def test_tries_are_excused_while_their_service_or_the_platform_is_out() -> None:
    scene = await scene_with()
    lost = StepDoubted(app_id="1", step=Step.RELEASE, attempt=1, error=CUT_OFF)
    refused = StepFailed(app_id="1", step=Step.RELEASE, attempt=1, error=REFUSED)
    assert scene.outages.judged(lost) is lost
    await scene.no_look_gets_through()
    judged = scene.outages.judged(lost)
    assert isinstance(judged, StepDoubted)
    assert judged.excused
    assert scene.outages.judged(refused) is refused
    await anyio.sleep(EXCUSED_FOR_S)
    assert scene.outages.judged(lost) is lost


async def test_the_next_process_excuses_no_longer_than_this_one_would_have() -> None:
    lost = StepDoubted(app_id="1", step=Step.RELEASE, attempt=1, error=CUT_OFF)
    scene = await scene_with()
    await scene.no_look_gets_through()
    await anyio.sleep(EXCUSED_FOR_S - 60.0)
    after = Scene(data=scene.journal.data)
    assert after.outages.judged(lost) is not lost
    await anyio.sleep(60.0)
    assert after.outages.judged(lost) is lost
    assert Scene(data=scene.journal.data).outages.judged(lost) is lost


async def test_where_each_probe_is_an_upload_fewer_are_made() -> None:
    scene = await scene_with()
    steps = (Step.UPLOAD, Step.RELEASE)
    pauses = {step: await longest_pause(scene, step) for step in steps}
    assert COSTLY_PROBE_MAX_S / 2 <= pauses[Step.UPLOAD] <= COSTLY_PROBE_MAX_S
    assert pauses[Step.RELEASE] <= PROBE_MAX_S


async def longest_pause(scene: Scene, step: Step) -> float:
    """Let an outage of what a step needs go on; return the longest pause between two probes."""
    for app_id in IDS[:TROUBLES]:
        await scene.outages.recorded(build_failed(app_id, step=step))
    pauses = []
    for _ in range(10):
        held = scene.outages.hold_step("7", step)
        assert held is not None
        pauses.append(held.delay_s)
        await anyio.sleep(held.delay_s)
        assert scene.outages.hold_step("7", step) is None
        await scene.outages.recorded(build_failed("7", step=step))
    return max(pauses)


async def test_j4_outages_are_written_in_turn_however_slow_the_disk() -> None:
    """The breaker opens, closes and opens again before the first of it is durable."""
    scene = Scene(latency_s=60.0)
    await scene.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(scene.no_look_gets_through)
        await anyio.sleep(PROBE_INITIAL_S + 1.0)
        assert scene.outages.hold_look("7", None) is None
        tasks.start_soon(scene.outages.looked, "7")
        await anyio.sleep(1.0)
        tasks.start_soon(scene.no_look_gets_through)
    assert scene.kinds() == ["outage_began", "outage_ended", "outage_began"]
    assert [outage.until is None for outage in scene.state.outages] == [False, True]
