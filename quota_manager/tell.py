"""What people are told: events on the objects they know, log lines, and metrics.

The texts are those of the verdicts. What is not as it should be is told once, and only when it lasts: a
cluster that joins has no report for some seconds, and a process that starts knows nothing.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog
from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kube_runtime.events import EventRecorder
from kube_runtime.objects import Obj
from quota_manager.capacity import Standing
from quota_manager.decision import Decision, Write
from quota_manager.facts import ClusterFacts, QueueFacts
from quota_manager.gauges import families
from quota_manager.left_out import not_counted
from quota_manager.onboarding import Refuse
from quota_manager.view import View
from vocabulary.resources import CLUSTER_QUEUES, MANAGED_CLUSTERS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

WRITES: Final = Counter(
    "kueue_ks_quota_writes_total", "ClusterQueues whose nominal quotas were written.", ["cluster_queue"]
)


LASTING: Final = 30.0
"""Seconds; a report needs 2.1 s through an idle KubeStellar, a node minutes to be replaced."""


class Teller(Collector):
    """Keeps what was told last, so that nobody is told twice; losing it costs a repetition."""

    def __init__(
        self,
        view: View,
        *,
        hub_events: EventRecorder,
        its_events: EventRecorder,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view, self._hub_events, self._its_events, self._clock = view, hub_events, its_events, clock
        self._decision: Decision | None = None
        self._since: dict[tuple[str, str], float] = {}  # what lasts, by reason and by what it is about
        self._told: set[tuple[str, str]] = set()
        self._refusals: dict[str, str] = {}

    def decided(self, decision: Decision) -> float | None:
        """Tell what lasts; the seconds until something else will have lasted long enough."""
        now, notices = self._clock(), _notices(decision)
        self._decision = decision
        self._since = {key: self._since.get(key, now) for key in notices}
        self._told &= notices.keys()
        for key, text in notices.items():
            if key not in self._told and now - self._since[key] >= LASTING:
                self._told.add(key)
                log.warning(text, reason=key[0])
                self._tell_queues(key[0], text)
        return min((self._since[key] + LASTING - now for key in notices.keys() - self._told), default=None)

    def written(self, write: Write) -> None:
        """Nominal quotas of a ClusterQueue were changed."""
        text = "; ".join(map(str, write.changes))
        log.info("nominal quotas written", cluster_queue=write.queue.key, changes=text)
        WRITES.labels(write.queue.key).inc()
        self._hub_events.record(_queue_reference(write.queue), "Normal", "NominalQuotaChanged", text)

    def refused(self, refusal: Refuse) -> None:
        """A cluster cannot be used as it is."""
        if self._refusals.get(refusal.cluster) == str(refusal):
            return
        self._refusals[refusal.cluster] = str(refusal)
        log.warning(str(refusal), reason=refusal.reason, cluster=refusal.cluster)
        cluster = self._view.clusters.get(("", refusal.cluster))
        if cluster is not None:
            self._its_events.record(_cluster_reference(cluster), "Warning", refusal.reason, str(refusal))

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The last decision as metrics, in whole units (cores, bytes, devices)."""
        nominal = GaugeMetricFamily(
            "kueue_ks_nominal_quota",
            "Nominal quota of a managed ClusterQueue.",
            labels=["cluster_queue", "flavor", "resource"],
        )
        capacity = GaugeMetricFamily(
            "kueue_ks_cluster_capacity",
            "What a cluster has of a flavor for our jobs; absent when its report is not trusted.",
            labels=["cluster", "flavor", "resource"],
        )
        age = GaugeMetricFamily(
            "kueue_ks_cluster_report_age_seconds",
            "Since the report of a cluster last changed, by our clock.",
            labels=["cluster"],
        )
        if self._decision is not None:
            for (queue, cell), amount in self._decision.nominal.items():
                nominal.add_metric([queue, *cell], amount / 1000)
            for cluster, share in self._decision.capacity.shares.items():
                for cell, amount in share.amounts.items():
                    capacity.add_metric([cluster, *cell], amount / 1000)
            for cluster, heard in self._decision.memory.heard.items():
                age.add_metric([cluster], self._clock() - heard.changed_at)
        parts = families(self._decision.capacity if self._decision else None)
        return (nominal, capacity, age, *parts)

    def _tell_queues(self, reason: str, text: str) -> None:
        for queue in self._view.quotas():
            if queue.managed:
                self._hub_events.record(_queue_reference(queue), "Warning", reason, text)


def _notices(decision: Decision) -> Mapping[tuple[str, str], str]:
    """What is not as it should be, by public reason and by what it is about."""
    notices = {("FlavorNotFound", name): _no_flavor(name) for name in decision.missing_flavors}
    notices |= {("QuotaWishUnreadable", problem): problem for problem in decision.problems}
    if decision.kept:
        notices["QuotaKept", ""] = decision.kept
    else:
        notices |= {("ClusterSilent", silent.cluster): str(silent) for silent in decision.silent}
    for overlap in decision.capacity.overlaps:
        about = "/".join((overlap.cluster, overlap.counted_as, *overlap.also))
        notices.setdefault(("FlavorsOverlap", about), str(overlap))
    for cluster, share in decision.capacity.shares.items():
        if share.report.not_counted and share.standing is not Standing.SILENT:
            text = not_counted(cluster, share.report.not_counted)
            notices["ReportNotWhole", cluster] = text
    for unmatched in decision.capacity.unmatched:
        about = f"{unmatched.cluster}/{unmatched.taint.key if unmatched.taint else ''}"
        notices.setdefault(("NodesUnused", about), str(unmatched))
    return notices


def _no_flavor(name: str) -> str:
    return f"There is no ResourceFlavor {name}, so its quotas stay as they are. Create it, or remove it here"


def _queue_reference(queue: QueueFacts) -> Obj:
    return {
        "apiVersion": CLUSTER_QUEUES.api_version,
        "kind": queue.kind,
        "name": queue.name,
        "uid": queue.uid,
    }


def _cluster_reference(cluster: ClusterFacts) -> Obj:
    return {
        "apiVersion": MANAGED_CLUSTERS.api_version,
        "kind": MANAGED_CLUSTERS.kind,
        "name": cluster.name,
        "uid": cluster.uid,
    }
