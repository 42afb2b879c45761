"""What is judged: names of users, spaces and keys, and who may write what they did not create."""

from dataclasses import dataclass, field

WORKLOAD_CONTROLLER = "kueue-ks:workload-controller"
QUOTA_MANAGER = "kueue-ks:quota-manager"
METRICS_AGENT = "kueue-ks:metrics-agent"


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, with the numbers that prove it. ``time`` is unix seconds."""

    invariant: str
    time: float
    object: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.object}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Permission:
    """Writes by ``user`` ("*": each of ours) to objects of ``resource`` that it did not create.

    ``resource`` is "plural.group", or the plural of the core group. ``fields`` limits the request's body
    to these paths of at most two steps ("status.admissionChecks"); it needs a log with request bodies.
    """

    user: str
    resource: str
    subresource: str = ""
    verbs: frozenset[str] = frozenset({"update", "patch"})
    fields: frozenset[str] | None = None


_ANY = frozenset({"update", "patch", "delete", "deletecollection"})

_MIRRORED = (
    "jobs.batch",
    "jobsets.jobset.x-k8s.io",
    "pytorchjobs.kubeflow.org",
    "tfjobs.kubeflow.org",
    "xgboostjobs.kubeflow.org",
    "jaxjobs.kubeflow.org",
    "mpijobs.kubeflow.org",
    "trainjobs.trainer.kubeflow.org",
    "rayjobs.ray.io",
    "rayclusters.ray.io",
    "appwrappers.workload.codeflare.dev",
)

PERMISSIONS = (
    Permission("*", "leases.coordination.k8s.io", verbs=_ANY),
    Permission("*", "events", verbs=_ANY),
    Permission("*", "events.events.k8s.io", verbs=_ANY),
    Permission(
        WORKLOAD_CONTROLLER,
        "workloads.kueue.x-k8s.io",
        "status",
        verbs=frozenset({"patch"}),
        fields=frozenset({"status.admissionChecks"}),
    ),
    Permission(
        WORKLOAD_CONTROLLER,
        "workloads.kueue.x-k8s.io",
        verbs=frozenset({"patch"}),
        fields=frozenset({"metadata.finalizers", "spec.active"}),
    ),
    Permission(
        WORKLOAD_CONTROLLER,
        "jobs.batch",
        verbs=frozenset({"patch"}),
        fields=frozenset({"metadata.finalizers"}),
    ),
    Permission(WORKLOAD_CONTROLLER, "admissionchecks.kueue.x-k8s.io", "status"),
    *(Permission(WORKLOAD_CONTROLLER, resource, "status") for resource in _MIRRORED),
    Permission(QUOTA_MANAGER, "clusterqueues.kueue.x-k8s.io"),
    Permission(QUOTA_MANAGER, "cohorts.kueue.x-k8s.io"),
    Permission(METRICS_AGENT, "clustermetrics.galaxy.kubestellar.io", "status"),
    # A leased job, whose worker has not heard from the hub for its lease.
    Permission(METRICS_AGENT, "jobs.batch", verbs=frozenset({"patch"}), fields=frozenset({"spec.suspend"})),
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The fleet and its promises."""

    users: frozenset[str] = frozenset({WORKLOAD_CONTROLLER, QUOTA_MANAGER, METRICS_AGENT})
    permissions: tuple[Permission, ...] = PERMISSIONS
    hub: str = "hub"
    control: frozenset[str] = frozenset({"control", "wds", "its"})
    release_tolerance: float = 0.0
    """Seconds that a pod may outlive its quota (I2)."""
    may_run_twice: frozenset[str] = frozenset()
    """UIDs of Workloads that chose ``atLeastOnce`` and whose cluster was lost: I1 and I2 are waived."""
    standing: frozenset[str] = field(
        default=frozenset(
            {
                "leases.coordination.k8s.io",
                "events",
                "events.events.k8s.io",
                "namespaces",
                "clustermetrics.galaxy.kubestellar.io",
            }
        )
    )
    """Resources whose objects may stay for ever."""

    def is_worker(self, space: str) -> bool:
        """Whether the API server of this name is a worker's."""
        return space != self.hub and space not in self.control
