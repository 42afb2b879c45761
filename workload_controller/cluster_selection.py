"""Label selectors over ManagedClusters: what matches, why something does not, and what nothing can match."""

from collections.abc import Mapping
from dataclasses import dataclass

from workload_controller.facts import Requirement
from workload_controller.node_matching import meets

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")  # metav1.LabelSelectorOperator


@dataclass(frozen=True, slots=True)
class ClusterSelector:
    """``metav1.LabelSelector``, its matchLabels as In with one value; without requirements all match."""

    requirements: tuple[Requirement, ...] = ()

    def unmet(self, labels: Mapping[str, str]) -> str:
        """The first requirement that these labels do not meet, with what they say; "" when all are met."""
        for requirement in self.requirements:
            if not meets(requirement, labels):
                value = labels.get(requirement.key)
                found = "is missing" if value is None else f"is {value!r}"
                return f"label {requirement.key} {found}, wanted {_wanted(requirement)}"
        return ""

    def contradiction(self) -> str:
        """The label of which no value, and no absence, meets all requirements; "" when there is none."""
        for key in sorted({r.key for r in self.requirements}):
            own = [r for r in self.requirements if r.key == key]
            named = {value for r in own for value in r.values}
            # A value that nobody named stands for all those that nobody named.
            candidates: list[str | None] = [None, *sorted(named), "".join(named) + "-"]
            if not any(all(meets(r, _label(key, value)) for r in own) for value in candidates):
                return f"label {key} cannot be " + " and ".join(_wanted(r) for r in own)
        return ""

    def __str__(self) -> str:
        return ", ".join(f"{r.key} {_wanted(r)}" for r in self.requirements) or "any label"


ANY_CLUSTER = ClusterSelector()


def _label(key: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {key: value}


def _wanted(requirement: Requirement) -> str:
    values = ", ".join(requirement.values)
    match requirement.operator:
        case "In":
            return values if len(requirement.values) == 1 else f"one of {values or 'nothing'}"
        case "NotIn":
            return f"not {values or 'anything'}" if len(requirement.values) == 1 else f"none of {values}"
        case "Exists":
            return "any value"
        case _:
            return "no value"
