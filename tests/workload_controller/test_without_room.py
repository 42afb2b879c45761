"""A job that no cluster can take waits, says why, and gives its quota back at the deadline."""

from typing import NamedTuple

import pytest

from tests.workload_controller.builders import check
from tests.workload_controller.situations import TIMING
from workload_controller.facts import NO_HISTORY
from workload_controller.lifecycle import without_room
from workload_controller.steps import GiveBack, KeepWaiting, Place

WHY = "w1: 1 of 2 pods fit; asks cpu 8, free 4"
TEXT = f"No cluster can take it now: {WHY}. The quota goes back at 00:11:40Z"
OLD_TEXT = (
    "No cluster can take it now: w1: 0 of 2 pods fit; asks cpu 8, free 2. The quota goes back at 00:11:40Z"
)


class Room(NamedTuple):
    reason: str
    now: float
    message: str  # what the check says, since 100
    want: tuple[bool, float]  # told, looked at again after


ROOM = [
    Room("the reason is told at once", 101.0, "", (True, 15.0)),
    Room("what is told already is not written again", 200.0, TEXT, (False, 15.0)),
    Room("numbers that moved wait for the interval", 104.0, OLD_TEXT, (False, 6.0)),
    Room("and are told then", 110.0, OLD_TEXT, (True, 15.0)),
    Room("the deadline is not slept over", 695.0, TEXT, (False, 5.0)),
]


@pytest.mark.parametrize("case", ROOM, ids=lambda case: case.reason)
def test_waiting_without_room(case: Room) -> None:
    place = Place(check(message=case.message), 700.0)
    waiting = without_room(place, WHY, case.now, TIMING)
    assert waiting == KeepWaiting(place.check, TEXT, *case.want)


def test_at_the_deadline_the_quota_goes_back() -> None:
    back = without_room(Place(check(), 700.0), WHY, 700.0, TIMING)
    text = f"No cluster could take it for 600s: {WHY}. The quota goes back, it queues again"
    assert back == GiveBack("NoClusterInTime", check(), text, NO_HISTORY)
