"""The informers' stores as one view: the facts for a decision, and which decision a change concerns.

Nothing here decides or writes.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from kube_runtime.informer import OPTIONAL, Informer
from kube_runtime.objects import Key, Obj
from kube_runtime.space import Space
from quota_manager.decision import World
from quota_manager.facts import (
    ClusterFacts,
    Flavor,
    QueueFacts,
    ReportFacts,
    cluster_facts,
    cohort_facts,
    flavor_facts,
    newest,
    queue_facts,
    report_facts,
)
from quota_manager.onboarding import Ours, read_metrics, read_policy
from quota_manager.sinks.provided_capacity import ProviderFacts, provider_facts
from vocabulary import keys
from vocabulary.resources import (
    BINDING_POLICIES,
    CAPACITY_PROVIDERS,
    CLUSTER_METRICS,
    CLUSTER_QUEUES,
    COHORTS,
    MANAGED_CLUSTERS,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
)

OURS: Final = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
_BY_LABEL: Final = "label"
_BY_CLUSTER: Final = "cluster"


class Request(NamedTuple):
    """What has to be looked at: all quotas, or one cluster's place in the WDS."""

    kind: str
    cluster: str = ""


QUOTAS: Final = Request("quotas")


class View:
    """``changed`` is called for each request that a change in any space gives rise to."""

    def __init__(self, hub: Space, wds: Space, its: Space, *, changed: Callable[[Request], None]) -> None:
        self._changed = changed
        self.queues: Informer[QueueFacts] = Informer(hub, CLUSTER_QUEUES, transform=queue_facts)
        self.cohorts: Informer[QueueFacts] = Informer(hub, COHORTS, transform=cohort_facts)
        self.flavors: Informer[Flavor] = Informer(hub, RESOURCE_FLAVORS, transform=flavor_facts)
        self.clusters: Informer[ClusterFacts] = Informer(
            its,
            MANAGED_CLUSTERS,
            transform=cluster_facts,
            indexes={_BY_LABEL: lambda cluster: [cluster.label] if cluster.label else []},
        )
        # None for the WorkStatuses of jobs, which are most: nothing is stored for them, and nobody is told.
        self.reports: Informer[ReportFacts | None] = Informer(its, WORK_STATUSES, transform=report_facts)
        self.metrics: Informer[Ours] = Informer(
            wds, CLUSTER_METRICS, transform=read_metrics, label_selector=OURS
        )
        self.policies: Informer[Ours] = Informer(
            wds,
            BINDING_POLICIES,
            transform=read_policy,
            label_selector=f"{OURS},{keys.BASE_POLICY}=true",
            indexes={_BY_CLUSTER: lambda policy: [policy.cluster]},
        )
        # Served from Kueue 0.20 on, with its alpha APIs: looked for now and then, never waited for.
        self.providers: Informer[ProviderFacts | None] = Informer(
            hub, CAPACITY_PROVIDERS, transform=provider_facts, pace=OPTIONAL
        )
        self.informers = (
            *(self.queues, self.cohorts, self.flavors),
            *(self.clusters, self.reports, self.metrics, self.policies),
        )
        self._listen()

    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return all(informer.synced for informer in self.informers)

    async def wait_synced(self) -> None:
        """Return when everything has been listed once."""
        await asyncio.gather(*(informer.wait_synced() for informer in self.informers))

    def world(self) -> World:
        """All that the quotas depend on."""
        reports: dict[str, ReportFacts] = {}
        for report in self.reports.items().values():
            if report is not None:
                known = reports.get(report.cluster)
                reports[report.cluster] = report if known is None else newest(known, report)
        return World(
            clusters={name: cluster for (_, name), cluster in self.clusters.items().items()},
            reports=reports,
            flavors={name: flavor for (_, name), flavor in self.flavors.items().items()},
            queues={queue.key: queue for queue in self.quotas()},
        )

    def our_providers(self) -> dict[str, ProviderFacts]:
        """The CapacityProviders that are ours to serve; none where the kind is not served."""
        known = self.providers.items().values()
        return {provider.name: provider for provider in known if provider is not None}

    def quotas(self) -> list[QueueFacts]:
        """Everything that has nominal quotas."""
        return [*self.queues.items().values(), *self.cohorts.items().values()]

    def observe_quotas(self, queue: QueueFacts, answer: Obj) -> None:
        """Know our own write before its event comes."""
        informer = self.cohorts if queue.kind == COHORTS.kind else self.queues
        informer.observe(answer)

    def namesakes(self, name: str) -> list[str]:
        """Clusters whose label claims this name."""
        return [cluster.name for cluster in self.clusters.by_index(_BY_LABEL, name)]

    def policy_of(self, cluster: str) -> Ours | None:
        """Its base policy."""
        return next(iter(self.policies.by_index(_BY_CLUSTER, cluster)), None)

    def enqueue_all(self) -> None:
        """Have everything looked at."""
        self._changed(QUOTAS)
        self._enqueue_clusters(name for _, name in self.clusters.items())
        self._enqueue_clusters(ours.cluster for ours in self._ours())

    def _listen(self) -> None:
        for informer in (self.queues, self.cohorts, self.flavors, self.reports, self.providers):
            informer.add_handler(lambda _key, _old, _new: self._changed(QUOTAS))
        self.clusters.add_handler(self._cluster_changed)
        for objects in (self.metrics, self.policies):
            objects.add_handler(self._ours_changed)

    def _cluster_changed(self, key: Key, old: ClusterFacts | None, new: ClusterFacts | None) -> None:
        """Concerned are the cluster and those whose name its label claims, or claimed before.

        With a new cluster so are the leftovers: they are kept while there is no cluster at all.
        """
        self._changed(QUOTAS)
        labels = (facts.label for facts in (old, new) if facts is not None and facts.label)
        self._enqueue_clusters([key[1], *labels])
        if old is None:
            self._enqueue_clusters(
                ours.cluster for ours in self._ours() if self.clusters.get(("", ours.cluster)) is None
            )

    def _ours_changed(self, _key: Key, old: Ours | None, new: Ours | None) -> None:
        self._enqueue_clusters(ours.cluster for ours in (old, new) if ours is not None)

    def _enqueue_clusters(self, names: Iterable[str]) -> None:
        for name in names:
            self._changed(Request("cluster", name))

    def _ours(self) -> list[Ours]:
        return [*self.metrics.items().values(), *self.policies.items().values()]
