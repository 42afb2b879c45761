"""The stores as one view: facts gathered for one decision.

Nothing here decides or writes. ``works_gone_at`` is the only memory that does not follow from the stores:
when it is lost in a restart, a leaving copy waits its grace once more, which is the safe side.
"""

from collections.abc import Iterable, Mapping

from kube_runtime.objects import Key
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport
from workload_controller import waves
from workload_controller.facts import (
    ALONE,
    Check,
    ClusterFacts,
    Contact,
    CopyFacts,
    Flavor,
    Held,
    JobFacts,
    Leases,
    Mates,
    PodsReport,
    PolicyFacts,
    RemoteStatus,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.fleet_view import FleetView
from workload_controller.namespaces import EVERYWHERE, obstacle
from workload_controller.placement_policy import Known, Rules, rules_of
from workload_controller.promises import Promises
from workload_controller.rooms import Rooms
from workload_controller.situation import Situation, Timing
from workload_controller.stores import (
    BY_CLUSTER,
    BY_JOB,
    BY_NAMESPACE,
    BY_WAVE,
    BY_WORKLOAD,
    ON_CLUSTER,
    SHARED_ON,
    Stores,
    join,
)
from workload_controller.wishes import BadWish, JobPolicy, job_policy


class View:
    """Answers about one Workload, one namespace, all clusters."""

    def __init__(self, stores: Stores, *, stale_after: float, timing: Timing, defaults: JobPolicy) -> None:
        """``stale_after`` is in seconds; ``defaults`` hold for jobs whose queues and users say nothing."""
        self._stores = stores
        self._fleet = FleetView(stores, stale_after=stale_after, settle=timing.settle)
        self._timing = timing
        self._defaults = defaults
        self._works_gone_at: dict[str, float] = {}
        stores.copies.add_handler(self._forget)

    def situation(self, namespace: str, name: str, now: float) -> Situation:
        """Everything about one Workload, as the stores have it now."""
        workload = self._stores.workloads.get((namespace, name))
        copies = self._stores.copies.by_index(BY_WORKLOAD, join(namespace, name))
        copy = copies[0] if copies else None
        works = tuple(self._stores.works.by_index(BY_WORKLOAD, join(namespace, name)))
        job = self._job(workload, copy)
        binding = self._stores.bindings.get(("", copy.wave)) if copy is not None else None
        bound = copy is not None and binding is not None and not waves.has_left(copy, binding)
        policy, bad_wishes = self._policy(workload, job)
        hub_namespace = self._stores.hub_namespaces.get(("", namespace))
        check = self._our_check(workload)
        decided = (
            self._stores.clusters.get(("", check.decision.cluster)) if check and check.decision else None
        )
        places = {work.cluster for work in works} | ({copy.cluster} if copy is not None else set())
        return Situation(
            now=now,
            workload=workload,
            check=check,
            job=job,
            policy=policy,
            bad_wishes=bad_wishes,
            copy=copy,
            namesake=self._stores.copies.get((job.namespace, job.name)) if job and copy is None else None,
            policies=self._policies(namespace, name, copy),
            mates=self.mates(copy.wave, copy) if copy is not None else ALONE,
            listed=copy is not None and binding is not None and waves.lists(binding, copy),
            bound=bound,
            works=works,
            remote=self._remote(copy, works),
            pods=self._pods(copy),
            contacts={name: self.contact(name, now) for name in sorted(places)},
            works_gone_at=self._gone_at(
                copy, still_there=bound or any(copy and w.cluster == copy.cluster for w in works)
            ),
            namespace_uid=hub_namespace.uid if hub_namespace and namespace != EVERYWHERE else "",
            namespace_obstacle=obstacle(
                namespace,
                hub_namespace,
                self._stores.twins.get(("", namespace)),
            ),
            draining=decided.drain if decided is not None else "",
            foreign_bindings=self._foreign_bindings(copy),
        )

    def shared_waves(self, cluster: str) -> list[PolicyFacts]:
        """The waves of a cluster that were opened for several copies."""
        return list(self._stores.policies.by_index(SHARED_ON, cluster))

    def mates(self, wave: str, but: CopyFacts | None = None) -> Mates:
        """The copies of a wave, without one of them."""
        copies = self._stores.copies.by_index(BY_WAVE, wave)
        mates = [copy for copy in copies if but is None or copy.uid != but.uid]
        return Mates(staying=sum(copy.leaving_since is None for copy in mates), total=len(mates))

    def leaving_in(self, wave: str) -> set[str]:
        """The tombstones of a wave, as "namespace/name"."""
        copies = self._stores.copies.by_index(BY_WAVE, wave)
        return {join(c.namespace, c.name) for c in copies if c.leaving_since is not None}

    def contact(self, cluster: str, now: float) -> Contact:
        """Since when a cluster has not been heard of, and our last heartbeat for it.

        A ManagedCluster that is gone takes its ManifestWorks along, so it is not lost: nothing is left there
        to wait for. One that has reported since then was heard of later, unless its clock is ahead.
        """
        known = self._stores.clusters.get(("", cluster))
        lost = known.available_since if known is not None and known.available != "True" else None
        report, skew = self._report(cluster), self._timing.clock_skew
        if lost is not None and report is not None and report.observed_at <= now + skew:
            lost = max(lost, report.observed_at - skew)
        name = keys.HEARTBEAT_PREFIX + cluster
        beat = self._stores.beats.get((keys.SYSTEM_NAMESPACE, name))
        return Contact(lost, beat or 0.0, carried=self._stores.bindings.get(("", name)) is not None)

    def leases_on(self, cluster: str) -> Leases:
        """The leases of the copies on a cluster, and whether something leased may be left there."""
        copies = self._stores.copies.by_index(ON_CLUSTER, cluster)
        works = self._stores.works.by_index(ON_CLUSTER, cluster)
        leased = [c for c in copies if c.lease_seconds is not None]
        return Leases(
            running=tuple(c.lease_seconds or 0 for c in leased if c.leaving_since is None),
            anything=bool(leased) or any(w.lease_seconds is not None for w in works),
        )

    def cluster_facts(self, now: float) -> list[ClusterFacts]:
        """Every ManagedCluster with its newest report and whether it can be used."""
        return self._fleet.clusters(now)

    def promises(self) -> Promises:
        """The ledger, by cluster; to be used before the next ``await``."""
        return self._fleet.promises()

    def held(self) -> list[Held]:
        """The ledger."""
        return [h for held in self.promises().on.values() for h in held]

    @property
    def rooms(self) -> Rooms:
        """What the clusters have free, kept between two decisions."""
        return self._fleet.rooms

    def rules(self, check: str) -> Rules:
        """What the placement policy of an AdmissionCheck means for the clusters of now."""
        found = self._stores.checks.get(("", check))
        policies, decided = self._stores.placement_policies, self._stores.decided_clusters
        decisions: dict[tuple[str, str], frozenset[str]] = {}
        for each in decided.items().values():
            decisions[each.placement] = decisions.get(each.placement, frozenset()) | each.clusters
        known = Known(
            policies={p.name: p for p in policies.items().values()} if policies.synced else None,
            decisions=decisions if decided.synced else None,
            clusters=self.cluster_labels(),
        )
        return rules_of(found.parameters if found is not None else None, known)

    def cluster_labels(self) -> Mapping[str, Mapping[str, str]]:
        """Labels of every ManagedCluster."""
        return {c.name: c.labels for c in self._stores.clusters.items().values()}

    def known_flavors(self) -> Mapping[str, Flavor]:
        """ResourceFlavors by name."""
        return {flavor.name: flavor for flavor in self._stores.flavors.items().values()}

    def copies_in(self, namespace: str) -> int:
        """How many copies, tombstones included, a namespace of the WDS has."""
        return len(self._stores.copies.by_index(BY_NAMESPACE, namespace))

    def has_queue(self, namespace: str) -> bool:
        """Whether a hub namespace has a LocalQueue."""
        return bool(self._stores.queues.by_index(BY_NAMESPACE, namespace))

    def _policy(
        self, workload: WorkloadFacts | None, job: JobFacts | None
    ) -> tuple[JobPolicy, tuple[BadWish, ...]]:
        if workload is None:
            return self._defaults, ()
        local = self._stores.queues.get((workload.namespace, workload.queue))
        cluster = self._stores.cluster_queues.get(("", workload.cluster_queue))
        return job_policy(
            self._defaults,
            cluster_queue=cluster.wishes if cluster is not None else {},
            local_queue=local.wishes if local is not None else {},
            job=job.wishes if job is not None else {},
        )

    def _policies(self, namespace: str, name: str, copy: CopyFacts | None) -> tuple[PolicyFacts, ...]:
        """That of the copy's wave, and of those that its Workload opened the ones that carry nobody else."""
        policies, wave = self._stores.policies, copy.wave if copy is not None else ""
        opened = policies.by_index(BY_WORKLOAD, join(namespace, name))
        others = [p for p in opened if p.name != wave and not self.mates(p.name).total]
        joined = policies.get(("", wave))
        return (*others, joined) if joined is not None else tuple(others)

    def _foreign_bindings(self, copy: CopyFacts | None) -> tuple[str, ...]:
        if copy is None:
            return ()
        listing = self._stores.bindings.by_index(BY_JOB, join(copy.namespace, copy.name))
        return tuple(sorted(b.name for b in listing if b.name != copy.wave))

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
        own = [w for w in report.workloads if w.uid == copy.workload_uid]
        problem = next((w.problem for w in own if w.problem), "")
        return PodsReport(report.observed_at, sum(w.bound + w.waiting for w in own), problem)

    def _report(self, cluster: str) -> ClusterReport | None:
        found = self._stores.reports.by_index(BY_CLUSTER, cluster)
        return found[0].cluster if found else None

    def note_gone(self, copy: CopyFacts, at: float) -> None:
        """WDS and ITS have confirmed that Binding and ManifestWork of a leaving copy are gone."""
        self._works_gone_at.setdefault(copy.uid, at)

    def _gone_at(self, copy: CopyFacts | None, *, still_there: bool) -> float | None:
        if copy is None:
            return None
        if copy.leaving_since is None or still_there:
            self._works_gone_at.pop(copy.uid, None)
            return None
        return self._works_gone_at.get(copy.uid)

    def _forget(self, _key: Key, old: CopyFacts | None, new: CopyFacts | None) -> None:
        if new is None and old is not None:
            self._works_gone_at.pop(old.uid, None)
