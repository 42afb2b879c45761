"""A lost cluster comes back, at every moment around the one at which its job is started elsewhere."""

from dataclasses import replace

import pytest

from tests.simulation.run import Outcome, play
from tests.simulation.scenario import LOST_AFTER, Fault, JobPlan, Scenario
from tests.simulation.worker import LEASE_GRACE

CUT_AT = 20.0
DECIDED_AFTER = LEASE_GRACE + LOST_AFTER  # seconds after the cut, and up to 10 more: OCM looks so often
JOB = JobPlan(
    serial="j0",
    namespace="team-a",
    name="job0",
    at=60.0,
    pods=3,
    cpu=1,
    seconds=100.0,
    start=0.5,
    trouble="",
    ttl=False,
    on_loss="atLeastOnce",
    fails=False,
    grace=30,
    priority=0,
)
NODES = {"n1": 4, "n2": 4}


def returns_after(seconds: float, job: JobPlan, *, lag: float = 0.0, chance: int = 0) -> Outcome:
    """``lag`` is that of what the ITS tells, in seconds; KubeStellar is slow to withdraw then."""
    faults = [Fault(CUT_AT, "cut_worker", "w1", seconds=seconds)]
    if lag:
        faults.append(Fault(CUT_AT + 80.0, "lag", "its", seconds=100.0, amount=lag))
        faults.append(Fault(CUT_AT + DECIDED_AFTER - 1.0, "component", "kubestellar", seconds=4.0))
    plan = Scenario(
        # Of this seed w1 is chosen first.
        seed=948,
        replicas=1,
        nominal=16,
        workers={"w1": NODES, "w2": NODES},
        jobs=(job,),
        actions=(),
        faults=tuple(faults),
    )
    return play(plan, chance)


@pytest.mark.parametrize("lag", [0.0, 3.0])
def test_quota_and_second_run_wait_for_what_it_has_started_on_its_return(lag: float) -> None:
    """I1 and I2: two runs are allowed while it is silent, not when it is back.

    It was given the job while it was away, so it starts it on its return, when OCM still says Unknown.
    """
    moments = [DECIDED_AFTER - 1.0 + n * 0.2 for n in range(30)]
    broken = {at: found for at in moments if (found := returns_after(at, JOB, lag=lag).violations)}
    assert not broken


@pytest.mark.parametrize("early", [3.0, 6.0])
def test_a_job_that_it_runs_goes_on_there_though_it_still_counts_as_lost(early: float) -> None:
    running = replace(JOB, at=CUT_AT - 15.0, seconds=200.0)
    outcomes = [returns_after(DECIDED_AFTER - early, running, chance=chance) for chance in range(5)]
    assert [outcome.violations for outcome in outcomes] == [()] * 5
    assert [outcome.jobs["j0"].starts for outcome in outcomes] == [1] * 5
