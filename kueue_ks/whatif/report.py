"""What would happen, as data: text and JSON are renderings of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kueue_ks.forecast.quota import QuotaNeed
from kueue_ks.forecast.verdicts import ClusterVerdict


@dataclass(frozen=True, slots=True)
class JobForecast:
    """A job that would be created now. ``outcome``: "Placed", "WaitsForQuota", "WaitsForCluster", "Never".

    ``clusters``: where it would go; several are equally good, and the uid that it gets decides.
    """

    namespace: str
    name: str
    queue: str
    cluster_queue: str
    outcome: str
    why: str
    clusters: tuple[str, ...]
    quota: tuple[QuotaNeed, ...]
    verdicts: tuple[ClusterVerdict, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of one job. ``to``: its next cluster, "" when it waits; ``why`` it waits, "" otherwise."""

    namespace: str
    name: str
    asks: Mapping[str, str]
    to: str
    why: str


@dataclass(frozen=True, slots=True)
class QuotaChange:
    """What QuotaManager would write, as quantities."""

    cluster_queue: str
    flavor: str
    resource: str
    before: str
    after: str
    reserved: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """``verb`` is "job", "cordon" or "drain"; ``unknown`` is what could not be taken into account."""

    at: str
    verb: str
    cluster: str
    moves: tuple[Move, ...] = ()
    stays: tuple[str, ...] = ()
    loses: tuple[Move, ...] = ()
    quota: tuple[QuotaChange, ...] = ()
    job: JobForecast | None = None
    unknown: tuple[str, ...] = ()
    options_known: bool = False
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """What ``--fail-if`` compares."""
        waits = self.job is not None and self.job.outcome not in {"Placed", "Never"}
        never = self.job is not None and self.job.outcome == "Never"
        return {
            "waiting": sum(not m.to for m in self.moves) + len(self.loses) + waits + never,
            "moving": sum(bool(m.to) for m in self.moves),
            "never": int(never),
        }
