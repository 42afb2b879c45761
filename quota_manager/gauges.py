"""Where a cluster's capacity went, for each flavor and resource: what dashboards add up.

One series for each cluster and cell that nodes were meant for, and one for each reason that leaves some of it
out: as many as there are clusters that are known and cells that managed queues have, never a node's or a
pod's name. They are made from the last decision at each scrape, so those of a cluster that left are gone.
"""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily

from quota_manager.capacity import Capacity

_CELL = ["cluster", "flavor", "resource"]


def families(capacity: Capacity | None) -> Iterator[GaugeMetricFamily]:
    """In whole units (cores, bytes, devices); without samples before the first decision."""
    allocatable = GaugeMetricFamily(
        "kueue_ks_cluster_allocatable",
        "What all nodes of a cluster that a flavor means can allocate, counted or not.",
        labels=_CELL,
    )
    foreign = GaugeMetricFamily(
        "kueue_ks_cluster_foreign_requests",
        "What pods that are not ours ask for on the nodes that count.",
        labels=_CELL,
    )
    excluded = GaugeMetricFamily(
        "kueue_ks_cluster_excluded",
        "What does not count, by reason.",
        labels=[*_CELL, "reason"],
    )
    for cluster, share in (capacity.shares if capacity else {}).items():
        for cell, part in share.parts.items():
            allocatable.add_metric([cluster, *cell], part.allocatable / 1000)
            foreign.add_metric([cluster, *cell], part.foreign / 1000)
            for why, amount in part.excluded.items():
                excluded.add_metric([cluster, *cell, str(why).replace(" ", "_")], amount / 1000)
    yield from (allocatable, foreign, excluded)
