"""The checkers see deliberate bugs; without one the same seeds find nothing (`test_fates.py`)."""

import pytest

from tests.simulator.mutants import MUTANTS, Mutant, caught


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught_within_its_seeds(mutant: Mutant) -> None:
    assert caught(mutant) is not None, mutant.bug
