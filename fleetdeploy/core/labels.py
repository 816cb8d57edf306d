"""Whether an app's labels match what a group, a wave or a selection asks for."""

from collections.abc import Collection, Mapping


def matches(labels: Mapping[str, str], match: Mapping[str, str | Collection[str]]) -> bool:
    """Tell whether every label that `match` names is there and equal; a collection means any of.

    An empty `match` matches everything.
    """
    return all(_allows(wanted, labels.get(key)) for key, wanted in match.items())


def _allows(wanted: str | Collection[str], actual: str | None) -> bool:
    if actual is None:
        return False
    # A text is a collection of its letters: it must be told apart first.
    return actual == wanted if isinstance(wanted, str) else actual in wanted
