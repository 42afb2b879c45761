"""Whom a change concerns: store events become requests, and carry nothing else into a decision."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kube_runtime.objects import Key
from vocabulary import keys
from workload_controller.facts import (
    BindingFacts,
    CopyFacts,
    JobFacts,
    ManagedClusterFacts,
    PolicyFacts,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.namespaces import WdsNamespace
from workload_controller.stores import (
    BY_OWNER,
    BY_PHASE,
    BY_UID,
    BY_WAVE,
    HOLDING,
    LEAVING,
    ON_CLUSTER,
    PLACING,
    Stores,
    WorkerReport,
)


class Request(NamedTuple):
    """What to reconcile: kind "workload", "job", "namespace", "check" or "beat" (of a cluster)."""

    kind: str
    namespace: str
    name: str


class Concerns:
    """Calls ``changed`` with every request that a change concerns, from its making on."""

    def __init__(self, stores: Stores, changed: Callable[[Request], None]) -> None:
        self._stores = stores
        self._changed = changed
        self._subscribe()

    def enqueue_all(self) -> None:
        """Ask for everything to be looked at, as after a restart."""
        for namespace, name in self._stores.workloads.items():
            self._workload_changed(namespace, name)
        for job in self._stores.jobs.items().values():
            if job.deleting:
                self._changed(Request("job", job.namespace, job.name))
        for copy in self._stores.copies.items().values():
            self._workload_changed(copy.workload_namespace, copy.workload_name)
        for policy in self._stores.policies.items().values():
            self._carrier_changed(policy)
        for _, name in (*self._stores.hub_namespaces.items(), *self._stores.twins.items()):
            self._changed(Request("namespace", "", name))
        for check in self._stores.our_checks():
            self._changed(Request("check", "", check.name))
        for _, name in (*self._stores.clusters.items(), *self._stores.beats.items()):
            self._changed(Request("beat", "", name.removeprefix(keys.HEARTBEAT_PREFIX)))

    def _subscribe(self) -> None:
        self._stores.workloads.add_handler(self._workload_event)
        self._stores.jobs.add_handler(self._job_changed)
        self._stores.checks.add_handler(lambda key, _old, _new: self._check_changed(key))
        for optional in self._stores.optional:
            optional.add_handler(lambda _key, _old, _new: self._clusters_changed())
        self._stores.queues.add_handler(lambda key, _old, _new: self._queue_changed(key))
        self._stores.hub_namespaces.add_handler(
            lambda key, _old, _new: self._changed(Request("namespace", "", key[1]))
        )
        self._stores.twins.add_handler(self._twin_changed)
        self._stores.copies.add_handler(self._copy_changed)
        self._stores.policies.add_handler(self._policy_changed)
        self._stores.works.add_handler(self._work_changed)
        self._stores.bindings.add_handler(self._binding_changed)
        self._stores.reports.add_handler(self._report_changed)
        self._stores.beats.add_handler(lambda key, _old, _new: self._beat_changed(key))
        self._stores.clusters.add_handler(self._cluster_changed)
        self._stores.cluster_queues.add_handler(lambda _key, _old, _new: self._room_changed())
        self._stores.flavors.add_handler(lambda _key, _old, _new: self._room_changed())

    def _beat_changed(self, key: Key) -> None:
        """A heartbeat or its Binding: one that was on its way when its last job left is ended too."""
        self._changed(Request("beat", "", key[1].removeprefix(keys.HEARTBEAT_PREFIX)))

    def _queue_changed(self, key: Key) -> None:
        self._changed(Request("namespace", "", key[0]))
        self._room_changed()

    def _workload_event(self, key: Key, old: WorkloadFacts | None, new: WorkloadFacts | None) -> None:
        self._workload_changed(*key)
        if new is None and old is not None:
            self._changed(Request("job", old.namespace, old.owner_name))

    def _workload_changed(self, namespace: str, name: str) -> None:
        self._changed(Request("workload", namespace, name))

    def _job_changed(self, _key: Key, old: JobFacts | None, new: JobFacts | None) -> None:
        job = new or old
        if job is None:
            return
        for request in self._workloads_of(job):
            self._changed(request)
        if job.deleting:
            self._changed(Request("job", job.namespace, job.name))

    def _workloads_of(self, job: JobFacts) -> Iterable[Request]:
        for workload in self._stores.workloads.by_index(BY_OWNER, job.uid):
            yield Request("workload", workload.namespace, workload.name)

    def _copy_changed(self, key: Key, old: CopyFacts | None, new: CopyFacts | None) -> None:
        copy = new or old
        if copy is not None:
            self._workload_changed(copy.workload_namespace, copy.workload_name)
            if copy.lease_seconds is not None:
                self._changed(Request("beat", "", copy.cluster))
            self._mates_changed(copy, gone=new is None)
        if new is None:  # room is free, the name too
            self._changed(Request("namespace", "", key[0]))
            self._job_changed(key, None, self._stores.jobs.get(key))
            self._room_changed()

    def _mates_changed(self, copy: CopyFacts, *, gone: bool) -> None:
        """Who leaves its wave goes about it in another way when nobody else stays in it."""
        for mate in self._stores.copies.by_index(BY_WAVE, copy.wave):
            if mate.uid != copy.uid and mate.leaving_since is not None:
                self._workload_changed(mate.workload_namespace, mate.workload_name)
        if gone:
            self._carrier_changed(self._stores.policies.get(("", copy.wave)))

    def _policy_changed(self, key: Key, old: PolicyFacts | None, new: PolicyFacts | None) -> None:
        self._carrier_changed(old or new)
        for copy in self._stores.copies.by_index(BY_WAVE, key[1]):
            self._workload_changed(copy.workload_namespace, copy.workload_name)

    def _work_changed(self, _key: Key, old: WorkFacts | None, new: WorkFacts | None) -> None:
        work = new or old
        self._carrier_changed(work)
        if work is not None and new is None and work.lease_seconds is not None:
            self._changed(Request("beat", "", work.cluster))

    def _carrier_changed(self, carrier: PolicyFacts | WorkFacts | None) -> None:
        if carrier is not None:
            self._workload_changed(carrier.workload_namespace, carrier.workload_name)

    def _binding_changed(self, key: Key, _old: BindingFacts | None, new: BindingFacts | None) -> None:
        if key[1].startswith(keys.HEARTBEAT_PREFIX):
            self._beat_changed(key)
        for copy in self._stores.copies.by_index(BY_WAVE, key[1]):
            self._workload_changed(copy.workload_namespace, copy.workload_name)
        for job in new.jobs if new is not None else ():
            namespace, _, name = job.partition("/")
            listed = self._stores.copies.get((namespace, name))
            if listed is not None and listed.wave != key[1]:
                self._workload_changed(listed.workload_namespace, listed.workload_name)

    def _cluster_changed(
        self, key: Key, _old: ManagedClusterFacts | None, _new: ManagedClusterFacts | None
    ) -> None:
        """Lost or back: what runs there or is leaving it waits for other things now."""
        for copy in self._stores.copies.by_index(ON_CLUSTER, key[1]):
            self._workload_changed(copy.workload_namespace, copy.workload_name)
        for work in self._stores.works.by_index(ON_CLUSTER, key[1]):
            self._workload_changed(work.workload_namespace, work.workload_name)
        self._changed(Request("beat", "", key[1]))
        self._clusters_changed()

    def _report_changed(self, _key: Key, old: WorkerReport | None, new: WorkerReport | None) -> None:
        report = new or old
        if report is None:
            return
        if report.job is not None:
            copy = self._stores.copies.get((report.job.namespace, report.job.name))
            if copy is not None:
                self._workload_changed(copy.workload_namespace, copy.workload_name)
        elif report.cluster is not None:
            for leaving in self._stores.copies.by_index(LEAVING, report.cluster_name):
                self._workload_changed(leaving.workload_namespace, leaving.workload_name)
            self._problems_changed(old, new)
            self._clusters_changed()

    def _problems_changed(self, old: WorkerReport | None, new: WorkerReport | None) -> None:
        """Workloads whose pods have other troubles than in the report before."""
        before, after = (
            {w.uid: w.problem for w in report.cluster.workloads if w.problem}
            if report is not None and report.cluster is not None
            else {}
            for report in (old, new)
        )
        for uid in before.keys() | after.keys():
            if before.get(uid) != after.get(uid):
                for workload in self._stores.workloads.by_index(BY_UID, uid):
                    self._workload_changed(workload.namespace, workload.name)

    def _twin_changed(self, key: Key, _old: WdsNamespace | None, _new: WdsNamespace | None) -> None:
        self._changed(Request("namespace", "", key[1]))
        for phase in (PLACING, HOLDING):
            for workload in self._stores.workloads.by_index(BY_PHASE, phase):
                if workload.namespace == key[1]:
                    self._workload_changed(workload.namespace, workload.name)

    def _check_changed(self, key: Key) -> None:
        self._changed(Request("check", "", key[1]))
        self._room_changed()

    def _clusters_changed(self) -> None:
        for check in self._stores.our_checks():
            self._changed(Request("check", "", check.name))
        self._room_changed()

    def _room_changed(self) -> None:
        for workload in self._stores.workloads.by_index(BY_PHASE, PLACING):
            self._workload_changed(workload.namespace, workload.name)
