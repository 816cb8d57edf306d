"""A withdrawal and the rollout that is to follow it, in one document."""

from typing import Literal

from fleetdeploy.core.plan import SCHEMA_VERSION, Plan
from fleetdeploy.core.rules import Value


class Resubmission(Value):
    """What `withdraw --and-resubmit --dry-run -o json` prints; the rollout is a forecast."""

    schema_version: Literal[1] = SCHEMA_VERSION
    withdrawal: Plan
    rollout: Plan
