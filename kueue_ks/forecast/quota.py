"""Whether a ClusterQueue has nominal quota left for a job, flavor by flavor as Kueue tries them. Pure.

What only Kueue knows is not guessed: borrowing within a cohort, preemption, LimitRanges, resources that its
configuration excludes or transforms, topologies, and which flavor it tries next after a failure (``UNSEEN``).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_down
from kueue_ks.forecast.verdicts import total
from quota_manager.facts import Cell, FlavorGroup, queue_facts
from workload_controller.facts import Flavor, PodSet

UNSEEN: Final = "Kueue may also borrow in a cohort, preempt, or hold back by rules of its own"


@dataclass(frozen=True, slots=True)
class QuotaNeed:
    """One resource of one flavor, as quantities. ``missing`` is "" when it is enough."""

    flavor: str
    resource: str
    asked: str
    free: str
    nominal: str
    missing: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """``flavors``: resource → flavor, when quota is free for all; ``problem``: why it never will be."""

    flavors: Mapping[str, str] | None
    needs: tuple[QuotaNeed, ...]
    problem: str = ""

    @property
    def why(self) -> str:
        """What is missing, in words; "" when nothing is."""
        if self.problem or self.flavors is not None:
            return self.problem
        short = [f"{n.resource} {n.missing} more in flavor {n.flavor}" for n in self.needs if n.missing]
        return "quota is missing: " + ", ".join(short)


class Quotas:
    """The nominal quotas and what is free of them; ``take`` and ``give_back`` change the latter."""

    def __init__(self, cluster_queues: Iterable[Obj], flavors: Mapping[str, Flavor]) -> None:
        self._flavors = flavors
        self._groups: dict[str, tuple[FlavorGroup, ...]] = {}
        self._nominal: dict[tuple[str, Cell], int] = {}
        self._free: dict[tuple[str, Cell], int] = {}
        for obj in cluster_queues:
            facts = queue_facts(obj)
            self._groups[facts.name] = facts.groups
            reserved = _reserved(obj)
            for cell, nominal in facts.quotas.items():
                self._nominal[facts.name, cell] = nominal
                self._free[facts.name, cell] = nominal - reserved.get(cell, 0)

    def change_nominal(self, nominal: Mapping[tuple[str, Cell], int]) -> None:
        """Other quotas, as QuotaManager would write them."""
        for key, amount in nominal.items():
            if key in self._nominal:
                self._free[key] += amount - self._nominal[key]
                self._nominal[key] = amount

    def give_back(self, queue: str, workload: Obj) -> None:
        """An evicted Workload's reservation is free again."""
        for cell, amount in usage(workload).items():
            if (queue, cell) in self._free:
                self._free[queue, cell] += amount

    def assign_without(self, workload: Obj, queue: str, pod_sets: Sequence[PodSet]) -> Assignment:
        """As ``assign``, if another Workload of the queue had given its quota back; nothing is changed."""
        before = self._free
        self._free = dict(before)
        self.give_back(queue, workload)
        found = self.assign(queue, pod_sets)
        self._free = before
        return found

    def take(self, queue: str, pod_sets: Sequence[PodSet]) -> Assignment:
        """As ``assign`` for a job that had quota here, and what it assigns is taken."""
        found = self.assign(queue, pod_sets, admitted=True)
        for resource, flavor in (found.flavors or {}).items():
            self._free[queue, Cell(flavor, resource)] -= total(pod_sets)[resource]
        return found

    def assign(self, queue: str, pod_sets: Sequence[PodSet], *, admitted: bool = False) -> Assignment:
        """The first flavor of each resource group with enough of everything, for all pod sets together."""
        if queue not in self._groups:
            return Assignment(None, (), f"there is no ClusterQueue {queue!r}")
        asked = {r: amount for r, amount in total(pod_sets).items() if r != "pods" or self._covers(queue, r)}
        covered = {r for group in self._groups[queue] for r in group.resources}
        strange = sorted(asked.keys() - covered)
        if strange and not admitted:  # what Kueue admitted without it, its configuration excludes
            return Assignment(None, (), f"ClusterQueue {queue} offers no {', '.join(strange)}")
        flavors: dict[str, str] = {}
        needs: list[QuotaNeed] = []
        for group in self._groups[queue]:
            wanted = {r: asked[r] for r in group.resources if r in asked}
            if not wanted:
                continue
            tried = [self._needs(queue, f, wanted) for f in group.flavors if self._allowed(f, pod_sets)]
            if not tried:
                names = ", ".join(group.flavors) or "none"
                return Assignment(None, (), f"its node selector excludes every flavor of {queue}: {names}")
            best = min(tried, key=lambda each: sum(bool(need.missing) for need in each))
            needs += best
            flavors |= {need.resource: need.flavor for need in best}
        enough = not any(need.missing for need in needs)
        return Assignment(flavors if enough else None, tuple(needs))

    def _covers(self, queue: str, resource: str) -> bool:
        return any(resource in group.resources for group in self._groups[queue])

    def _allowed(self, flavor: str, pod_sets: Sequence[PodSet]) -> bool:
        """A pod's selector must not name other values for the labels of the flavor (kueue flavorassigner)."""
        known = self._flavors.get(flavor)
        labels = known.node_labels if known is not None else {}
        return known is not None and all(
            labels.get(key, value) == value
            for pod_set in pod_sets
            for key, value in pod_set.node_selector.items()
        )

    def _needs(self, queue: str, flavor: str, wanted: Mapping[str, int]) -> list[QuotaNeed]:
        rows = []
        for resource in sorted(wanted):
            key = (queue, Cell(flavor, resource))
            free, nominal = self._free.get(key, 0), self._nominal.get(key, 0)
            missing = wanted[resource] - free
            rows.append(
                QuotaNeed(
                    flavor=flavor,
                    resource=resource,
                    asked=format_milli(wanted[resource], resource),
                    free=format_milli(max(0, free), resource),
                    nominal=format_milli(nominal, resource),
                    missing=format_milli(missing, resource) if missing > 0 else "",
                )
            )
        return rows


def usage(workload: Obj) -> dict[Cell, int]:
    """What a Workload's admission has reserved (``podSetAssignments[].resourceUsage``)."""
    found: dict[Cell, int] = {}
    admission = (workload.get("status") or {}).get("admission") or {}
    for each in admission.get("podSetAssignments") or ():
        for resource, amount in (each.get("resourceUsage") or {}).items():
            cell = Cell((each.get("flavors") or {}).get(resource, ""), resource)
            found[cell] = found.get(cell, 0) + parse_milli_down(amount)
    return found


def _reserved(obj: Obj) -> dict[Cell, int]:
    return {
        Cell(flavor["name"], each["name"]): parse_milli_down(each.get("total", 0))
        for flavor in (obj.get("status") or {}).get("flavorsReservation") or ()
        for each in flavor.get("resources") or ()
    }
