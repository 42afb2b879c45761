"""What the demo shows at one moment, and how it follows from the informers' stores.

``assemble`` folds the stores into one frozen ``State``, of which the live view, the event lines, the
summary and the exit code are made. Times are seconds since the demo began, by our own clock when the news
arrived: the API's own timestamps are whole seconds. Nothing here reads a clock.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from kueue_ks.demo.facts import Cell, FlavorFacts, JobFacts, NodeFacts, PodFacts, QueueFacts, WorkloadFacts

SHOWN_RESOURCES: Final = ("cpu", "nvidia.com/gpu")


class Stage(Enum):
    """How far a job is; the value is what the user reads."""

    QUEUED = "waits for quota"
    PLACING = "waits for a cluster"
    STARTING = "on its way"
    RUNNING = "runs"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def admitted(self) -> bool:
        """Whether Kueue let it go."""
        return self not in (Stage.QUEUED, Stage.PLACING)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens."""
        return self in (Stage.FINISHED, Stage.FAILED)


@dataclass(frozen=True, slots=True)
class Trace:
    """When each stage was first seen, None while it was not, and every worker that had pods of the job."""

    created: float
    admitted: float | None = None
    running: float | None = None
    ended: float | None = None
    places: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Job:
    """One job. ``why``: what it waits for, "" when it does not."""

    uid: str
    name: str  # "team-a/batch-x7"
    stage: Stage
    cluster: str
    pods: int
    running: int
    why: str
    trace: Trace


@dataclass(frozen=True, slots=True)
class Bar:
    """One cell in one worker: what bound pods ask for, of what schedulable nodes have."""

    cell: Cell
    used: int
    allocatable: int


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker cluster."""

    name: str
    available: bool
    cordoned: tuple[str, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Everything that is shown."""

    now: float = 0.0
    step: str = ""
    workers: tuple[Worker, ...] = ()
    jobs: tuple[Job, ...] = ()
    nominal: Mapping[Cell, int] = field(default_factory=dict)
    reserved: Mapping[Cell, int] = field(default_factory=dict)
    hub_pods: tuple[str, ...] = ()  # every pod that was ever seen on the hub

    def count(self, *stages: Stage) -> int:
        """How many jobs are in one of the stages."""
        return sum(job.stage in stages for job in self.jobs)

    @property
    def cells(self) -> list[Cell]:
        """Cells of the queue that are worth a place on the screen: shown resources with something in them."""
        used = {bar.cell for worker in self.workers for bar in worker.bars if bar.allocatable}
        return [c for c in self.nominal if c.resource in SHOWN_RESOURCES and (self.nominal[c] or c in used)]


@dataclass(frozen=True, slots=True)
class WorkerStores:
    """What is known of one worker."""

    available: bool
    nodes: Collection[NodeFacts]
    pods: Collection[PodFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The informers' contents at one moment. Only jobs with a trace (by uid) are shown: those submitted."""

    now: float
    step: str = ""
    jobs: Iterable[JobFacts] = ()
    workloads: Iterable[WorkloadFacts] = ()
    flavors: Iterable[FlavorFacts] = ()
    queue: QueueFacts = field(default_factory=QueueFacts)
    workers: Mapping[str, WorkerStores] = field(default_factory=dict)
    hub_pods: Iterable[str] = ()
    traces: Mapping[str, Trace] = field(default_factory=dict)


def assemble(stores: Stores) -> State:
    """Fold the stores into one state; each job's trace is brought up to date with it."""
    workloads = {workload.owner_uid: workload for workload in stores.workloads}
    jobs = [
        _job(job, workloads.get(job.uid), stores.traces[job.uid], stores)
        for job in stores.jobs
        if job.uid in stores.traces
    ]
    labels = {flavor.name: flavor.node_labels for flavor in stores.flavors}
    ordered = {name: labels[name] for name in stores.queue.flavors if name in labels}
    return State(
        now=stores.now,
        step=stores.step,
        workers=tuple(_worker(name, known, ordered) for name, known in sorted(stores.workers.items())),
        jobs=tuple(sorted(jobs, key=lambda job: (job.trace.created, job.name))),
        nominal=dict(stores.queue.nominal),
        reserved=dict(stores.queue.reserved),
        hub_pods=tuple(sorted(stores.hub_pods)),
    )


def _job(job: JobFacts, workload: WorkloadFacts | None, trace: Trace, stores: Stores) -> Job:
    name = f"{job.namespace}/{job.name}"
    running = {
        worker: sum(pod.job == name and pod.running for pod in known.pods)
        for worker, known in stores.workers.items()
    }
    stage = _stage(job, workload, trace, sum(running.values()))
    seen = Trace(
        created=trace.created,
        admitted=_first(trace.admitted, stores.now, holds=stage.admitted),
        running=_first(trace.running, stores.now, holds=stage is Stage.RUNNING),
        ended=_first(trace.ended, stores.now, holds=stage.ended),
        places=trace.places | {worker for worker, pods in running.items() if pods},
    )
    return Job(
        uid=job.uid,
        name=name,
        stage=stage,
        cluster=workload.cluster if workload and workload.cluster else _only(seen.places),
        pods=job.pods,
        running=sum(running.values()),
        why=workload.message if workload and not stage.admitted else "",
        trace=seen,
    )


def _stage(job: JobFacts, workload: WorkloadFacts | None, trace: Trace, running: int) -> Stage:
    """A job runs when all its pods do, and goes on running while single ones end or are replaced."""
    if job.outcome:
        return Stage.FINISHED if job.outcome == "Complete" else Stage.FAILED
    if workload is None or not workload.quota_reserved:
        return Stage.QUEUED
    if not workload.admitted:
        return Stage.PLACING
    return Stage.RUNNING if running >= job.pods or trace.running is not None else Stage.STARTING


def _first(before: float | None, now: float, *, holds: bool) -> float | None:
    return now if before is None and holds else before


def _only(places: frozenset[str]) -> str:
    return ", ".join(sorted(places))


def _worker(name: str, known: WorkerStores, flavors: Mapping[str, Mapping[str, str]]) -> Worker:
    flavor_of = {node.name: _flavor(node, flavors) for node in known.nodes}
    usable = [node for node in known.nodes if not node.cordoned]
    bars = []
    for flavor in flavors:
        for resource in SHOWN_RESOURCES:
            allocatable = sum(n.allocatable.get(resource, 0) for n in usable if flavor_of[n.name] == flavor)
            used = sum(
                pod.requests.get(resource, 0)
                for pod in known.pods
                if not pod.ended and flavor_of.get(pod.node) == flavor
            )
            if allocatable or used:
                bars.append(Bar(Cell(flavor, resource), used, allocatable))
    cordoned = tuple(sorted(node.name for node in known.nodes if node.cordoned))
    return Worker(name, known.available, cordoned, tuple(bars))


def _flavor(node: NodeFacts, flavors: Mapping[str, Mapping[str, str]]) -> str:
    """The first flavor whose nodeLabels the node has, as QuotaManager counts it."""
    return next((f for f, labels in flavors.items() if labels.items() <= node.labels.items()), "")
