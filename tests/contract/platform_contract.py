"""What the engine may rely on, whoever fills the ports and whatever carries the calls.

The tests know the two ports and the simulated world that a client is measured by. A module that
holds a client to this contract subclasses `PlatformContract` and provides the fixture `stages`.
"""

from collections.abc import Awaitable, Callable, Mapping

import anyio
import pytest

from fleetdeploy.errors import (
    AnswerLost,
    ClientMustAct,
    FleetRefused,
    NotSent,
    RateLimited,
    RequestRefused,
    TokenRefused,
)
from fleetdeploy.model import (
    AppInfo,
    AuditQuota,
    Category,
    Package,
    PackageStatus,
    UploadStatus,
)
from fleetdeploy.simulator.ledger import EffectKind
from tests.contract.stage import APP, DELAY_S, NOTE, OTHER, Client, Stage, Stages, bundle, scenario

ATTEMPTS = 20
"""Calls in a row until a rate of one per second must have refused one."""

CHANGES: Mapping[str, Callable[[Client, str], Awaitable[None]]] = {
    "submit_audit": lambda client, package_id: client.submit_audit(APP, package_id, NOTE),
    "release": lambda client, package_id: client.release(APP, package_id),
    "rollback": lambda client, package_id: client.rollback(APP, package_id),
    "withdraw": lambda client, package_id: client.withdraw(APP, package_id),
}
READS: Mapping[str, Callable[[Client], Awaitable[object]]] = {
    "packages": lambda client: client.packages(APP),
    "package_detail": lambda client: client.package_detail(APP, None),
    "audit_quota": lambda client: client.audit_quota(APP),
    "app_info": lambda client: client.app_info(APP),
}


def effects(stage: Stage) -> list[EffectKind]:
    return [effect.kind for effect in stage.world.effects]


def always(fault: str, *endpoints: str) -> dict[str, object]:
    """Write a script by which these endpoints fail every time, as often as the script may."""
    rates = {fault: 1.0}
    return {
        "endpoints": dict.fromkeys(endpoints, rates),
        "slow_s": (40.0, 40.0),
        "max_consecutive": 1,
    }


@pytest.mark.anyio
class PlatformContract:
    """Subclasses provide `stages`."""

    # Uploading.

    async def test_an_upload_becomes_a_package_with_its_version_and_our_marker(
        self, stages: Stages
    ) -> None:
        async with stages(scenario()) as stage:
            ours = bundle(description="秋季 &+=% 'storefront'")
            await stage.client.upload(APP, ours)
            row = await stage.row_with(PackageStatus.DEVELOPMENT)
            assert (row.version, row.description) == (ours.version, ours.description)
            assert row.fingerprint == ours.fingerprint
            assert row.package_id is not None
            assert stage.world.effects[0].template_id == "754"

    async def test_a_row_still_uploading_has_neither_id_nor_status(self, stages: Stages) -> None:
        async with stages(scenario({"build_s": (500.0, 500.0)})) as stage:
            await stage.client.upload(APP, bundle())
            (row,) = await stage.rows_when(lambda rows: len(rows) > 0)
            assert (row.package_id, row.status) == (None, None)
            assert (row.upload_status, row.fingerprint) == (
                UploadStatus.UPLOADING,
                bundle().fingerprint,
            )

    async def test_reads_lag_behind_an_accepted_upload(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            await stage.client.upload(APP, bundle())
            assert effects(stage) == [EffectKind.UPLOAD]
            assert await stage.client.packages(APP) == ()
            await stage.advance(DELAY_S)
            assert len(await stage.client.packages(APP)) == 1

    async def test_reads_lag_behind_an_accepted_release(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            package_id = await stage.approved()
            await stage.client.release(APP, package_id)
            (before,) = await stage.client.packages(APP)
            await stage.advance(DELAY_S)
            (after,) = await stage.client.packages(APP)
            assert (before.status, after.status) == (
                PackageStatus.AUDIT_PASSED,
                PackageStatus.ONLINE,
            )

    async def test_the_same_upload_twice_is_there_twice(self, stages: Stages) -> None:
        """The platform protects nobody: what is sent twice happens twice."""
        async with stages(scenario()) as stage:
            await stage.client.upload(APP, bundle())
            await stage.client.upload(APP, bundle())
            rows = await stage.rows_when(
                lambda rows: all(row.package_id for row in rows) and rows != ()
            )
            assert len({row.package_id for row in rows}) == 2
            assert {row.description for row in rows} == {bundle().description}
            assert len(stage.world.duplicates()) == 1

    async def test_a_token_reaches_its_own_app_alone(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            await stage.client.upload(OTHER, bundle(OTHER))
            rows = await stage.rows_when(lambda rows: len(rows) > 0, OTHER)
            assert await stage.client.packages(APP) == ()
            assert [effect.app_id for effect in stage.world.effects] == [OTHER]
            assert len(rows) == 1

    @pytest.mark.parametrize(
        "text",
        [
            "v1.2.5",
            "2547.43.68",
            "d0.0.0.2",
            "0001",
            "1 0",
            "a&b=c+d%20",
            "版本①",
            "😀",
            "<b>'\"\\",
        ],
    )
    async def test_any_text_of_a_version_and_description_comes_back_as_it_was_sent(
        self, stages: Stages, text: str
    ) -> None:
        async with stages(scenario()) as stage:
            sent = bundle(version=text, description=f"{text}\n{text}")
            await stage.client.upload(APP, sent)
            (row,) = await stage.rows_when(lambda rows: len(rows) > 0)
            assert (row.version, row.description) == (sent.version, sent.description)

    async def test_a_text_that_cannot_be_sent_is_refused_and_never_leaves(
        self, stages: Stages
    ) -> None:
        async with stages(scenario()) as stage:
            error = await stage.caught(
                RequestRefused, stage.client.upload(APP, bundle(version="half \ud800"))
            )
            assert error.code == "request.unencodable"
            assert stage.world.traffic.total == 0

    async def test_content_for_another_app_is_refused(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            error = await stage.caught(RequestRefused, stage.client.upload(APP, bundle(OTHER)))
            assert (error.code, error.errno) == ("platform.bad_parameter", 40001)
            assert effects(stage) == []

    async def test_a_template_that_cannot_be_read_shows_on_the_row(self, stages: Stages) -> None:
        async with stages(scenario(broken_templates=["755"])) as stage:
            await stage.client.upload(APP, bundle(template_id="755"))
            (row,) = await stage.rows_when(
                lambda rows: any(row.upload_status == UploadStatus.FAILED for row in rows)
            )
            assert (row.package_id, row.status) == (None, None)
            assert (row.upload_error_code, row.upload_error_message) == (69010, "模板文件解析出错")

    async def test_with_direct_commit_the_package_goes_into_audit_by_itself(
        self, stages: Stages
    ) -> None:
        async with stages(scenario()) as stage:
            await stage.client.upload(APP, bundle(directCommit=True))
            row = await stage.row_with(PackageStatus.IN_AUDIT)
            assert row.fingerprint == bundle(directCommit=True).fingerprint
            assert effects(stage) == [EffectKind.UPLOAD]

    # From audit to online, and back.

    async def test_the_ordinary_way_ends_online(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            package_id = await stage.released()
            (row,) = await stage.client.packages(APP)
            assert (row.package_id, row.status) == (package_id, PackageStatus.ONLINE)
            assert row.remark == NOTE.remark
            assert effects(stage) == [
                EffectKind.UPLOAD,
                EffectKind.SUBMIT_AUDIT,
                EffectKind.RELEASE,
            ]
            assert list(stage.world.violations) == []

    async def test_a_rollback_brings_the_version_before_back(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            await stage.released("1.0")
            package_id = await stage.released("2.0")
            (online,) = await stage.client.packages(APP)
            assert (online.version, online.rollback_version) == ("2.0", "1.0")
            await stage.client.rollback(APP, package_id)
            assert (
                await stage.row_with(PackageStatus.ROLLING_BACK, "2.0")
            ).package_id == package_id
            await stage.row_with(PackageStatus.ONLINE, "1.0")

    async def test_a_withdrawal_takes_a_package_out_of_audit(self, stages: Stages) -> None:
        async with stages(scenario({"audit_s": (9000.0, 9000.0)})) as stage:
            package_id = await stage.developed()
            await stage.client.submit_audit(APP, package_id, NOTE)
            await stage.row_with(PackageStatus.IN_AUDIT)
            await stage.client.withdraw(APP, package_id)
            row = await stage.row_with(PackageStatus.DEVELOPMENT)
            assert row.package_id == package_id
            assert effects(stage)[-1] is EffectKind.WITHDRAW

    async def test_a_reviewers_no_comes_with_his_words(self, stages: Stages) -> None:
        reason = "服务类目与小程序实际内容不符，请重新选择类目（①「餐饮」）"
        picky = {"reject_chance": 1.0, "reject_reasons": [reason]}
        async with stages(scenario(picky)) as stage:
            package_id = await stage.developed()
            await stage.client.submit_audit(APP, package_id, NOTE)
            row = await stage.row_with(PackageStatus.AUDIT_FAILED)
            assert row.audit_message == reason

    @pytest.mark.parametrize("call", ["release", "rollback", "withdraw"])
    async def test_what_a_package_is_not_ready_for_is_not_done(
        self, stages: Stages, call: str
    ) -> None:
        """No code is documented for it, so the client may not know more than that it said no."""
        async with stages(scenario()) as stage:
            package_id = await stage.developed()
            error = await stage.caught(AnswerLost, CHANGES[call](stage.client, package_id))
            assert (error.errno, error.msg) == (-1024, "当前版本状态不支持此操作")
            await stage.advance(DELAY_S)
            (row,) = await stage.client.packages(APP)
            assert row.status == PackageStatus.DEVELOPMENT
            assert effects(stage) == [EffectKind.UPLOAD]

    @pytest.mark.parametrize("call", CHANGES)
    async def test_a_package_that_nobody_knows_is_refused(self, stages: Stages, call: str) -> None:
        async with stages(scenario()) as stage:
            error = await stage.caught(RequestRefused, CHANGES[call](stage.client, "58210"))
            assert (error.code, error.errno) == ("platform.package_not_found", 69005)
            assert error.msg == "包不存在"
            assert effects(stage) == []

    # What a client's owner must have in order.

    @pytest.mark.parametrize(
        ("missing", "errno", "code"),
        [
            ({"name_approved": False}, 69001, "name_not_approved"),
            ({"category": "not_approved"}, 69002, "category_not_approved"),
            (
                {"name_approved": False, "category": "not_approved"},
                69003,
                "name_and_category_not_approved",
            ),
            ({"category": "in_review"}, 45003, "category_in_review"),
            ({"quota_times": 3, "quota_used": 3}, 69013, "audit_quota_used_up"),
        ],
    )
    async def test_a_submission_without_what_it_needs_is_the_owners_move(
        self, stages: Stages, missing: Mapping[str, object], errno: int, code: str
    ) -> None:
        async with stages(scenario(missing)) as stage:
            package_id = await stage.developed()
            error = await stage.caught(
                ClientMustAct, stage.client.submit_audit(APP, package_id, NOTE)
            )
            assert (error.errno, error.code) == (errno, f"platform.{code}")
            await stage.advance(DELAY_S)
            (row,) = await stage.client.packages(APP)
            assert row.status == PackageStatus.DEVELOPMENT
            assert effects(stage) == [EffectKind.UPLOAD]

    @pytest.mark.parametrize(
        ("missing", "errno", "code"),
        [
            ({"entity_approved": False}, 50033, "entity_not_approved"),
            ({"authenticity_passed": False}, 50038, "authenticity_missing"),
        ],
    )
    async def test_a_release_without_what_it_needs_is_the_owners_move(
        self, stages: Stages, missing: Mapping[str, object], errno: int, code: str
    ) -> None:
        async with stages(scenario(missing)) as stage:
            package_id = await stage.approved()
            error = await stage.caught(ClientMustAct, stage.client.release(APP, package_id))
            assert (error.errno, error.code) == (errno, f"platform.{code}")
            assert EffectKind.RELEASE not in effects(stage)

    @pytest.mark.parametrize(
        ("authorization", "kind", "errno", "code"),
        [
            ("withdrawn", TokenRefused, 50032, "authorization_missing"),
            ("no_scope", ClientMustAct, 45001, "scope_missing"),
        ],
    )
    async def test_without_authorization_nothing_goes(
        self,
        stages: Stages,
        authorization: str,
        kind: type[TokenRefused | ClientMustAct],
        errno: int,
        code: str,
    ) -> None:
        """That the relation is gone may be the token's trouble only: another one is tried."""
        async with stages(scenario({"authorization": authorization})) as stage:
            for call in (stage.client.packages(APP), stage.client.upload(APP, bundle())):
                error = await stage.caught(kind, call)
                assert (error.errno, error.code) == (errno, f"platform.{code}")
            assert effects(stage) == []

    # Who is asking, and how often.

    @pytest.mark.parametrize("ending", ["expired", "void"])
    async def test_a_refused_token_is_followed_by_the_new_one(
        self, stages: Stages, ending: str
    ) -> None:
        async with stages(scenario(token_lifetime_s=30)) as stage:
            await stage.client.packages(APP)
            if ending == "void":
                stage.world.void_token(APP)
            else:
                await stage.advance(30.0)
            stage.world.issue_token(APP, stage.now())
            error = await stage.caught(TokenRefused, stage.client.upload(APP, bundle()))
            assert error.errno == (110 if ending == "void" else 111)
            assert effects(stage) == []
            await stage.client.upload(APP, bundle())
            assert effects(stage) == [EffectKind.UPLOAD]

    async def test_a_refused_token_says_so_each_time(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            stage.world.void_token(APP)
            for _ in range(2):
                error = await stage.caught(TokenRefused, stage.client.packages(APP))
                assert (error.code, error.errno) == ("platform.token_refused", 110)

    @pytest.mark.parametrize("http_status", [200, 401])
    async def test_a_refused_token_is_known_whatever_status_carries_it(
        self, stages: Stages, http_status: int
    ) -> None:
        async with stages(scenario(unsettled={"token_error_http": http_status})) as stage:
            stage.world.void_token(APP)
            stage.world.issue_token(APP, stage.now())
            await stage.caught(TokenRefused, stage.client.packages(APP))

    @pytest.mark.parametrize("read", READS)
    async def test_an_address_that_is_not_whitelisted_stops_every_read(
        self, stages: Stages, read: str
    ) -> None:
        async with stages(scenario(ip_whitelisted=False)) as stage:
            error = await stage.caught(FleetRefused, READS[read](stage.client))
            assert (error.errno, error.credentials) == (40008, True)

    async def test_an_address_that_is_not_whitelisted_stops_every_change(
        self, stages: Stages
    ) -> None:
        async with stages(scenario(ip_whitelisted=False)) as stage:
            calls = (
                stage.client.upload(APP, bundle()),
                *(c(stage.client, "1") for c in CHANGES.values()),
            )
            for call in calls:
                error = await stage.caught(FleetRefused, call)
                assert (error.errno, error.credentials) == (40008, True)
            assert effects(stage) == []

    @pytest.mark.parametrize(
        ("answer", "errno"), [("gateway", 18), ("errno", 50029), ("http_429", None)]
    )
    async def test_a_call_refused_for_its_rate_had_no_effect(
        self, stages: Stages, answer: str, errno: int | None
    ) -> None:
        limit = {"per_second": 1, "answer": answer, "retry_after_s": 7}
        async with stages(scenario(rate_limit=limit)) as stage:
            accepted, error = await _until_throttled(stage)
            assert (error.code, error.errno) == ("platform.rate_limited", errno)
            assert error.retry_after_s == (7.0 if answer == "http_429" else None)
            assert len(stage.world.effects) == accepted
            await stage.advance(2.0)
            await stage.client.upload(APP, bundle())
            assert len(stage.world.effects) == accepted + 1

    # What happens on the way.

    @pytest.mark.parametrize(
        ("fault", "done"),
        [
            ("answer_lost", True),
            ("request_lost", False),
            ("error_page_done", True),
            ("error_page_undone", False),
            ("cut_body", True),
        ],
    )
    async def test_after_a_lost_answer_only_reading_tells(
        self, stages: Stages, fault: str, *, done: bool
    ) -> None:
        async with stages(scenario(faults=always(fault, "upload"))) as stage:
            await stage.caught(AnswerLost, stage.client.upload(APP, bundle()))
            await stage.advance(DELAY_S)
            assert len(await stage.client.packages(APP)) == done
            assert effects(stage) == [EffectKind.UPLOAD] * done

    @pytest.mark.parametrize("call", CHANGES)
    async def test_a_lost_answer_leaves_every_kind_of_change_open(
        self, stages: Stages, call: str
    ) -> None:
        """Also a refusal that was lost: nobody may take silence for a yes or a no."""
        async with stages(scenario(faults=always("answer_lost", call))) as stage:
            await stage.caught(AnswerLost, CHANGES[call](stage.client, "58210"))
            error = await stage.caught(RequestRefused, CHANGES[call](stage.client, "58210"))
            assert error.errno == 69005

    @pytest.mark.parametrize("read", READS)
    @pytest.mark.parametrize("fault", ["answer_lost", "error_page_done", "cut_body"])
    async def test_a_read_whose_answer_was_lost_may_be_repeated(
        self, stages: Stages, fault: str, read: str
    ) -> None:
        online = {"foreign": [{"status": 1}]}
        async with stages(scenario(online, faults=always(fault, read))) as stage:
            await stage.caught(NotSent, READS[read](stage.client))
            await READS[read](stage.client)

    async def test_an_answer_that_takes_too_long_is_lost_and_the_effect_is_there(
        self, stages: Stages
    ) -> None:
        async with stages(scenario(faults=always("slow", "upload"))) as stage:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.hasten)
                await stage.caught(AnswerLost, stage.client.upload(APP, bundle()))
            await stage.advance(DELAY_S)
            assert len(await stage.client.packages(APP)) == 1
            assert effects(stage) == [EffectKind.UPLOAD]

    async def test_without_a_connection_a_call_certainly_did_nothing(self, stages: Stages) -> None:
        async with stages(scenario(), reachable=False) as stage:
            for call in (stage.client.upload(APP, bundle()), stage.client.packages(APP)):
                await stage.caught(NotSent, call)
            assert effects(stage) == []

    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            ("answer_lost", "transport.cut_off"),
            ("request_lost", "transport.cut_off"),
            ("cut_body", "transport.cut_off"),
            ("error_page_done", "platform.http_status"),
        ],
    )
    async def test_a_lost_answer_has_the_code_that_the_docs_list(
        self, stages: Stages, fault: str, code: str
    ) -> None:
        async with stages(scenario(faults=always(fault, "upload"))) as stage:
            error = await stage.caught(AnswerLost, stage.client.upload(APP, bundle()))
            assert error.code == code

    async def test_an_answer_out_of_time_has_the_code_that_the_docs_list(
        self, stages: Stages
    ) -> None:
        async with stages(scenario(faults=always("slow", "upload"))) as stage:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.hasten)
                error = await stage.caught(AnswerLost, stage.client.upload(APP, bundle()))
            assert error.code == "transport.timeout"

    async def test_no_connection_has_the_code_that_the_docs_list(self, stages: Stages) -> None:
        async with stages(scenario(), reachable=False) as stage:
            error = await stage.caught(NotSent, stage.client.upload(APP, bundle()))
            assert error.code == "transport.not_connected"

    async def test_a_client_goes_on_after_a_call_was_cancelled(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await stage.client.upload(APP, bundle())
            assert scope.cancelled_caught
            sent = effects(stage)
            await stage.client.upload(OTHER, bundle(OTHER))
            assert effects(stage) == [*sent, EffectKind.UPLOAD]

    # Reading.

    async def test_packages_of_other_people_are_listed_and_not_ours(self, stages: Stages) -> None:
        by_hand = [
            {"version": "console-1.0", "description": "by hand", "status": 4},
            {"version": "9", "description": "[fd:not one] 0123456789", "status": 3},
            {"version": "8", "description": "", "status": None},
        ]
        async with stages(scenario({"foreign": by_hand})) as stage:
            rows = await stage.client.packages(APP)
            assert {(row.version, row.description, row.status) for row in rows} == {
                ("console-1.0", "by hand", PackageStatus.IN_AUDIT),
                ("9", "[fd:not one] 0123456789", PackageStatus.DEVELOPMENT),
                ("8", "", None),
            }
            assert [row.fingerprint for row in rows] == [None, None, None]

    async def test_a_detail_is_the_package_online_unless_one_is_named(self, stages: Stages) -> None:
        by_hand = [{"version": "1", "status": 1}, {"version": "2", "status": 3}]
        async with stages(scenario({"foreign": by_hand})) as stage:
            rows = {row.version: row for row in await stage.client.packages(APP)}
            assert _core(await stage.client.package_detail(APP, None)) == _core(rows["1"])
            named = await stage.client.package_detail(APP, rows["2"].package_id)
            assert _core(named) == _core(rows["2"])

    @pytest.mark.parametrize("package_id", [None, "58210"])
    async def test_a_detail_of_what_is_not_there_is_refused(
        self, stages: Stages, package_id: str | None
    ) -> None:
        async with stages(scenario()) as stage:
            error = await stage.caught(RequestRefused, stage.client.package_detail(APP, package_id))
            assert error.code == "platform.package_not_found"

    async def test_the_quota_counts_submissions(self, stages: Stages) -> None:
        async with stages(scenario({"quota_times": 3, "quota_used": 1})) as stage:
            assert await stage.client.audit_quota(APP) == AuditQuota(2, 3, 2)
            package_id = await stage.developed()
            await stage.client.submit_audit(APP, package_id, NOTE)
            assert await stage.client.audit_quota(APP) == AuditQuota(2, 3, 1)

    async def test_a_quota_without_limit_has_no_number(self, stages: Stages) -> None:
        async with stages(scenario({"quota_times": -1})) as stage:
            assert (await stage.client.audit_quota(APP)).remaining is None

    async def test_the_info_of_an_app_in_good_order(self, stages: Stages) -> None:
        async with stages(scenario()) as stage:
            assert await stage.client.app_info(APP) == AppInfo(
                app_id=APP,
                name=f"小程序{APP}",
                status=1,
                qualification_status=1,
                authenticity_status=1,
                name_audit_status=None,
                categories=(Category("点餐", 2),),
                scopes=("开发管理", "基础信息设置"),
            )

    async def test_the_info_of_an_app_names_what_is_missing(self, stages: Stages) -> None:
        missing = {
            "name_approved": False,
            "category": "not_approved",
            "entity_approved": False,
            "authenticity_passed": False,
        }
        async with stages(scenario(missing)) as stage:
            info = await stage.client.app_info(APP)
            assert (info.name_audit_status, info.qualification_status) == (1, 2)
            assert info.authenticity_status == 3
            assert info.categories == (Category("点餐", 3, "资质不全"),)


async def _until_throttled(stage: Stage) -> tuple[int, RateLimited]:
    """Upload as fast as it goes until one is refused; return how many were accepted before."""
    for accepted in range(ATTEMPTS):
        try:
            await stage.client.upload(APP, bundle(version=str(accepted)))
        except RateLimited as error:
            return accepted, error
    raise AssertionError(f"{ATTEMPTS} calls and none too many")


def _core(row: Package) -> tuple[object, ...]:
    """Return what a row of the list and a detail both say of a package."""
    return (row.package_id, row.version, row.description, row.status, row.commit_time)
