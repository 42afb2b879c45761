"""What a CapacityProvider of ours says: Kueue's way (0.20, alpha) to be told capacity.

A CapacityProvider names its controller and the flavors that it speaks for; the controller writes
``status.capacity`` and the condition CapacitySynchronized. What becomes of it, shares and headroom, is up to
Kueue's DynamicQuotaOrchestrator, so here the fleet's whole capacity is told, undivided, and no nominalQuota.

Kueue keeps the last quota while the condition is not True. So a *lost cluster* is told as less capacity,
synchronized; only when nothing is known, or flavors are missing, is the condition False, and the capacity
stays as it is (I9). The debounce is the one of nominal quotas, begun from what the status says.

A resource that a queue declares for one of these flavors is told even when no node has it: it is 0 then, and
Kueue must not take it for unknown. A node counts once, for the first flavor in the provider's order.

Decisions only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_down
from quota_manager.capacity import Capacity, Standing, fold
from quota_manager.debounce import Window, follow
from quota_manager.decision import Decision, World
from quota_manager.facts import Cell

CONTROLLER: Final = "kubestellar.io/cluster-metrics"
"""``spec.controllerName`` of the providers that are ours to serve."""

CONDITION: Final = "CapacitySynchronized"
MOST_RESOURCES: Final = 64
"""Of a flavor, by Kueue's validation."""
SHOWN: Final = 5
"""Clusters that are named; a condition's message holds 32768 characters, and people read fewer."""


@dataclass(frozen=True, slots=True)
class Condition:
    """CapacitySynchronized. ``status`` "True" or "False"; reasons are Kueue's words."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """A CapacityProvider that names us. ``capacity`` is None where none was written yet."""

    name: str
    uid: str
    generation: int
    flavors: tuple[str, ...]
    capacity: Mapping[Cell, int] | None
    condition: Condition | None
    observed_generation: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What one look at a provider hands to the next."""

    windows: Mapping[Cell, Window] = field(default_factory=dict)
    folded: Capacity | None = None


@dataclass(frozen=True, slots=True)
class Provided:
    """The status to write; no condition: it is as it should be, or nothing is known yet.

    ``look_again`` is a monotonic time.
    """

    condition: Condition | None
    capacity: Mapping[Cell, int] | None
    look_again: float | None
    memory: Memory


def provider_facts(provider: Obj) -> ProviderFacts | None:
    """Read a CapacityProvider; None unless it is ours to serve."""
    metadata, spec, status = provider["metadata"], provider["spec"], provider.get("status") or {}
    if spec.get("controllerName") != CONTROLLER or "deletionTimestamp" in metadata:
        return None
    found = next((c for c in status.get("conditions") or () if c["type"] == CONDITION), None)
    return ProviderFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        flavors=tuple(flavor["name"] for flavor in spec.get("orchestratedFlavors") or ()),
        capacity=_read_capacity(status.get("capacity")),
        condition=None if found is None else Condition(found["status"], found["reason"], found["message"]),
        observed_generation=0 if found is None else found.get("observedGeneration", 0),
    )


def provide(
    provider: ProviderFacts,
    world: World,
    decision: Decision,
    memory: Memory,
    *,
    now: float,
    shrink_after: float,
) -> Provided:
    """What the provider should say, by the same trusted reports as the nominal quotas."""
    missing = sorted(set(provider.flavors) - world.flavors.keys())
    shares = decision.capacity.shares
    counted = {n: share.report for n, share in shares.items() if share.standing is not Standing.SILENT}
    cordoned = {name for name, share in shares.items() if share.standing is Standing.CORDONED}
    if missing:
        why = f"there is no ResourceFlavor {', '.join(missing)}"
        return _kept(provider, Condition("False", "Misconfigured", why), memory)
    if decision.kept and not counted.keys() - cordoned:
        return _kept(provider, Condition("False", "SourceUnavailable", decision.kept), memory)
    if decision.kept:
        return Provided(None, None, None, memory)
    offered = _offered(provider, world, decision)
    capacity = fold(counted, world.flavors, offered, cordoned=cordoned, before=memory.folded)
    targets = {cell: capacity.total(cell) for cell in _cells(provider, world, capacity)}
    windows = {
        cell: follow(
            memory.windows.get(cell) or Window((provider.capacity or {}).get(cell, 0)),
            target,
            now=now,
            shrink_after=shrink_after,
        )
        for cell, target in targets.items()
    }
    amounts = {cell: window.amount for cell, window in windows.items()}
    condition = Condition("True", "Synchronized", _summary(len(counted), decision))
    return Provided(
        condition=None if _says(provider, condition, amounts) else condition,
        capacity=amounts,
        look_again=min((w.next_change for w in windows.values() if w.next_change is not None), default=None),
        memory=Memory(windows, capacity),
    )


def capacity_body(capacity: Mapping[Cell, int]) -> Obj:
    """``status.capacity``. A flavor without any resource cannot be written: Kueue takes it for 0 then."""
    flavors: dict[str, dict[str, str]] = {}
    for cell in sorted(capacity):
        flavors.setdefault(cell.flavor, {})[cell.resource] = format_milli(capacity[cell], cell.resource)
    return {"flavors": [{"name": name, "resources": resources} for name, resources in flavors.items()]}


def _read_capacity(capacity: Obj | None) -> dict[Cell, int] | None:
    """What the status says; None where it says what cannot be read, and is written anew."""
    if capacity is None:
        return None
    try:
        return {
            Cell(flavor["name"], resource): parse_milli_down(amount)
            for flavor in capacity.get("flavors") or ()
            for resource, amount in (flavor.get("resources") or {}).items()
        }
    except (ValueError, TypeError, AttributeError, KeyError):
        return None


def _kept(provider: ProviderFacts, condition: Condition, memory: Memory) -> Provided:
    said = _says(provider, condition, provider.capacity)
    return Provided(None if said else condition, provider.capacity, None, memory)


def _says(provider: ProviderFacts, condition: Condition, capacity: Mapping[Cell, int] | None) -> bool:
    present = (provider.condition, provider.observed_generation, provider.capacity)
    return present == (condition, provider.generation, capacity)


def _offered(provider: ProviderFacts, world: World, decision: Decision) -> dict[str, Sequence[str]]:
    """Every resource that a node or a queue names, from the provider's flavors in their order."""
    on_nodes = {
        resource
        for share in decision.capacity.shares.values()
        for group in share.report.nodes
        for resource in group.allocatable
    }
    declared = {cell.resource for queue in world.queues.values() for cell in queue.quotas}
    return dict.fromkeys(sorted(on_nodes | declared), provider.flavors)


def _cells(provider: ProviderFacts, world: World, capacity: Capacity) -> list[Cell]:
    """Declared ones first: the most that Kueue takes is 64 of a flavor, and it ignores the others."""
    declared = {cell for queue in world.queues.values() for cell in queue.quotas}
    on_nodes = {cell for share in capacity.shares.values() for cell in share.amounts}
    cells = []
    for flavor in provider.flavors:
        ours = sorted(cell for cell in declared | on_nodes if cell.flavor == flavor)
        cells += sorted(ours, key=lambda cell: cell not in declared)[:MOST_RESOURCES]
    return cells


def _summary(counted: int, decision: Decision) -> str:
    silent = [str(silent) for silent in decision.silent]
    named = "; ".join(silent[:SHOWN]) + (f"; {len(silent) - SHOWN} more" if len(silent) > SHOWN else "")
    of = counted + len(silent)
    return f"{counted} of {of} clusters counted" + (f"; left out: {named}" if silent else "")
