"""What the audit compares: all facts about one Workload's name, and those about no Workload."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workload_controller.facts import CopyFacts, JobFacts, WorkFacts, WorkloadFacts
from workload_controller.namespaces import HubNamespace, WdsNamespace
from workload_controller.situation import Situation
from workload_controller.steps import Action


@dataclass(frozen=True, slots=True)
class PodsSeen:
    """Pods of one Workload uid on one cluster, by a report that is trusted now."""

    cluster: str
    uid: str
    observed_at: float  # the worker's clock
    alive: int
    terminating: int  # of them are being deleted

    @property
    def staying(self) -> int:
        """Those that nobody is ending."""
        return self.alive - self.terminating

    @property
    def running(self) -> str:
        """In words: "2 running pods"."""
        return f"{self.staying} running pod{'' if self.staying == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class Subject:
    """One Workload name with everything that bears it. ``action`` is the controller's own next step.

    ``copies`` has all of them, where the situation has the one that counts. ``reports`` are observation times
    of the clusters whose report is trusted now, ``pods`` what those say of its uids.
    """

    namespace: str
    name: str
    situation: Situation
    action: Action
    copies: tuple[CopyFacts, ...] = ()
    pods: tuple[PodsSeen, ...] = ()
    reports: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """As "namespace/name"."""
        return f"{self.namespace}/{self.name}"

    @property
    def uids(self) -> frozenset[str]:
        """The uids under which its carriers and pods go."""
        s = self.situation
        own = {s.workload.uid} if s.workload is not None else set()
        return frozenset(own | {c.workload_uid for c in self.copies} | {w.workload_uid for w in s.works})

    @property
    def live_copies(self) -> tuple[CopyFacts, ...]:
        """Copies that nobody withdraws."""
        return tuple(copy for copy in self.copies if copy.leaving_since is None)

    @property
    def live_works(self) -> tuple[WorkFacts, ...]:
        """ManifestWorks that nobody deletes."""
        return tuple(work for work in self.situation.works if work.deleting_since is None)


@dataclass(frozen=True, slots=True)
class BeatFacts:
    """The heartbeat of one cluster, as far as there is one."""

    cluster: str
    beat_at: float | None  # None: no ConfigMap
    carried: bool  # a Binding of it exists
    leases: tuple[int, ...]  # of the leased copies that run there, in seconds
    leased_from: float  # of the newest of them
    anything: bool  # a leased copy or ManifestWork may be left there
    lost: bool  # the cluster is not Available


@dataclass(frozen=True, slots=True)
class Twin:
    """A carried namespace of the WDS, the hub's of its name, and how many copies are in it."""

    twin: WdsNamespace
    hub: HubNamespace | None
    copies: int


@dataclass(frozen=True, slots=True)
class Stray:
    """An object that bears our finalizer and that the controller does not see by its selectors."""

    space: str
    kind: str
    namespace: str
    name: str
    uid: str
    finalizer: str
    deleting: bool
    why_unseen: str
    needed_by: tuple[str, ...]  # names of what may still be left of it


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that our reading refused."""

    space: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class LeaderFacts:
    """The Lease of WorkloadController, as far as there is one."""

    namespace: str
    name: str
    holder: str  # "" when nobody holds it
    renewed_at: float  # unix seconds
    duration: float


@dataclass(frozen=True, slots=True)
class Rest:
    """What belongs to no Workload."""

    now: float
    pods: tuple[PodsSeen, ...] = ()
    places: frozenset[tuple[str, str]] = frozenset()  # (cluster, Workload uid) of every copy and ManifestWork
    workloads: Mapping[str, WorkloadFacts] = field(
        default_factory=dict
    )  # by uid, of those with pods somewhere
    beats: tuple[BeatFacts, ...] = ()
    twins: tuple[Twin, ...] = ()
    held_jobs: tuple[JobFacts, ...] = ()  # with our finalizer, and neither Workload nor copy
    strays: tuple[Stray, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    leader: LeaderFacts | None = None  # None: not asked
