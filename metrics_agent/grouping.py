"""Nodes that are alike as one entry, and few enough entries for an object.

An object of etcd holds 1.5 MiB, and each report travels to the ITS and to everybody who reads there. 5,000
nodes of ten kinds are ten entries as long as they are used alike; in use hardly two of them are. Then
neighbours share an entry, always on the safe side: it has the least of what they have, and the most of what
is asked of one. Nodes are divided where that costs most, until the room is used, as the colours of a picture
are when it may have few. How much is lost is in the report.

First to go is what nobody decides by: what is pending and terminating, and labels that have another value on
most nodes, as a hostname does under a name that ``reading.NODE_SPECIFIC_LABELS`` does not know.

Decisions only.
"""

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from vocabulary.cluster_metrics import NodeGroup, NotCounted, format_nodes

_Nodes: TypeAlias = Sequence[NodeGroup]
_Groups: TypeAlias = tuple[NodeGroup, ...]
_NotCounted: TypeAlias = tuple[NotCounted, ...]

_MEASURED: Final = ("allocatable", "requested", "foreign")

_FEW: Final = 16
"""Values of a label that are never too many."""


def grouped(nodes: Iterable[NodeGroup], *, room: int) -> tuple[_Groups, _NotCounted]:
    """Entries of at most ``room`` bytes as JSON, in the order of their first node's name, and what it cost.

    ``nodes`` are one each.
    """
    each = sorted(nodes, key=lambda node: node.name)
    exact = _alike(each)
    return (exact, ()) if _size(exact) <= room else _fitted(each, room)


def size_of(group: NodeGroup) -> int:
    """Bytes of its entry in an object."""
    return len(json.dumps(format_nodes(group), separators=(",", ":"), ensure_ascii=False).encode()) + 1


def _size(groups: _Nodes) -> int:
    return sum(map(size_of, groups))


def _alike(nodes: _Nodes) -> _Groups:
    alike: dict[tuple[object, ...], list[NodeGroup]] = {}
    for node in nodes:
        maps = (node.allocatable, node.requested, node.foreign, node.pending, node.terminating)
        key = (*_kind(node), *(tuple(sorted(each.items())) for each in maps))
        alike.setdefault(key, []).append(node)
    return tuple(
        replace(same[0], count=len(same), terminating_until=max(node.terminating_until for node in same))
        for same in alike.values()
    )


def _kind(node: NodeGroup) -> tuple[object, ...]:
    """What no two nodes of one entry differ in, hashable. Sorted: two maps may differ in order alone."""
    labels = tuple(sorted(node.labels.items()))
    return (labels, node.taints, node.unschedulable, node.ready, node.conditions, frozenset(node.allocatable))


def _fitted(nodes: _Nodes, room: int) -> tuple[_Groups, _NotCounted]:
    unlike = _unlike_labels(nodes)
    kinds: dict[tuple[object, ...], list[NodeGroup]] = {}
    for node in nodes:
        lean = _lean(node, unlike)
        kinds.setdefault(_kind(lean), []).append(lean)
    entries, left_out = _as_many_as_fit([_Entry.of(kind) for kind in kinds.values()], room)
    groups = [entry.told for entry in _divided(entries, room)]
    why = "told roughly, the report has no room for more: " + ", ".join(_lost(nodes, groups, unlike))
    return tuple(sorted(groups, key=lambda group: group.name)), (
        NotCounted("all nodes", why, len(nodes)),
        *left_out,
    )


def _unlike_labels(nodes: _Nodes) -> Set[str]:
    """Labels of which most nodes that have them have a value of their own."""
    values: dict[str, Counter[str]] = {}
    for node in nodes:
        for key, value in node.labels.items():
            values.setdefault(key, Counter())[value] += 1
    return {key for key, found in values.items() if len(found) > max(_FEW, found.total() // 2)}


def _lean(node: NodeGroup, unlike: Set[str]) -> NodeGroup:
    labels = {key: value for key, value in node.labels.items() if key not in unlike}
    return replace(node, labels=labels, pending={}, terminating={}, terminating_until=0.0)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Nodes of one kind, as they are told: ``cost`` is what dividing them at ``cut`` could save."""

    nodes: _Nodes
    told: NodeGroup
    size: int
    cost: float
    measure: tuple[str, str]
    cut: float

    @classmethod
    def of(cls, nodes: _Nodes) -> "_Entry":
        """The measure in which the nodes differ most, by how much one of them has of that resource."""
        least, most = _extremes(nodes)
        told = replace(
            nodes[0],
            count=len(nodes),
            allocatable={r: n for (part, r), n in least.items() if part == "allocatable"},
            requested={r: n for (part, r), n in most.items() if part == "requested"},
            foreign={r: n for (part, r), n in most.items() if part == "foreign"},
        )
        spread, measure = max(
            (
                ((most[each] - least[each]) / (most.get(("allocatable", each[1])) or most[each] or 1), each)
                for each in most
            ),
            default=(0.0, ("", "")),
        )
        cut = (least[measure] + most[measure]) / 2 if measure in most else 0.0
        return cls(nodes, told, size_of(told), spread * len(nodes), measure, cut)

    def halves(self) -> "tuple[_Entry, _Entry]":
        """Divided in the middle of the range; neither is empty while ``cost`` is not 0."""
        part, resource = self.measure
        low = [node for node in self.nodes if getattr(node, part).get(resource, 0) <= self.cut]
        high = [node for node in self.nodes if getattr(node, part).get(resource, 0) > self.cut]
        return _Entry.of(low), _Entry.of(high)


_Extremes: TypeAlias = dict[tuple[str, str], int]


def _extremes(nodes: _Nodes) -> tuple[_Extremes, _Extremes]:
    """Least and most of each measure; of what is not asked for at all nothing is asked."""
    found: dict[tuple[str, str], list[int]] = {}
    for node in nodes:
        for part in _MEASURED:
            for resource, amount in getattr(node, part).items():
                found.setdefault((part, resource), []).append(amount)
    least = {each: min(n) if len(n) == len(nodes) else 0 for each, n in found.items()}
    return least, {each: max(n) for each, n in found.items()}


def _divided(entries: Iterable[_Entry], room: int) -> list[_Entry]:
    """Divide where it costs most while there is room for one more entry."""
    done: list[_Entry] = []
    heap = [(-entry.cost, entry.told.name, entry) for entry in entries]
    heapq.heapify(heap)
    left = room - sum(entry.size for _, _, entry in heap)
    while heap:
        _, _, entry = heapq.heappop(heap)
        halves = entry.halves() if entry.cost > 0 and left >= 0 else ()
        more = sum(half.size for half in halves) - entry.size
        if not halves or more > left:
            done.append(entry)
            continue
        left -= more
        for half in halves:
            heapq.heappush(heap, (-half.cost, half.told.name, half))
    return done


def _as_many_as_fit(entries: Sequence[_Entry], room: int) -> tuple[list[_Entry], _NotCounted]:
    """The greatest; the nodes of the others are left out, which is less than there is."""
    kept: list[_Entry] = []
    lost: list[_Entry] = []
    for entry in sorted(entries, key=lambda entry: (-len(entry.nodes), entry.told.name)):
        room -= entry.size
        (kept if room >= 0 else lost).append(entry)
    if not lost:
        return kept, ()
    first = min(entry.told.name for entry in lost)
    why = "left out, the report has no room for nodes so unlike"
    return kept, (NotCounted(f"node {first}", why, sum(len(entry.nodes) for entry in lost)),)


def _lost(nodes: _Nodes, groups: _Nodes, unlike: Set[str]) -> Iterable[str]:
    """How much of what is free on all nodes together is not told, in per cent of what they have."""
    for resource in ("cpu", "memory"):
        total = sum(node.allocatable.get(resource, 0) for node in nodes)
        gone = sum(_free(node, resource) for node in nodes) - sum(_free(group, resource) for group in groups)
        if total:
            yield f"{-(-100 * gone // total)} % of {resource} are not shown as free"
    if unlike:
        yield f"labels {', '.join(sorted(unlike))} are left out"


def _free(group: NodeGroup, resource: str) -> int:
    return group.count * max(0, group.allocatable.get(resource, 0) - group.requested.get(resource, 0))
