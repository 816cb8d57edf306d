"""The checkers find what they look for: each gets a night that is broken in one way."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio
import pytest

from fleetdeploy.core.decisions import Policy
from fleetdeploy.core.records import AnyAppRecord, Entry, RunRecord, StepStarted, StepSucceeded
from fleetdeploy.model import AuditNote, AuditQuota, Bundle, Package, PackageStatus, Phase
from fleetdeploy.ports import Journal, Platform
from fleetdeploy.simulator.behaviour import Behaviour, ForeignPackage
from fleetdeploy.simulator.endpoints import Endpoint
from fleetdeploy.simulator.faults import FaultRates, FaultScript
from fleetdeploy.simulator.scenario import Scenario
from fleetdeploy.storage.memory_journal import MemoryJournal
from tests.simulator.checkers import complaints, ended, most_in_one_second, outcomes
from tests.simulator.harness import Night, in_virtual_time, make_night

PROMPT = Behaviour(effect_delay_s=1.0, build_s=(0.1, 0.5), audit_s=(0.1, 0.5))
LAGGING = Behaviour(effect_delay_s=8.0, build_s=(0.1, 0.5), audit_s=(0.1, 0.5))


@dataclass
class Through:
    """A platform that passes everything on, for others to break."""

    inner: Platform

    async def packages(self, app_id: str) -> tuple[Package, ...]:
        return await self.inner.packages(app_id)

    async def audit_quota(self, app_id: str) -> AuditQuota:
        return await self.inner.audit_quota(app_id)

    async def upload(self, app_id: str, bundle: Bundle) -> None:
        await self.inner.upload(app_id, bundle)

    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        await self.inner.submit_audit(app_id, package_id, note)

    async def release(self, app_id: str, package_id: str) -> None:
        await self.inner.release(app_id, package_id)

    async def rollback(self, app_id: str, package_id: str) -> None:
        await self.inner.rollback(app_id, package_id)

    async def withdraw(self, app_id: str, package_id: str) -> None:
        await self.inner.withdraw(app_id, package_id)


class UploadsTwice(Through):
    async def upload(self, app_id: str, bundle: Bundle) -> None:
        await super().upload(app_id, bundle)
        await super().upload(app_id, bundle)


class SubmitsTwice(Through):
    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        await super().submit_audit(app_id, package_id, note)
        await super().submit_audit(app_id, package_id, note)


class ReleasesTwice(Through):
    async def release(self, app_id: str, package_id: str) -> None:
        await super().release(app_id, package_id)
        await super().release(app_id, package_id)


class ReleasesUnseen(Through):
    async def submit_audit(self, app_id: str, package_id: str, note: AuditNote) -> None:
        await super().submit_audit(app_id, package_id, note)
        await super().release(app_id, package_id)


class UploadsAnother(Through):
    async def upload(self, app_id: str, bundle: Bundle) -> None:
        await super().upload(app_id, replace(bundle, template_id="1"))


@dataclass
class Forgetful:
    """A journal that loses some records and says that it has them."""

    inner: Journal
    loses: Callable[[RunRecord | AnyAppRecord], bool]
    last: Entry | None = None

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        if self.loses(record):
            assert self.last is not None
            return replace(self.last, record=record)
        self.last = await self.inner.append(record)
        return self.last


@dataclass
class Hasty:
    """A journal that says too soon that a record is durable."""

    inner: MemoryJournal

    async def append(self, record: RunRecord | AnyAppRecord) -> Entry:
        entry, line = self.inner._chain.stamp(record, self.inner._clock.now())
        self.inner._data += line
        return entry


def broken(**changes: object) -> Night:
    """Live a night of four apps that is broken in some way, and return it."""
    changes.setdefault("scenario", Scenario(behaviour=PROMPT))
    night = make_night(4, **changes)
    in_virtual_time(night.live)
    return night


def test_they_find_nothing_wrong_with_a_night_that_is_not_broken() -> None:
    night = broken()
    assert [*complaints(night), *ended(night), *outcomes(night, {})] == []


@pytest.mark.parametrize("wrapper", [UploadsTwice, SubmitsTwice, ReleasesTwice])
def test_promise_1_every_effect_that_is_repeated_is_found(wrapper: type[Through]) -> None:
    found = complaints(broken(around_platform=wrapper))
    assert sum(text.startswith("done twice") for text in found) >= 4
    assert any(text.startswith("sent again under one intent") for text in found)


def test_promise_1_an_engine_that_does_not_let_things_settle_is_found() -> None:
    """The answer to every other upload is lost and its effect lags."""
    lost = FaultScript(endpoints={Endpoint.UPLOAD: FaultRates(answer_lost=1.0)}, max_consecutive=1)
    scenario = Scenario(behaviour=LAGGING, faults=lost)
    assert complaints(broken(scenario=scenario)) == []
    found = complaints(broken(scenario=scenario, policy=Policy(settle_s=0.0)))
    assert any(text.startswith("done twice: upload") for text in found)


def test_promise_2_a_release_without_a_verdict_is_found() -> None:
    found = complaints(broken(around_platform=ReleasesUnseen))
    assert any(text.startswith("unlawful: release") for text in found)


def test_promise_2_an_upload_of_something_else_is_found() -> None:
    found = complaints(broken(around_platform=UploadsAnother))
    assert any(text.startswith("not ours: upload") for text in found)


def test_promise_3_a_pace_above_the_declared_one_is_found() -> None:
    night = make_night(40, scenario=Scenario(behaviour=PROMPT), rate=50.0)
    in_virtual_time(night.live)
    night.rate, night.in_flight = 20.0, 2
    assert sorted(text[:8] for text in complaints(night)) == ["too fast", "too many"]


def test_a_second_is_half_open() -> None:
    assert most_in_one_second([0.0, 0.5, 1.0, 1.5]) == 2
    assert most_in_one_second([0.0, 0.5, 0.99, 1.5]) == 3


def test_j1_a_journal_that_loses_intents_is_found() -> None:
    def forget(journal: Journal) -> Journal:
        return Forgetful(journal, lambda record: isinstance(record, StepStarted))

    found = complaints(broken(around_journal=forget))
    assert any(text.startswith("unannounced: upload") for text in found)
    assert any(text.startswith("no intent in the journal: upload") for text in found)
    assert any(text.startswith("cannot be replayed") for text in found)


def test_j1_a_journal_that_is_not_durable_when_it_says_so_is_found() -> None:
    found = complaints(broken(around_journal=Hasty))
    assert sum(text.startswith("unannounced") for text in found) == 12


def test_j2_a_result_that_is_not_recorded_before_the_next_look_is_found() -> None:
    def forget(journal: Journal) -> Journal:
        return Forgetful(journal, lambda record: isinstance(record, StepSucceeded))

    found = complaints(broken(around_journal=forget))
    assert any(text.startswith("result not recorded before packages") for text in found)
    assert any(text.startswith("no result before the next intent") for text in found)


def test_j3_a_doubt_that_ends_too_soon_is_found() -> None:
    lost = FaultScript(endpoints={Endpoint.UPLOAD: FaultRates(request_lost=1.0)}, max_consecutive=1)
    night = broken(scenario=Scenario(behaviour=PROMPT, faults=lost), policy=Policy(settle_s=5.0))
    assert complaints(night) == []
    night.policy = Policy(settle_s=12.0)
    assert [text[:17] for text in complaints(night)] == ["settled too soon:"] * 4


def test_j4_a_live_state_that_is_not_the_journal_s_is_found() -> None:
    night = broken()
    assert night.state is not None
    night.state.failing.add("another")
    assert complaints(night) == ["the replayed state differs from the live one"]


def test_j4_a_live_state_that_wanders_off_in_the_middle_is_found_at_that_record() -> None:
    night = make_night(2, scenario=Scenario(behaviour=PROMPT))

    async def meddled() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(night.live)
            await anyio.sleep(1.0)
            assert night.at_work is not None
            night.at_work.failing.add("another")
            await anyio.sleep(5.0)
            night.at_work.failing.remove("another")

    in_virtual_time(meddled)
    found = complaints(night)
    assert found
    assert all("differs from the live one at record" in line for line in found)
    assert len(found) < len(night.entries())


def test_a_life_that_did_not_come_to_its_end_is_found() -> None:
    night = make_night(4, scenario=Scenario(behaviour=PROMPT))
    in_virtual_time(lambda: night.live_until(2.0))
    assert complaints(night) == []
    assert [*ended(night)] == ["the last record is step_succeeded"]


def test_a_withdrawal_that_nobody_asked_for_is_found() -> None:
    slow = PROMPT.changed({"audit_s": (60.0, 60.0), "foreign": [{"status": 4}]})
    night = broken(scenario=Scenario(behaviour=slow), policy=Policy(foreign_package="withdraw"))
    assert complaints(night) == []
    night.policy = Policy()
    found = complaints(night)
    assert len(found) == 4
    assert all(text.startswith("not told to withdraw: 'by hand' of ") for text in found)


def test_an_outcome_that_the_world_does_not_show_is_found() -> None:
    """Somebody puts another package online, in the very moment in which the run ends."""
    night = broken()
    app_id = night.targets[0].app_id
    night.world.add_foreign(app_id, ForeignPackage(status=PackageStatus.ONLINE), night.now)
    assert [*outcomes(night, {})] == [f"{app_id} is released, and its package online is False"]
    other = night.targets[1].app_id
    found = [*outcomes(night, {other: [Phase.REJECTED]})]
    assert f"{other} is released, expected [<Phase.REJECTED: 'rejected'>]" in found
