"""Which of the clusters that a job fits is best: named integers, so that a choice can be checked by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workload_controller.placement_policy import NO_POLICY, PlacementPolicy, Strategy


@dataclass(frozen=True, slots=True)
class Score:
    """``parts`` add up to ``total``. ``failed_ago``: seconds since its last failure there; None: not lately.

    A cluster where it has not failed lately is better than any where it has, and the older failure is better
    than the newer: those where it failed lately are looked at only when it failed on all of them.
    """

    parts: tuple[tuple[str, int], ...]
    failed_ago: int | None = None
    policy: str = ""

    @property
    def total(self) -> int:
        """Higher is better."""
        return sum(points for _, points in self.parts)

    @property
    def rank(self) -> tuple[bool, int, int]:
        """To be compared."""
        return (self.failed_ago is None, self.failed_ago or 0, self.total)

    def __str__(self) -> str:
        told = []
        if self.policy:
            sum_ = " + ".join(f"{name} {points}" for name, points in self.parts) or "nothing"
            told.append(f"score {self.total} by PlacementPolicy {self.policy}: {sum_}")
        if self.failed_ago is not None:
            told.append(f"failed there {self.failed_ago}s ago")
        return "".join(f", {each}" for each in told)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How this job's clusters are compared. ``failed_ago``: cluster → seconds."""

    policy: PlacementPolicy = NO_POLICY
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by cluster
    failed_ago: Mapping[str, int] = field(default_factory=dict)

    def rank(self, cluster: str, free: int) -> tuple[bool, int, int, int]:
        """To be compared: ``Score.rank`` and then what stays free, without the words for it."""
        ago = self.failed_ago.get(cluster)
        return (ago is None, ago or 0, sum(points for _, points in self._parts(cluster, free)), free)

    def score(self, cluster: str, free: int) -> Score:
        """``free``: what stays free of the scarcest requested resource, in per mille."""
        return Score(self._parts(cluster, free), self.failed_ago.get(cluster), self.policy.name)

    def _parts(self, cluster: str, free: int) -> tuple[tuple[str, int], ...]:
        parts: list[tuple[str, int]] = []
        match self.policy.strategy:
            case Strategy.SPREAD:
                parts.append(("free", free))
            case Strategy.PACK:
                parts.append(("filled", 1000 - free))
            case Strategy.PREFER:
                pass
        if self.policy.preferences:
            labels = self.labels.get(cluster, {})
            liked = [p.weight for p in self.policy.preferences if not p.selector.unmet(labels)]
            parts.append(("preferred", sum(liked)))
        return tuple(parts)
