"""The controller's own stores and view, filled from lists. Reads and writes nothing.

Its memory is left out: what a restarted controller would say is what is said here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from kueue_ks.views.facts import options_of
from kueue_ks.views.seen import Seen
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport
from workload_controller.admission_check import judged
from workload_controller.choice import Choice, choose
from workload_controller.facts import (
    Check,
    CheckState,
    ClusterFacts,
    CopyFacts,
    Held,
    JobFacts,
    ManagedClusterFacts,
    WorkloadFacts,
)
from workload_controller.lifecycle import next_action
from workload_controller.promises import Promises, promises_of
from workload_controller.published import Options
from workload_controller.situation import Situation
from workload_controller.steps import Place
from workload_controller.stores import Stores
from workload_controller.view import View
from workload_controller.wishes import BadWish, JobPolicy

NEEDED: Final = (
    "workloads",
    "jobs",
    "checks",
    "flavors",
    "cluster_queues",
    "local_queues",
    "hub_namespaces",
    "copies",
    "twins",
    "clusters",
    "statuses",
    "works",
)
"""Lists without which a verdict would be a guess: half a ledger shows room that is not there."""


class _Unasked(Space):
    """A space that is only a name: its informers are filled by hand."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Supposed(View):
    """A view in which some clusters or promises are other than they are."""

    clusters: Sequence[ClusterFacts] | None = None
    ledger: Sequence[Held] | None = None

    def cluster_facts(self, now: float) -> list[ClusterFacts]:
        """Every cluster as supposed."""
        return super().cluster_facts(now) if self.clusters is None else list(self.clusters)

    def promises(self) -> Promises:
        """The ledger as supposed."""
        return super().promises() if self.ledger is None else promises_of(self.ledger)

    def policy_of(
        self, workload: WorkloadFacts, job: JobFacts | None
    ) -> tuple[JobPolicy, tuple[BadWish, ...]]:
        """What queue and job ask for, of a Workload that may be supposed itself."""
        return self._policy(workload, job)


class World:
    """What the controller would know if it had just started."""

    def __init__(self, seen: Seen, options: Options | None = None) -> None:
        """``options``: those on the controller's Lease, unless others are given."""
        self.seen = seen
        self.now = seen.now
        self.options = options or options_of(seen)
        self._stores = Stores(_Unasked("hub"), _Unasked("wds"), _Unasked("its"))
        self._fill()
        self.view: View = self._view()
        self._supposed = self._view()

    @property
    def lacks(self) -> tuple[str, ...]:
        """What was not read and is needed for verdicts."""
        lacking = [name for name in NEEDED if getattr(self.seen, name) is None]
        return (*lacking, *(["workloads of other namespaces"] if self.seen.namespace else []))

    @cached_property
    def clusters(self) -> tuple[ClusterFacts, ...]:
        """Every cluster as placement sees it, by name."""
        return tuple(sorted(self.view.cluster_facts(self.now), key=lambda c: c.name))

    @cached_property
    def held(self) -> tuple[Held, ...]:
        """The ledger."""
        return tuple(self.view.held())

    @property
    def managed(self) -> dict[str, ManagedClusterFacts]:
        """ManagedClusters by name."""
        return {c.name: c for c in self._stores.clusters.items().values()}

    @cached_property
    def copies(self) -> dict[str, CopyFacts]:
        """Copies by the uid of their Workload."""
        return {c.workload_uid: c for c in self._stores.copies.items().values()}

    @cached_property
    def jobs(self) -> dict[str, JobFacts]:
        """Hub jobs by uid."""
        return {j.uid: j for j in self._stores.jobs.items().values()}

    @property
    def workloads(self) -> tuple[WorkloadFacts, ...]:
        """All Workloads, by namespace and name."""
        found = self._stores.workloads.items()
        return tuple(found[key] for key in sorted(found, key=str))

    def situation(self, workload: WorkloadFacts) -> Situation:
        """As the controller would gather it."""
        return self.view.situation(workload.namespace, workload.name, self.now)

    def holding_quota(self, workload: WorkloadFacts) -> Situation | None:
        """As if it held quota of the queue and flavors that it names; None: no check of ours there."""
        name = check_of(self.seen, workload.cluster_queue)
        s = self.situation(workload)
        if not name:
            return None
        own = s.check or Check(name, CheckState.PENDING, "", self.now, 0, None)
        check = replace(own, name=name, state=CheckState.PENDING, message="", decision=None)
        holding = replace(workload, quota_reserved=True, quota_reserved_at=self.now, evicted=False)
        policy, bad = self._supposed.policy_of(holding, s.job)
        return replace(s, workload=holding, check=check, policy=policy, bad_wishes=bad)

    def supposing(
        self, managed: ManagedClusterFacts, report: ClusterReport | None = None
    ) -> tuple[ClusterFacts, ...]:
        """All clusters as placement would see them if one ManagedCluster, or its report too, were so."""
        reports = {c.name: c.report for c in self.clusters if c.report is not None}
        return tuple(
            judged(
                [managed if c.name == managed.name else c for _, c in sorted(self.managed.items())],
                reports | ({managed.name: report} if report is not None else {}),
                now=self.now,
                stale_after=self.options.stale_after,
                settle=self.options.timing.settle,
            )
        )

    def with_cluster(self, changed: ClusterFacts) -> tuple[ClusterFacts, ...]:
        """All clusters, one of them other than it is."""
        return tuple(changed if c.name == changed.name else c for c in self.clusters)

    def choose(
        self,
        s: Situation,
        *,
        clusters: Sequence[ClusterFacts] | None = None,
        held: Sequence[Held] | None = None,
        assumed: Iterable[Held] = (),
    ) -> Choice | None:
        """Where it would go now, as things are or as supposed; None when our check has no say in it."""
        asked = asking(s)
        if asked is None or asked.check is None:
            return None
        view = self._supposed
        view.clusters = self.clusters if clusters is None else clusters
        view.ledger = self.held if held is None else held
        action = next_action(asked, self.options.timing)
        place = Place(asked.check, asked.now, asked.namespace_obstacle)
        place = action if isinstance(action, Place) else place
        return choose(asked, place, view, self.options.timing, assumed)

    def _view(self) -> _Supposed:
        options = self.options
        return _Supposed(
            self._stores, stale_after=options.stale_after, timing=options.timing, defaults=options.defaults
        )

    def _fill(self) -> None:
        stores, seen = self._stores, self.seen
        lists: dict[str, Informer[Any]] = {
            "workloads": stores.workloads,
            "jobs": stores.jobs,
            "checks": stores.checks,
            "flavors": stores.flavors,
            "local_queues": stores.queues,
            "cluster_queues": stores.cluster_queues,
            "hub_namespaces": stores.hub_namespaces,
            "placement_policies": stores.placement_policies,
            "copies": stores.copies,
            "policies": stores.policies,
            "bindings": stores.bindings,
            "beats": stores.beats,
            "twins": stores.twins,
            "clusters": stores.clusters,
            "statuses": stores.reports,
            "works": stores.works,
            "decisions": stores.decided_clusters,
        }
        for name, informer in lists.items():
            objects: Sequence[Obj] | None = getattr(seen, name)
            if objects is not None:
                informer.take(objects)


def check_of(seen: Seen, cluster_queue: str) -> str:
    """The check of ours that a ClusterQueue names, "" when there is none."""
    ours = {
        c["metadata"]["name"]
        for c in seen.checks or ()
        if c["spec"].get("controllerName") == keys.CONTROLLER_NAME
    }
    queues = seen.cluster_queues or ()
    spec: Obj = next((q["spec"] for q in queues if q["metadata"]["name"] == cluster_queue), {})
    strategy = (spec.get("admissionChecksStrategy") or {}).get("admissionChecks") or ()
    named = {*(spec.get("admissionChecks") or ()), *(each["name"] for each in strategy)}
    return min(named & ours, default="")


def asking(s: Situation) -> Situation | None:
    """The same Workload without its decision, if it has one: asking for a cluster."""
    w, check = s.workload, s.check
    if w is None or check is None:
        return None
    if check.decision is None or check.state is not CheckState.READY:
        return s
    again: Check = replace(check, state=CheckState.PENDING, decision=None)
    return replace(s, check=again, draining="")
