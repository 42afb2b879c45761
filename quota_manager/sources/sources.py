"""The sources together: the world as their best one sees each cluster, and who is told which that is."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kube_runtime.events import EventRecorder
from quota_manager.decision import World
from quota_manager.facts import ClusterFacts
from quota_manager.sources.choice import Choice, Memory, Offer, Switch, choose
from quota_manager.sources.queries import Wanted
from quota_manager.sources.source import BadSample, Source, describe
from quota_manager.trust import Instant
from vocabulary.resources import MANAGED_CLUSTERS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

UNNAMED: Final = ""
"""The cluster of samples that do not say theirs."""


class Sources(Collector):
    """``sources`` are given best first."""

    def __init__(self, sources: Sequence[Source], *, stale_after: float, events: EventRecorder) -> None:
        self._sources, self._stale_after, self._events = sources, stale_after, events
        self._memory = Memory()
        self._choice: Choice | None = None
        self._bad: dict[tuple[str, str], list[BadSample]] = {}  # by source and cluster
        self._told: dict[tuple[str, str], str] = {}

    def begin(self) -> None:
        """Forget what a former leadership remembered."""
        self._memory = Memory()

    def best(self, world: World, at: Instant) -> tuple[World, float | None]:
        """The world with each cluster's best report, and the monotonic time to look again."""
        offers = [Offer(source.name, partial(source.reports, world, at)) for source in self._sources]
        choice = choose(world.clusters, offers, self._memory, at, stale_after=self._stale_after)
        self._memory, self._choice = choice.memory, choice
        for switch in choice.switches:
            self._tell_switch(switch, world.clusters[switch.cluster])
        self._tell_bad(world)
        return replace(world, reports=choice.reports), choice.look_again

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The last choice as metrics."""
        chosen = GaugeMetricFamily(
            "kueue_ks_cluster_source",
            "1 for the source that a cluster is counted by; absent when none is trusted.",
            labels=["cluster", "source"],
        )
        bad = GaugeMetricFamily(
            "kueue_ks_source_bad_samples",
            "Values of a source that are left out.",
            labels=["source", "cluster", "reason"],
        )
        for cluster, source in (self._choice.source if self._choice else {}).items():
            chosen.add_metric([cluster, source], 1)
        for (source, cluster), samples in self._bad.items():
            for reason in sorted({sample.reason for sample in samples}):
                bad.add_metric([source, cluster, reason], sum(s.reason == reason for s in samples))
        return (chosen, bad)

    def _tell_switch(self, switch: Switch, cluster: ClusterFacts) -> None:
        log.info(str(switch), reason="SourceChanged", cluster=switch.cluster)
        kind = "Warning" if switch.worse else "Normal"
        self._events.record(_reference(cluster), kind, "SourceChanged", str(switch))

    def _tell_bad(self, world: World) -> None:
        """Of clusters that are ours, once for each set of bad values."""
        self._bad = {}
        for source in self._sources:
            for sample in source.bad_samples():
                if sample.cluster == UNNAMED or sample.cluster in world.clusters:
                    self._bad.setdefault((source.name, sample.cluster), []).append(sample)
        told = {}
        for (source_name, name), samples in self._bad.items():
            told[source_name, name] = text = f"{source_name}, {name or 'no cluster'}: {describe(samples)}"
            if self._told.get((source_name, name)) == text:
                continue
            log.warning(text, reason="SamplesLeftOut", cluster=name)
            if name != UNNAMED:
                self._events.record(_reference(world.clusters[name]), "Warning", "SamplesLeftOut", text)
        self._told = told


def wanted(world: World) -> Wanted:
    """What the managed queues ask about."""
    groups = [group for queue in world.queues.values() if queue.managed for group in queue.groups]
    flavors = {name for group in groups for name in group.flavors}
    return Wanted(
        resources=frozenset(resource for group in groups for resource in group.resources),
        labels=frozenset(
            label for name in flavors if name in world.flavors for label in world.flavors[name].node_labels
        ),
    )


def _reference(cluster: ClusterFacts) -> dict[str, str]:
    return {
        "apiVersion": MANAGED_CLUSTERS.api_version,
        "kind": MANAGED_CLUSTERS.kind,
        "name": cluster.name,
        "uid": cluster.uid,
    }
