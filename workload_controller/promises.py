"""The ledger by cluster, as placement looks it up: what others have been promised there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workload_controller.facts import Held


@dataclass(frozen=True, slots=True)
class Promises:
    """``on``: what is held on each cluster. ``places``: the clusters on which a Workload holds something."""

    on: Mapping[str, tuple[Held, ...]]
    places: Mapping[str, frozenset[str]]

    def plus(self, more: Iterable[Held]) -> "Promises":
        """These and more of them."""
        added = promises_of(more)
        if not added.on:
            return self
        none: frozenset[str] = frozenset()
        return Promises(
            {**self.on, **{name: (*self.on.get(name, ()), *held) for name, held in added.on.items()}},
            {**self.places, **{uid: self.places.get(uid, none) | at for uid, at in added.places.items()}},
        )


def promises_of(held: Iterable[Held]) -> Promises:
    """Sort a ledger by clusters."""
    on: dict[str, list[Held]] = {}
    places: dict[str, set[str]] = {}
    for h in held:
        on.setdefault(h.cluster, []).append(h)
        places.setdefault(h.workload_uid, set()).add(h.cluster)
    return Promises(
        {name: tuple(there) for name, there in on.items()},
        {uid: frozenset(names) for uid, names in places.items()},
    )
