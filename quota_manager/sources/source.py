"""What every source of facts about clusters is: a name, and a report for each cluster that it knows.

A report is that of a metrics agent (``vocabulary.cluster_metrics``), whoever makes it, so that nothing after
this point asks where facts come from: one fold, one rule of trust.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from quota_manager.decision import World
from quota_manager.facts import ReportFacts
from quota_manager.trust import Instant

SHOWN: Final = 5
"""Bad values that are named one by one; an Event holds 1024 characters, and the rest is counted."""


@dataclass(frozen=True, slots=True)
class BadSample:
    """A value that is left out; everything else counts. ``reason`` is a metric label."""

    cluster: str  # "" when that is what it lacks
    reason: str
    about: str  # "n1 memory"
    value: str

    def __str__(self) -> str:
        return f"{self.about} is {self.value} ({self.reason})"


class Source(Protocol):
    """One way to know what the clusters have. Asked in the reconcile path: never waits for anybody."""

    @property
    def name(self) -> str:
        """As it is told to people; a metric label."""
        ...

    def reports(self, world: World, at: Instant, needed: Collection[str]) -> Mapping[str, ReportFacts]:
        """By cluster. One that it knows nothing about is absent; others than the ``needed`` ones may be."""
        ...

    def bad_samples(self) -> Sequence[BadSample]:
        """What the last reports had to do without."""
        ...


def describe(bad: Sequence[BadSample]) -> str:
    """In one sentence: "3 values left out: n1 cpu is NaN (not_finite), …"."""
    named = ", ".join(str(sample) for sample in bad[:SHOWN])
    more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return f"{len(bad)} values left out: {named}{more}"
