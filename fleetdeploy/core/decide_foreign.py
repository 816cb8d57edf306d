"""What to do in a rollout about packages that are not its own: in its way, or online in its place.

Pure, and a part of `decide.py`, which says when these are asked. What is in the way is a package in
audit, somebody else's or an earlier rollout's. Where the manifest says so it is withdrawn first,
which is a step like any: announced, settled by looking, and tried again only where the platform
shows that it did not happen. Which releases were made by hand is told by `foreign.py`.
"""

from typing import Final

from fleetdeploy.core import endings, sightings
from fleetdeploy.core.case import Case
from fleetdeploy.core.decisions import Confirm, Decision, Note, Poll
from fleetdeploy.core.foreign import replaced_by_hand
from fleetdeploy.core.records import FoundStage, PackageFound, StepStarted, StepSucceeded
from fleetdeploy.core.settling import PACKAGE, attempt, end, settled, silence, silent_for, still
from fleetdeploy.model import Outcome, Package, PackageStatus, Step

OBSTACLES_MAX: Final = 3
"""So many packages are withdrawn for one app in a run: whoever submits yet another one means it."""


def back_to_ours(case: Case) -> Note:
    """Go on with the package that waited for an obstacle; what became of it is asked next."""
    record = PackageFound(
        app_id=case.app.app_id,
        stage=FoundStage.UPLOADED,
        package_id=case.app.package_id,
        version=case.version,
        known=case.app.known,
    )
    return Note(record, "goes on with its package")


def by_hand(case: Case) -> Note | None:
    """End an app where somebody's release has replaced ours, unless it is to be replaced."""
    live = sightings.online(case.sight.rows)
    ours = replaced_by_hand(live, case.target.left_online)
    if live is None or ours is None or case.overwrite_foreign:
        return None
    why = (
        f"somebody else's package {live.package_id} (version {live.version}) "
        f"is online in place of ours (version {ours})"
    )
    return end(case, Outcome.BLOCKED, endings.FOREIGN_ONLINE.note(why), why)


def obstacle(case: Case) -> Decision | None:
    other = sightings.in_the_way(case.sight.rows, case.app.package_id)
    if other is None:
        return None
    package = f"{_whose(other)} package {other.package_id} (version {other.version})"
    why = f"{package} is in audit"
    if case.foreign_package == "wait":
        return Poll(why)
    if case.foreign_package == "withdraw" and other.package_id is not None:
        if case.app.cleared < OBSTACLES_MAX:
            return _clear(case, other.package_id, f"withdraws {package} from audit first")
        why += f", and {case.app.cleared} were withdrawn already"
    return end(case, Outcome.BLOCKED, endings.FOREIGN_IN_AUDIT.note(why), why)


def _whose(other: Package) -> str:
    return "an earlier rollout's" if other.fingerprint else "somebody else's"


def _clear(case: Case, package_id: str, why: str) -> Decision:
    record = StepStarted(
        app_id=case.app.app_id,
        step=Step.WITHDRAW,
        attempt=1,
        package_id=package_id,
        obstacle=True,
    )
    return attempt(case, record, why)


def withdrawing(case: Case) -> Decision:
    row = sightings.row_of(case.sight.rows, case.app.obstacle)
    if row is None or row.status != PackageStatus.IN_AUDIT:
        return settled(case, "what was in the way is not in audit any more")
    return silence(case, "the withdrawal does not show")


def leaving_audit(case: Case) -> Decision:
    """Wait until an obstacle is out of audit: withdrawn, or judged before that took effect."""
    row = sightings.row_of(case.sight.rows, case.app.obstacle)
    if row is None and not silent_for(case, case.policy.vanish_s, PACKAGE):
        return Confirm(case.policy.vanish_s, PACKAGE, "what was in the way is no longer listed")
    if row is not None and row.status == PackageStatus.IN_AUDIT:
        return still(case, endings.WITHDRAW_NOT_VISIBLE)
    record = StepSucceeded(
        app_id=case.app.app_id,
        step=Step.AWAIT_WITHDRAW,
        attempt=1,
        package_id=case.app.obstacle,
        obstacle=True,
    )
    return Note(record, "what was in the way is out of audit")
