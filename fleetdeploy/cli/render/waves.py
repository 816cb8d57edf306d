"""Waves and their gates as people read them: in a plan, and how far they have come."""

from collections.abc import Iterable

from fleetdeploy.cli.render.layout import count_of
from fleetdeploy.cli.render.times import span
from fleetdeploy.core.plan import Plan
from fleetdeploy.core.rules import WaveRule
from fleetdeploy.core.wave_notes import WaveNote, WaveState


def wave_facts(plan: Plan) -> list[tuple[str, str]]:
    """Say which waves a plan has, how large they are, and what holds the next one back."""
    course = plan.course()
    if len(course.waves) <= 1 and not any(wave.auto_rollback for wave in course.waves):
        return []
    facts = []
    for number, wave in enumerate(course.waves, start=1):
        size = count_of(len(course.members[wave.name]), "app")
        parts = [f"{wave.name}: {size}", *_gate(wave, last=number == len(course.waves))]
        facts.append((f"wave {number}", "; ".join(parts)))
    if course.ahead:
        facts.append(("order", "later waves are audited ahead, once the first has an approval"))
    return facts


def _gate(wave: WaveRule, *, last: bool) -> list[str]:
    parts = []
    if not last:
        parts += [f"soaks {span(wave.soak_s)}"] if wave.soak_s else []
        if wave.gate is not None:
            within = f" within {span(wave.approve_within_s)}" if wave.approve_within_s else ""
            parts.append(f"then somebody approves it{within}")
    parts += ["rolled back when the run halts in it"] if wave.auto_rollback else []
    return parts


def waves_told(waves: Iterable[WaveNote]) -> str:
    """Say how far the waves have come, in a line: `waves: canary 3/3, early 1/5, rest waits`."""
    told = ", ".join(_told(wave) for wave in waves)
    return f"waves: {told}" if told else ""


def _told(wave: WaveNote) -> str:
    if wave.state is WaveState.WAITING and not wave.ended:
        return f"{wave.name} waits ({count_of(wave.apps, 'app')})"
    bad = wave.ended - wave.good
    parts = [f"{wave.name} {wave.ended}/{wave.apps}"]
    parts += [f"({bad} not well)"] if bad else []
    return " ".join([*parts, *(["ahead"] if wave.state is WaveState.AHEAD else [])])
