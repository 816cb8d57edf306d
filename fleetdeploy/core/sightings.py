"""What a look at an app's packages shows, in our terms.

Packages are recognised by version and marker, never by position or time (platform-api.md 1.1:
the order of rows is undocumented and `commit_time` is not to be trusted).
"""

from collections.abc import Iterable

from fleetdeploy.model import Bundle, Package, PackageStatus, UploadStatus


def row_key(row: Package) -> str:
    """Name a row well enough to know it again; a row still uploading has no id yet."""
    return row.package_id or f"{row.commit_time} {row.version} {row.description}"


def is_bundle(row: Package, bundle: Bundle, version: str) -> bool:
    """Whether a row holds this bundle under this version: the marker and the version agree."""
    return row.fingerprint == bundle.fingerprint and row.version == version


def keys_like(
    rows: Iterable[Package], bundle: Bundle, ours: Package | None = None
) -> tuple[str, ...]:
    """Return the keys of the rows that would pass for the bundle, or for the package `ours`.

    Taken before an upload, or on adopting a package without an id: what is there already.
    """
    version = ours.version if ours else bundle.version
    return tuple(row_key(r) for r in rows if r is not ours and is_bundle(r, bundle, version))


def new_rows(
    rows: Iterable[Package], bundle: Bundle, version: str, known: tuple[str, ...]
) -> tuple[Package, ...]:
    """Return the rows of the bundle that were not there before the upload."""
    return tuple(r for r in rows if is_bundle(r, bundle, version) and row_key(r) not in known)


def row_of(rows: Iterable[Package], package_id: str | None) -> Package | None:
    """Return the row of a package; of several (an audit row may outlive it) the furthest on."""
    found = [row for row in rows if row.package_id == package_id]
    return min(found, key=_distance_to_online, default=None)


def _distance_to_online(row: Package) -> int:
    known = (PackageStatus.ONLINE, *_FURTHEST_FIRST)
    return next((place for place, status in enumerate(known) if row.status == status), len(known))


def online(rows: Iterable[Package]) -> Package | None:
    """Return what is online; of several, which no platform should show, the one made last."""
    there = (row for row in rows if row.status == PackageStatus.ONLINE)
    return max(there, key=_age, default=None)


def _age(row: Package) -> tuple[int, str]:
    """Order packages by their ids, which are numbers without leading zeros."""
    return len(row.package_id or ""), row.package_id or ""


def rolling_back(rows: Iterable[Package], bundle: Bundle) -> bool:
    """Whether this very content is on its way off; until it is gone a second upload is too soon."""
    return any(
        row.status == PackageStatus.ROLLING_BACK and row.fingerprint == bundle.fingerprint
        for row in rows
    )


def is_uploading(row: Package) -> bool:
    """Whether a row is no package yet. Without an id and not failed counts as uploading."""
    return row.package_id is None and not upload_failed(row)


def upload_failed(row: Package) -> bool:
    """Whether a build failed. A row with a status is a package, whatever else it says."""
    return row.upload_status == UploadStatus.FAILED and row.status is None


_FURTHEST_FIRST = (
    PackageStatus.AUDIT_PASSED,
    PackageStatus.IN_AUDIT,
    PackageStatus.DEVELOPMENT,
)


def furthest_of_ours(rows: Iterable[Package], bundle: Bundle) -> Package | None:
    """Return the package with exactly our content that needs the least to be online.

    Any version will do: the fingerprint says that template and `ext_json` are the same. Of
    several equally far the one with the highest id is taken, so that the choice is stable.
    """
    ours = [row for row in rows if row.fingerprint == bundle.fingerprint and not upload_failed(row)]
    for status in _FURTHEST_FIRST:
        there = [row for row in ours if row.status == status and row.package_id is not None]
        if there:
            return max(there, key=_age)
    return next((row for row in ours if is_uploading(row)), None)


def furthest(rows: Iterable[Package]) -> Package | None:
    """Of the rows that an upload made, return the one that is furthest on.

    A package goes before what is still being built, and that before a failure; of several equally
    far the one with the highest id is taken, so that the choice is stable.
    """
    return max(
        rows,
        key=lambda row: (
            not upload_failed(row),
            not is_uploading(row),
            -_distance_to_online(row),
            _age(row),
            row_key(row),
        ),
        default=None,
    )


def in_the_way(rows: Iterable[Package], package_id: str | None) -> Package | None:
    """Return a package in audit that is not the one with this id, if there is one.

    It may be somebody else's, or another one of ours; whether the platform takes a second
    submission meanwhile is documented nowhere (platform-api.md 5.4). Of several the one made last
    is returned, so that the choice is stable.
    """
    in_audit = (row for row in rows if row.status == PackageStatus.IN_AUDIT)
    return max((row for row in in_audit if row.package_id != package_id), key=_age, default=None)
