"""The informers' stores as one view: facts gathered for one decision, and who is concerned by a change.

Nothing here decides or writes. ``works_gone_at`` is the only memory: when it is lost in a restart, a
leaving copy waits its grace once more, which is the safe side.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kube_runtime.informer import Informer
from kube_runtime.objects import Key, Obj
from kube_runtime.space import Space
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport, parse_report
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    JOBS,
    LOCAL_QUEUES,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
    NAMESPACES,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
    WORKLOADS,
)
from workload_controller import reading
from workload_controller.admission_check import AdmissionCheckFacts, read_admission_check, refusal_of
from workload_controller.facts import (
    Check,
    CheckState,
    ClusterFacts,
    CopyFacts,
    Flavor,
    Held,
    JobFacts,
    ManagedClusterFacts,
    PodsReport,
    PolicyFacts,
    RemoteStatus,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.ledger import held_room
from workload_controller.lifecycle import Situation
from workload_controller.namespaces import (
    HubNamespace,
    WdsNamespace,
    obstacle,
    read_hub_namespace,
    read_wds_namespace,
)

OURS = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
_BY_WORKLOAD = "workload"
_BY_PHASE = "phase"
_BY_NAMESPACE = "namespace"
_PLACING = "placing"
_HOLDING = "holding"


class Request(NamedTuple):
    """What to reconcile: kind "workload", "namespace" or "check"."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a WorkStatus brings: a Job's status or the cluster's own report."""

    job: RemoteStatus | None
    cluster: ClusterReport | None
    cluster_name: str


def read_worker_report(obj: Obj) -> WorkerReport:
    """A WorkStatus of a Job or of the cluster's ClusterMetrics; others carry neither."""
    source = (obj.get("spec") or {}).get("sourceRef") or {}
    cluster = obj["metadata"]["namespace"]
    if source.get("kind") == "ClusterMetrics" and source.get("name") == cluster:
        status = obj.get("status") or {}
        return WorkerReport(None, parse_report(status) if status else None, cluster)
    return WorkerReport(reading.read_remote_status(obj), None, cluster)


class View:
    """All stores that WorkloadController reads; ``changed`` gets every request that a change concerns."""

    def __init__(
        self, hub: Space, wds: Space, its: Space, *, changed: Callable[[Request], None], stale_after: float
    ) -> None:
        self._changed = changed
        self._stale_after = stale_after
        self._works_gone_at: dict[str, float] = {}
        self.workloads: Informer[WorkloadFacts] = Informer(
            hub, WORKLOADS, transform=reading.read_workload, indexes={_BY_PHASE: _phases}
        )
        self.jobs: Informer[JobFacts] = Informer(
            hub, JOBS, transform=reading.read_job, label_selector=keys.QUEUE_NAME
        )
        self.checks: Informer[AdmissionCheckFacts | None] = Informer(
            hub, ADMISSION_CHECKS, transform=read_admission_check
        )
        self.flavors: Informer[Flavor] = Informer(hub, RESOURCE_FLAVORS, transform=reading.read_flavor)
        self.queues: Informer[str] = Informer(
            hub,
            LOCAL_QUEUES,
            transform=_namespace_of,
            indexes={_BY_NAMESPACE: lambda namespace: (namespace,)},
        )
        self.hub_namespaces: Informer[HubNamespace] = Informer(hub, NAMESPACES, transform=read_hub_namespace)
        self.copies: Informer[CopyFacts] = Informer(
            wds,
            JOBS,
            transform=reading.read_copy,
            label_selector=OURS,
            indexes={
                _BY_WORKLOAD: lambda c: (_join(c.workload_namespace, c.workload_name),),
                _BY_NAMESPACE: lambda c: (c.namespace,),
                "wave": lambda c: (c.wave,),
                "leaving": lambda c: (c.cluster,) if c.leaving_since is not None else (),
            },
        )
        self.policies: Informer[PolicyFacts] = Informer(
            wds,
            BINDING_POLICIES,
            transform=reading.read_policy,
            label_selector=f"{OURS},{keys.WORKLOAD_UID}",
            indexes={_BY_WORKLOAD: lambda p: (_join(p.workload_namespace, p.workload_name),)},
        )
        self.bindings: Informer[str] = Informer(
            wds, BINDINGS, transform=lambda obj: str(obj["metadata"]["name"])
        )
        self.twins: Informer[WdsNamespace] = Informer(wds, NAMESPACES, transform=read_wds_namespace)
        self.clusters: Informer[ManagedClusterFacts] = Informer(
            its, MANAGED_CLUSTERS, transform=reading.read_managed_cluster
        )
        self.works: Informer[WorkFacts | None] = Informer(
            its,
            MANIFEST_WORKS,
            transform=reading.read_work,
            indexes={
                _BY_WORKLOAD: lambda w: (
                    (_join(w.workload_namespace, w.workload_name),) if w is not None else ()
                )
            },
        )
        self.reports: Informer[WorkerReport] = Informer(
            its,
            WORK_STATUSES,
            transform=read_worker_report,
            indexes={
                "job": lambda r: (_join(r.job.namespace, r.job.name),) if r.job else (),
                "cluster": lambda r: (r.cluster_name,) if r.cluster else (),
            },
        )
        self._subscribe()

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """Every informer, to run and to wait for."""
        return (
            self.workloads,
            self.jobs,
            self.checks,
            self.flavors,
            self.queues,
            self.hub_namespaces,
            self.copies,
            self.policies,
            self.bindings,
            self.twins,
            self.clusters,
            self.works,
            self.reports,
        )

    async def wait_synced(self) -> None:
        """Until every store has been filled once. Nothing may be decided before (I8)."""
        await asyncio.gather(*(informer.wait_synced() for informer in self.informers))

    def synced(self) -> bool:
        """Whether every store has been filled."""
        return all(informer.synced for informer in self.informers)

    def enqueue_all(self) -> None:
        """Ask for everything to be looked at, as after a restart."""
        for namespace, name in self.workloads.items():
            self._workload_changed(namespace, name)
        for copy in self.copies.items().values():
            self._workload_changed(copy.workload_namespace, copy.workload_name)
        for policy in self.policies.items().values():
            self._carrier_changed(policy)
        for _, name in (*self.hub_namespaces.items(), *self.twins.items()):
            self._changed(Request("namespace", "", name))
        for check in self.our_checks():
            self._changed(Request("check", "", check.name))

    def situation(self, namespace: str, name: str, now: float) -> Situation:
        """Everything about one Workload, as the stores have it now."""
        workload = self.workloads.get((namespace, name))
        copies = self.copies.by_index(_BY_WORKLOAD, _join(namespace, name))
        copy = copies[0] if copies else None
        works = tuple(w for w in self.works.by_index(_BY_WORKLOAD, _join(namespace, name)) if w is not None)
        job = self._job(workload, copy)
        bound = copy is not None and self.bindings.get(("", copy.wave)) is not None
        return Situation(
            now=now,
            workload=workload,
            check=self._our_check(workload),
            job=job,
            copy=copy,
            namesake=self.copies.get((job.namespace, job.name)) if job and copy is None else None,
            policies=tuple(self.policies.by_index(_BY_WORKLOAD, _join(namespace, name))),
            bound=bound,
            works=works,
            remote=self._remote(copy, works),
            pods=self._pods(copy),
            works_gone_at=self._gone_at(copy, now, still_there=bool(works) or bound),
            namespace_obstacle=obstacle(
                namespace, self.hub_namespaces.get(("", namespace)), self.twins.get(("", namespace))
            ),
        )

    def cluster_facts(self, now: float) -> list[ClusterFacts]:
        """Every ManagedCluster with its newest report and whether it can be used."""
        clusters = self.clusters.items().values()
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
            self.workloads.by_index(_BY_PHASE, _HOLDING), self.copies.items().values(), self.known_flavors()
        )

    def known_flavors(self) -> Mapping[str, Flavor]:
        """ResourceFlavors by name."""
        return {flavor.name: flavor for flavor in self.flavors.items().values()}

    def our_checks(self) -> list[AdmissionCheckFacts]:
        """The AdmissionChecks that name us as their controller."""
        return [check for check in self.checks.items().values() if check is not None]

    def copies_in(self, namespace: str) -> int:
        """How many copies, tombstones included, a namespace of the WDS has."""
        return len(self.copies.by_index(_BY_NAMESPACE, namespace))

    def has_queue(self, namespace: str) -> bool:
        """Whether a hub namespace has a LocalQueue."""
        return bool(self.queues.by_index(_BY_NAMESPACE, namespace))

    def _our_check(self, workload: WorkloadFacts | None) -> Check | None:
        if workload is None:
            return None
        ours = {check.name for check in self.our_checks()}
        return next((check for check in workload.checks if check.name in ours), None)

    def _job(self, workload: WorkloadFacts | None, copy: CopyFacts | None) -> JobFacts | None:
        """The Workload's owner by name and uid; a name alone proves nothing (tenants)."""
        if workload is not None:
            job = self.jobs.get((workload.namespace, workload.owner_name))
            return job if job is not None and job.uid == workload.owner_uid else None
        job = self.jobs.get((copy.namespace, copy.name)) if copy is not None else None
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
        for report in self.reports.by_index("job", _join(copy.namespace, copy.name)):
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
        found = self.reports.by_index("cluster", cluster)
        return found[0].cluster if found else None

    def _gone_at(self, copy: CopyFacts | None, now: float, *, still_there: bool) -> float | None:
        if copy is None:
            return None
        if copy.leaving_since is None or still_there:
            self._works_gone_at.pop(copy.uid, None)
            return None
        return self._works_gone_at.setdefault(copy.uid, now)

    def _subscribe(self) -> None:
        self.workloads.add_handler(lambda key, _old, _new: self._workload_changed(*key))
        self.jobs.add_handler(self._job_changed)
        self.checks.add_handler(lambda key, _old, _new: self._changed(Request("check", "", key[1])))
        self.queues.add_handler(lambda key, _old, _new: self._changed(Request("namespace", "", key[0])))
        self.hub_namespaces.add_handler(
            lambda key, _old, _new: self._changed(Request("namespace", "", key[1]))
        )
        self.twins.add_handler(self._twin_changed)
        self.copies.add_handler(self._copy_changed)
        self.policies.add_handler(lambda _key, old, new: self._carrier_changed(old or new))
        self.works.add_handler(lambda _key, old, new: self._carrier_changed(old or new))
        self.bindings.add_handler(self._binding_changed)
        self.reports.add_handler(self._report_changed)
        self.clusters.add_handler(lambda _key, _old, _new: self._clusters_changed())
        self.flavors.add_handler(lambda _key, _old, _new: self._room_changed())

    def _workload_changed(self, namespace: str, name: str) -> None:
        self._changed(Request("workload", namespace, name))

    def _job_changed(self, _key: Key, old: JobFacts | None, new: JobFacts | None) -> None:
        job = new or old
        if job is not None:
            for request in self._workloads_of(job):
                self._changed(request)

    def _workloads_of(self, job: JobFacts) -> Iterable[Request]:
        for workload in self.workloads.by_index(_BY_PHASE, f"owner:{job.uid}"):
            yield Request("workload", workload.namespace, workload.name)

    def _copy_changed(self, key: Key, old: CopyFacts | None, new: CopyFacts | None) -> None:
        copy = new or old
        if copy is not None:
            self._workload_changed(copy.workload_namespace, copy.workload_name)
        if new is None:  # room is free, the name too
            if old is not None:
                self._works_gone_at.pop(old.uid, None)
            self._changed(Request("namespace", "", key[0]))
            self._job_changed(key, None, self.jobs.get(key))
            self._room_changed()

    def _carrier_changed(self, carrier: PolicyFacts | WorkFacts | None) -> None:
        if carrier is not None:
            self._workload_changed(carrier.workload_namespace, carrier.workload_name)

    def _binding_changed(self, key: Key, _old: str | None, _new: str | None) -> None:
        for copy in self.copies.by_index("wave", key[1]):
            self._workload_changed(copy.workload_namespace, copy.workload_name)

    def _report_changed(self, _key: Key, old: WorkerReport | None, new: WorkerReport | None) -> None:
        report = new or old
        if report is None:
            return
        if report.job is not None:
            copy = self.copies.get((report.job.namespace, report.job.name))
            if copy is not None:
                self._workload_changed(copy.workload_namespace, copy.workload_name)
        elif report.cluster is not None:
            for leaving in self.copies.by_index("leaving", report.cluster_name):
                self._workload_changed(leaving.workload_namespace, leaving.workload_name)
            self._clusters_changed()

    def _twin_changed(self, key: Key, _old: WdsNamespace | None, _new: WdsNamespace | None) -> None:
        self._changed(Request("namespace", "", key[1]))
        for workload in self.workloads.by_index(_BY_PHASE, _HOLDING):
            if workload.namespace == key[1]:
                self._workload_changed(workload.namespace, workload.name)

    def _clusters_changed(self) -> None:
        for check in self.our_checks():
            self._changed(Request("check", "", check.name))
        self._room_changed()

    def _room_changed(self) -> None:
        for workload in self.workloads.by_index(_BY_PHASE, _PLACING):
            self._workload_changed(workload.namespace, workload.name)


def _phases(workload: WorkloadFacts) -> Iterable[str]:
    if workload.owner_uid:
        yield f"owner:{workload.owner_uid}"
    if not workload.quota_reserved or workload.finished:
        return
    if any(check.state is CheckState.PENDING for check in workload.checks):
        yield _PLACING
    if any(check.state is CheckState.READY for check in workload.checks):
        yield _HOLDING


def _namespace_of(obj: Obj) -> str:
    namespace: str = obj["metadata"]["namespace"]
    return namespace


def _join(namespace: str, name: str) -> str:
    return f"{namespace}/{name}"
