"""What a decision about one app of a rollout is made from; it makes none itself."""

from dataclasses import dataclass

from fleetdeploy.core import sightings
from fleetdeploy.core.rules import ForeignPackage
from fleetdeploy.core.settling import Circumstances
from fleetdeploy.core.targets import Target
from fleetdeploy.model import Bundle, Package


@dataclass(frozen=True, slots=True)
class Case(Circumstances):
    """Everything a decision is made from."""

    target: Target

    @property
    def bundle(self) -> Bundle:
        return self.target.bundle

    @property
    def version(self) -> str:
        """The version our package goes by: an adopted one keeps its own."""
        return self.bundle.version if self.app.version is None else self.app.version

    @property
    def row(self) -> Package | None:
        """Our package in the list, only where version and marker still agree."""
        row = sightings.row_of(self.sight.rows, self.app.package_id)
        return row if row and sightings.is_bundle(row, self.bundle, self.version) else None

    @property
    def fresh(self) -> tuple[Package, ...]:
        """Rows of our bundle that the last upload made."""
        return sightings.new_rows(self.sight.rows, self.bundle, self.version, self.app.known)

    @property
    def foreign_package(self) -> ForeignPackage:
        return self.target.foreign_package or self.policy.foreign_package

    @property
    def overwrite_foreign(self) -> bool:
        own = self.target.overwrite_foreign
        return self.policy.overwrite_foreign if own is None else own
