"""Which errors apps may share, and when two of them are the same."""

import pytest

from fleetdeploy.baidu.causes import REFUSED
from fleetdeploy.baidu.errno import CAUSES
from fleetdeploy.core.causes import OURS, cause_of, cause_of_end
from fleetdeploy.core.endings import ENDINGS
from fleetdeploy.core.records import AppFinished, ErrorNote
from fleetdeploy.model import Outcome


def note(msg: str | None, code: str = "audit.rejected") -> ErrorNote:
    return ErrorNote(code=code, message="rejected", msg=msg)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The icon is blurred.", "the icon  is blurred"),
        ("page 3 of app 100000282: no login", "page 12 of app 100000283: no login"),
        ("图标模糊。请修改", "图标模糊, 请修改"),
        ("Ｌｏｇｉｎ fails", "login fails"),
        ("x" * 300, "x" * 400),
        (None, ""),
    ],
)
def test_what_differs_from_app_to_app_does_not_tell_causes_apart(
    one: str | None, other: str | None
) -> None:
    assert cause_of(note(one)) == cause_of(note(other)) is not None


def test_other_words_and_other_codes_are_other_causes() -> None:
    notes = [note("图标模糊"), note("类目不符"), note("图标模糊", "upload.failed"), note(None)]
    assert len({cause_of(each) for each in notes}) == len(notes)


@pytest.mark.parametrize(
    "code",
    [
        "platform.category_not_approved",
        "platform.audit_quota_used_up",
        "auth.consent_needed",
        "transport.no_answer",
        "upload.unavailable",
        "step.no_effect",
        "release.not_visible",
        "package.gone",
    ],
)
def test_a_clients_affair_and_trouble_that_passes_are_no_cause(code: str) -> None:
    assert cause_of(note("the same words", code)) is None


def test_every_code_of_ours_is_one_that_an_app_can_end_with() -> None:
    known = {cause.code for cause in CAUSES} | {ending.code for ending in ENDINGS}
    assert known >= OURS


def test_of_what_is_refused_only_the_words_about_one_app_are_not_ours() -> None:
    assert {cause.code for cause in REFUSED} - OURS == {
        "platform.package_not_found",
        "platform.app_not_found",
        "platform.qr_code_refused",
        "platform.batch_refused",
    }


@pytest.mark.parametrize("outcome", Outcome)
def test_only_an_end_that_is_a_failure_has_a_cause(outcome: Outcome) -> None:
    end = AppFinished(app_id="1", outcome=outcome, error=note("blurred"))
    shared = outcome in {Outcome.FAILED, Outcome.REJECTED}
    assert (cause_of_end(end) is not None) == shared
