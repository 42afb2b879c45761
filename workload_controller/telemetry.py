"""What this program says of itself: one line in the log per change of state, and gauges of what stands.

The line has the same fields whatever changed, so that a search for ``key`` gives a Workload's story and one
for ``cluster`` a cluster's. It names objects and never holds one (``kube_runtime.telemetry`` sees to that).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from workload_controller.stores import BY_PHASE, HOLDING, PLACING, Stores

KIND: Final = "Workload"


def state_changed(
    logger: structlog.stdlib.BoundLogger,
    *,
    workload: str,
    state: str,
    message: str,
    cluster: str = "",
    attempt: int = 0,
    reason: str = "",
) -> None:
    """Log that a Workload is in another state now; call it after the write that made it so, once.

    ``workload`` is "namespace/name"; ``state`` the event of the line, in CamelCase and public like the reason
    of a Kubernetes Event ("Placed", "Withdrawn"); ``reason`` why, where one state has several
    ("NotReadyInTime"). What is empty is left out.
    """
    fields: Mapping[str, str | int] = {"cluster": cluster, "attempt": attempt, "reason": reason}
    logger.info(state, kind=KIND, key=workload, **{k: v for k, v in fields.items() if v}, message=message)


class StandingTelemetry(Collector):
    """Gauges of what the stores hold at the moment of the scrape."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def collect(self) -> Iterator[Metric]:
        """Count the stores."""
        workloads = GaugeMetricFamily(
            "kueue_ks_workloads", "Workloads with quota, by the state of our check.", labels=["phase"]
        )
        for phase in (PLACING, HOLDING):
            workloads.add_metric([phase], len(self._stores.workloads.by_index(BY_PHASE, phase)))
        copies = GaugeMetricFamily(
            "kueue_ks_copies",
            "Copies in the WDS; leaving ones still hold their room.",
            labels=["cluster", "state"],
        )
        standing = Counter(
            (copy.cluster, "live" if copy.leaving_since is None else "leaving")
            for copy in self._stores.copies.items().values()
        )
        for of, amount in standing.items():
            copies.add_metric(of, amount)
        yield from (workloads, copies)
