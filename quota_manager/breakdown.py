"""What a queue's quotas were made of, as the annotation that outlives us.

JSON by "<flavor>/<resource>": what there is in all, what is reserved, and per cluster what counts, what pods
of others take and what is left out, with its reason. No times and sorted keys, so that equal facts are equal
text and nothing is written for a heartbeat. Its size is bounded: where the clusters are too many, those with
most of a cell are shown and the others are counted; where the cells are too many, so are they.

Decisions only.
"""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final, TypeAlias

from kube_runtime.quantity import format_milli, parse_milli_down
from quota_manager.capacity import Capacity, Part, Share
from quota_manager.facts import Cell, QueueFacts
from quota_manager.trust import Instant

LIMIT: Final = 32_768
"""Characters. All annotations of an object may have 262,144 bytes together (apimachinery validation); this is
an eighth, and some 400 entries."""

BREAKDOWN_INTERVAL: Final = 10.0
"""Seconds; agents report no oftener. Breakdowns that change without a quota wait for it, so that a fleet of
1,000 clusters, of which some report in every moment, is not written down in every moment."""

LEAST_ENTRY: Final = 24  # characters of a cluster with a short name and nothing but a capacity

AT_LEAST_APART: Final = 1.0
"""Seconds between two breakdowns, also when quotas are written oftener: of 1,000 clusters one takes 90 ms."""

MORE_CLUSTERS: Final = "moreClusters"
MORE_CELLS: Final = "moreCells"

_Parts: TypeAlias = Mapping[Cell, Mapping[str, Part]]


@dataclass(frozen=True, slots=True)
class Telling:
    """What the queues' breakdowns said, of which facts, and when (monotonic)."""

    texts: Mapping[str, str]  # by queue
    facts: tuple[Mapping[str, Share], Mapping[Cell, int]]
    at: float


def tell(
    queues: Sequence[QueueFacts],
    capacity: Capacity,
    reserved: Mapping[Cell, int],
    last: Telling | None,
    at: Instant,
    *,
    urgent: bool,
) -> Telling:
    """The breakdowns as they should be; the last ones while they are true, or young and nothing is urgent."""
    facts = (capacity.shares, reserved)
    if last is not None:
        young = at.mono < last.at + (AT_LEAST_APART if urgent else BREAKDOWN_INTERVAL)
        true = last.facts == facts and not untold(queues, last)
        if young or (true and not urgent):
            return last
    clear = [queue for queue in queues if not queue.problem]
    parts = _parts({cell for queue in clear for cell in queue.ours}, capacity)
    texts: dict[frozenset[Cell], str] = {}  # queues of the same cells are told the same
    for queue in clear:
        if queue.ours not in texts:
            texts[queue.ours] = _fitting(sorted(queue.ours), parts, capacity, reserved)
    return Telling({queue.key: texts[queue.ours] for queue in clear}, facts, at.mono)


def untold(queues: Iterable[QueueFacts], told: Telling) -> dict[str, str]:
    """Breakdowns that the queues do not bear yet."""
    texts = {queue.key: told.texts.get(queue.key, queue.breakdown) for queue in queues}
    return {queue.key: texts[queue.key] for queue in queues if queue.breakdown != texts[queue.key]}


def breakdown(queue: QueueFacts, capacity: Capacity, reserved: Mapping[Cell, int]) -> str:
    """The annotation for the queue; its cells that are not ours are left out."""
    return _fitting(sorted(queue.ours), _parts(queue.ours, capacity), capacity, reserved)


def _parts(cells: Set[Cell], capacity: Capacity) -> _Parts:
    """By cell and cluster."""
    parts: dict[Cell, dict[str, Part]] = {cell: {} for cell in cells}
    for cluster, share in capacity.shares.items():
        for cell, part in share.parts.items():
            if cell in parts:
                parts[cell][cluster] = part
    return parts


def _fitting(cells: Sequence[Cell], parts: _Parts, capacity: Capacity, reserved: Mapping[Cell, int]) -> str:
    """With as many clusters as fit, found by what was too long; then with as many cells."""
    shown = LIMIT // (LEAST_ENTRY * max(1, len(cells)))
    while True:
        found = {"/".join(c): _cell(c, parts[c], capacity, reserved, shown) for c in cells}
        if len(text := _canonical(found)) <= LIMIT:
            return text
        if shown == 0:
            break
        shown = min(shown - 1, shown * LIMIT // len(text))
    while len(text := _canonical({**found, MORE_CELLS: len(cells) - len(found)})) > LIMIT:
        for _ in range(max(1, len(found) // 8)):
            found.popitem()
    return text


def clusters_of(text: str, cell: Cell) -> dict[str, int] | None:
    """What each cluster had by a breakdown of the past; None where it does not tell of all.

    Anybody may have written it: what cannot be read is worth nothing.
    """
    try:
        told = json.loads(text)["/".join(cell)]
        amounts = {str(c): parse_milli_down(part["capacity"]) for c, part in told["clusters"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return None if MORE_CLUSTERS in told else {cluster: a for cluster, a in amounts.items() if a}


def _cell(
    cell: Cell, parts: Mapping[str, Part], capacity: Capacity, reserved: Mapping[Cell, int], shown: int
) -> dict[str, Any]:
    greatest = nsmallest(shown, parts, key=lambda name: (-parts[name].allocatable, name))
    told: dict[str, Any] = {
        "capacity": format_milli(capacity.total(cell), cell.resource),
        "clusters": {name: _part(parts[name], cell.resource) for name in greatest},
    }
    if reserved.get(cell):
        told["reserve"] = format_milli(reserved[cell], cell.resource)
    if len(parts) > len(greatest):
        told[MORE_CLUSTERS] = len(parts) - len(greatest)
    return told


def _part(part: Part, resource: str) -> dict[str, Any]:
    told: dict[str, Any] = {"capacity": format_milli(part.amount, resource)}
    if part.foreign:
        told["foreign"] = format_milli(part.foreign, resource)
    if part.excluded:
        told["excluded"] = {str(why): format_milli(a, resource) for why, a in part.excluded.items()}
    return told


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
