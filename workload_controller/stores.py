"""The stores that WorkloadController reads: one informer per kind and space, and its indexes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kube_runtime.informer import OPTIONAL, Informer
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport
from vocabulary.report_reading import parse_report
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    CLUSTER_QUEUES,
    CONFIG_MAPS,
    JOBS,
    LOCAL_QUEUES,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
    NAMESPACES,
    PLACEMENT_DECISIONS,
    PLACEMENT_POLICIES,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
    WORKLOADS,
)
from workload_controller import reading
from workload_controller.admission_check import AdmissionCheckFacts, read_admission_check
from workload_controller.facts import (
    BindingFacts,
    CheckState,
    CopyFacts,
    Flavor,
    JobFacts,
    ManagedClusterFacts,
    PolicyFacts,
    QueueFacts,
    RemoteStatus,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.ledger import holds_on
from workload_controller.namespaces import HubNamespace, WdsNamespace, read_hub_namespace, read_wds_namespace
from workload_controller.placement_policy import (
    DecidedClusters,
    PlacementPolicy,
    read_decided_clusters,
    read_placement_policy,
)

OURS = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"

# Indexes.
BY_WORKLOAD = "workload"
BY_OWNER = "owner"
BY_UID = "uid"
BY_PHASE = "phase"
BY_NAMESPACE = "namespace"
BY_WAVE = "wave"
BY_JOB = "job"
BY_CLUSTER = "cluster"
LEAVING = "leaving"  # by cluster
ON_CLUSTER = "on-cluster"
SHARED_ON = "shared-on"  # waves for several copies, by cluster

# Phases of a Workload with quota.
PLACING = "placing"
HOLDING = "holding"


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


class Stores:
    """All informers, each named by what it holds."""

    def __init__(self, hub: Space, wds: Space, its: Space) -> None:
        self.workloads: Informer[WorkloadFacts] = Informer(
            hub,
            WORKLOADS,
            transform=reading.read_workload,
            indexes={
                BY_PHASE: _phases,
                BY_OWNER: lambda w: (w.owner_uid,) if w.owner_uid else (),
                BY_UID: lambda w: (w.uid,),
                ON_CLUSTER: holds_on,
            },
        )
        self.jobs: Informer[JobFacts] = Informer(
            hub, JOBS, transform=reading.read_job, label_selector=keys.QUEUE_NAME
        )
        self.checks: Informer[AdmissionCheckFacts] = Informer(
            hub, ADMISSION_CHECKS, transform=read_admission_check
        )
        self.flavors: Informer[Flavor] = Informer(hub, RESOURCE_FLAVORS, transform=reading.read_flavor)
        self.queues: Informer[QueueFacts] = Informer(
            hub,
            LOCAL_QUEUES,
            transform=reading.read_queue,
            indexes={BY_NAMESPACE: lambda queue: (queue.namespace,)},
        )
        self.cluster_queues: Informer[QueueFacts] = Informer(
            hub, CLUSTER_QUEUES, transform=reading.read_queue
        )
        self.hub_namespaces: Informer[HubNamespace] = Informer(hub, NAMESPACES, transform=read_hub_namespace)
        self.copies: Informer[CopyFacts] = Informer(
            wds,
            JOBS,
            transform=reading.read_copy,
            label_selector=OURS,
            indexes={
                BY_WORKLOAD: lambda c: (join(c.workload_namespace, c.workload_name),),
                BY_NAMESPACE: lambda c: (c.namespace,),
                BY_WAVE: lambda c: (c.wave,),
                LEAVING: lambda c: (c.cluster,) if c.leaving_since is not None else (),
                ON_CLUSTER: lambda c: (c.cluster,),
            },
        )
        self.policies: Informer[PolicyFacts] = Informer(
            wds,
            BINDING_POLICIES,
            transform=reading.read_policy,
            label_selector=f"{OURS},{keys.WORKLOAD_UID}",
            indexes={
                BY_WORKLOAD: lambda p: (join(p.workload_namespace, p.workload_name),),
                SHARED_ON: lambda p: (p.cluster,) if p.size > 1 else (),
            },
        )
        self.bindings: Informer[BindingFacts] = Informer(
            wds, BINDINGS, transform=reading.read_binding, indexes={BY_JOB: lambda b: b.jobs}
        )
        self.beats: Informer[float] = Informer(
            wds,
            CONFIG_MAPS,
            transform=reading.read_beat,
            namespace=keys.SYSTEM_NAMESPACE,
            label_selector=f"{OURS},{keys.CLUSTER}",
        )
        self.twins: Informer[WdsNamespace] = Informer(wds, NAMESPACES, transform=read_wds_namespace)
        self.clusters: Informer[ManagedClusterFacts] = Informer(
            its, MANAGED_CLUSTERS, transform=reading.read_managed_cluster
        )
        # Both need not be served; what is not is looked for now and then, see ``optional``.
        self.placement_policies: Informer[PlacementPolicy] = Informer(
            hub, PLACEMENT_POLICIES, transform=read_placement_policy, pace=OPTIONAL
        )
        self.decided_clusters: Informer[DecidedClusters] = Informer(
            its, PLACEMENT_DECISIONS, transform=read_decided_clusters, pace=OPTIONAL
        )
        self.works: Informer[WorkFacts] = Informer(
            its,
            MANIFEST_WORKS,
            transform=reading.read_work,
            indexes={
                BY_WORKLOAD: lambda w: (join(w.workload_namespace, w.workload_name),),
                ON_CLUSTER: lambda w: (w.cluster,),
            },
        )
        self.reports: Informer[WorkerReport] = Informer(
            its,
            WORK_STATUSES,
            transform=read_worker_report,
            indexes={
                BY_JOB: lambda r: (join(r.job.namespace, r.job.name),) if r.job else (),
                BY_CLUSTER: lambda r: (r.cluster_name,) if r.cluster else (),
            },
        )

    @property
    def informers(self) -> tuple[Informer[Any], ...]:
        """Every informer, to run and to wait for."""
        return (
            self.workloads,
            self.jobs,
            self.checks,
            self.flavors,
            self.queues,
            self.cluster_queues,
            self.hub_namespaces,
            self.copies,
            self.policies,
            self.bindings,
            self.beats,
            self.twins,
            self.clusters,
            self.works,
            self.reports,
        )

    @property
    def optional(self) -> tuple[Informer[Any], ...]:
        """To be run and not to be waited for; what they do not know while not synced is not decided on."""
        return (self.placement_policies, self.decided_clusters)

    async def wait_synced(self) -> None:
        """Until every store has been filled once. Nothing may be decided before (I8)."""
        await asyncio.gather(*(informer.wait_synced() for informer in self.informers))

    def synced(self) -> bool:
        """Whether every store has been filled."""
        return all(informer.synced for informer in self.informers)

    def our_checks(self) -> list[AdmissionCheckFacts]:
        """The AdmissionChecks that name us as their controller."""
        return list(self.checks.items().values())


def join(namespace: str, name: str) -> str:
    """How indexes spell a namespaced name."""
    return f"{namespace}/{name}"


def _phases(workload: WorkloadFacts) -> Iterable[str]:
    if not workload.quota_reserved or workload.finished:
        return
    if any(check.state is CheckState.PENDING for check in workload.checks):
        yield PLACING
    if any(check.state is CheckState.READY for check in workload.checks):
        yield HOLDING
