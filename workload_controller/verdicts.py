"""What placement says about each cluster: one type per outcome, with exactly the numbers that explain it.

``reason`` is public: add new ones, never rename. The sentence is made here, once.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from kube_runtime.quantity import format_milli
from workload_controller.ranking import Score


@dataclass(frozen=True, slots=True)
class Fits:
    """All pods fit now. ``free``: what stays free of the scarcest requested resource, in per mille."""

    reason: ClassVar[str] = "Fits"
    cluster: str
    free: int
    score: Score

    def __str__(self) -> str:
        return f"{self.cluster}: fits, {self.free / 1000:.0%} stays free{self.score}"


@dataclass(frozen=True, slots=True)
class Lack:
    """``fitting`` of ``pods`` pods fit; ``resource`` is what runs out first.

    ``there`` is its amount on all nodes that may take such pods, ``on_one_node`` the largest part of it on
    one node: amounts in pieces hold no pod that is larger than the pieces. ``apart``: it alone would be
    enough, and so would every other resource, but not on the same nodes.
    """

    pods: int
    fitting: int
    resource: str
    asked: int  # by all pods
    there: int
    on_one_node: int
    apart: bool = False

    def text(self, word: str) -> str:
        """The numbers; ``word`` says what is there: "free" or "has"."""
        asked, there, largest = (
            format_milli(max(0, amount), self.resource)
            for amount in (self.asked, self.there, self.on_one_node)
        )
        pieces = f", at most {largest} on one node" if self.there >= self.asked else ""
        apart = ", not where the rest of a pod fits" if self.apart else ""
        return f"asks {self.resource} {asked}, {word} {there}{pieces}{apart}"


@dataclass(frozen=True, slots=True)
class Short:
    """Not now: pods of others or our promises are in the way, or nodes are cordoned or not ready."""

    reason: ClassVar[str] = "InsufficientResources"
    cluster: str
    lack: Lack

    def __str__(self) -> str:
        fit = f"{self.lack.fitting} of {self.lack.pods} pods fit"
        return f"{self.cluster}: {fit}; {self.lack.text('free')}"


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Never, as its nodes are: even with nothing else on them, cordoned, tainted, unready ones included."""

    reason: ClassVar[str] = "NeverFits"
    cluster: str
    lack: Lack

    def __str__(self) -> str:
        fit = f"even empty it holds {self.lack.fitting} of {self.lack.pods} pods"
        return f"{self.cluster}: {fit}; {self.lack.text('has')}"


@dataclass(frozen=True, slots=True)
class NoSuchNode:
    """No ready, schedulable node matches selectors and taints; ``never``: no node at all has the labels."""

    reason: ClassVar[str] = "NoMatchingNodes"
    cluster: str
    nodes: int
    wanted: str
    never: bool = False

    def __str__(self) -> str:
        if self.never:
            return f"{self.cluster}: none of {self.nodes} nodes has {self.wanted}"
        return f"{self.cluster}: none of {self.nodes} nodes is schedulable with {self.wanted}"


@dataclass(frozen=True, slots=True)
class Unusable:
    """The cluster takes no job at all; ``why`` names the object and the value."""

    reason: ClassVar[str] = "ClusterUnusable"
    cluster: str
    why: str

    def __str__(self) -> str:
        return f"{self.cluster}: {self.why}"


@dataclass(frozen=True, slots=True)
class Barred:
    """This Workload may not use it, or not now (``candidates``)."""

    reason: ClassVar[str] = "ClusterBarred"
    cluster: str
    why: str

    def __str__(self) -> str:
        return f"{self.cluster}: {self.why}"


TEXT_SPACE: Final = 3000
"""Characters of verdicts in one text: what is around them has to fit into a check's message, too."""

Verdict = Fits | Short | TooLarge | NoSuchNode | Unusable | Barred


@dataclass(frozen=True, slots=True)
class Placement:
    """The verdict on every cluster, in order of their names, and the choice among those that fit.

    ``never``: what each cluster lacks, largest room first, when it is proven that none of those that the
    Workload may use could hold it even if all its nodes were empty; () when that is not proven.
    """

    verdicts: Sequence[Verdict]
    choice: str | None
    never: tuple[TooLarge | NoSuchNode, ...] = ()

    def __str__(self) -> str:
        """As many of them as a person reads, the chosen one always."""
        told: list[str] = []
        space = TEXT_SPACE
        for verdict in self.verdicts:
            text = str(verdict)
            space -= len(text) + 2
            if told and space < 0:
                break
            told.append(text)
        left_out = len(self.verdicts) - len(told)
        if left_out and self.choice is not None:
            at = bisect_left(self.verdicts, self.choice, key=lambda verdict: verdict.cluster)
            if at >= len(told):
                told.insert(0, str(self.verdicts[at]))
                left_out -= 1
        if left_out:
            told.append(f"and {left_out} more clusters")
        return "; ".join(told) or "no cluster is registered in the ITS"
