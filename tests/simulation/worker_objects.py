"""What a worker's API server holds: Jobs and pods, and the words on them that play a part."""

from dataclasses import dataclass, field

from kube_runtime.objects import Key, Obj

UID_LABEL = "kueue.kubestellar.io/workload-uid"
SERIAL_LABEL = "sim/job"
RUN_SECONDS = "sim/run-seconds"
FAILS = "sim/fails"
START_SECONDS = "sim/start-seconds"
TROUBLE = "sim/trouble"  # "never": its image cannot be pulled; "refused": by the worker's admission
BREAKS_ON = "sim/breaks-on"  # the worker whose node breaks the first pod of a Job
LEASE_SECONDS = "kueue.kubestellar.io/lease-seconds"
LEASED_FROM = "kueue.kubestellar.io/leased-from"


@dataclass
class Pod:
    """One pod of a worker Job, with its whole life for the oracle."""

    cluster: str
    serial: str
    job: Key
    job_uid: str
    workload_uid: str
    cpu: int
    grace: float
    created: float
    node: str = ""
    running_since: float | None = None
    ready: bool = False
    terminating_since: float | None = None
    ended: float | None = None
    succeeded: bool = False


@dataclass
class WorkerJob:
    """A Job on the worker. ``owners`` are uids of ManifestWorks; none: somebody else's own job."""

    key: Key
    uid: str
    manifest: Obj
    owners: set[str]
    serial: str
    created: float
    works: set[str] = field(default_factory=set)  # every ManifestWork that it ever belonged to
    status: Obj = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    suspended: bool = False
    deleted: float | None = None
    by_hand: bool = False
