"""The stores as one view: facts gathered for one decision.

Nothing here decides or writes. ``works_gone_at`` is the only memory: when it is lost in a restart, a leaving
copy waits its grace once more, which is the safe side.
"""

from collections.abc import Iterable, Mapping

from kube_runtime.objects import Key
from vocabulary.cluster_metrics import ClusterReport
from workload_controller.admission_check import refusal_of
from workload_controller.facts import (
    Check,
    ClusterFacts,
    CopyFacts,
    Flavor,
    Held,
    JobFacts,
    PodsReport,
    RemoteStatus,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.ledger import held_room
from workload_controller.lifecycle import Situation
from workload_controller.namespaces import obstacle
from workload_controller.stores import (
    BY_CLUSTER,
    BY_JOB,
    BY_NAMESPACE,
    BY_PHASE,
    BY_WORKLOAD,
    HOLDING,
    Stores,
    join,
)


class View:
    """Answers about one Workload, one namespace, all clusters."""

    def __init__(self, stores: Stores, *, stale_after: float) -> None:
        self._stores = stores
        self._stale_after = stale_after
        self._works_gone_at: dict[str, float] = {}
        stores.copies.add_handler(self._forget)

    def situation(self, namespace: str, name: str, now: float) -> Situation:
        """Everything about one Workload, as the stores have it now."""
        workload = self._stores.workloads.get((namespace, name))
        copies = self._stores.copies.by_index(BY_WORKLOAD, join(namespace, name))
        copy = copies[0] if copies else None
        works = tuple(self._stores.works.by_index(BY_WORKLOAD, join(namespace, name)))
        job = self._job(workload, copy)
        bound = copy is not None and self._stores.bindings.get(("", copy.wave)) is not None
        return Situation(
            now=now,
            workload=workload,
            check=self._our_check(workload),
            job=job,
            copy=copy,
            namesake=self._stores.copies.get((job.namespace, job.name)) if job and copy is None else None,
            policies=tuple(self._stores.policies.by_index(BY_WORKLOAD, join(namespace, name))),
            bound=bound,
            works=works,
            remote=self._remote(copy, works),
            pods=self._pods(copy),
            works_gone_at=self._gone_at(copy, now, still_there=bool(works) or bound),
            namespace_obstacle=obstacle(
                namespace,
                self._stores.hub_namespaces.get(("", namespace)),
                self._stores.twins.get(("", namespace)),
            ),
        )

    def cluster_facts(self, now: float) -> list[ClusterFacts]:
        """Every ManagedCluster with its newest report and whether it can be used."""
        clusters = self._stores.clusters.items().values()
        sharing: dict[str, int] = {}
        for cluster in clusters:
            sharing[cluster.name_label] = sharing.get(cluster.name_label, 0) + 1
        facts = []
        for cluster in clusters:
            report = self._report(cluster.name)
            why = refusal_of(
                cluster,
                sharing_label=sharing[cluster.name_label],
                report_age=None if report is None else now - report.observed_at,
                stale_after=self._stale_after,
            )
            facts.append(ClusterFacts(cluster.name, why, report))
        return facts

    def held(self) -> list[Held]:
        """The ledger."""
        return held_room(
            self._stores.workloads.by_index(BY_PHASE, HOLDING),
            self._stores.copies.items().values(),
            self.known_flavors(),
        )

    def known_flavors(self) -> Mapping[str, Flavor]:
        """ResourceFlavors by name."""
        return {flavor.name: flavor for flavor in self._stores.flavors.items().values()}

    def copies_in(self, namespace: str) -> int:
        """How many copies, tombstones included, a namespace of the WDS has."""
        return len(self._stores.copies.by_index(BY_NAMESPACE, namespace))

    def has_queue(self, namespace: str) -> bool:
        """Whether a hub namespace has a LocalQueue."""
        return bool(self._stores.queues.by_index(BY_NAMESPACE, namespace))

    def _our_check(self, workload: WorkloadFacts | None) -> Check | None:
        if workload is None:
            return None
        ours = {check.name for check in self._stores.our_checks()}
        return next((check for check in workload.checks if check.name in ours), None)

    def _job(self, workload: WorkloadFacts | None, copy: CopyFacts | None) -> JobFacts | None:
        """The Workload's owner by name and uid; a name alone proves nothing (tenants)."""
        if workload is not None:
            job = self._stores.jobs.get((workload.namespace, workload.owner_name))
            return job if job is not None and job.uid == workload.owner_uid else None
        job = self._stores.jobs.get((copy.namespace, copy.name)) if copy is not None else None
        return job if job is not None and copy is not None and job.uid == copy.job_uid else None

    def _remote(self, copy: CopyFacts | None, works: Iterable[WorkFacts]) -> RemoteStatus | None:
        """The report on the copy's own ManifestWork, from its own cluster; any other is somebody else's."""
        if copy is None:
            return None
        own = {
            w.uid
            for w in works
            if (w.cluster, w.workload_uid, w.attempt) == (copy.cluster, copy.workload_uid, copy.attempt)
        }
        for report in self._stores.reports.by_index(BY_JOB, join(copy.namespace, copy.name)):
            job = report.job
            if job is not None and job.cluster == copy.cluster and job.work_uid in own:
                return job
        return None

    def _pods(self, copy: CopyFacts | None) -> PodsReport | None:
        report = self._report(copy.cluster) if copy is not None else None
        if report is None or copy is None:
            return None
        alive = sum(w.bound + w.waiting for w in report.workloads if w.uid == copy.workload_uid)
        return PodsReport(report.observed_at, alive)

    def _report(self, cluster: str) -> ClusterReport | None:
        found = self._stores.reports.by_index(BY_CLUSTER, cluster)
        return found[0].cluster if found else None

    def _gone_at(self, copy: CopyFacts | None, now: float, *, still_there: bool) -> float | None:
        if copy is None:
            return None
        if copy.leaving_since is None or still_there:
            self._works_gone_at.pop(copy.uid, None)
            return None
        return self._works_gone_at.setdefault(copy.uid, now)

    def _forget(self, _key: Key, old: CopyFacts | None, new: CopyFacts | None) -> None:
        if new is None and old is not None:
            self._works_gone_at.pop(old.uid, None)
