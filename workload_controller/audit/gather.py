"""The stores as the audit's facts. Nothing is decided here, and nothing is asked of a server."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kube_runtime.informer import Informer
from kube_runtime.objects import Key
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport
from workload_controller.audit.facts import BeatFacts, PodsSeen, Rest, Subject, Twin, Unreadable
from workload_controller.lifecycle import next_action
from workload_controller.situation import Timing
from workload_controller.stores import BY_OWNER, BY_UID, BY_WORKLOAD, ON_CLUSTER, Stores, join
from workload_controller.view import View


class Gatherer:
    """Facts of one look. ``stale_after``: seconds after which a report says nothing any more."""

    def __init__(self, stores: Stores, view: View, now: float, *, timing: Timing, stale_after: float) -> None:
        self._stores, self._view, self._timing = stores, view, timing
        self.now = now
        reports = _trusted(view, now, stale_after)
        self._observed = {cluster: report.observed_at for cluster, report in reports.items()}
        self._pods: dict[str, list[PodsSeen]] = {}
        for cluster, report in sorted(reports.items()):
            for w in report.workloads:
                if w.bound + w.waiting:
                    seen = PodsSeen(cluster, w.uid, report.observed_at, w.bound + w.waiting, w.terminating)
                    self._pods.setdefault(w.uid, []).append(seen)

    def names(self) -> list[Key]:
        """Names of all Workloads that hold something, or of which something is left, sorted."""
        s = self._stores
        held = {k for k, w in s.workloads.items().items() if w.quota_reserved or w.held or w.evicted}
        carriers: tuple[Informer[Any], ...] = (s.copies, s.policies, s.works)
        bearing = (fact for informer in carriers for fact in informer.items().values())
        return sorted(held | {(fact.workload_namespace, fact.workload_name) for fact in bearing})

    def subject(self, namespace: str, name: str) -> Subject:
        """Everything that bears this Workload's name."""
        situation = self._view.situation(namespace, name, self.now)
        subject = Subject(
            namespace=namespace,
            name=name,
            situation=situation,
            action=next_action(situation, self._timing),
            copies=tuple(self._stores.copies.by_index(BY_WORKLOAD, join(namespace, name))),
            reports=self._observed,
        )
        pods = tuple(seen for uid in sorted(subject.uids) for seen in self._pods.get(uid, ()))
        return replace(subject, pods=pods) if pods else subject

    def rest(self) -> Rest:
        """What belongs to no Workload. What only the servers know (``strays``, ``leader``) is left out."""
        s = self._stores
        copies, works = s.copies.items().values(), s.works.items().values()
        return Rest(
            now=self.now,
            pods=tuple(seen for uid in sorted(self._pods) for seen in self._pods[uid]),
            places=frozenset((c.cluster, c.workload_uid) for c in copies)
            | {(w.cluster, w.workload_uid) for w in works},
            workloads={uid: found[0] for uid in self._pods if (found := s.workloads.by_index(BY_UID, uid))},
            beats=tuple(self._beats()),
            twins=tuple(self._twins()),
            held_jobs=tuple(
                job
                for key, job in sorted(s.jobs.items().items())
                if job.held
                and job.deleting
                and not s.workloads.by_index(BY_OWNER, job.uid)
                and not s.copies.get(key)
            ),
            unreadable=tuple(self._unreadable()),
        )

    def _beats(self) -> Iterable[BeatFacts]:
        s = self._stores
        named = {key[1] for key in s.beats.items()} | {key[1] for key in s.bindings.items()}
        clusters = {
            n.removeprefix(keys.HEARTBEAT_PREFIX) for n in named if n.startswith(keys.HEARTBEAT_PREFIX)
        }
        clusters |= {copy.cluster for copy in s.copies.items().values() if copy.lease_seconds is not None}
        for cluster in sorted(clusters):
            contact, leases = self._view.contact(cluster, self.now), self._view.leases_on(cluster)
            running = [c for c in s.copies.by_index(ON_CLUSTER, cluster) if c.leaving_since is None]
            yield BeatFacts(
                cluster=cluster,
                beat_at=s.beats.get((keys.SYSTEM_NAMESPACE, keys.HEARTBEAT_PREFIX + cluster)),
                carried=contact.carried,
                leases=leases.running,
                leased_from=max((c.leased_from for c in running), default=0.0),
                anything=leases.anything,
                lost=contact.lost_since is not None,
            )

    def _twins(self) -> Iterable[Twin]:
        for (_, name), twin in sorted(self._stores.twins.items().items()):
            if twin.ours:
                yield Twin(twin, self._stores.hub_namespaces.get(("", name)), self._view.copies_in(name))

    def _unreadable(self) -> Iterable[Unreadable]:
        s = self._stores
        ours: tuple[Informer[Any], ...] = (s.workloads, s.jobs, s.copies, s.policies, s.beats, s.works)
        for informer in ours:
            for namespace, name in informer.unreadable:
                yield Unreadable(informer.space.name, informer.resource.kind, namespace, name)


def _trusted(view: View, now: float, stale_after: float) -> Mapping[str, ClusterReport]:
    """Reports that are fresh by both clocks, by cluster. A rule that rests on one waits for the next."""
    return {
        cluster.name: cluster.report
        for cluster in view.cluster_facts(now)
        if cluster.report is not None and abs(now - cluster.report.observed_at) <= stale_after
    }
