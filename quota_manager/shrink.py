"""Who would have to go so that what is used fits into a smaller quota.

The lowest priority first, among equals the one that got its quota last: it has the least to lose. Then
nobody goes who need not: those that the later ones made superfluous stay, the most important first.

Kueue itself evicts nobody when a quota falls. Decisions only; amounts are integer milli-units.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quota_manager.facts import Cell


@dataclass(frozen=True, slots=True)
class Holder:
    """A Workload with quota in the queue."""

    name: str  # namespace/name
    uid: str
    priority: int
    since: float  # unix seconds of its QuotaReserved
    uses: Mapping[Cell, int]


def victims(over: Mapping[Cell, int], holders: Iterable[Holder]) -> tuple[Holder, ...]:
    """The holders that would go, in this order; all that help where even they are not enough."""
    missing = {cell: amount for cell, amount in over.items() if amount > 0}
    chosen: list[Holder] = []
    for holder in sorted(holders, key=lambda h: (h.priority, -h.since, h.uid)):
        if any(missing[cell] > 0 and holder.uses.get(cell, 0) > 0 for cell in missing):
            chosen.append(holder)
            missing = {cell: amount - holder.uses.get(cell, 0) for cell, amount in missing.items()}
    for holder in reversed(tuple(chosen)):
        without = {cell: amount + holder.uses.get(cell, 0) for cell, amount in missing.items()}
        needed = any(without[cell] > max(0, missing[cell]) for cell in missing)
        if not needed:
            chosen.remove(holder)
            missing = without
    return tuple(chosen)
