"""Jobs of a list: phase and words are explain's, positions are Kueue's."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from kueue_ks.errors import CommandError
from kueue_ks.explain.explanation import Phase
from kueue_ks.explain.facts import Found
from kueue_ks.explain.fold import explain
from kueue_ks.views.facts import facts_of
from kueue_ks.views.jobs import Job, jobs_of, row_order
from kueue_ks.views.order import place_of, positions
from kueue_ks.views.queue import QueueReport, queue_report
from tests.kueue_ks.forecast_builders import lease
from tests.kueue_ks.view_builders import (
    CHECK,
    NO_QUOTA,
    NO_ROOM,
    NOW,
    RESERVED,
    at,
    cluster_queue,
    condition,
    job,
    local_queue,
    many,
    placed,
    seen,
    workload,
)
from workload_controller.published import Options
from workload_controller.situation import Timing


def rows(**fields: Any) -> dict[str, Job]:
    found = jobs_of(facts_of(seen(**fields)))
    assert found is not None
    return {row.name: row for row in found}


def test_one_of_each_sort() -> None:
    found = rows()
    assert {name: row.phase for name, row in found.items()} == {
        "room-4": Phase.WAITING_FOR_CLUSTER,
        "quota-6": Phase.WAITING_FOR_QUOTA,
        "quota-5": Phase.WAITING_FOR_QUOTA,
        "out-7": Phase.LEAVING,
        "new-3": Phase.STARTING,
        "run-1": Phase.RUNNING,
        "run-2": Phase.RUNNING,
    }  # and the finished one is no row
    assert list(found) == ["room-4", "quota-6", "quota-5", "out-7", "new-3", "run-1", "run-2"]
    run = found["run-1"]
    assert (run.cluster, run.attempt, run.ready, run.pods) == ("w1", 1, 2, 2)
    assert dict(run.asks) == {"cpu": "16", "memory": "8Gi", "nvidia.com/gpu": "4"}
    assert found["out-7"].cluster == "w2"


def test_words_are_verbatim() -> None:
    found = rows()
    assert found["quota-5"].kueue == NO_QUOTA["message"]
    assert found["room-4"].ours == NO_ROOM["message"]
    assert (found["room-4"].reason, found["room-4"].until) == ("NoClusterFits", "2026-01-01T14:10:11Z")
    assert (found["out-7"].reason, found["out-7"].kueue) == ("Preempted", "Preempted to accommodate job-sft")


def test_until_follows_from_the_options_of_the_leader() -> None:
    """Its Lease has them; with ours the time would be another one than the controller's."""
    options = Options(timing=Timing(placement_timeout=Timing().placement_timeout + 60.0), known=True)
    assert rows()["room-4"].until == "2026-01-01T14:10:11Z"
    assert rows(leases=[lease(options)])["room-4"].until == "2026-01-01T14:11:11Z"


@pytest.mark.parametrize("name", ["room-4", "quota-5", "run-1", "new-3"])
def test_a_row_says_what_explain_says(name: str) -> None:
    given = seen()
    found = Found(
        now=NOW,
        job=next(j for j in given.jobs or () if j["metadata"]["name"] == name),
        workload=next(w for w in given.workloads or () if w["metadata"]["name"] == f"job-{name}"),
        checks=[CHECK],
        copy=next((c for c in given.copies or () if c["metadata"]["name"] == name), None),
        unread={},
    )
    told, row = explain(found), rows()[name]
    assert (row.phase, row.since) == (told.phase, told.since)
    if told.waits_for and told.phase in {Phase.WAITING_FOR_CLUSTER, Phase.WAITING_FOR_QUOTA}:
        assert (row.reason, row.action) == (told.waits_for.reason, told.waits_for.action)
        assert (row.kueue or row.ours) == told.waits_for.message


def test_where_kueue_says_nothing_explain_does() -> None:
    found = rows(workloads=[workload("quota-5", check={"state": "Pending"})])["quota-5"]
    assert (found.reason, found.kueue, found.ours) == ("Pending", "", "Kueue has not looked at it yet")


def test_what_kueue_writes_into_our_check_is_not_our_word() -> None:
    reset = {"state": "Pending", "message": "Reset to Pending after eviction. Previously: Retry"}
    again = {"state": "Pending", "message": "attempt 1 on w1: ImagePullBackOff"}
    given = [workload("quota-5", NO_QUOTA, check=reset), workload("quota-6", NO_QUOTA, check=again)]
    found = rows(workloads=given)
    assert (found["quota-5"].ours, found["quota-6"].ours) == ("", "attempt 1 on w1: ImagePullBackOff")


class Order(NamedTuple):
    reason: str
    given: list[Any]
    want: list[str]  # by position


def evicted(why: str, age: float) -> Any:
    return condition("Evicted", reason=why, age=age)


ORDERS = [
    Order("first come, first", [workload("b", age=20), workload("a", age=10)], ["b", "a"]),
    Order(
        "priority before age", [workload("old", age=90), workload("high", age=5, priority=1)], ["high", "old"]
    ),
    Order(
        "a check that gave the quota back sends it behind those that came before that",
        [workload("back", evicted("AdmissionCheck", 10), age=90), workload("other", age=50)],
        ["other", "back"],
    ),
    Order(
        "so does not having got ready in time",
        [workload("back", evicted("PodsReadyTimeout", 10), age=90), workload("other", age=50)],
        ["other", "back"],
    ),
    Order(
        "preemption costs no place",
        [workload("out", evicted("Preempted", 10), age=90), workload("other", age=50)],
        ["out", "other"],
    ),
    Order("of one second: by uid", [workload("b", age=20), workload("a", age=20)], ["a", "b"]),
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.reason)
def test_kueues_order(order: Order) -> None:
    numbers = positions(("research", place_of(each)) for each in order.given)
    assert sorted(numbers, key=lambda uid: numbers[uid]) == [f"workload-{name}" for name in order.want]
    assert sorted(numbers.values()) == list(range(1, len(order.given) + 1))


def test_each_cluster_queue_counts_for_itself() -> None:
    pairs = [("a", place_of(workload("x"))), ("b", place_of(workload("y", age=1)))]
    assert set(positions(pairs).values()) == {1}


def test_no_position_where_fairness_decides() -> None:
    fair = cluster_queue(admissionScope={"admissionMode": "UsageBasedAdmissionFairSharing"})
    assert rows(cluster_queues=[fair])["quota-5"].position is None
    assert rows()["quota-5"].position == 2


def test_no_position_when_other_namespaces_are_hidden() -> None:
    assert rows(namespace="team-a")["quota-5"].position is None


def test_backing_off_is_told() -> None:
    waits = workload("quota-5", NO_QUOTA)
    waits["status"]["requeueState"] = {"count": 1, "requeueAt": at(-60)}
    assert rows(workloads=[waits])["quota-5"].until == at(-60)


def test_a_deleted_job_leaves_as_long_as_its_workload_holds_quota() -> None:
    gone = workload("run-1", RESERVED, check=placed("w1"), metadata={"deletionTimestamp": at(3)})
    found = rows(workloads=[gone], jobs=[])["run-1"]
    assert (found.phase, found.reason, found.cluster) == (Phase.LEAVING, "Deleted", "w1")


def test_a_job_that_is_deleted_leaves_while_its_pods_end() -> None:
    gone = job("run-2", active=2, ready=2, startTime=at(60))
    gone["metadata"]["deletionTimestamp"] = at(3)
    found = rows(jobs=[gone])["run-2"]
    assert (found.phase, found.reason, found.since) == (Phase.LEAVING, "Deleted", at(3))
    assert (found.cluster, found.ready) == ("w2", 2)


def test_a_job_that_kueue_has_not_taken_is_shown() -> None:
    found = rows(workloads=[], jobs=[job("lost")])["lost"]
    assert (found.phase, found.reason, found.position) == (Phase.NOT_QUEUED, "NoWorkload", None)


def test_without_jobs_the_workloads_are_shown() -> None:
    found = rows(jobs=None)
    assert found["room-4"].ours == NO_ROOM["message"]
    assert found["run-1"].ready is None


def test_a_job_that_cannot_be_read_is_shown_from_its_workload() -> None:
    broken = job("run-1")
    del broken["spec"]["template"]
    assert rows(jobs=[broken])["run-1"].cluster == "w1"


def test_rows_never_jump() -> None:
    """The same jobs in any order give the same rows."""
    given = many(200)
    backwards = replace(given, workloads=(given.workloads or [])[::-1], jobs=(given.jobs or [])[::-1])
    one, other = jobs_of(facts_of(given)), jobs_of(facts_of(backwards))
    assert one == other
    assert one is not None
    assert len({row_order(row) for row in one}) == len(one)


def report(*, namespace: str = "", name: str = "", **fields: Any) -> QueueReport:
    return queue_report(facts_of(seen(**fields)), namespace=namespace, name=name)


def names(jobs: Any) -> list[str]:
    return [each.name for each in jobs]


def test_quota_of_a_queue() -> None:
    queue, *locals_ = report().queues or ()
    assert (queue.kind, queue.pending, queue.reserving, queue.admitted) == ("ClusterQueue", 2, 4, 3)
    assert [(q.resource, q.nominal, q.reserved, q.used) for q in queue.quotas] == [
        ("cpu", "160", "64", "48"),
        ("nvidia.com/gpu", "24", "16", "12"),
    ]
    assert queue.managed
    assert [(q.namespace, q.name) for q in locals_] == [("team-a", "default"), ("team-b", "default")]


def test_one_namespace() -> None:
    found = report(namespace="team-b")
    assert names(found.waiting) == ["quota-6"]
    assert found.waiting is not None
    assert found.waiting[0].position == 1
    assert [(q.namespace, q.name) for q in found.queues or ()] == [("", "research"), ("team-b", "default")]


def test_one_namespace_sees_no_queue_that_it_does_not_use() -> None:
    found = report(namespace="team-b", cluster_queues=[cluster_queue(), cluster_queue("prod")])
    assert [q.name for q in found.queues or ()] == ["research", "default"]


def test_one_cluster_queue() -> None:
    other = cluster_queue("prod")
    found = report(
        name="prod",
        cluster_queues=[cluster_queue(), other],
        local_queues=[local_queue(), local_queue("prod", cluster_queue="prod")],
        workloads=[workload("p", NO_QUOTA, queue="prod"), workload("q", NO_QUOTA)],
        jobs=[job("p", queue="prod"), job("q")],
    )
    assert names(found.waiting) == ["p"]
    assert [q.name for q in found.queues or ()] == ["prod", "prod"]


def test_one_local_queue() -> None:
    found = report(
        name="small",
        local_queues=[local_queue(), local_queue("small")],
        workloads=[workload("p", NO_QUOTA, queue="small", age=5), workload("q", NO_QUOTA)],
        jobs=[job("p", queue="small"), job("q")],
    )
    assert names(found.waiting) == ["p"]
    assert found.waiting is not None
    assert found.waiting[0].position == 2  # those before it count, shown or not


def test_no_such_queue() -> None:
    with pytest.raises(CommandError) as refused:
        report(name="resaerch")
    assert refused.value.fix == "did you mean research?"


def test_unread_is_none_not_empty() -> None:
    found = report(workloads=None, cluster_queues=None, local_queues=None)
    assert (found.queues, found.waiting, found.running) == (None, None, None)
