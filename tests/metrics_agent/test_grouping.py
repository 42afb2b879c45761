"""Entries of nodes: exact while there is room, then rougher, and never on the unsafe side."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_agent.grouping import grouped, size_of
from vocabulary.cluster_metrics import NodeGroup, Taint

NODE = NodeGroup(
    name="n",
    count=1,
    allocatable={"cpu": 8000, "nvidia.com/gpu": 8000},
    requested={},
    foreign={},
    labels={"pool": "a"},
    taints=(),
    unschedulable=False,
    ready=True,
)
PLENTY = 10**9


def fleet(count: int, **of: Any) -> list[NodeGroup]:
    """Nodes n000 … that differ in the fields of which ``of`` makes one from the number."""
    return [
        replace(NODE, name=f"n{i:03}", **{field: make(i) for field, make in of.items()}) for i in range(count)
    ]


def size(groups: tuple[NodeGroup, ...]) -> int:
    return sum(map(size_of, groups))


def test_with_room_all_is_told_exactly() -> None:
    nodes = fleet(100, requested=lambda i: {"cpu": i}, pending=lambda i: {"cpu": i})
    groups, cost = grouped(nodes, room=PLENTY)
    assert groups == tuple(nodes)
    assert cost == ()


def test_the_deadline_of_a_group_is_its_last() -> None:
    (group,), _ = grouped(fleet(3, terminating_until=lambda i: [5.0, 9.0, 7.0][i]), room=PLENTY)
    assert (group.count, group.terminating_until) == (3, 9.0)


def test_what_nobody_decides_by_goes_first() -> None:
    nodes = fleet(
        100,
        pending=lambda i: {"cpu": i},
        labels=lambda i: {"pool": "a", "serial": str(i), "zone": str(i % 4)},
    )
    groups, (cost,) = grouped(nodes, room=2000)
    assert [(group.count, group.labels) for group in groups] == [
        (25, {"pool": "a", "zone": str(zone)}) for zone in range(4)
    ]
    assert cost.why.endswith("0 % of cpu are not shown as free, labels serial are left out")
    assert cost.count == 100


def test_then_neighbours_share_an_entry_with_the_most_that_is_asked_of_one() -> None:
    nodes = fleet(800, requested=lambda i: {"cpu": 10 * i})
    groups, (cost,) = grouped(nodes, room=4_000)
    assert 15 <= len(groups) <= 25
    for group in groups:
        members = [n for n in nodes if n.name >= group.name][: group.count]
        assert group.requested["cpu"] == max(n.requested["cpu"] for n in members)
    assert cost.why.endswith(": 3 % of cpu are not shown as free")


def test_more_room_loses_less() -> None:
    nodes = fleet(800, requested=lambda i: {"cpu": 31 * i % 8000}, foreign=lambda i: {"cpu": 17 * i % 900})
    told = [
        sum(free(group, "cpu") for group in grouped(nodes, room=room)[0]) for room in (2000, 8000, 32_000)
    ]
    assert told == sorted(told)
    assert told[0] < told[-1]


def test_machines_that_differ_by_some_bytes_have_what_the_least_of_them_has() -> None:
    memory = 64 * 2**30
    nodes = fleet(300, allocatable=lambda i: {"memory": (memory - 4096 * i) * 1000})
    groups, _ = grouped(nodes, room=300)
    assert [(group.count, group.allocatable) for group in groups] == [
        (300, {"memory": (memory - 4096 * 299) * 1000})
    ]


def test_what_cannot_be_made_alike_is_left_out_and_named() -> None:
    nodes = fleet(500, taints=lambda i: (Taint(f"owner-{i}", "", "NoSchedule"),) if i >= 300 else ())
    groups, (_, cost) = grouped(nodes, room=3000)
    assert size(groups) <= 3000
    assert groups[0].count == 300
    assert cost.why == "left out, the report has no room for nodes so unlike"
    assert sum(group.count for group in groups) + cost.count == 500


AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), st.integers(0, 70_000))
NODES = st.lists(
    st.builds(
        replace,
        st.just(NODE),
        name=st.integers(0, 999).map(str),
        allocatable=AMOUNTS,
        requested=AMOUNTS,
        foreign=AMOUNTS,
        labels=st.dictionaries(st.just("a"), st.sampled_from("xyz")),
    ),
    max_size=60,
    unique_by=lambda node: node.name,
)


@given(NODES, st.integers(0, 20_000))
def test_however_little_room_there_is_nothing_is_told_that_is_not_there(
    nodes: list[NodeGroup], room: int
) -> None:
    groups, cost = grouped(nodes, room=room)
    assert size(groups) <= room
    lost = sum(each.count for each in cost if each.about != "all nodes")
    assert sum(group.count for group in groups) + lost == len(nodes)
    for resource in ("cpu", "memory", "nvidia.com/gpu"):
        assert sum(free(group, resource) for group in groups) <= sum(free(node, resource) for node in nodes)


def free(group: NodeGroup, resource: str) -> int:
    return group.count * max(0, group.allocatable.get(resource, 0) - group.foreign.get(resource, 0))


@pytest.mark.parametrize("room", [PLENTY, 5000, 800])
def test_the_order_of_nodes_changes_nothing(room: int) -> None:
    nodes = fleet(60, requested=lambda i: {"cpu": 97 * i % 8000}, labels=lambda i: {"zone": str(i % 3)})
    assert grouped(nodes, room=room) == grouped(nodes[::-1], room=room)
