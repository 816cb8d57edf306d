"""One app of the simulated world: its packages and what time does to them.

Pure: no clock, no async, no state outside the app. It knows neither tokens nor HTTP.

How it works: an accepted call puts a change on the app's agenda and alters nothing that reads can
show. Each method first settles the app: it carries out whatever came due up to `now`, in order of
time, and each change may put the next one on the agenda (a row appears, is built, goes into audit,
gets its verdict). Nothing runs between calls, so a hundred thousand waiting apps cost nothing.

A change that comes due finds the package in whatever state it is in by then. If that state no
longer fits (withdrawn, replaced, already released) nothing happens, as a late effect must not undo
a newer one. What was accepted is the world's to record; this module says yes (the `Row`) or no (a
`Refusal`).

Every draw is named after the app, the package's number and its purpose, so neither the order of
calls nor reads change an outcome.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from fleetdeploy.model import PackageStatus, UploadStatus
from fleetdeploy.simulator.agenda import Agenda, Calendar, Change, Due
from fleetdeploy.simulator.behaviour import (
    Behaviour,
    DevelopmentRows,
    ForeignPackage,
    RowOrder,
    Unsettled,
    UploadError,
    WithdrawnTo,
)
from fleetdeploy.simulator.chance import Chance
from fleetdeploy.simulator.outages import Outages, Service
from fleetdeploy.simulator.papers import QuotaBook, audit_refusal, release_refusal
from fleetdeploy.simulator.rows import (
    PACKAGE_NOT_FOUND,
    QUOTA_USED_UP,
    QuotaState,
    Refusal,
    Row,
    UploadWish,
)
from fleetdeploy.simulator.shelf import Shelf

PACKAGE_ID_STRIDE: Final = 1_000_000
"""Package ids are unique over all apps of a world of up to this many."""

_TO_AN_AUDIT: Final = frozenset({Change.APPEAR, Change.BUILT})
"""What leads to an audit by itself where the upload asked for that."""
_TO_A_VERDICT: Final = frozenset({Change.IN_AUDIT, Change.VERDICT})
_REVIEWED: Final = frozenset({PackageStatus.AUDIT_FAILED, PackageStatus.AUDIT_PASSED})


@dataclass(frozen=True, slots=True)
class Rules:
    """What all apps of a world share; `began` is when the world's time starts.

    `judged` is told of each verdict as it falls. What leads to one is noted in the `calendar`.
    """

    chance: Chance
    unsettled: Unsettled
    broken_templates: frozenset[str]
    outages: Outages
    began: float
    calendar: Calendar
    judged: Callable[[str, Row, float], None]


class App:
    """The packages of one app; `index` is its place in the world."""

    __slots__ = (
        "_agenda",
        "_builds",
        "_lists",
        "_packages",
        "_quota",
        "_rules",
        "_shelf",
        "app_id",
        "behaviour",
        "index",
    )

    def __init__(self, app_id: str, index: int, behaviour: Behaviour, rules: Rules) -> None:
        self.app_id = app_id
        self.index = index
        self.behaviour = behaviour
        self._rules = rules
        self._agenda = Agenda()
        self._shelf = Shelf(rules.unsettled.rollback_depth)
        self._quota = QuotaBook(behaviour.quota_used, rules.began)
        self._packages = 0
        self._builds = 0
        self._lists = 0
        for package in behaviour.foreign:
            self.add_foreign(package, rules.began)

    def settle(self, now: float) -> None:
        """Carry out all that came due up to now."""
        for due in self._agenda.take(now):
            self._carry_out(due)

    def list_rows(self, now: float) -> list[Row]:
        """Return copies of the rows, in the order that the rules ask for."""
        self.settle(now)
        self._lists += 1
        order = self._rules.unsettled.row_order
        rows = [replace(row) for row in self._shelf.rows]
        if order is RowOrder.SHUFFLED:
            chance, nth = self._rules.chance, self._lists
            rows.sort(key=lambda row: chance.fraction(self.app_id, "order", nth, row.number))
        else:
            rows.sort(key=lambda row: row.number, reverse=order is RowOrder.NEWEST_FIRST)
        return rows

    def detail(self, package_id: int | None, status: int | None, now: float) -> Row | Refusal:
        """Return the newest package that fits; with neither given, the one online."""
        self.settle(now)
        if package_id is None and status is None:
            status = PackageStatus.ONLINE
        newest = self._shelf.newest(package_id, status)
        return replace(newest) if newest else Refusal(PACKAGE_NOT_FOUND, "包不存在")

    def quota(self, now: float) -> QuotaState:
        self.settle(now)
        return self._quota.state(self.behaviour, now)

    def ended_at(self, package: int) -> float | None:
        """Tell since when a package is over: failed to build, rejected, or gone from the list."""
        return self._shelf.ended.get(package)

    def upload(self, wish: UploadWish, now: float) -> Row | Refusal:
        self.settle(now)
        errno = self._rules.unsettled.duplicate_version_errno
        present = (*self._shelf.rows, *self._agenda.appearing())
        if errno is not None and any(row.version == wish.version for row in present):
            return Refusal(errno, "版本号已存在", violation=True)
        row = self._new_row(wish, now, "third-party platform")
        self._put(now + self.behaviour.effect_delay_s, Change.APPEAR, row)
        return row

    def submit_audit(self, package_id: int, remark: str, now: float) -> Row | Refusal:
        """Send a development package into audit, if the app's papers and quota allow it."""
        row = self._find(package_id, PackageStatus.DEVELOPMENT, now)
        if isinstance(row, Refusal):
            return row
        if refusal := self._audit_refusal(row, now):
            return refusal
        self._quota.take()
        row.remark = remark
        return self._accept(row, PackageStatus.IN_AUDIT, Change.IN_AUDIT, now)

    def withdraw(self, package_id: int, now: float) -> Row | Refusal:
        row = self._find(package_id, PackageStatus.IN_AUDIT, now)
        if isinstance(row, Refusal):
            return row
        return self._accept(row, PackageStatus.DEVELOPMENT, Change.WITHDRAWN, now)

    def release(self, package_id: int, now: float) -> Row | Refusal:
        row = self._find(package_id, PackageStatus.AUDIT_PASSED, now)
        if isinstance(row, Refusal):
            return row
        if refusal := release_refusal(self.behaviour):
            return refusal
        return self._accept(row, PackageStatus.ONLINE, Change.ONLINE, now)

    def rollback(self, package_id: int, now: float) -> Row | Refusal:
        """Take the package now online off, in favour of the one before."""
        row = self._find(package_id, PackageStatus.ONLINE, now)
        if isinstance(row, Refusal):
            return row
        if not self._shelf.can_go_back:
            errno = self._rules.unsettled.nothing_to_roll_back_errno
            return Refusal(errno, "没有可回滚的版本", violation=True)
        return self._accept(row, PackageStatus.ROLLING_BACK, Change.ROLLING_BACK, now)

    def add_foreign(self, package: ForeignPackage, now: float) -> Row:
        """Let a package of somebody else's be there at once, in the state it says."""
        self.settle(now)
        wish = UploadWish(package.template_id, package.version, package.description)
        row = self._new_row(wish, now, "console")
        self._shelf.rows.append(row)
        if package.status is None:
            self._start_building(row, now)
        else:
            row.package_id = self._package_id(row)
            self._enter(row, package.status, now)
        return replace(row)

    def move_foreign(self, package_id: int, status: PackageStatus, now: float) -> bool:
        """Let somebody in the console bring a package into a state at once; say if it was there."""
        self.settle(now)
        row = self._shelf.by_id(package_id)
        if row is not None:
            was_in_audit = row.status == PackageStatus.IN_AUDIT
            self._enter(row, status, now)
            if was_in_audit and status in _REVIEWED:
                self._rules.judged(self.app_id, row, now)
        return row is not None

    def remove(self, package_id: int, now: float) -> bool:
        """Let somebody in the console delete a package; say whether it was there."""
        self.settle(now)
        row = self._shelf.by_id(package_id)
        if row is not None:
            self._shelf.drop(row, now)
        return row is not None

    def _carry_out(self, due: Due) -> None:
        """Do what came due, if the package is still in the state that it is meant for."""
        row, at = due.row, due.at
        match due.change, row.status:
            case Change.APPEAR, _:
                self._appear(row, at)
            case Change.BUILT, _:
                self._build(row, at)
            case Change.IN_AUDIT, PackageStatus.DEVELOPMENT:
                self._enter(row, PackageStatus.IN_AUDIT, at)
            case Change.VERDICT, PackageStatus.IN_AUDIT if due.audit_round == row.audit_round:
                self._judge(row, at)
            case Change.WITHDRAWN, PackageStatus.IN_AUDIT:
                self._take_back(row, at)
            case Change.ONLINE, PackageStatus.AUDIT_PASSED:
                self._enter(row, PackageStatus.ONLINE, at)
            case Change.ROLLING_BACK, PackageStatus.ONLINE:
                self._enter(row, PackageStatus.ROLLING_BACK, at)
            case Change.ROLLED_BACK, PackageStatus.ROLLING_BACK:
                self._shelf.go_back(row, at)

    def _appear(self, row: Row, at: float) -> None:
        if self._rules.unsettled.development_rows is DevelopmentRows.ONE:
            self._shelf.drop_where(lambda other: other.developing, at)
        self._shelf.rows.append(row)
        self._start_building(row, at)

    def _start_building(self, row: Row, at: float) -> None:
        row.upload_status = UploadStatus.UPLOADING
        span = self.behaviour.build_s
        takes_s = self._rules.chance.within(span, self.app_id, "build_s", row.number)
        self._put(at + takes_s, Change.BUILT, row)

    def _build(self, row: Row, at: float) -> None:
        self._builds += 1
        row.upload_error = self._build_error(row, at)
        if row.upload_error is not None:
            row.upload_status = UploadStatus.FAILED
            self._shelf.end(row, at)
            return
        row.upload_status = None
        row.package_id = self._package_id(row)
        row.status = PackageStatus.DEVELOPMENT
        if row.direct_commit and self._audit_refusal(row, at) is None:
            if self._rules.unsettled.direct_commit_uses_quota:
                self._quota.take()
            self._enter(row, PackageStatus.IN_AUDIT, at)

    def _build_error(self, row: Row, at: float) -> int | None:
        if self._rules.outages.out(Service.BUILD, at):
            return UploadError.SERVICE_DOWN
        if row.template_id in self._rules.broken_templates:
            return UploadError.TEMPLATE_BROKEN
        behaviour, chance = self.behaviour, self._rules.chance
        unlucky = chance.happens(behaviour.upload_fail_chance, self.app_id, "build", row.number)
        if unlucky or self._builds <= behaviour.upload_failures:
            return behaviour.upload_error
        return None

    def _enter(self, row: Row, status: PackageStatus, at: float) -> None:
        """Bring a package into a state, with all that belongs to it."""
        row.coming = None
        row.status = status
        match status:
            case PackageStatus.IN_AUDIT:
                self._start_audit(row, at)
            case PackageStatus.ONLINE:
                self._shelf.put_online(row, at)
            case PackageStatus.ROLLING_BACK:
                span = self.behaviour.rollback_s
                takes_s = self._rules.chance.within(span, self.app_id, "rollback_s", row.number)
                self._put(at + takes_s, Change.ROLLED_BACK, row)
            case PackageStatus.AUDIT_FAILED:
                self._shelf.end(row, at)
            case PackageStatus.DEVELOPMENT | PackageStatus.AUDIT_PASSED:
                pass  # Nothing follows by itself.

    def _start_audit(self, row: Row, at: float) -> None:
        if not self._rules.unsettled.reviewed_rows_stay:
            self._shelf.drop_where(lambda other: other.status in _REVIEWED, at)
        row.audit_round += 1
        row.audit_message = ""
        behaviour, names = self.behaviour, (self.app_id, "audit_s", row.number, row.audit_round)
        takes_s = self._rules.chance.shaped(behaviour.audit_s, behaviour.audit_shape, *names)
        self._put(at + takes_s, Change.VERDICT, row)

    def _judge(self, row: Row, at: float) -> None:
        behaviour, chance = self.behaviour, self._rules.chance
        names = (self.app_id, row.number, row.audit_round)
        if chance.happens(behaviour.reject_chance, "verdict", *names):
            reasons = behaviour.reject_reasons
            row.audit_message = reasons[int(chance.fraction("reason", *names) * len(reasons))]
            self._enter(row, PackageStatus.AUDIT_FAILED, at)
        else:
            self._enter(row, PackageStatus.AUDIT_PASSED, at)
        self._rules.judged(self.app_id, row, at)

    def _take_back(self, row: Row, at: float) -> None:
        if self._rules.unsettled.withdraw_returns_quota:
            self._quota.give_back()
        if self._rules.unsettled.withdrawn_to is WithdrawnTo.GONE:
            self._shelf.drop(row, at)
        else:
            self._enter(row, PackageStatus.DEVELOPMENT, at)

    def _find(self, package_id: int, status: PackageStatus, now: float) -> Row | Refusal:
        """Settle, then find a package that the platform's own checks see in that state."""
        self.settle(now)
        row = self._shelf.by_id(package_id)
        if row is None:
            return Refusal(PACKAGE_NOT_FOUND, "包不存在", violation=True)
        if self._checked_status(row) != status:
            errno = self._rules.unsettled.wrong_status_errno
            return Refusal(errno, "当前版本状态不支持此操作", violation=True)
        return row

    def _audit_refusal(self, row: Row, now: float) -> Refusal | None:
        """Check what an audit needs, in the order: papers, other audits of the app, quota."""
        if refusal := audit_refusal(self.behaviour):
            return refusal
        errno = self._rules.unsettled.in_audit_errno
        others = (other for other in self._shelf.rows if other is not row)
        in_audit = any(self._checked_status(other) == PackageStatus.IN_AUDIT for other in others)
        if errno is not None and in_audit:
            return Refusal(errno, "当前有版本正在审核中")
        if self._quota.state(self.behaviour, now).remaining == 0:
            return Refusal(QUOTA_USED_UP, "送审额度已超出当前周期限制")
        return None

    def _checked_status(self, row: Row) -> int | None:
        if row.coming is not None and not self._rules.unsettled.checks_lag:
            return row.coming
        return row.status

    def _new_row(self, wish: UploadWish, now: float, committer: str) -> Row:
        self._packages += 1
        return Row(
            number=self._packages,
            version=wish.version,
            description=wish.description,
            template_id=wish.template_id,
            committed_at=now,
            committer=committer,
            direct_commit=wish.direct_commit,
        )

    def _package_id(self, row: Row) -> int:
        return row.number * PACKAGE_ID_STRIDE + self.index

    def _accept(self, row: Row, coming: PackageStatus, change: Change, now: float) -> Row:
        row.coming = coming
        self._put(now + self.behaviour.effect_delay_s, change, row)
        return row

    def _put(self, at: float, change: Change, row: Row) -> None:
        self._agenda.put(at, change, row)
        if change in _TO_A_VERDICT or (row.direct_commit and change in _TO_AN_AUDIT):
            self._rules.calendar.put(at, self.app_id)
