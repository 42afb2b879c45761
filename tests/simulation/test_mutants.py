"""The simulation catches every planted bug: a judge that lets one through says nothing about the rest."""

import os

import pytest

from tests.simulation.mutants import hunt_all, known_catches, mutated
from tests.simulation.planted import MUTANTS, Mutant


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_guard_is_still_there_to_be_taken_out(mutant: Mutant) -> None:
    assert mutant.new in mutated(mutant)


@pytest.mark.timeout(1800)
def test_every_planted_bug_is_caught() -> None:
    """On the seeds that caught it last; when the program has changed, on the first of others that does."""
    catches = list(hunt_all(MUTANTS, known_catches(), os.cpu_count() or 1))
    missed = [catch.name for catch in catches if catch.seed is None]
    assert not missed, f"{len(missed)} of {len(MUTANTS)} planted bugs are not caught: {missed}"
