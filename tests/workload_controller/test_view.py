"""What the view makes of several stores together."""

from typing import Any, NamedTuple

import pytest

from tests.workload_controller.scripted_space import ScriptedSpace
from workload_controller.reading import seconds
from workload_controller.situation import Timing
from workload_controller.stores import Stores
from workload_controller.view import View
from workload_controller.wishes import JobPolicy

SINCE = "2026-01-01T12:00:00Z"
LOST = seconds(SINCE)
NOW = LOST + 100.0


def managed_cluster(available: str) -> dict[str, Any]:
    condition = {"type": "ManagedClusterConditionAvailable", "status": available, "lastTransitionTime": SINCE}
    return {
        "metadata": {"name": "w1", "uid": "w1", "resourceVersion": "1"},
        "status": {"conditions": [condition]},
    }


def report(observed_at: float) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "w1", "name": "report", "uid": "report", "resourceVersion": "2"},
        "spec": {"sourceRef": {"kind": "ClusterMetrics", "name": "w1"}},
        "status": {"observedAtSeconds": f"{observed_at:.3f}", "sequence": 1},
    }


class Case(NamedTuple):
    reason: str
    available: str
    reported_at: float | None
    want: float | None  # not heard of since


CASES = [
    Case("it is Available", "True", NOW, None),
    Case("it never reported: its condition counts", "Unknown", None, LOST),
    Case("its last report is older than its condition", "Unknown", LOST - 60, LOST),
    Case("it is back, and OCM has not said so yet", "Unknown", LOST + 90, LOST + 88),
    Case("a clock may be that much ahead", "Unknown", NOW + 2, NOW),
    Case("a report from the future says nothing", "Unknown", NOW + 3, LOST),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_since_when_a_cluster_has_not_been_heard_of(case: Case) -> None:
    stores = Stores(*(ScriptedSpace().as_space for _ in range(3)))
    view = View(stores, stale_after=180.0, timing=Timing(clock_skew=2), defaults=JobPolicy())
    stores.clusters.observe(managed_cluster(case.available))
    if case.reported_at is not None:
        stores.reports.observe(report(case.reported_at))
    assert view.contact("w1", NOW).lost_since == case.want
