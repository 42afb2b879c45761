"""Raw objects become facts; what others wrote, or wrote wrongly, neither raises nor lies."""

from typing import Any

import pytest

from tests.kueue_ks.builders import CHECK, READY, condition, raw_copy, raw_job, raw_work, raw_workload
from vocabulary import keys
from workload_controller.facts import (
    NO_HISTORY,
    BindingFacts,
    CheckState,
    Decision,
    FailedAttempt,
    History,
    LossPolicy,
    QueueFacts,
)
from workload_controller.history import format_history
from workload_controller.reading import (
    read_beat,
    read_binding,
    read_copy,
    read_job,
    read_managed_cluster,
    read_queue,
    read_work,
    read_workload,
    seconds,
)

SINCE = "2026-01-01T12:00:02Z"  # of builders.condition
AT = seconds(SINCE)


def manifest(*conditions: dict[str, str], **metadata: Any) -> dict[str, Any]:
    raw = raw_work()
    raw["metadata"] |= metadata
    raw["status"]["resourceStatus"]["manifests"] = [{"conditions": list(conditions)}] if conditions else []
    return raw


APPLIED, REFUSED = (
    condition("Applied"),
    condition("Applied", "False", message='jobs.batch "train" is forbidden'),
)
THERE, MISSING = condition("Available"), condition("Available", "False")
WORKS = [
    ("not tried yet", manifest(), "", None),
    ("applied, not looked at yet", manifest(APPLIED), "", None),
    ("applied and there", manifest(APPLIED, THERE), "", None),
    ("refused, in the worker's words", manifest(REFUSED), 'jobs.batch "train" is forbidden', None),
    ("applied once and there no more", manifest(APPLIED, MISSING), "", AT),
    ("refused, so it was never there", manifest(REFUSED, MISSING), 'jobs.batch "train" is forbidden', None),
    ("nobody knows whether it was applied", manifest(MISSING), "", None),
    ("nobody knows whether it is there", manifest(APPLIED, condition("Available", "Unknown")), "", None),
]


@pytest.mark.parametrize(("reason", "raw", "error", "missing"), WORKS, ids=[row[0] for row in WORKS])
def test_conditions_of_a_manifest_work(
    reason: str, raw: dict[str, Any], error: str, missing: float | None
) -> None:
    facts = read_work(raw)
    assert facts is not None
    assert (facts.apply_error, facts.missing_since) == (error, missing)
    assert not error or facts.apply_error_since == AT


def test_a_manifest_work_says_since_when_it_is_being_deleted() -> None:
    leaving, staying = read_work(manifest(deletionTimestamp=SINCE)), read_work(manifest())
    assert leaving is not None
    assert staying is not None
    assert (leaving.deleting_since, staying.deleting_since) == (AT, None)


FOREIGN = [
    ("no manifests", []),
    ("one without metadata", [{"kind": "List"}]),
    ("annotations of others", [{"metadata": {"name": "x", "annotations": {keys.ATTEMPT: "many"}}}]),
    ("annotations that are null", [{"metadata": {"name": "x", "annotations": None}}]),
]


@pytest.mark.parametrize(("reason", "manifests"), FOREIGN, ids=[row[0] for row in FOREIGN])
def test_a_manifest_work_that_carries_something_else_is_none_of_ours(
    reason: str, manifests: list[dict[str, Any]]
) -> None:
    raw = raw_work()
    raw["spec"]["workload"]["manifests"] = manifests
    assert read_work(raw) is None
    raw["spec"] = {}
    assert read_work(raw) is None


LOSS = [
    ("said nothing", {}, LossPolicy.AT_MOST_ONCE, None),
    (
        "leased",
        {keys.ON_CLUSTER_LOSS: "leased", keys.LEASE_SECONDS: "600"},
        LossPolicy.LEASED,
        600,
    ),
    ("at least once", {keys.ON_CLUSTER_LOSS: "atLeastOnce"}, LossPolicy.AT_LEAST_ONCE, None),
    (
        "what we did not write counts as the strictest",
        {keys.ON_CLUSTER_LOSS: "x", keys.LEASE_SECONDS: "-1"},
        LossPolicy.AT_MOST_ONCE,
        None,
    ),
]


@pytest.mark.parametrize(("reason", "given", "policy", "lease"), LOSS, ids=[row[0] for row in LOSS])
def test_copy_and_manifest_work_bear_the_same_loss_policy(
    reason: str, given: dict[str, str], policy: LossPolicy, lease: int | None
) -> None:
    copied, carrying = raw_copy(), raw_work()
    copied["metadata"]["annotations"] |= given
    carrying["spec"]["workload"]["manifests"] = [copied]
    copy_facts, work_facts = read_copy(copied), read_work(carrying)
    assert work_facts is not None
    assert (copy_facts.on_loss, copy_facts.lease_seconds) == (policy, lease)
    assert (work_facts.on_loss, work_facts.lease_seconds) == (policy, lease)


def test_a_binding_lists_the_batch_jobs_that_it_selects() -> None:
    scope = [
        {"group": "batch", "resource": "jobs", "namespace": "team-a", "name": "train"},
        {"group": "apps", "resource": "jobs", "namespace": "team-a", "name": "another-kind"},
        {"group": "batch", "resource": "cronjobs", "namespace": "team-a", "name": "another-kind"},
        {"resource": "configmaps", "namespace": "team-a", "name": "core"},
    ]
    raw = {"metadata": {"name": "wave"}, "spec": {"workload": {"namespaceScope": scope}}}
    assert read_binding(raw) == BindingFacts("wave", ("team-a/train",))


@pytest.mark.parametrize("spec", [{}, {"workload": {}}, {"workload": None}])
def test_a_binding_may_select_nothing(spec: dict[str, Any]) -> None:
    assert read_binding({"metadata": {"name": "wave"}, "spec": spec}) == BindingFacts("wave", ())


SETTLED = [
    ("the transport has read it", {"generation": 4}, {"observedGeneration": 4}, True),
    ("the transport has read an earlier one", {"generation": 4}, {"observedGeneration": 3}, False),
    ("the transport has not come to it", {"generation": 1}, None, False),
    ("nothing is known", {}, {}, False),
]


@pytest.mark.parametrize(("reason", "metadata", "status", "want"), SETTLED, ids=[row[0] for row in SETTLED])
def test_a_binding_is_settled_when_the_transport_has_read_it(
    reason: str, metadata: dict[str, Any], status: dict[str, Any] | None, want: bool
) -> None:
    raw = {"metadata": {"name": "wave"} | metadata, "spec": {}, "status": status}
    assert read_binding(raw).settled is want


BEATS = [
    ({"data": {keys.BEAT_AT: "1767225600.123"}}, 1767225600.123),
    ({"data": {keys.BEAT_AT: "soon"}}, 0.0),
    ({"data": {keys.BEAT_AT: "nan"}}, 0.0),  # max(nan, x) is nan, and no lease would be waited for
    ({"data": {keys.BEAT_AT: "inf"}}, 0.0),
    ({"data": {"other": "1"}}, 0.0),
    ({"data": None}, 0.0),
    ({}, 0.0),
]


@pytest.mark.parametrize(("raw", "want"), BEATS)
def test_read_beat(raw: dict[str, Any], want: float) -> None:
    assert read_beat(raw) == want


def test_only_our_annotations_are_wishes() -> None:
    metadata = {"name": "q", "annotations": {keys.CLUSTERS: "w1", "note": "x", "kueue.x-k8s.io/y": "z"}}
    assert read_queue({"metadata": metadata}) == QueueFacts("", "q", {keys.CLUSTERS: "w1"})
    assert read_queue({"metadata": {"name": "q", "namespace": "a"}}) == QueueFacts("a", "q", {})
    raw = raw_job()
    raw["metadata"]["annotations"] = {keys.ON_CLUSTER_LOSS: "leased", "note": "x"}
    assert read_job(raw).wishes == {keys.ON_CLUSTER_LOSS: "leased"}


RESERVED = condition("QuotaReserved")
PAST = History(1, (FailedAttempt(1, "w2", "PodsNotReady", 50.0, "no image"),))


def updates(**annotations: str) -> list[dict[str, Any]]:
    return [{"name": "main", "annotations": annotations}]


WHERE = {keys.CLUSTER: "w1", keys.ATTEMPT: "2"}
OLD = {keys.HISTORY: format_history(PAST)}
CHECKS: list[tuple[str, list[dict[str, Any]] | None, Decision | None, History]] = [
    ("nothing written yet", None, None, NO_HISTORY),
    ("a decision", updates(**WHERE), Decision("w1", 2), NO_HISTORY),
    ("a history alone: an attempt failed", updates(**OLD), None, PAST),
    ("both", updates(**WHERE | OLD), Decision("w1", 2), PAST),
    ("another controller's annotations", updates(note="x"), None, NO_HISTORY),
    ("no annotations", [{"name": "main"}], None, NO_HISTORY),
    (
        "a history that cannot be read hides no decision",
        updates(**WHERE | {keys.HISTORY: "{"}),
        Decision("w1", 2),
        NO_HISTORY,
    ),
]


@pytest.mark.parametrize(("reason", "given", "decision", "history"), CHECKS, ids=[row[0] for row in CHECKS])
def test_our_check_is_read_back(
    reason: str, given: list[dict[str, Any]] | None, decision: Decision | None, history: History
) -> None:
    entry = {**READY, "state": "Pending", "podSetUpdates": given, "retryCount": 3}
    (check,) = read_workload(raw_workload(RESERVED, check=entry)).checks
    assert (check.decision, check.history) == (decision, history)
    assert (check.name, check.state, check.since) == (CHECK["metadata"]["name"], CheckState.PENDING, AT)
    assert check.retries == 3


def test_who_is_held_and_who_is_going() -> None:
    raw = raw_workload(RESERVED)
    raw["spec"]["queueName"] = "default-queue"
    raw["metadata"]["finalizers"] = ["kueue.x-k8s.io/resource-in-use"]
    facts = read_workload(raw)
    assert (facts.held, facts.deleting) == (False, False)
    assert (facts.queue, facts.cluster_queue) == ("default-queue", "team-queue")
    raw["metadata"]["finalizers"].append(keys.PODS_MAY_RUN)
    raw["metadata"]["deletionTimestamp"] = SINCE
    facts = read_workload(raw)
    assert (facts.held, facts.deleting) == (True, True)
    hub = raw_job()
    hub["metadata"] |= {"finalizers": [keys.PODS_MAY_RUN], "deletionTimestamp": SINCE}
    assert (read_job(hub).held, read_job(hub).deleting) == (True, True)


def test_every_eviction_makes_a_new_attempt() -> None:
    raw = raw_workload(RESERVED)
    assert read_workload(raw).attempt == 1
    evictions = [{"reason": "Preempted", "count": 2}, {"reason": "AdmissionCheck", "count": 1}]
    raw["status"]["schedulingStats"] = {"evictions": evictions}
    assert read_workload(raw).attempt == 4


def test_since_when_a_cluster_is_there() -> None:
    raw = {
        "metadata": {"name": "w1", "creationTimestamp": "2026-01-01T11:00:00Z", "labels": {"name": "w1"}},
        "spec": {"hubAcceptsClient": True},
        "status": {"conditions": [condition("ManagedClusterConditionAvailable", "Unknown")]},
    }
    facts = read_managed_cluster(raw)
    assert (facts.available, facts.available_since, facts.created_at) == ("Unknown", AT, AT - 3602)
    assert read_managed_cluster({"metadata": {"name": "w1"}}).available == "Unknown"
