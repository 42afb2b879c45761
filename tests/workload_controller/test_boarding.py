"""What is being written and no store shows yet counts when a new copy looks for its wave."""

from collections.abc import Mapping
from typing import cast

from tests.workload_controller.builders import UID, job, policy, workload
from workload_controller.boarding import OPENING, Boarding
from workload_controller.facts import Decision, Mates, PolicyFacts
from workload_controller.view import View
from workload_controller.waves import Berth, wave_of

NOW = 200.0
OPEN = policy(name="wave-w1-a", size=3, created_at=NOW)
OWN = wave_of(UID, "w1", 1)
JOINS, OPENS = Berth(joins="wave-w1-a"), Berth(size=3)


class Seen:
    """What the stores show: waves of w1, and the copies in any."""

    def __init__(self, *shared: PolicyFacts, mates: Mapping[str, Mates] | None = None) -> None:
        self._shared, self._mates = shared, dict(mates or {})

    def shared_waves(self, cluster: str) -> list[PolicyFacts]:
        return list(self._shared) if cluster == "w1" else []

    def mates(self, wave: str) -> Mates:
        return self._mates.get(wave, Mates())


def boarding(*shared: PolicyFacts, size: int = 3, **mates: Mates) -> Boarding:
    return Boarding(cast("View", Seen(*shared, mates={"wave-w1-a": Mates(1, 1)} | mates)), size)


def ask(of: Boarding, cluster: str = "w1", now: float = NOW) -> Berth | None:
    return of.berth(workload(), job(), Decision(cluster, 1), now)


def test_copies_that_are_being_made_fill_a_wave() -> None:
    of = boarding(OPEN)
    with of.joining(JOINS):
        assert ask(of) == JOINS
        with of.joining(JOINS):
            assert ask(of) == OPENS
    assert ask(of) == JOINS


def test_while_one_opens_a_wave_others_wait_for_it_but_not_for_ever() -> None:
    of = boarding()
    assert ask(of) == OPENS
    assert ask(of) is None
    assert ask(of, "w2") == OPENS
    assert ask(of, now=NOW + OPENING) == OPENS
    of.opened("w1")
    assert ask(of, now=NOW + OPENING) == OPENS


def test_nobody_joins_a_wave_whose_policy_is_being_deleted() -> None:
    of = boarding(OPEN)
    with of.closing(OPEN):
        assert ask(of) == OPENS
    assert ask(of) == JOINS


def test_a_policy_is_not_deleted_while_somebody_boards() -> None:
    of = boarding(OPEN)
    assert not of.is_boarding(OPEN)
    with of.joining(JOINS):
        assert of.is_boarding(OPEN)


def test_who_opened_a_wave_before_waits_until_the_others_have_left_it() -> None:
    """I1: its policy, made anew under that name, would carry them again."""
    of = Boarding(cast("View", Seen(mates={OWN: Mates(0, 1)})), 1)
    assert ask(of) is None
