"""The checkers see deliberate bugs; without one the same seeds find nothing.

Of drawn fates `test_fates.py` holds that, of the nights made for one danger the last test here.
"""

import pytest

from tests.simulator.made_nights import MADE, Made
from tests.simulator.mutants import MUTANTS, Mutant, caught


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught_within_its_seeds(mutant: Mutant) -> None:
    assert caught(mutant, first=mutant.first) is not None, mutant.bug


@pytest.mark.slow
@pytest.mark.parametrize("made", MADE, ids=lambda made: made.__name__)
def test_nothing_is_wrong_with_the_nights_made_for_a_danger(made: Made) -> None:
    assert [found for seed in range(10) for found in made(seed)] == []
