"""Which clusters a Workload may not use, and why. An absent cluster may be used."""

from typing import NamedTuple

import pytest

from tests.workload_controller.builders import cluster
from workload_controller.candidates import barred, outside
from workload_controller.facts import ClusterFacts, FailedAttempt, History
from workload_controller.wishes import JobPolicy

W1, W2, W3 = cluster("w1"), cluster("w2"), cluster("w3")
GONE = cluster("w2", refusal="its last report is older than 180s")
NOT_ALLOWED = "not allowed for it (allowed: {})"
FAILED_W1 = "attempt 1 failed there (ApplyFailed), left out until 00:16:40Z"
BUSY_W1 = "an earlier attempt of it is still leaving w1"


def failures(*clusters: str, at: float = 100.0) -> History:
    return History(
        len(clusters),
        tuple(FailedAttempt(n, name, "ApplyFailed", at, "words") for n, name in enumerate(clusters, 1)),
    )


def only(*names: str) -> JobPolicy:
    return JobPolicy(clusters=frozenset(names))


class Case(NamedTuple):
    reason: str
    want: dict[str, str]
    clusters: tuple[ClusterFacts, ...] = (W1, W2)
    policy: JobPolicy = JobPolicy()
    history: History = History()
    still_on: tuple[str, ...] = ()
    now: float = 200.0


CASES = [
    Case("nothing is known against any", {}),
    Case(
        "an allow-list names what it allows",
        {"w2": NOT_ALLOWED.format("w1, w3, which is not registered")},
        policy=only("w3", "w1"),
    ),
    Case(
        "two lists that share no cluster allow none, and say so",
        {name: NOT_ALLOWED.format("none that its queue and the job both name") for name in ("w1", "w2")},
        policy=only(),
    ),
    Case("a cluster where an attempt failed is left out", {"w1": FAILED_W1}, history=failures("w1")),
    Case("until its exclusion is over", {}, history=failures("w1"), now=1000.0),
    Case("and not a moment earlier", {"w1": FAILED_W1}, history=failures("w1"), now=999.9),
    Case(
        "the newest of several failures counts",
        {"w1": "attempt 2 failed there (ApplyFailed), left out until 00:16:40Z"},
        history=failures("w1", "w1"),
    ),
    Case("failed on all of them: waiting would help nobody", {}, history=failures("w1", "w2")),
    Case(
        "failed on the only one that can be used",
        {},
        clusters=(W1, GONE),
        history=failures("w1"),
    ),
    Case(
        "failed on the only one that is allowed",
        {"w2": NOT_ALLOWED.format("w1")},
        policy=only("w1"),
        history=failures("w1"),
    ),
    Case(
        "an earlier attempt may still be there: no second one beside it (I1)",
        {"w1": BUSY_W1},
        still_on=("w1",),
    ),
    Case(
        "that holds where it failed, and on the only cluster too (I1)",
        {"w1": BUSY_W1},
        clusters=(W1,),
        history=failures("w1"),
        still_on=("w1",),
    ),
    Case(
        "failed on all that are not barred otherwise: those are open",
        {"w1": BUSY_W1},
        clusters=(W1, W2),
        history=failures("w2"),
        still_on=("w1",),
    ),
    Case(
        "one of three is left",
        {"w1": FAILED_W1, "w2": "attempt 2 failed there (ApplyFailed), left out until 00:16:40Z"},
        clusters=(W1, W2, W3),
        history=failures("w1", "w2"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_barred(case: Case) -> None:
    left_out = outside(case.clusters, case.policy)
    not_now = barred(
        case.clusters,
        left_out,
        case.history,
        case.still_on,
        now=case.now,
        exclusion=900.0,
    )
    assert {**not_now, **left_out} == case.want
