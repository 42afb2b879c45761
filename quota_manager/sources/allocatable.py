"""The last resort: ``ManagedCluster.status.allocatable``, one sum per resource for a whole cluster.

OCM's registration agent adds up its nodes, without unschedulable ones. That is all it says, so this source
is coarse, and used with care:

- It knows no node labels. Where any flavor of a managed queue asks for some, nothing can be said about who
  has what, and nothing is: the cluster stays silent. A 0 for want of labels would be a false zero.
- It knows neither use by others, nor taints, nor nodes that are not ready. So it never claims more of a
  resource than the cluster's last finer report had, however old that is: losing sight raises no quota.

Its age cannot be told. OCM writes it as long as its agent lives, which is what ``Available`` says, so it is
as new as the moment in which an available cluster is looked at.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from kube_runtime.quantity import parse_milli_down
from quota_manager.decision import World
from quota_manager.facts import ClusterFacts, ReportFacts
from quota_manager.sources.source import BadSample
from quota_manager.trust import Instant
from vocabulary.cluster_metrics import ClusterReport, NodeGroup

NAME: Final = "Allocatable"
WHOLE_CLUSTER: Final = "(whole cluster)"
"""Stands where other reports have the name of a node; no node can have it."""

ABSURD: Final = 2**63 * 1000
"""Milli-units; Kubernetes cannot write more (resource.Quantity)."""


class AllocatableSource:
    """Reads the sums at each look, and only the needed ones: most of the time nobody needs any."""

    name = NAME

    def __init__(self) -> None:
        self._bad: list[BadSample] = []

    def reports(self, world: World, at: Instant, needed: Collection[str]) -> Mapping[str, ReportFacts]:
        """See Source."""
        self._bad = []
        problem = labels_wanted(world) if needed else ""
        clusters = [world.clusters[name] for name in sorted(needed)]
        return {
            c.name: ReportFacts(c.name, None, problem, NAME) if problem else self._report(c, world, at)
            for c in clusters
            if c.available and c.allocatable
        }

    def bad_samples(self) -> Sequence[BadSample]:
        """See Source."""
        return self._bad

    def _report(self, cluster: ClusterFacts, world: World, at: Instant) -> ReportFacts:
        amounts, bad = read_amounts(cluster.name, cluster.allocatable)
        self._bad += bad
        last = world.reports.get(cluster.name)
        report = whole_cluster(amounts, None if last is None else last.report, at.unix)
        return ReportFacts(cluster.name, report, "", NAME)


def labels_wanted(world: World) -> str:
    """Why a sum without labels says nothing here; "" when it does."""
    for queue in world.queues.values():
        for name in (name for group in queue.groups for name in group.flavors if queue.managed):
            if name in world.flavors and world.flavors[name].node_labels:
                return f"{NAME} knows no node labels, and ResourceFlavor {name} asks for some"
    return ""


def read_amounts(cluster: str, written: Mapping[str, Any]) -> tuple[dict[str, int], list[BadSample]]:
    """Milli-units per resource, and what could not be read."""
    amounts, bad = {}, []
    for resource, value in written.items():
        try:
            amount = parse_milli_down(value)
        except (ValueError, TypeError):
            bad.append(BadSample(cluster, "malformed", resource, str(value)[:64]))
            continue
        if not 0 <= amount <= ABSURD:
            bad.append(BadSample(cluster, "out_of_range", resource, str(value)[:64]))
            continue
        amounts[resource] = amount
    return amounts, bad


def whole_cluster(amounts: Mapping[str, int], last: ClusterReport | None, now: float) -> ClusterReport:
    """A report of one node that has everything, or less: what was left for us by the last finer report."""
    if last is not None:
        left = _left(last)
        amounts = {resource: min(amount, left.get(resource, 0)) for resource, amount in amounts.items()}
    node = NodeGroup(
        name=WHOLE_CLUSTER,
        count=1,
        allocatable=amounts,
        requested={},
        foreign={},
        labels={},
        taints=(),
        unschedulable=False,
        ready=True,
    )
    return ClusterReport(observed_at=now, sequence=0, nodes=(node,), workloads=())


def _left(report: ClusterReport) -> dict[str, int]:
    """Per resource what all usable nodes together had for us."""
    total: dict[str, int] = {}
    for resource, amount in _each(report):
        total[resource] = total.get(resource, 0) + amount
    return total


def _each(report: ClusterReport) -> Iterator[tuple[str, int]]:
    for group in report.nodes:
        if group.ready and not group.unschedulable:
            for resource, amount in group.allocatable.items():
                yield resource, group.count * max(0, amount - group.foreign.get(resource, 0))
