"""A worker cluster, its Jobs and its pods."""

from dataclasses import dataclass, field

from kube_runtime.objects import Obj

OURS = "kueue.kubestellar.io/"


@dataclass(eq=False)
class Pod:
    """One pod, from its start on."""

    job: "WorkerJob"
    ready: bool = False
    alive: bool = True
    outcome: str = ""
    ending_by: float | None = None


@dataclass(eq=False)
class WorkerJob:
    """A Job on a worker, made from the manifest of one ManifestWork.

    ``excused`` where a second run is allowed: its cluster was lost under atLeastOnce, or a hand removed it.
    """

    cluster: str
    uid: str
    work_uid: str
    manifest: Obj
    created: float
    status: Obj = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    suspended: bool = False
    excused: bool = False
    terminate_by: float | None = None  # deleted or suspended: until then the pods are told

    @property
    def hub_uid(self) -> str:
        return str(self.manifest["metadata"]["annotations"][OURS + "job-uid"])

    @property
    def workload_uid(self) -> str:
        return str(self.manifest["metadata"]["labels"][OURS + "workload-uid"])

    @property
    def on_loss(self) -> str:
        return str(self.manifest["metadata"]["annotations"][OURS + "on-cluster-loss"])

    @property
    def lease(self) -> float | None:
        seconds = self.manifest["metadata"]["annotations"].get(OURS + "lease-seconds")
        return float(seconds) if seconds else None


@dataclass
class Worker:
    """``skew`` is by how many seconds its clock runs ahead."""

    name: str
    skew: float
    connected: bool = True
    refuses: bool = False
    beat: float = 0.0
    job: WorkerJob | None = None
    pods: list[Pod] = field(default_factory=list)
    removed: dict[str, float] = field(default_factory=dict)  # work uid → when its Job was deleted by hand
    report: Obj | None = None  # seen, not told yet
    statuses: dict[str, Obj] = field(default_factory=dict)  # work uid → status, seen, not told yet
