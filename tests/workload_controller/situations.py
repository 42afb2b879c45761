"""What is known of a job in the situations that rows of the lifecycle begin with."""

from typing import NamedTuple

from tests.workload_controller.builders import RUNNING, check, copy, job, policy, ready, work, workload
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Action

TIMING = Timing(placement_timeout=600, retry_delay=30, retry_delay_max=600, pods_end_margin=10, clock_skew=2)
ADMITTED = workload(admitted=True, checks=(ready(),))
EVICTED = workload(admitted=True, evicted=True, evictions=1, checks=(check(),))
LEAVING = copy(leaving_since=150.0)
STARTED = {
    "conditions": [
        {
            "type": "kueue.kubestellar.io/PodsReady",
            "status": "True",
            "reason": "Attempt1",
            "message": "All 1 pods were ready on w1",
            "lastTransitionTime": RUNNING["startTime"],
        }
    ]
}


def running(**fields: object) -> Situation:
    given: dict[str, object] = {
        "now": 200.0,
        "workload": ADMITTED,
        "check": ready(),
        "job": job(active=1),
        "copy": copy(),
        "policies": (policy(),),
        "works": (work(),),
    }
    return Situation(**given | fields)  # type: ignore[arg-type]


def leaving(**fields: object) -> Situation:
    given: dict[str, object] = {
        "now": 200.0,
        "workload": EVICTED,
        "check": check(),
        "job": job(active=1, suspended=True),
        "copy": LEAVING,
    }
    return Situation(**given | fields)  # type: ignore[arg-type]


def admitted(**fields: object) -> Situation:
    given: dict[str, object] = {"now": 200.0, "workload": ADMITTED, "check": ready(), "job": job(active=1)}
    return Situation(**given | fields)  # type: ignore[arg-type]


class Case(NamedTuple):
    reason: str
    given: Situation
    want: Action
