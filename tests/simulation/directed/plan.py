"""How a directed scenario is written: a few jobs, deeds and faults, each at its second."""

from dataclasses import replace
from typing import Any, NamedTuple

from tests.simulation.scenario import Action, Fault, JobPlan, Scenario

ONE = {"w1": {"w1-n1": 4, "w1-n2": 4}}
W1_FIRST = {"w1": {"w1-n1": 4, "w1-n2": 4}, "w2": {"w2-n1": 4}}  # what is small goes to w1 while it is empty
SMALL_THIRD = W1_FIRST | {"w3": {"w3-n1": 1}}
AMPLE = 40  # cores of quota, more than all workers have

_JOB = JobPlan(
    serial="j0",
    namespace="team-a",
    name="job0",
    at=1.0,
    pods=1,
    cpu=1,
    seconds=20.0,
    start=1.0,
    trouble="",
    ttl=False,
    on_loss="",
    fails=False,
    grace=1,
    priority=0,
)


class Directed(NamedTuple):
    """``reason`` says which situation the world is steered into, and what has to come of it."""

    name: str
    reason: str
    plan: Scenario


def job(serial: str = "j0", **changes: Any) -> JobPlan:
    """A job of one pod and one core that runs for 20 s."""
    named = {"serial": serial, "name": f"job{serial[1:]}"}
    return replace(_JOB, **(named | changes))


def directed(
    name: str,
    reason: str,
    *,
    jobs: tuple[JobPlan, ...],
    actions: tuple[Action, ...] = (),
    faults: tuple[Fault, ...] = (),
    workers: dict[str, dict[str, int]] = W1_FIRST,
    replicas: int = 1,
) -> Directed:
    plan = Scenario(
        seed=0,
        replicas=replicas,
        nominal=AMPLE,
        workers=workers,
        jobs=jobs,
        actions=actions,
        faults=faults,
    )
    return Directed(name, reason, plan)
