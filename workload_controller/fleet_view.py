"""What every placement asks of all clusters, gathered anew only where something has changed.

A decision looks at each cluster: its facts, what is promised on it, what that leaves free. Most of a thousand
are as they were for the job before. All of it follows from the stores and the time, so that nothing is lost
with this process; what is kept here is only not computed twice.
"""

from dataclasses import dataclass

from kube_runtime.objects import Key
from workload_controller.admission_check import judge, sharing, stands_until
from workload_controller.facts import (
    ClusterFacts,
    CopyFacts,
    Flavor,
    Held,
    ManagedClusterFacts,
    WorkloadFacts,
)
from workload_controller.ledger import held_room, holds_on
from workload_controller.promises import Promises
from workload_controller.rooms import Rooms
from workload_controller.stores import BY_CLUSTER, ON_CLUSTER, Stores, WorkerReport


@dataclass(frozen=True, slots=True)
class _Judged:
    """Facts that hold from ``since`` to ``until`` unless an object changes."""

    facts: ClusterFacts
    since: float
    until: float


class FleetView:
    """All clusters, what is promised on them, and their rooms."""

    def __init__(self, stores: Stores, *, stale_after: float, settle: float) -> None:
        self.rooms = Rooms()
        self._stores = stores
        self._stale_after = stale_after
        self._settle = settle
        self._judged: dict[str, _Judged] = {}
        self._sharing: dict[str, int] | None = None
        self._on: dict[str, tuple[Held, ...]] = {}
        self._places: dict[str, frozenset[str]] = {}
        self._changed: set[str] = set()  # clusters whose promises have to be gathered anew
        stores.clusters.add_handler(self._cluster_changed)
        stores.reports.add_handler(self._report_changed)
        stores.copies.add_handler(self._copy_changed)
        stores.workloads.add_handler(self._workload_changed)
        stores.flavors.add_handler(self._flavor_changed)

    def clusters(self, now: float) -> list[ClusterFacts]:
        """Every ManagedCluster with its newest report and whether it can be used."""
        return [self._facts(cluster, now) for cluster in self._stores.clusters.items().values()]

    def promises(self) -> Promises:
        """The ledger. Valid until the stores change: to be used before the next ``await``."""
        if self._changed:
            flavors = {flavor.name: flavor for flavor in self._stores.flavors.items().values()}
            for cluster in self._changed:
                self._gather(cluster, flavors)
            self._changed.clear()
        return Promises(self._on, self._places)

    def _facts(self, cluster: ManagedClusterFacts, now: float) -> ClusterFacts:
        kept = self._judged.get(cluster.name)
        if kept is not None and kept.since <= now <= kept.until:
            return kept.facts
        if self._sharing is None:
            self._sharing = sharing(self._stores.clusters.items().values())
        found = self._stores.reports.by_index(BY_CLUSTER, cluster.name)
        report = found[0].cluster if found else None
        rules = {"stale_after": self._stale_after, "settle": self._settle}
        facts = judge(cluster, report, self._sharing[cluster.name_label], now=now, **rules)
        until = stands_until(cluster, report, now=now, **rules)
        self._judged[cluster.name] = _Judged(facts, now, until)
        return facts

    def _gather(self, cluster: str, flavors: dict[str, Flavor]) -> None:
        held = held_room(
            self._stores.workloads.by_index(ON_CLUSTER, cluster),
            self._stores.copies.by_index(ON_CLUSTER, cluster),
            flavors,
        )
        there = tuple(h for h in held if h.cluster == cluster)
        nowhere: frozenset[str] = frozenset()
        for h in self._on.get(cluster, ()):
            left = self._places.pop(h.workload_uid, nowhere) - {cluster}
            if left:
                self._places[h.workload_uid] = left
        for h in there:
            self._places[h.workload_uid] = self._places.get(h.workload_uid, nowhere) | {cluster}
        if there:
            self._on[cluster] = there
        else:
            self._on.pop(cluster, None)

    def _cluster_changed(
        self, key: Key, _old: ManagedClusterFacts | None, new: ManagedClusterFacts | None
    ) -> None:
        self._sharing = None
        self._judged.clear()  # a label that was unique may be so no more
        if new is None:
            self.rooms.forget(key[-1])

    def _report_changed(self, _key: Key, old: WorkerReport | None, new: WorkerReport | None) -> None:
        for report in (old, new):
            if report is not None and report.cluster is not None:
                self._judged.pop(report.cluster_name, None)
        if new is not None and new.cluster is not None:
            # Now, and not for a job that comes after all of them have reported once more.
            self.rooms.refresh(new.cluster_name, new.cluster, self._on.get(new.cluster_name, ()))

    def _copy_changed(self, _key: Key, old: CopyFacts | None, new: CopyFacts | None) -> None:
        self._changed.update(copy.cluster for copy in (old, new) if copy is not None)

    def _workload_changed(self, _key: Key, old: WorkloadFacts | None, new: WorkloadFacts | None) -> None:
        for workload in (old, new):
            if workload is not None:
                self._changed.update(holds_on(workload))

    def _flavor_changed(self, _key: Key, _old: Flavor | None, _new: Flavor | None) -> None:
        self._changed.update(self._on)
