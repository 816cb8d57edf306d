"""What a list of packages shows."""

from dataclasses import replace

import pytest

from fleetdeploy.core import sightings
from fleetdeploy.model import Package, UploadStatus
from tests.unit.core_builders import (
    OTHERS,
    OURS,
    VERSION,
    failed_row,
    make_bundle,
    make_row,
    uploading_row,
)

BUNDLE = make_bundle()
KEY = "2026/11/24 01:00:00 10.30.0.3 autumn [fd:0123456789]"


def test_a_row_is_known_by_its_id_or_by_all_it_says() -> None:
    assert (sightings.row_key(make_row(3)), sightings.row_key(uploading_row())) == ("58210", KEY)


@pytest.mark.parametrize(
    ("description", "fingerprint"),
    [
        (f"autumn [fd:{OURS}]", OURS),
        (f"[fd:{OURS}]", OURS),
        (f"autumn [fd:{OURS}] \n", OURS),
        (f"[fd:{OTHERS}] [fd:{OURS}]", OURS),
        (f"autumn [fd:{OURS}] and more", None),
        (f"autumn [fd:{OURS}0]", None),
        ("autumn [fd:0123456]", None),
        (f"autumn [FD:{OURS}]", None),
        ("autumn [fd:012345678G]", None),
        ("", None),
    ],
)
def test_the_marker_counts_only_whole_and_at_the_end(
    description: str, fingerprint: str | None
) -> None:
    assert Package(version="1", description=description).fingerprint == fingerprint


def test_marker_and_version_must_both_agree() -> None:
    rows = [make_row(3), make_row(3, version="9.9"), make_row(3, fingerprint=OTHERS),
            make_row(3, fingerprint=None)]  # fmt: skip
    assert [sightings.is_bundle(row, BUNDLE, VERSION) for row in rows] == [
        True,
        False,
        False,
        False,
    ]


def test_before_an_upload_every_row_that_would_pass_for_it_is_known() -> None:
    rows = (make_row(5, "1"), failed_row(), make_row(1, "2", version="9.9"), make_row(4, "3"))
    assert sightings.keys_like(rows, BUNDLE) == ("1", KEY, "3")


def test_on_adopting_the_neighbours_of_the_same_version_are_known() -> None:
    ours = uploading_row(version="9.9")
    rows = (ours, make_row(5, "1", version="9.9"), make_row(5, "2"))
    assert sightings.keys_like(rows, BUNDLE, ours) == ("1",)


def test_a_row_is_new_when_its_key_was_not_there() -> None:
    rows = (make_row(5, "1"), make_row(3, "2"), make_row(3, "3", fingerprint=None))
    assert sightings.new_rows(rows, BUNDLE, VERSION, ("1",)) == (rows[1],)


def test_a_build_that_is_finished_is_new_even_if_its_upload_was_known() -> None:
    assert sightings.new_rows((make_row(3),), BUNDLE, VERSION, (KEY,)) == (make_row(3),)


@pytest.mark.parametrize(
    ("row", "uploading", "failed"),
    [
        (uploading_row(), True, False),
        (failed_row(), False, True),
        (make_row(3), False, False),
        (Package(version="1"), True, False),
        (Package(version="1", upload_status=2), True, False),
        (replace(make_row(3), upload_status=UploadStatus.UPLOADING), False, False),
    ],
)
def test_a_row_is_building_failed_or_finished(
    row: Package, *, uploading: bool, failed: bool
) -> None:
    assert (sightings.is_uploading(row), sightings.upload_failed(row)) == (uploading, failed)


def test_the_online_package_is_the_one_with_that_status() -> None:
    rows = (make_row(6, "1"), make_row(1, "2", fingerprint=None))
    assert sightings.online(rows) == rows[1]
    assert sightings.online(rows[:1]) is None


def test_of_two_packages_online_the_order_of_rows_does_not_choose() -> None:
    rows = (make_row(1, "9"), make_row(1, "10"))
    assert sightings.online(rows) == sightings.online(rows[::-1]) == rows[1]


def test_a_package_is_found_by_its_id() -> None:
    rows = (uploading_row(), make_row(6, "1"), make_row(3, "2"))
    assert sightings.row_of(rows, "2") == rows[2]
    assert sightings.row_of(rows, "3") is None


@pytest.mark.parametrize("fingerprint", [OURS, OTHERS, None])
def test_any_other_package_in_audit_is_in_the_way(fingerprint: str | None) -> None:
    """Also another one of ours: two submissions of the same content are one too many."""
    other = make_row(4, "9", fingerprint=fingerprint)
    assert sightings.in_the_way((make_row(3), other), "58210") == other
    assert sightings.in_the_way((other,), None) == other
    assert sightings.in_the_way((make_row(3), other), "9") is None


@pytest.mark.parametrize("status", [1, 3, 5, 6, 7, 8, None])
def test_only_what_is_in_audit_is_in_the_way(status: int | None) -> None:
    assert sightings.in_the_way((make_row(status, "9", fingerprint=None),), "58210") is None


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_rows_of_one_package_the_furthest_counts(order: int) -> None:
    for nearer, farther in ((3, 4), (4, 6), (6, 1), (3, 1)):
        rows = (make_row(nearer), make_row(farther))[::order]
        found = sightings.row_of(rows, "58210")
        assert found is not None
        assert found.status == farther


def test_a_row_with_an_id_that_failed_to_build_is_a_failed_build() -> None:
    row = replace(failed_row(), package_id="58210")
    assert (sightings.is_uploading(row), sightings.upload_failed(row)) == (False, True)


@pytest.mark.parametrize("order", [1, -1])
def test_of_what_an_upload_made_the_furthest_counts_then_the_newest(order: int) -> None:
    rows = [
        failed_row(),
        uploading_row(),
        make_row(3, package_id="9"),
        make_row(3, package_id="10"),
        make_row(6, package_id="8"),
    ]
    taken = []
    while rows:
        best = sightings.furthest(rows[::order])
        assert best is not None
        taken.append(best)
        rows.remove(best)
    assert [row.package_id for row in taken] == ["8", "10", "9", None, None]
    assert [sightings.upload_failed(row) for row in taken[-2:]] == [False, True]
    assert sightings.furthest(()) is None
