"""The simulation catches planted bugs: a judge that lets one through says nothing about the rest."""

import os

import pytest

from tests.simulation.mutants import hunt_all, known_catches, mutated
from tests.simulation.planted import MUTANTS, Mutant


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 40


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_guard_is_still_there_to_be_taken_out(mutant: Mutant) -> None:
    assert mutant.new in mutated(mutant)


CAUGHT = [mutant for mutant in MUTANTS if mutant.name in known_catches()]


@pytest.mark.timeout(900)
def test_what_was_caught_is_caught_again() -> None:
    """Those of ``caught_by.json``, on the seed that caught them last or the first of others that does.

    The others are hunted by ``python -m tests.simulation.mutants``, which notes its catches there.
    """
    catches = list(hunt_all(CAUGHT, known_catches(), os.cpu_count() or 1))
    missed = [catch.name for catch in catches if catch.seed is None]
    assert CAUGHT
    assert not missed, f"{len(missed)} of {len(CAUGHT)} planted bugs are not caught: {missed}"
