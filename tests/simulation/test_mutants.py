"""The simulation catches planted bugs: a judge that lets one through says nothing about the rest."""

import os

import pytest

from tests.simulation.directed import DIRECTED
from tests.simulation.mutants import hunt_all, known_catches, mutated
from tests.simulation.planted import MUTANTS, Mutant
from tests.simulation.run import play

NAMES = {mutant.name for mutant in MUTANTS}
MOST_SECONDS = 20.0  # of processor time for one whose noted catcher went stale


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    assert len(NAMES) == len(MUTANTS) >= 45


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_guard_is_still_there_to_be_taken_out(mutant: Mutant) -> None:
    assert mutant.new in mutated(mutant)


def test_each_has_a_catcher_that_is_there() -> None:
    known = known_catches()
    assert known.keys() == NAMES
    assert {by for catchers in known.values() for by in catchers if isinstance(by, str)} <= DIRECTED.keys()


@pytest.mark.timeout(900)
def test_each_is_caught_again() -> None:
    """By what ``caught_by.json`` says, or, when that went stale, by the first of all others that does."""
    catches = list(hunt_all(MUTANTS, known_catches(), os.cpu_count() or 1, MOST_SECONDS))
    missed = [catch.name for catch in catches if catch.by is None]
    assert not missed, f"{len(missed)} of {len(MUTANTS)} planted bugs are not caught: {missed}"


@pytest.mark.parametrize("chance", range(3))
@pytest.mark.parametrize("name", DIRECTED)
def test_the_program_as_it_is_passes_each_directed_scenario(name: str, chance: int) -> None:
    outcome = play(DIRECTED[name].plan, chance)
    assert not outcome.violations, [str(violation) for violation in outcome.violations]
