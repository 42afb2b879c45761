"""When a cluster counts as lost and what each policy makes of it."""

from typing import NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.workload_controller.builders import copy, work
from workload_controller.facts import Contact, CopyFacts, LossPolicy
from workload_controller.loss import AGENT_LOOK, abandoned, lost_wait, moves_at
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Wait

TIMING = Timing(worker_lost_timeout=900, lease=600, clock_skew=2, pods_end_margin=10)
LOST = Contact(lost_since=100.0, beat_at=0.0)
GRACE = 30.0
MARGINS = AGENT_LOOK + 2 + GRACE + 10  # look of the agent, its clock, the pods' grace, and beyond
ONCE, TWICE = copy(), copy(on_loss=LossPolicy.AT_LEAST_ONCE)


def leased(seconds: int | None = 600) -> CopyFacts:
    return copy(on_loss=LossPolicy.LEASED, lease_seconds=seconds)


class Move(NamedTuple):
    reason: str
    carried: CopyFacts
    contact: Contact
    want: float | None


MOVES = [
    Move("a cluster that is heard moves nothing", TWICE, Contact(None, 0.0), None),
    Move("heard again, nor does a leased one", leased(), Contact(None, 5000.0), None),
    Move("atMostOnce: never while it may be there (I1)", ONCE, LOST, None),
    Move("atLeastOnce: when it counts as lost", TWICE, LOST, 1000.0),
    Move("a short lease does not make a loss shorter", leased(60), LOST, 1000.0),
    Move("leased: the last contact may have brought a heartbeat", leased(1800), LOST, 1900.0 + MARGINS),
    Move(
        "leased: so may every heartbeat that was written after it",
        leased(),
        Contact(100.0, 950.0),
        1550.0 + MARGINS,
    ),
    Move(
        "leased: an older heartbeat is older than the contact",
        leased(1800),
        Contact(100.0, 40.0),
        1900.0 + MARGINS,
    ),
    Move("a lease that cannot be read is ours", leased(None), Contact(100.0, 950.0), 1550.0 + MARGINS),
]


@pytest.mark.parametrize("case", MOVES, ids=lambda case: case.reason)
def test_moves_at(case: Move) -> None:
    assert moves_at(case.carried, case.contact, GRACE, TIMING) == case.want


@given(
    lost=st.floats(0, 1e9),
    beat=st.floats(0, 1e9),
    lease=st.integers(4, 10**6),
    grace=st.floats(0, 10**5),
    skew=st.floats(-2, 2),
    heard_late=st.floats(0, 1),
)
def test_a_leased_job_has_ended_before_it_may_move(
    lost: float, beat: float, lease: int, grace: float, skew: float, heard_late: float
) -> None:
    """The fence, from the worker's side: its agent's clock, its last look, its pods' grace."""
    moves = moves_at(leased(lease), Contact(lost, beat), grace, TIMING)
    newest = lost + heard_late * max(0.0, beat - lost)  # any beat that can have got there
    agent_ends_it = newest + lease + skew + AGENT_LOOK
    assert moves is not None
    assert moves >= agent_ends_it + grace
    assert moves >= lost + TIMING.worker_lost_timeout


class Left(NamedTuple):
    reason: str
    deleting_since: float | None
    on_loss: LossPolicy
    contact: Contact | None
    now: float
    want: bool


AT_LEAST = LossPolicy.AT_LEAST_ONCE
LEFT = [
    Left("deleted on a lost cluster, and the user allows it", 500.0, AT_LEAST, LOST, 1000.0, True),
    Left("not lost long enough", 500.0, AT_LEAST, LOST, 999.9, False),
    Left("not deleted: it is still wanted there", None, AT_LEAST, LOST, 9999.0, False),
    Left("deleted a moment ago: one that is back would confirm", 1000.0, AT_LEAST, LOST, 1004.9, False),
    Left("it had time to confirm, and is silent", 1000.0, AT_LEAST, LOST, 1005.0, True),
    Left("the cluster answers: it will confirm", 500.0, AT_LEAST, Contact(None, 0.0), 9999.0, False),
    Left("nothing is known of the cluster", 500.0, AT_LEAST, None, 9999.0, False),
    Left("atMostOnce waits for ever (I1)", 500.0, LossPolicy.AT_MOST_ONCE, LOST, 9999.0, False),
]


@pytest.mark.parametrize("case", LEFT, ids=lambda case: case.reason)
def test_abandoned(case: Left) -> None:
    left = work(deleting_since=case.deleting_since, on_loss=case.on_loss)
    contacts = {"w2": LOST} | ({"w1": case.contact} if case.contact is not None else {})
    assert abandoned(left, Situation(now=case.now, contacts=contacts), GRACE, TIMING) is case.want


SINCE = "w1 has not been heard of since 00:01:40Z"
WAITS = [
    (
        "a short loss is told and changes nothing",
        ONCE,
        200.0,
        Wait(
            "ClusterUnreachable",
            f"{SINCE}; a loss below 15m00s changes nothing",
            until=1000.0,
            told="Warning",
        ),
    ),
    (
        "a long one is held, with the administrator's way out",
        ONCE,
        1000.0,
        Wait(
            "ClusterLost",
            f"{SINCE}; with atMostOnce it and its quota are held until w1 is back: "
            "kubectl delete managedcluster w1 in the ITS if it will not come back",
            told="Warning",
        ),
    ),
    (
        "a job that may move is told when",
        TWICE,
        200.0,
        Wait(
            "ClusterLost",
            f"{SINCE}; with atLeastOnce it starts elsewhere at 00:16:40Z unless w1 is back",
            until=1000.0,
            told="Warning",
        ),
    ),
    (
        "the time has come and it is not withdrawn yet: looked at again, not at once",
        TWICE,
        1000.0,
        Wait(
            "ClusterLost",
            f"{SINCE}; with atLeastOnce it starts elsewhere at 00:16:40Z unless w1 is back",
            until=1015.0,
            told="Warning",
        ),
    ),
    (
        "a leased one too",
        leased(1800),
        200.0,
        Wait(
            "ClusterLost",
            f"{SINCE}; with leased it starts elsewhere at 00:32:37Z unless w1 is back",
            until=1957.0,
            told="Warning",
        ),
    ),
]


@pytest.mark.parametrize(("reason", "carried", "now", "want"), WAITS, ids=[row[0] for row in WAITS])
def test_lost_wait(reason: str, carried: CopyFacts, now: float, want: Wait) -> None:
    moves = moves_at(carried, LOST, GRACE, TIMING)
    assert lost_wait(carried, LOST, moves, now, TIMING) == want
