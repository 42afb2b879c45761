"""The nominal quotas that the managed ClusterQueues should have now.

Trusted reports are folded into capacity per cell, each cell's capacity is debounced and then divided
between the queues that have the cell (debounced before it is divided, so that the shares always sum up).
Unknown is never zero (I9), which takes four rules:

- no cluster that takes jobs is trusted: every quota stays;
- a process that has just started, and does not know yet what the one before it knew, lowers nothing until
  every available cluster is trusted or ``stale_after`` has passed;
- a flavor whose ResourceFlavor is missing, a wish that cannot be read: the quotas concerned stay;
- a cell that exists in no queue is not invented, and nothing is removed.

Decisions only: what is remembered and the time are arguments, what to write and when to look again is
returned.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kube_runtime.quantity import format_milli
from quota_manager.breakdown import BREAKDOWN_INTERVAL, Telling, clusters_of, tell, untold
from quota_manager.capacity import Capacity, fold
from quota_manager.debounce import Window, follow
from quota_manager.distribution import divide, unit
from quota_manager.facts import Cell, ClusterFacts, Flavor, QueueFacts, ReportFacts
from quota_manager.trust import Heard, Instant, Silent, Trust, judge

CAUSES_SHOWN: Final = 5
"""Clusters named in a message; an Event holds 1024 characters (core/v1 validation), ours several changes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Seconds."""

    stale_after: float
    shrink_after: float


@dataclass(frozen=True, slots=True)
class World:
    """All facts, by name."""

    clusters: Mapping[str, ClusterFacts]
    reports: Mapping[str, ReportFacts]
    flavors: Mapping[str, Flavor]
    queues: Mapping[str, QueueFacts]  # by ``key``: Cohorts too


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision hands to the next. All may be lost: then quotas stay until it is known again."""

    started_at: float  # monotonic
    settled: bool = False
    heard: Mapping[str, Heard] = field(default_factory=dict)
    windows: Mapping[Cell, Window] = field(default_factory=dict)
    written: Mapping[Cell, Mapping[str, int]] = field(default_factory=dict)  # by cluster, at the last write
    capacity: Capacity | None = None  # saves counting again what has not changed
    told: Telling | None = None  # the breakdowns of some seconds ago

    def after(self, write: "Write") -> "Memory":
        """Once the API server has taken the write."""
        return replace(self, written={**self.written, **{c.cell: c.by_cluster for c in write.changes}})


@dataclass(frozen=True, slots=True)
class Cause:
    """What one cluster has of a cell; ``before`` is None when a process before us wrote the old quota."""

    cluster: str
    before: int | None
    after: int

    def describe(self, resource: str) -> str:
        """In words: "w1 8 → 4", or "w1 4" where the past is not known."""
        after = format_milli(self.after, resource)
        if self.before is None:
            return f"{self.cluster} {after}"
        return f"{self.cluster} {format_milli(self.before, resource)} → {after}"


@dataclass(frozen=True, slots=True)
class Change:
    """One nominalQuota, old and new, in milli-units."""

    cell: Cell
    old: int
    new: int
    causes: tuple[Cause, ...]
    by_cluster: Mapping[str, int]

    def __str__(self) -> str:
        resource = self.cell.resource
        old, new = format_milli(self.old, resource), format_milli(self.new, resource)
        causes = ", ".join(cause.describe(resource) for cause in self.causes[:CAUSES_SHOWN])
        more = len(self.causes) - CAUSES_SHOWN
        causes += f" and {more} clusters more" if more > 0 else ""
        if not causes:
            causes = "the clusters have what they had" if self.by_cluster else "no matching node"
        return f"{resource} of {self.cell.flavor} {old} → {new} ({causes})"


@dataclass(frozen=True, slots=True)
class Write:
    """The changes of one ClusterQueue, decided for its ``generation``."""

    queue: QueueFacts
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """``writes`` in the order in which they must be made: first those that lower, then those that raise.

    ``kept`` says why quotas are kept though they may be wrong; "" when they are true.
    ``look_again`` is a monotonic time, None when only news can change anything.
    """

    writes: tuple[Write, ...]
    kept: str
    silent: tuple[Silent, ...]
    missing_flavors: tuple[str, ...]
    capacity: Capacity
    nominal: Mapping[tuple[str, Cell], int]  # by queue and cell, as they are after the writes
    breakdowns: Mapping[str, str]  # by queue, where it should be written anew
    reserved: Mapping[Cell, int]  # what is kept out of the quotas
    problems: tuple[str, ...]  # what was asked for in a way that cannot be read
    look_again: float | None
    memory: Memory


def decide(world: World, memory: Memory, at: Instant, rules: Rules) -> Decision:
    """What to write now. All informers have synced."""
    trust = judge(world.clusters, world.reports, memory.heard, at, stale_after=rules.stale_after)
    settles_at = memory.started_at + rules.stale_after
    settled = memory.settled or (trust.complete and trust.informed) or at.mono >= settles_at
    memory = replace(memory, heard=trust.heard, settled=settled)

    queues = [world.queues[name] for name in sorted(world.queues) if world.queues[name].managed]
    offered = offered_flavors(queues)
    capacity = fold(
        {**trust.counted, **trust.stale},
        world.flavors,
        offered,
        cordoned=trust.cordoned,
        silent=trust.stale.keys(),
        before=memory.capacity,
    )
    memory = replace(memory, capacity=capacity)
    reserved = {
        Cell(name, resource): reserve.of(capacity.total(Cell(name, resource)))
        for name, flavor in world.flavors.items()
        for resource, reserve in flavor.reserve.items()
    }
    unclear = _unclear(queues, world.flavors)
    wanted: dict[tuple[str, Cell], int] = {}
    if trust.informed:
        holders = {cell: have for cell, have in _holders(queues).items() if cell not in unclear}
        windows = {
            cell: _follow(
                memory.windows.get(cell),
                capacity.total(cell) - reserved.get(cell, 0),
                _present(cell, have),
                at,
                rules,
            )
            for cell, have in holders.items()
        }
        memory = replace(memory, windows=windows)
        for cell, have in holders.items():
            wanted |= _shares(cell, windows[cell].amount, have, settled=settled)

    writes = [w for queue in queues if (w := _write(queue, wanted, capacity, memory))]
    kept = _kept(trust, settled=settled)
    told = memory.told if kept else tell(queues, capacity, reserved, memory.told, at, urgent=bool(writes))
    deadlines = [trust.next_change, None if settled else settles_at]
    if (
        told is not None
        and told is memory.told
        and (told.facts != (capacity.shares, reserved) or untold(queues, told))
    ):
        deadlines.append(told.at + BREAKDOWN_INTERVAL)
    news = untold(queues, told) if told is not None and told is not memory.told else {}
    memory = replace(memory, told=told)
    deadlines += [window.next_change for window in memory.windows.values()] if trust.informed else []
    return Decision(
        writes=tuple(sorted(writes, key=lambda w: any(change.new > change.old for change in w.changes))),
        kept=kept,
        silent=trust.silent,
        missing_flavors=tuple(sorted({n for ns in offered.values() for n in ns} - world.flavors.keys())),
        capacity=capacity,
        nominal={
            (q.key, cell): wanted.get((q.key, cell), old) for q in queues for cell, old in q.quotas.items()
        },
        breakdowns=news,
        reserved=reserved,
        problems=_problems(queues, world.flavors, offered),
        look_again=min((t for t in deadlines if t is not None), default=None),
        memory=memory,
    )


def offered_flavors(queues: Iterable[QueueFacts]) -> dict[str, Sequence[str]]:
    """Per resource the flavors in the order they are tried; queues are asked in the order of their names."""
    offered: dict[str, dict[str, None]] = {}
    for queue in queues:
        for group in queue.groups:
            for resource in group.resources:
                offered.setdefault(resource, {}).update(dict.fromkeys(group.flavors))
    return {resource: tuple(flavors) for resource, flavors in offered.items()}


def _holders(queues: Iterable[QueueFacts]) -> dict[Cell, dict[str, QueueFacts]]:
    """For each cell the queues that have it and left it to us."""
    holders: dict[Cell, dict[str, QueueFacts]] = {}
    for queue in queues:
        for cell in queue.quotas:
            if cell in queue.ours:
                holders.setdefault(cell, {})[queue.key] = queue
    return holders


def _unclear(queues: Iterable[QueueFacts], flavors: Mapping[str, Flavor]) -> frozenset[Cell]:
    """Cells whose quotas stay for everybody: what is not known decides on all shares."""
    return frozenset(
        cell
        for queue in queues
        for cell in queue.ours
        if queue.problem or cell.flavor not in flavors or flavors[cell.flavor].problem
    )


def _problems(
    queues: Iterable[QueueFacts], flavors: Mapping[str, Flavor], offered: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    in_use = {name for names in offered.values() for name in names}
    found = [f"{queue.kind} {queue.name}: {queue.problem}" for queue in queues if queue.problem]
    return (*found, *(flavors[n].problem for n in sorted(in_use & flavors.keys()) if flavors[n].problem))


def _present(cell: Cell, holders: Mapping[str, QueueFacts]) -> int:
    return sum(queue.quotas[cell] for queue in holders.values())


def _follow(window: Window | None, target: int, present: int, at: Instant, rules: Rules) -> Window:
    """Where no window is known, the present quotas stand for the target of the process before us."""
    return follow(window or Window(present), target, now=at.mono, shrink_after=rules.shrink_after)


def _shares(
    cell: Cell, amount: int, holders: Mapping[str, QueueFacts], *, settled: bool
) -> dict[tuple[str, Cell], int]:
    """By weight; every queue that opted in says that it wants what there is."""
    if not settled and amount <= _present(cell, holders):
        return {}
    weights = {key: queue.weight for key, queue in holders.items()}
    shares = divide(amount, weights, unit=unit(cell.resource))
    return {(queue, cell): share for queue, share in shares.items()}


def _write(
    queue: QueueFacts, wanted: Mapping[tuple[str, Cell], int], capacity: Capacity, memory: Memory
) -> Write | None:
    changes = []
    for cell, old in queue.quotas.items():
        new = wanted.get((queue.key, cell), old)
        if new != old:
            by_cluster = capacity.by_cluster(cell)
            before = memory.written.get(cell)
            causes = _causes(clusters_of(queue.breakdown, cell) if before is None else before, by_cluster)
            changes.append(Change(cell, old, new, causes, by_cluster))
    return Write(queue, tuple(changes)) if changes else None


def _causes(before: Mapping[str, int] | None, after: Mapping[str, int]) -> tuple[Cause, ...]:
    """The clusters that differ from the last write; all of them when that was not ours."""
    if before is None:
        return tuple(Cause(cluster, None, after[cluster]) for cluster in sorted(after))
    return tuple(
        Cause(cluster, before.get(cluster, 0), after.get(cluster, 0))
        for cluster in sorted(before.keys() | after.keys())
        if before.get(cluster, 0) != after.get(cluster, 0)
    )


def _kept(trust: Trust, *, settled: bool) -> str:
    if not trust.informed:
        silent = "; ".join(map(str, trust.silent)) or "no ManagedCluster is accepted"
        return f"No cluster has a trusted report, so the quotas stay as they are. {silent}"
    if not settled:
        silent = "; ".join(map(str, trust.silent))
        return f"Started a moment ago; nothing is lowered until all clusters have reported. {silent}"
    return ""
