"""What the fleet would do, asked of the production code: verdicts, quota, what would help."""

from typing import Any, NamedTuple

import pytest

from kube_runtime.objects import Obj
from kueue_ks.explain.explanation import Phase
from kueue_ks.explain.future import Future, future_of
from kueue_ks.forecast.quota import Quotas
from kueue_ks.forecast.world import World
from kueue_ks.views.facts import facts_of
from kueue_ks.views.seen import Seen
from tests.kueue_ks.forecast_builders import fleet, lease
from tests.kueue_ks.view_builders import (
    NO_QUOTA,
    NO_ROOM,
    RESERVED,
    amounts,
    cluster_queue,
    job,
    local_queue,
    managed,
    nodes,
    placed,
    pod_spec,
    report,
    workload,
)
from vocabulary import keys
from vocabulary.cluster_metrics import WorkloadPods
from workload_controller.facts import Flavor, PodSet
from workload_controller.published import Options
from workload_controller.situation import Timing

CORDON = {"key": keys.CORDONED, "effect": "NoSelect", "value": "by ana"}


def waiting(**fields: Any) -> Seen:
    """team-a/big (2 pods of 8 cpu and 2 GPUs) waits for a cluster; nothing else is there."""
    given: dict[str, Any] = {
        "workloads": [workload("big", RESERVED, check=NO_ROOM)],
        "jobs": [job("big")],
        "copies": [],
        "clusters": [managed("w1")],
        "statuses": [report("w1", nodes(1))],
    }
    return fleet(**given | fields)


def future(seen: Seen, name: str = "job-big", phase: Phase = Phase.WAITING_FOR_CLUSTER) -> Future:
    return future_of(World(seen), facts_of(seen), phase, "team-a", name)


class Helped(NamedTuple):
    reason: str
    seen: Seen
    want: list[tuple[str, str, str]]


FULL = amounts(cpu=2, gpu=8)
OTHER = workload("other", RESERVED, check=placed("w1"), spec=pod_spec(8, gpu=4))
OURS = amounts(cpu=16, memory=8 * 2**30, gpu=8)
HELPS = [
    Helped("it fits: nothing is needed", waiting(), []),
    Helped(
        "the cluster is cordoned",
        waiting(clusters=[managed("w1", taints=[CORDON])]),
        [("kueue-ks uncordon w1", "fits w1 now", "admin")],
    ),
    Helped(
        "cordoned and full: uncordoning does not help",
        waiting(clusters=[managed("w1", taints=[CORDON])], statuses=[report("w1", nodes(1, used=FULL))]),
        [],
    ),
    Helped(
        "one of three alike nodes that are cordoned is enough",
        waiting(statuses=[report("w1", nodes(3, unschedulable=True))]),
        [("kubectl --context w1 uncordon n1", "fits w1 now", "admin")],
    ),
    Helped(
        "half of it would fit",
        waiting(statuses=[report("w1", nodes(1, used=amounts(gpu=5)))]),
        [("ask for 1 pod instead of 2", "fits w1 now", "change")],
    ),
    Helped(
        "a job of ours on the only node has all of its GPUs",
        waiting(
            workloads=[workload("big", RESERVED, check=NO_ROOM), OTHER],
            jobs=[job("big"), job("other")],
            statuses=[
                report(
                    "w1",
                    nodes(1, requested=OURS, foreign={}),
                    pods=[WorkloadPods("workload-other", 2, 0, 0, 2)],
                )
            ],
        ),
        [("wait until team-a/other on w1 ends", "fits w1 then", "wait")],
    ),
    Helped(
        "a promise that no pod has taken up yet",
        waiting(workloads=[workload("big", RESERVED, check=NO_ROOM), OTHER], jobs=[job("big"), job("other")]),
        [("wait until team-a/other on w1 ends", "fits w1 then", "wait")],
    ),
]


@pytest.mark.parametrize("case", HELPS, ids=lambda case: case.reason)
def test_what_would_help_was_tried_with_the_placement(case: Helped) -> None:
    assert [(h.do, h.effect, h.action) for h in future(case.seen).helps] == case.want


def test_where_pods_are_is_not_known_on_several_nodes() -> None:
    seen = waiting(
        workloads=[
            workload("big", RESERVED, check=NO_ROOM),
            OTHER,
            workload("third", RESERVED, check=placed("w1"), spec=pod_spec(8, gpu=4)),
        ],
        jobs=[job("big"), job("other"), job("third")],
        statuses=[
            report(
                "w1",
                nodes(2, requested=OURS, foreign={}),
                pods=[WorkloadPods(f"workload-{n}", 2, 0, 0, 2) for n in ("other", "third")],
            )
        ],
    )
    assert {h.effect for h in future(seen).helps} == {"may fit, by where its pods are, w1 then"}


def test_verdicts_are_those_of_the_placement() -> None:
    rows = future(fleet(), "job-room-4").verdicts
    assert [(v.cluster, v.reason, v.resource, v.free, v.asked, v.chosen) for v in rows] == [
        ("w1", "Fits", "nvidia.com/gpu", "8", "4", True),
        ("w2", "InsufficientResources", "nvidia.com/gpu", "0", "4", False),
        ("w3", "ClusterUnusable", "nvidia.com/gpu", "8", "4", False),
        ("w4", "ClusterUnusable", "cpu", None, "16", False),
    ]


def test_the_queues_annotation_bars_clusters() -> None:
    queue = cluster_queue()
    queue["metadata"]["annotations"][keys.CLUSTERS] = "w2"
    (w1, *_) = future(fleet(cluster_queues=[queue]), "job-room-4").verdicts
    assert (w1.reason, w1.why) == ("ClusterBarred", "not allowed for it (allowed: w2)")


def test_what_is_wrong_with_a_queue_is_said_in_place_of_verdicts() -> None:
    queue = cluster_queue()
    queue["metadata"]["annotations"][keys.MAX_NUM_REQUEUINGS] = "many"
    told = future(fleet(cluster_queues=[queue]), "job-room-4")
    assert told.verdicts == ()
    assert told.unknown.startswith(f"ClusterQueue: annotation {keys.MAX_NUM_REQUEUINGS} is 'many': ")


@pytest.mark.parametrize("name", ["copies", "statuses", "twins", "works", "checks"])
def test_no_verdict_from_half_of_the_facts(name: str) -> None:
    seen = fleet(**{name: None})
    told = future(seen, "job-room-4")
    assert (told.verdicts, told.helps, told.unknown) == ((), (), f"not read: {name}")


def test_the_leaders_own_options_count() -> None:
    options = Options(timing=Timing(placement_timeout=77.0), stale_after=5.0, known=True)
    seen = fleet(leases=[lease(options)])
    assert World(seen).options == options
    told = future(seen, "job-room-4")
    assert told.options_known
    assert told.verdicts[1].why == "its last report is older than 5s, see whether its metrics agent runs"
    assert not future(fleet(leases=None), "job-room-4").options_known


def test_who_is_ahead_and_what_quota_is_missing() -> None:
    seen = fleet(
        workloads=[
            workload("quota-5", NO_QUOTA, age=200, pods=6),
            workload("quota-6", NO_QUOTA, age=100, priority=10, namespace="team-b"),
            workload("quota-7", NO_QUOTA, age=90),
        ],
        local_queues=[
            local_queue("foreign", namespace="team-b", cluster_queue="rich"),
            local_queue(),
            local_queue(namespace="team-b"),
            local_queue("any", cluster_queue="rich"),
        ],
        cluster_queues=[*(fleet().cluster_queues or ()), rich()],
    )
    told = future(seen, "job-quota-5", Phase.WAITING_FOR_QUOTA)
    assert told.place is not None
    assert (told.place.position, told.place.waiting, told.place.ahead) == (2, 3, ("team-b/quota-6",))
    assert [(h.do, h.effect, h.action) for h in told.helps] == [
        ("nvidia.com/gpu 4 more in flavor standard of research", "asks 12, free 8 of 24", "admin"),
        ("queue any (rich, flavor standard)", "has quota for it now, and fits w1", "change"),
    ]


def rich() -> Obj:
    """A ClusterQueue of which nothing is taken."""
    (queue,) = fleet().cluster_queues or ()
    return {**queue, "metadata": {**queue["metadata"], "name": "rich", "uid": "rich"}, "status": {}}


FLAVORS = {"big": Flavor("big", {"type": "big"}, ()), "small": Flavor("small", {"type": "small"}, ())}


def two_flavors() -> Obj:
    def flavor(name: str, cpu: str) -> Obj:
        return {"name": name, "resources": [{"name": "cpu", "nominalQuota": cpu}]}

    group = {"coveredResources": ["cpu"], "flavors": [flavor("small", "2"), flavor("big", "8")]}
    return {"metadata": {"name": "q", "uid": "q"}, "spec": {"resourceGroups": [group]}, "status": {}}


class Assigned(NamedTuple):
    reason: str
    cpu: int
    selector: dict[str, str]
    flavors: dict[str, str] | None
    why: str


ASSIGNED = [
    Assigned("the first flavor that has enough", 1, {}, {"cpu": "small"}, ""),
    Assigned("else the next one", 4, {}, {"cpu": "big"}, ""),
    Assigned("its selector excludes the first", 1, {"type": "big"}, {"cpu": "big"}, ""),
    Assigned("no flavor has enough", 9, {}, None, "quota is missing: cpu 7 more in flavor small"),
    Assigned(
        "its selector excludes all",
        1,
        {"type": "x"},
        None,
        "its node selector excludes every flavor of q: small, big",
    ),
]


@pytest.mark.parametrize("case", ASSIGNED, ids=lambda case: case.reason)
def test_flavors_are_tried_in_order(case: Assigned) -> None:
    pod_set = PodSet("main", 1, {"cpu": case.cpu * 1000, "pods": 1000}, case.selector)
    found = Quotas([two_flavors()], FLAVORS).assign("q", [pod_set])
    assert (found.flavors, found.why) == (case.flavors, case.why)


def test_a_resource_that_the_queue_does_not_offer() -> None:
    quotas = Quotas([two_flavors()], FLAVORS)
    pod_set = PodSet("main", 1, {"cpu": 1000, "nvidia.com/gpu": 1000})
    assert quotas.assign("q", [pod_set]).why == "ClusterQueue q offers no nvidia.com/gpu"
    assert quotas.take("q", [pod_set]).flavors == {"cpu": "small"}, "Kueue has admitted it without"
    assert quotas.assign("none", [pod_set]).why == "there is no ClusterQueue 'none'"


def test_what_is_taken_is_not_free_for_the_next() -> None:
    quotas, pod_set = Quotas([two_flavors()], FLAVORS), PodSet("main", 2, {"cpu": 1000})
    assert [quotas.take("q", [pod_set]).flavors for _ in range(2)] == [{"cpu": "small"}, {"cpu": "big"}]


def test_the_same_objects_give_the_same_answer() -> None:
    """Nothing is remembered between two looks: a restart of anything changes nothing."""
    first, second = fleet(), fleet()
    assert future(first, "job-room-4") == future(second, "job-room-4")
