"""When a cluster can be used, and what our AdmissionCheck says about it."""

from dataclasses import replace

import pytest

from tests.workload_controller.builders import cluster, node_group
from vocabulary.cluster_metrics import ClusterReport
from vocabulary.cordon import Cordon
from workload_controller.admission_check import (
    ActiveCondition,
    AdmissionCheckFacts,
    judged,
    refusal_of,
    settling,
    wanted_condition,
)
from workload_controller.facts import ManagedClusterFacts

W1 = ManagedClusterFacts(
    "w1",
    accepted=True,
    available="True",
    available_since=1000.0,
    created_at=0.0,
    tainted=(),
    name_label="w1",
    deleting=False,
)

REFUSALS = [
    ("usable", W1, 1, 5.0, ""),
    ("not accepted", replace(W1, accepted=False), 1, 5.0, "hubAcceptsClient is false"),
    ("lost", replace(W1, available="Unknown"), 1, 5.0, "ManagedClusterConditionAvailable is Unknown"),
    (
        "no label to select it by",
        replace(W1, name_label=""),
        1,
        5.0,
        "kubectl label managedcluster w1 name=w1",
    ),
    ("labelled as another", replace(W1, name_label="w2"), 1, 5.0, "label name is 'w2'"),
    (
        "two clusters with one label would run a job twice (I1)",
        W1,
        2,
        5.0,
        "2 ManagedClusters share the label",
    ),
    ("tainted", replace(W1, tainted=("maintenance",)), 1, 5.0, "NoSelect taint maintenance"),
    (
        "cordoned: by whom, why, and how it ends",
        replace(W1, tainted=("maintenance",), cordon=Cordon("by ana: kernel", 900.0, draining=False)),
        1,
        5.0,
        "it is cordoned by ana: kernel (kueue-ks uncordon w1)",
    ),
    (
        "being drained",
        replace(W1, cordon=Cordon("by ana", 900.0, draining=True)),
        1,
        5.0,
        "it is being drained by ana (kueue-ks uncordon w1)",
    ),
    ("leaving", replace(W1, deleting=True), 1, 5.0, "is being deleted"),
    ("no report", W1, 1, None, "has not reported yet, see whether it runs there"),
    ("an old report", W1, 1, 181.0, "older than 180s, see whether its metrics agent runs"),
    ("a report from the future", W1, 1, -181.0, "check its clock"),
]


@pytest.mark.parametrize(
    ("reason", "given", "sharing", "age", "want"), REFUSALS, ids=[row[0] for row in REFUSALS]
)
def test_refusals_name_the_remedy(
    reason: str, given: ManagedClusterFacts, sharing: int, age: float | None, want: str
) -> None:
    text = refusal_of(given, sharing_label=sharing, report_age=age, stale_after=180.0, settles_for=0.0)
    assert (want in text) if want else not text


KNOWN = [
    ("usable, so it is known", W1, 5.0, True),
    ("cordoned, and known all the same", replace(W1, cordon=Cordon("", 0.0, draining=False)), 5.0, True),
    ("what an old report says may be over", W1, 181.0, False),
    ("no report", W1, None, False),
    ("silent", replace(W1, available="Unknown"), 5.0, False),
    ("just back, its nodes may not be", replace(W1, available_since=1990.0), 5.0, False),
]


@pytest.mark.parametrize(("reason", "given", "age", "want"), KNOWN, ids=[row[0] for row in KNOWN])
def test_whether_what_a_cluster_has_is_known(
    reason: str, given: ManagedClusterFacts, age: float | None, want: bool
) -> None:
    reports = {} if age is None else {"w1": ClusterReport(2000.0 - age, 1, (node_group(),), ())}
    (facts,) = judged([given], reports, now=2000.0, stale_after=180.0, settle=30.0)
    assert facts.fresh == want


SETTLING = [
    ("it has just come back: one that flaps gets no jobs", W1, 1010.0, 20.0),
    ("it has stayed long enough", W1, 1030.0, 0.0),
    ("it stays no less than long enough, and no clock makes that negative", W1, 2000.0, 0.0),
    ("a new cluster was never lost", replace(W1, created_at=941.0), 1010.0, 0.0),
    (
        "Available a minute after registration: may have been lost",
        replace(W1, created_at=940.0),
        1010.0,
        20.0,
    ),
    ("a lost one is refused for that, not for settling", replace(W1, available="Unknown"), 1010.0, 0.0),
]


@pytest.mark.parametrize(("reason", "given", "now", "want"), SETTLING, ids=[row[0] for row in SETTLING])
def test_settling(reason: str, given: ManagedClusterFacts, now: float, want: float) -> None:
    assert settling(given, now, settle=30.0) == want


def test_a_returned_cluster_has_to_stay() -> None:
    text = refusal_of(W1, sharing_label=1, report_age=5.0, stale_after=180.0, settles_for=12.0)
    assert text == "it came back a moment ago, used again in 12s if it stays"


USABLE, LOST = cluster("w1", node_group()), cluster("w2", refusal="gone")
UNSET = AdmissionCheckFacts("ks", "uid", 1, "", "", "", 0, 0.0)
ACTIVE = AdmissionCheckFacts("ks", "uid", 1, "True", "ClustersUsable", "1 of 1 clusters usable: w1", 1, 50.0)


def test_active_while_one_cluster_can_be_used() -> None:
    wanted = wanted_condition(UNSET, [USABLE, LOST], 100.0)
    assert wanted == ActiveCondition(
        active=True,
        reason="ClustersUsable",
        message="1 of 2 clusters usable: w1. Not usable: w2: gone",
        since=100.0,
    )


def test_inactive_with_every_reason() -> None:
    wanted = wanted_condition(ACTIVE, [LOST], 100.0)
    assert wanted == ActiveCondition(active=False, reason="NoUsableCluster", message="w2: gone", since=100.0)


def test_what_stands_is_not_written_again() -> None:
    assert wanted_condition(ACTIVE, [USABLE], 100.0) is None


def test_a_new_text_keeps_the_transition_time() -> None:
    wanted = wanted_condition(ACTIVE, [USABLE, LOST], 100.0)
    assert wanted is not None
    assert wanted.since == 50.0


def test_a_new_generation_is_observed() -> None:
    assert wanted_condition(replace(ACTIVE, generation=2), [USABLE], 100.0) is not None
