"""Whether a pod may run on a node: selector, required affinity, taints, as kube-scheduler judges them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from vocabulary.cluster_metrics import Taint
from workload_controller.facts import PodSet, Requirement, Toleration

BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")  # PreferNoSchedule does not keep a pod away


class Nodelike(Protocol):
    """What decides which pods may run on a node."""

    @property
    def labels(self) -> Mapping[str, str]:
        """``Node.metadata.labels``."""

    @property
    def taints(self) -> Sequence[Taint]:
        """``Node.spec.taints[]``."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class NodeSort:
    """Nodes that differ in nothing that ``may_run`` looks at; ``NodeSorts`` makes each once."""

    labels: Mapping[str, str]
    taints: tuple[Taint, ...]


class NodeSorts:
    """The sorts of nodes that somebody still has, each made once.

    A thousand clusters with a hundred groups each have few of them, and a pod is matched with each only once.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[object, NodeSort] = WeakValueDictionary()

    def of(self, labels: Mapping[str, str], taints: tuple[Taint, ...]) -> NodeSort:
        """The sort with these labels and taints."""
        key = frozenset(labels.items()), taints
        sort = self._known.get(key)
        if sort is None:
            sort = self._known[key] = NodeSort(labels, taints)
        return sort


def may_run(group: Nodelike, pod_set: PodSet) -> bool:
    """Whether such pods may run on such nodes, whatever their amounts are."""
    return (
        all(group.labels.get(key) == value for key, value in pod_set.node_selector.items())
        and (not pod_set.affinity or any(_matches(term, group.labels) for term in pod_set.affinity))
        and all(_tolerated(t, pod_set.tolerations) for t in group.taints if t.effect in BLOCKING_EFFECTS)
    )


def _matches(term: Sequence[Requirement], labels: Mapping[str, str]) -> bool:
    # An empty term matches nothing (k8s.io/component-helpers nodeaffinity).
    return bool(term) and all(meets(requirement, labels) for requirement in term)


def meets(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    """One requirement; an unknown operator is met by nothing."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compares(operator, value, requirement.values)
        case _:
            return False


def _compares(operator: str, value: str | None, limits: Sequence[str]) -> bool:
    try:
        number, limit = int(value or ""), int(limits[0])
    except (ValueError, IndexError):
        return False
    return number > limit if operator == "Gt" else number < limit


def _tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(
        (not t.effect or t.effect == taint.effect)
        and (not t.key or t.key == taint.key)
        and (t.operator == "Exists" or (t.key == taint.key and t.value == taint.value))
        for t in tolerations
    )
