"""The report on a simulation: what was accepted, what was wrong, how fast the client was."""

from typing import Final

from fleetdeploy.simulator.ledger import Effect, Violation
from fleetdeploy.simulator.world import World

_SHOWN: Final = 100
"""Enough to find a fault by; the counts beside the lists are complete."""


def report(world: World) -> dict[str, object]:
    """Return the books of a world as plain data for JSON; no token is in it."""
    traffic, repeated = world.traffic, world.duplicates()
    return {
        "apps": len(world.app_ids),
        "effects": world.ledger.counts(),
        "duplicates": {
            "count": len(repeated),
            "first": [_effect(effect) for effect in repeated[:_SHOWN]],
        },
        "violations": {
            "count": world.ledger.violation_count,
            "last": [_violation(violation) for violation in world.violations[-_SHOWN:]],
        },
        "calls": {
            "total": traffic.total,
            "by_endpoint": dict(sorted(traffic.by_endpoint.items())),
            "refused": {name: count for name, count in sorted(traffic.refused.items()) if count},
            "lost": traffic.lost,
            "throttled": traffic.throttled,
            "max_per_second": traffic.max_per_second(),
            "max_per_second_by_endpoint": {
                name: traffic.max_per_second(name) for name in traffic.endpoints()
            },
            "max_in_flight": traffic.most_in_flight,
        },
        "credentials": {
            "tp_tokens": world.desk.tp_tokens,
            "refreshed": world.desk.refreshed,
            "exchanged": world.desk.exchanged,
            "retrieved": world.desk.retrieved,
            "reused": world.desk.reused_count,
        },
        "pushes": {
            "made": world.pushes.made,
            "delivered": world.pushes.delivered,
            "failed": world.pushes.failed,
            "forged_taken": world.pushes.forged_taken,
        },
    }


def _effect(effect: Effect) -> dict[str, object]:
    return {
        "at": effect.at,
        "kind": effect.kind,
        "app_id": effect.app_id,
        "package_id": effect.package_id,
        "version": effect.version,
        "version_desc": effect.version_desc,
        "template_id": effect.template_id,
    }


def _violation(violation: Violation) -> dict[str, object]:
    return {
        "at": violation.at,
        "endpoint": violation.endpoint,
        "app_id": violation.app_id,
        "errno": violation.errno,
        "reason": violation.reason,
    }
