"""The rows of one app as lists show them, and the former online versions behind them."""

from collections.abc import Callable
from typing import Final

from fleetdeploy.model import PackageStatus
from fleetdeploy.simulator.rows import Row

_ONLINE: Final = frozenset({PackageStatus.ONLINE, PackageStatus.ROLLING_BACK})


class Shelf:
    """`ended` keeps, by package number, when a package failed, was rejected or left the list."""

    __slots__ = ("_depth", "_former", "ended", "rows")

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._former: list[Row] = []
        self.rows: list[Row] = []
        self.ended: dict[int, float] = {}

    def by_id(self, package_id: int) -> Row | None:
        return next((row for row in self.rows if row.package_id == package_id), None)

    def newest(self, package_id: int | None, status: int | None) -> Row | None:
        """Return the newest finished package that fits both; None fits all."""
        fitting = (
            row
            for row in self.rows
            if row.package_id is not None
            and package_id in {None, row.package_id}
            and status in {None, row.status}
        )
        return max(fitting, key=lambda row: row.number, default=None)

    def end(self, row: Row, at: float) -> None:
        self.ended.setdefault(row.number, at)

    def drop(self, row: Row, at: float) -> None:
        row.gone = True
        self.rows.remove(row)
        self.end(row, at)

    def drop_where(self, unwanted: Callable[[Row], bool], at: float) -> None:
        for row in [row for row in self.rows if unwanted(row)]:
            self.drop(row, at)

    @property
    def can_go_back(self) -> bool:
        return bool(self._former)

    def put_online(self, row: Row, at: float) -> None:
        """Let this package be the one online; the one before leaves the list."""
        for former in [other for other in self.rows if other.status in _ONLINE]:
            if former is not row:
                self.drop(former, at)
                self._former.append(former)
        del self._former[: max(0, len(self._former) - self._depth)]
        self._show_online(row)

    def go_back(self, row: Row, at: float) -> None:
        """Let the former version be online instead; without one everything stays as it was."""
        if not self._former:
            self._show_online(row)
            return
        older = self._former.pop()
        self.drop(row, at)
        older.gone = False
        self.ended.pop(older.number, None)
        self.rows.append(older)
        self._show_online(older)

    def _show_online(self, row: Row) -> None:
        row.coming = None
        row.status = PackageStatus.ONLINE
        row.rollback_version = self._former[-1].version if self._former else ""
