"""The jobs of a cluster that is being drained: evicted by our check and not counted as failed."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tests.workload_controller.builders import (
    COMPLETE,
    check,
    copy,
    job,
    policy,
    ready,
    remote,
    work,
    workload,
)
from workload_controller.facts import CheckState, FailedAttempt, History
from workload_controller.lifecycle import next_action
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Action, GiveBack, Mirror, ResetCheck, Withdraw

TIMING = Timing()
PAST = History(1, (FailedAttempt(1, "w2", "PodsNotReady", 50.0, "no image"),))
WHY = "is being drained by ana: kernel"
TEXT = f"Drained from w1, which {WHY}; it queues again for another cluster"
ADMITTED = workload(admitted=True)
PLACED = replace(ready(), history=PAST)
DRAINED = GiveBack("Drained", PLACED, TEXT, PAST)


def on_w1(**fields: Any) -> Situation:
    given: dict[str, Any] = {
        "now": 200.0,
        "workload": ADMITTED,
        "check": PLACED,
        "job": job(active=1),
        "copy": copy(),
        "policies": (policy(),),
        "works": (work(),),
        "draining": WHY,
    }
    return Situation(**given | fields)


class Case(NamedTuple):
    reason: str
    given: Situation
    want: Action | type[Action]


RETRY = check(CheckState.RETRY, message=TEXT, history=PAST)
CASES = [
    Case("a running job, with the history that it had", on_w1(), DRAINED),
    Case("one that was not carried yet is not carried any more", on_w1(policies=(), works=()), DRAINED),
    Case("one without a copy gets none there", on_w1(copy=None, policies=(), works=()), DRAINED),
    Case(
        "one that is placed there and not admitted yet",
        on_w1(
            copy=None,
            policies=(),
            works=(),
            job=job(suspended=True),
            workload=workload(checks=(PLACED, check(name="other"))),
        ),
        DRAINED,
    ),
    Case(
        "a result that has come is kept (I3)",
        on_w1(remote=remote(COMPLETE, terminal=True)),
        Mirror,
    ),
    Case(
        "said once: then its copy goes",
        on_w1(check=RETRY),
        Withdraw(copy(), "its cluster is being drained"),
    ),
    Case(
        "and the end of the eviction adds no delay and no failure",
        on_w1(
            workload=workload(evicted=True, evictions=2),
            check=RETRY,
            copy=None,
            policies=(),
            works=(),
            draining="",
        ),
        ResetCheck(RETRY, TEXT, PAST),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_drain(case: Case) -> None:
    step = next_action(case.given, TIMING)
    if isinstance(case.want, type):
        assert isinstance(step, case.want)
    else:
        assert step == case.want
