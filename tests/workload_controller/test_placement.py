"""Placement: a verdict with numbers for every cluster, and room that is counted node by node."""

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workload_controller.builders import Taint, WorkloadPods, amounts, cluster, node_group, pod_set
from vocabulary.cluster_metrics import NodeGroup
from workload_controller.facts import ClusterFacts, Flavor, Held, PodSet, Requirement, Toleration
from workload_controller.placement import place

GPU = Flavor("gpu", {"node-class": "gpu"}, (Toleration("nvidia.com/gpu", "Exists", "", "NoSchedule"),))
FLAVORS = {"gpu": GPU, "standard": Flavor("standard", {"node-class": "standard"}, ())}
GPU_NODE = node_group(
    allocatable=amounts(cpu=32, gpu=4, pods=110),
    labels={"node-class": "gpu"},
    taints=(Taint("nvidia.com/gpu", "present", "NoSchedule"),),
)


class Case(NamedTuple):
    reason: str
    pods: PodSet
    clusters: list[ClusterFacts]
    want: str  # the placement's text
    held: tuple[Held, ...] = ()


CASES = [
    Case("an empty cluster", pod_set(2), [cluster("w1", node_group())], "w1: fits, 75% stays free"),
    Case("no cluster at all", pod_set(), [], "no cluster is registered in the ITS"),
    Case(
        "too few cpus, with numbers",
        pod_set(9),
        [cluster("w1", node_group())],
        "w1: even empty it holds 8 of 9 pods; asks cpu 9, has 8",
    ),
    Case(
        "free in pieces is not free: two nodes with 4 left hold no pod of 6",
        pod_set(1, requests=amounts(cpu=6)),
        [cluster("w1", node_group(2, requested=amounts(cpu=4)))],
        "w1: 0 of 1 pods fit; asks cpu 6, free 8, at most 4 on one node",
    ),
    Case(
        "a pod that is larger than any node",
        pod_set(1, requests=amounts(cpu=6)),
        [cluster("w1", node_group(2, allocatable=amounts(cpu=4, pods=110)))],
        "w1: even empty it holds 0 of 1 pods; asks cpu 6, has 8, at most 4 on one node",
    ),
    Case(
        "the resource that leaves room for the fewest pods is named, not the one with the least in all",
        pod_set(2, requests=amounts(cpu=4, memory=2**30)),
        [cluster("w1", node_group(4, requested=amounts(cpu=5, memory=30 * 2**30)))],
        "w1: 0 of 2 pods fit; asks cpu 8, free 12, at most 3 on one node",
    ),
    Case(
        "enough of each resource, but not on the same nodes",
        pod_set(1, requests=amounts(cpu=4, memory=2**30)),
        [cluster("w1", node_group(requested=amounts(cpu=5)), node_group(requested=amounts(memory=2**35)))],
        "w1: 0 of 1 pods fit; asks cpu 4, free 11, at most 8 on one node, not where the rest of a pod fits",
    ),
    Case(
        "what bound pods ask for is not free",
        pod_set(5),
        [cluster("w1", node_group(requested=amounts(cpu=4, pods=2)))],
        "w1: 4 of 5 pods fit; asks cpu 5, free 4",
    ),
    Case(
        "a resource that the nodes lack",
        pod_set(1, requests=amounts(gpu=1)),
        [cluster("w1", node_group())],
        "w1: even empty it holds 0 of 1 pods; asks nvidia.com/gpu 1, has 0",
    ),
    Case(
        "the flavor's labels and tolerations are injected",
        pod_set(1, requests=amounts(gpu=4), flavors=frozenset({"gpu"})),
        [cluster("w1", GPU_NODE)],
        "w1: fits, 0% stays free",
    ),
    Case(
        "a taint that nobody tolerates",
        pod_set(1, requests=amounts(gpu=1)),
        [cluster("w1", GPU_NODE)],
        "w1: none of 1 nodes is schedulable with the tolerations of the job",
    ),
    Case(
        "cordoned and unready nodes do not count",
        pod_set(1),
        [cluster("w1", node_group(unschedulable=True), node_group(ready=False))],
        "w1: none of 2 nodes is schedulable with the tolerations of the job",
    ),
    Case(
        "a flavor whose nodes are elsewhere",
        pod_set(1, flavors=frozenset({"gpu"})),
        [cluster("w1", node_group())],
        "w1: none of 1 nodes has labels node-class=gpu",
    ),
    Case(
        "required node affinity",
        pod_set(1, affinity=((Requirement("zone", "In", ("b",)),),)),
        [cluster("w1", node_group(labels={"zone": "a"})), cluster("w2", node_group(labels={"zone": "b"}))],
        "w1: none of 1 nodes has what its node affinity requires; w2: fits, 88% stays free",
    ),
    Case(
        "ephemeral storage counts like anything else",
        pod_set(3, requests={"ephemeral-storage": 40_000, "pods": 1000}),
        [cluster("w1", node_group(2, allocatable={"ephemeral-storage": 100_000, "pods": 110_000}))],
        "w1: fits, 40% stays free",
    ),
    Case(
        "and does not fit where no node reports any (I9)",
        pod_set(1, requests={"ephemeral-storage": 1000, "pods": 1000}),
        [cluster("w1", node_group())],
        "w1: even empty it holds 0 of 1 pods; asks ephemeral-storage 1, has 0",
    ),
    Case(
        "a resource that nobody has heard of counts too",
        pod_set(3, requests={"example.com/fpga": 2000}),
        [cluster("w1", node_group(2, allocatable={"example.com/fpga": 3000}))],
        "w1: even empty it holds 2 of 3 pods; asks example.com/fpga 6, has 6, at most 3 on one node",
    ),
    Case(
        "the number of pods a node takes is a resource",
        pod_set(5, requests=amounts(cpu=1)),
        [cluster("w1", node_group(2, allocatable=amounts(cpu=8, pods=2)))],
        "w1: even empty it holds 4 of 5 pods; asks pods 5, has 4",
    ),
    Case(
        "a pod that asks for nothing fits any node",
        pod_set(3, requests={}),
        [cluster("w1", node_group())],
        "w1: fits, 0% stays free",
    ),
    Case(
        "pods that have all been given back ask for nothing",
        pod_set(0, node_selector={"nobody": "has"}),
        [cluster("w1", node_group())],
        "w1: fits, 0% stays free",
    ),
    Case(
        "an unusable cluster says why",
        pod_set(1),
        [cluster("w1", node_group(), refusal="ManagedClusterConditionAvailable is Unknown")],
        "w1: ManagedClusterConditionAvailable is Unknown",
    ),
    Case(
        "a promise that no pod shows yet counts (I4)",
        pod_set(4),
        [cluster("w1", node_group())],
        "w1: 2 of 4 pods fit; asks cpu 4, free 2",
        held=(Held("other", "w1", (pod_set(6),)),),
    ),
    Case(
        "a promise whose pods are bound is not counted twice",
        pod_set(2),
        [
            cluster(
                "w1",
                node_group(requested=amounts(cpu=6, pods=6)),
                workloads=(WorkloadPods("other", 6, 0, 0),),
            )
        ],
        "w1: fits, 0% stays free",
        held=(Held("other", "w1", (pod_set(6),)),),
    ),
    Case(
        "a promised pod that no node holds waits for room in pieces: it is given to nobody else (I4)",
        pod_set(1),
        [
            cluster(
                "w1",
                node_group(2, allocatable=amounts(cpu=4, pods=110), requested=amounts(cpu=3, pods=2)),
                workloads=(WorkloadPods("other", 2, 1, 0),),
            )
        ],
        "w1: 0 of 1 pods fit; asks cpu 1, free 0",
        held=(Held("other", "w1", (pod_set(3, requests=amounts(cpu=2)),)),),
    ),
    Case(
        "the pieces are those of nodes where it may run",
        pod_set(8, node_selector={"node-class": "standard"}),
        [
            cluster(
                "w1",
                node_group(),
                node_group(2, requested=amounts(cpu=7, pods=7), labels={"node-class": "old"}),
            )
        ],
        "w1: fits, 0% stays free",
        held=(
            Held("other", "w1", (pod_set(1, requests=amounts(cpu=2), node_selector={"node-class": "old"}),)),
        ),
    ),
    Case(
        "an own earlier promise does not stand in the way",
        pod_set(8),
        [cluster("w1", node_group())],
        "w1: fits, 0% stays free",
        held=(Held("uid", "w1", (pod_set(8),)),),
    ),
    Case(
        "a promise elsewhere does not count here",
        pod_set(8),
        [cluster("w1", node_group())],
        "w1: fits, 0% stays free",
        held=(Held("other", "w2", (pod_set(8),)),),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_verdicts(case: Case) -> None:
    placement = place("uid", [case.pods], case.clusters, case.held, FLAVORS)
    assert str(placement) == case.want
    assert (placement.choice is not None) == ("fits," in case.want)


def test_the_least_loaded_cluster_is_chosen() -> None:
    clusters = [
        cluster("w1", node_group(requested=amounts(cpu=6))),
        cluster("w2", node_group(requested=amounts(cpu=2))),
        cluster("w3", node_group(requested=amounts(cpu=4))),
    ]
    assert place("uid", [pod_set()], clusters, (), {}).choice == "w2"


def test_equal_clusters_share_by_uid() -> None:
    clusters = [cluster("w1", node_group()), cluster("w2", node_group())]
    chosen = {place(f"uid-{n}", [pod_set()], clusters, (), {}).choice for n in range(20)}
    assert chosen == {"w1", "w2"}


CPUS = st.integers(0, 8)
GROUPS = st.lists(
    st.builds(
        lambda count, used: node_group(count, requested=amounts(cpu=used)), count=st.integers(1, 4), used=CPUS
    ),
    min_size=1,
    max_size=4,
)
PODS = st.builds(
    lambda count, cpu: pod_set(count, requests=amounts(cpu=cpu)), st.integers(1, 12), st.integers(1, 8)
)


def _room(groups: list[NodeGroup], cpu: int) -> int:
    free = [g.allocatable["cpu"] - g.requested.get("cpu", 0) for g in groups for _ in range(g.count)]
    return sum(max(0, f) // (cpu * 1000) for f in free)


@given(groups=GROUPS, pods=PODS)
def test_one_pod_set_fits_exactly_when_its_pods_can_be_dealt_to_nodes(
    groups: list[NodeGroup], pods: PodSet
) -> None:
    fits = place("uid", [pods], [cluster("w1", *groups)], (), {}).choice is not None
    assert fits == (_room(groups, pods.requests["cpu"] // 1000) >= pods.count)


@given(groups=GROUPS, asked=st.lists(PODS, min_size=1, max_size=12))
def test_a_burst_never_promises_more_than_there_is(groups: list[NodeGroup], asked: list[PodSet]) -> None:
    """I4: decisions made one after the other on the same report, each seeing the promises before it."""
    held: list[Held] = []
    for n, pods in enumerate(asked):
        if place(f"uid-{n}", [pods], [cluster("w1", *groups)], held, {}).choice:
            held.append(Held(f"uid-{n}", "w1", (pods,)))
    total = sum(pods.count * pods.requests["cpu"] for h in held for pods in h.pod_sets)
    free = sum(max(0, g.allocatable["cpu"] - g.requested.get("cpu", 0)) * g.count for g in groups)
    assert total <= free


PIECES = st.lists(
    st.builds(lambda left: node_group(requested=amounts(cpu=8 - left)), st.integers(0, 3)),
    min_size=2,
    max_size=4,
)
FEW = st.builds(lambda n, cpu: pod_set(n, requests=amounts(cpu=cpu)), st.integers(1, 3), st.integers(1, 4))


@given(groups=PIECES, promised=FEW, bound=st.integers(0, 2), asked=st.integers(1, 3))
def test_a_promise_counts_however_the_worker_has_bound_its_pods(
    groups: list[NodeGroup], promised: PodSet, bound: int, asked: int
) -> None:
    """I4: the sum holds, also where the rest of a gang fits no node."""
    there = cluster("w1", *groups, workloads=(WorkloadPods("other", bound, 0, 0),))
    placement = place("uid", [pod_set(asked)], [there], [Held("other", "w1", (promised,))], {})
    owed = max(0, promised.count - bound) * promised.requests["cpu"]
    free = sum(g.allocatable["cpu"] - g.requested["cpu"] for g in groups)
    assert placement.choice is None or owed + asked * 1000 <= free


@given(
    groups=st.permutations([node_group(2), node_group(1, requested=amounts(cpu=5)), node_group(3)]), pods=PODS
)
def test_the_order_of_facts_does_not_matter(groups: list[NodeGroup], pods: PodSet) -> None:
    there = [cluster("w1", *groups), cluster("w2", node_group())]
    here = [cluster("w2", node_group()), cluster("w1", *sorted(groups, key=repr))]
    assert place("uid", [pods], there, (), {}) == place("uid", [pods], here, (), {})


def test_a_text_about_many_clusters_has_the_chosen_one_and_says_how_many_it_leaves_out() -> None:
    clusters = [cluster(f"w{n:03}", node_group(requested=amounts(cpu=1))) for n in range(200)]
    clusters.append(cluster("w200", node_group()))
    text = str(place("uid", [pod_set()], clusters, (), {}))
    told = text.split("; ")
    assert told[0] == "w200: fits, 88% stays free"
    assert told[1] == "w000: fits, 75% stays free"
    assert told[-1] == f"and {201 - len(told) + 1} more clusters"
    assert 2900 < len(text) < 3100


def test_a_text_about_many_clusters_names_the_chosen_one_once() -> None:
    clusters = [cluster(f"w{n:03}", node_group(requested=amounts(cpu=min(n, 1)))) for n in range(200)]
    assert str(place("uid", [pod_set()], clusters, (), {})).count("w000") == 1
