"""Packing against a solver that tries everything, and several pod sets at once."""

from itertools import combinations_with_replacement, product
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workload_controller.builders import Taint, WorkloadPods, amounts, cluster, node_group, pod_set
from vocabulary.cluster_metrics import NodeGroup
from workload_controller.facts import Held, PodSet, Toleration
from workload_controller.node_matching import may_run
from workload_controller.placement import place
from workload_controller.verdicts import Fits

GPU_TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")
TOLERATES = (Toleration("nvidia.com/gpu", "Exists", "", "NoSchedule"),)
CPU_NODE = node_group(allocatable=amounts(cpu=8, pods=110), labels={"pool": "cpu"})
GPU_NODE = node_group(
    allocatable=amounts(cpu=8, gpu=4, pods=110), labels={"pool": "gpu"}, taints=(GPU_TAINT,)
)
DRIVER, WORKERS = pod_set(1, name="driver"), pod_set(7, name="worker")
GPU_WORKERS = pod_set(2, name="gpu", requests=amounts(cpu=2, gpu=2), tolerations=TOLERATES)


class Gang(NamedTuple):
    reason: str
    pod_sets: list[PodSet]
    groups: list[NodeGroup]
    want: str
    held: tuple[Held, ...] = ()
    pods: tuple[WorkloadPods, ...] = ()


GANGS = [
    Gang("both fit together", [DRIVER, WORKERS], [CPU_NODE], "w1: fits, 0% stays free"),
    Gang(
        "each fits alone, both do not: that is never, and the number says by how many pods",
        [DRIVER, pod_set(8, name="worker")],
        [CPU_NODE],
        "w1: even empty it holds 8 of 9 pods; asks cpu 9, has 8",
    ),
    Gang(
        "each pod set on its own sort of node",
        [WORKERS, GPU_WORKERS],
        [CPU_NODE, GPU_NODE],
        "w1: fits, 0% stays free",
    ),
    Gang(
        "the second pod set is judged too: its gpus are missing",
        [DRIVER, GPU_WORKERS],
        [CPU_NODE],
        "w1: even empty it holds 0 of 2 pods; asks nvidia.com/gpu 4, has 0",
    ),
    Gang(
        "the second pod set's flavor labels are judged too",
        [DRIVER, pod_set(1, name="ps", node_selector={"pool": "arm"})],
        [CPU_NODE, GPU_NODE],
        "w1: none of 2 nodes has labels pool=arm",
    ),
    Gang(
        "large pods that may go anywhere leave the only node of smaller ones to them",
        [
            pod_set(1, name="any", requests=amounts(cpu=6), tolerations=TOLERATES),
            pod_set(
                1, name="gpu", requests=amounts(cpu=4), tolerations=TOLERATES, node_selector={"pool": "gpu"}
            ),
        ],
        [GPU_NODE, CPU_NODE],
        "w1: fits, 38% stays free",
    ),
    Gang(
        "which of a promised gang is bound is not known: the small one, the safe side (I4)",
        [pod_set(1, requests=amounts(cpu=4))],
        [node_group(2, requested={}), node_group(1, requested=amounts(cpu=1))],
        "w1: 0 of 1 pods fit; asks cpu 4, free 8, at most 3 on one node",
        held=(Held("other", "w1", (pod_set(3, name="big", requests=amounts(cpu=5)), DRIVER)),),
        pods=(WorkloadPods("other", 1, 0, 0),),
    ),
]


@pytest.mark.parametrize("case", GANGS, ids=lambda case: case.reason)
def test_gangs(case: Gang) -> None:
    there = cluster("w1", *case.groups, workloads=case.pods)
    assert str(place("uid", case.pod_sets, [there], case.held, {})) == case.want


RESOURCES = ("cpu", "memory", "nvidia.com/gpu", "ephemeral-storage")
AMOUNTS = st.dictionaries(st.sampled_from(RESOURCES), st.integers(1, 4), min_size=1)
LABELS = st.sampled_from(({}, {"pool": "a"}, {"pool": "b"}))
NODES = st.builds(
    lambda count, allocatable, requested, labels, tainted, ready: node_group(
        count,
        allocatable=allocatable,
        requested=requested,
        labels=labels,
        taints=(GPU_TAINT,) if tainted else (),
        ready=ready,
    ),
    count=st.integers(1, 2),
    allocatable=AMOUNTS,
    requested=st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 2), max_size=2),
    labels=LABELS,
    tainted=st.booleans(),
    ready=st.sampled_from((True, True, True, False)),
)
GROUPS = st.lists(NODES, min_size=1, max_size=2)
PODS = st.builds(
    lambda count, requests, labels, tolerates: pod_set(
        count, requests=requests, node_selector=labels, tolerations=TOLERATES if tolerates else ()
    ),
    count=st.integers(1, 2),
    requests=AMOUNTS,
    labels=LABELS,
    tolerates=st.booleans(),
)
GANG = st.lists(PODS, min_size=1, max_size=2)


def fits_somehow(gang: list[PodSet], groups: list[NodeGroup], *, empty: bool) -> bool:
    """Whether any way at all to deal the pods to single nodes works; ``empty``: as if nothing were there."""
    nodes = [
        (g, {r: a - (0 if empty else g.requested.get(r, 0)) for r, a in g.allocatable.items()})
        for g in groups
        for _ in range(g.count)
        if empty or (g.ready and not g.unschedulable)
    ]
    ways = [combinations_with_replacement(range(len(nodes)), p.count) for p in gang]
    return any(_works(gang, nodes, way, empty=empty) for way in product(*ways))


def _works(
    gang: list[PodSet],
    nodes: list[tuple[NodeGroup, dict[str, int]]],
    way: tuple[tuple[int, ...], ...],
    *,
    empty: bool,
) -> bool:
    left = [dict(free) for _, free in nodes]
    for pods, places in zip(gang, way, strict=True):
        for at in places:
            group = nodes[at][0]
            tolerant = pod_set(
                node_selector=pods.node_selector, tolerations=(Toleration("", "Exists", "", ""),)
            )
            if not may_run(group, tolerant if empty else pods):
                return False
            for resource, amount in pods.requests.items():
                left[at][resource] = left[at].get(resource, 0) - amount
                if left[at][resource] < 0:
                    return False
    return True


@settings(max_examples=200, deadline=None)
@given(gang=GANG, groups=GROUPS)
def test_what_is_said_to_fit_can_be_dealt_to_nodes(gang: list[PodSet], groups: list[NodeGroup]) -> None:
    """I4: never overbooked, on any node, in any resource, by any pod set; and never is really never."""
    placement = place("uid", gang, [cluster("w1", *groups)], (), {})
    if isinstance(placement.verdicts[0], Fits):
        assert fits_somehow(gang, groups, empty=False)
    if placement.never:
        assert not fits_somehow(gang, groups, empty=True)


@settings(max_examples=200, deadline=None)
@given(pods=PODS, groups=GROUPS)
def test_one_pod_set_is_judged_exactly(pods: PodSet, groups: list[NodeGroup]) -> None:
    """Not refused while there is any assignment, and called never exactly when an empty cluster has none."""
    placement = place("uid", [pods], [cluster("w1", *groups)], (), {})
    assert (placement.choice is not None) == fits_somehow([pods], groups, empty=False)
    assert bool(placement.never) == (not fits_somehow([pods], groups, empty=True))


@settings(max_examples=100, deadline=None)
@given(groups=GROUPS, asked=st.lists(PODS, min_size=1, max_size=4), uids=st.permutations("abcd"))
def test_what_a_burst_was_promised_can_run_together(
    groups: list[NodeGroup], asked: list[PodSet], uids: list[str]
) -> None:
    """I4: each decision sees the promises before it; together they can be dealt to single nodes."""
    held: list[Held] = []
    for uid, pods in zip(uids, asked, strict=False):
        if place(uid, [pods], [cluster("w1", *groups)], held, {}).choice:
            held.append(Held(uid, "w1", (pods,)))
    assert fits_somehow([pods for h in held for pods in h.pod_sets], groups, empty=False)


@settings(max_examples=100, deadline=None)
@given(groups=GROUPS, asked=st.lists(GANG, min_size=1, max_size=4))
def test_a_burst_of_gangs_is_promised_no_more_than_there_is(
    groups: list[NodeGroup], asked: list[list[PodSet]]
) -> None:
    held: list[Held] = []
    for n, gang in enumerate(asked):
        if place(f"uid-{n}", gang, [cluster("w1", *groups)], held, {}).choice:
            held.append(Held(f"uid-{n}", "w1", tuple(gang)))
    for resource in RESOURCES:
        total = sum(p.count * p.requests.get(resource, 0) for h in held for p in h.pod_sets)
        free = sum(
            max(0, g.allocatable.get(resource, 0) - g.requested.get(resource, 0)) * g.count
            for g in groups
            if g.ready
        )
        assert total <= free
