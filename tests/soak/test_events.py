"""What a soak does is as rough as it says."""

from collections import Counter

import pytest

from kube_runtime.objects import Obj
from tests.soak.events import LONGEST, Kind, events, job

HALF_AN_HOUR = 1800.0


@pytest.mark.parametrize("seed", range(5))
def test_there_are_more_than_two_events_per_second(seed: int) -> None:
    assert sum(1 for _ in events(seed, HALF_AN_HOUR)) > 2 * HALF_AN_HOUR


@pytest.mark.parametrize("seed", range(5))
def test_five_minutes_have_each_kind_of_event(seed: int) -> None:
    drawn = Counter(event.kind for event in events(seed, 300))
    assert all(drawn[kind] >= 2 for kind in Kind), drawn


def test_the_same_seed_gives_the_same_events_and_jobs() -> None:
    assert list(events(3, 60)) == list(events(3, 60))
    assert list(events(3, 60)) != list(events(4, 60))
    assert job(3, 7) == job(3, 7)


def test_what_lasts_is_over_in_time() -> None:
    lasting = [e for e in events(1, HALF_AN_HOUR) if e.kind in LONGEST]
    assert all(0 <= e.seconds <= LONGEST[e.kind] for e in lasting)
    assert {e.kind for e in lasting if e.seconds == LONGEST[e.kind]} == set(LONGEST)


def test_jobs_are_of_all_sorts() -> None:
    jobs = [job(1, number) for number in range(100)]

    def share(has: str) -> int:
        return sum(has in each["spec"] or has in str(each["metadata"]) for each in jobs)

    assert {each["spec"]["parallelism"] for each in jobs} == {1, 2, 3, 4}
    assert {share(each) > 3 for each in ("activeDeadlineSeconds", "ttlSecondsAfterFinished")} == {True}
    assert {share(each) > 3 for each in ("soak-urgent", "leased", "team-b", "soak-2")} == {True}


def test_no_event_belongs_to_two_jobs() -> None:
    names: list[Obj] = [job(1, event.number)["metadata"] for event in events(1, 60)]
    assert len({each["name"] for each in names}) == len(names)
