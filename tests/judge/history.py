"""Writes folded into lives: of pods, worker Jobs, nodes and the quota that Workloads hold.

Order: by the time of the request, which is that of the commit for writes that know of each other. Where
two raced, the resourceVersion decides, so that an old state never follows a new one.

A server that was killed may have committed without a record. So a life begins with the first
sight of its object, not only with its create, and ends at the latest when the name is given anew.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.judge.facts import (
    TERMINAL_PHASES,
    JobState,
    NodeState,
    PodState,
    Window,
    WorkloadState,
    Write,
)
from tests.judge.quantities import Amounts
from tests.judge.rules import WORKLOAD_CONTROLLER

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class PodLife:
    """From the first sight to a terminal phase or the removal; ``ended`` is None while it lives.

    ``bound`` is when it got its node, None when it never did. ``workload`` is "" for pods that are not ours.
    """

    cluster: str
    namespace: str
    name: str
    uid: str
    workload: str
    attempt: str
    owner: str
    requests: Amounts
    node: str
    appeared: Window
    bound: Window | None = None
    ended: Window | None = None

    @property
    def title(self) -> str:
        """How a sentence names it."""
        return f"{self.cluster} pod {self.namespace}/{self.name}"

    def lives_across(self, moment: Window, *, beyond: int = 0) -> bool:
        """Whether it certainly lived before and after ``moment``, and ``beyond`` microseconds more."""
        if self.appeared.latest > moment.earliest:
            return False
        return self.ended is None or self.ended.earliest > moment.latest + beyond


@dataclass(frozen=True, slots=True)
class JobLife:
    """A batch Job on a worker."""

    cluster: str
    namespace: str
    name: str
    uid: str
    workload: str
    attempt: str
    owner: str
    outcome: str = ""
    finished: Window | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Quota, from reserved to released. ``cause``: "QuotaReserved=False …", "Finished …" or "removed"."""

    reserved: Window
    released: Window | None = None
    cause: str = ""


DEACTIVATORS = ("kueue", WORKLOAD_CONTROLLER)
"""Kueue's cache forgets a Workload as soon as it is inactive, whatever its conditions say
(core/workload_controller.go Update). A user may want that; a program may not while pods live."""


@dataclass(slots=True)
class WorkloadLife:
    """A Workload on the hub; ``finish_reason`` is that of its condition Finished."""

    uid: str
    namespace: str
    name: str
    holds: list[Hold] = field(default_factory=list)
    finished: Window | None = None
    finish_reason: str = ""
    active: bool = True

    @property
    def holding(self) -> bool:
        """Whether the newest hold is not released."""
        return bool(self.holds) and self.holds[-1].released is None


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node as it is from ``when`` on; None when it is gone."""

    cluster: str
    name: str
    when: Window
    state: NodeState | None


@dataclass(frozen=True, slots=True)
class History:
    """All that happened; ``unreadable`` names lines ("hub.log:17") that no event could be read from."""

    writes: Sequence[Write]
    pods: Sequence[PodLife]
    jobs: dict[tuple[str, str], JobLife]
    workloads: dict[str, WorkloadLife]
    nodes: Sequence[NodeChange]
    unreadable: Sequence[str]

    @classmethod
    def of(cls, writes: Iterable[Write], unreadable: Sequence[str] = ()) -> "History":
        """Fold the writes of all servers, in any order."""
        ordered = sorted(writes, key=lambda write: (write.when.earliest, write.when.latest))
        return cls(
            writes=ordered,
            pods=_fold_pods(ordered),
            jobs=_fold_jobs(ordered),
            workloads=_fold_workloads(ordered),
            nodes=_fold_nodes(ordered),
            unreadable=unreadable,
        )

    def summary(self) -> str:
        """One line on how much was judged."""
        spaces = ", ".join(
            f"{space} {n}" for space, n in sorted(Counter(w.space for w in self.writes).items())
        )
        ours = sum(1 for pod in self.pods if pod.workload)
        known = f"{len(self.workloads)} Workloads, {ours} of {len(self.pods)} pods ours"
        return f"{len(self.writes)} writes ({spaces}); {known}"

    def top_owner(self, pod: PodLife) -> str:
        """The uid that all pods of one copy share: of the worker Job, or of what controls it (a JobSet)."""
        job = self.jobs.get((pod.cluster, pod.owner))
        return job.owner if job and job.owner else pod.owner


class _Newest:
    """Keeps an older state from following a newer one of the same object."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], int] = {}

    def __call__(self, write: Write) -> bool:
        key = (write.space, write.uid or f"{write.namespace}/{write.name}")
        if write.version and write.version < self._versions.get(key, 0):
            return False
        self._versions[key] = max(write.version, self._versions.get(key, 0))
        return True


def _fold_pods(writes: Sequence[Write]) -> list[PodLife]:
    lives: dict[tuple[str, str, str], PodLife] = {}
    past: list[PodLife] = []
    bound_at: dict[tuple[str, str, str], Window] = {}
    for write in writes:
        if write.resource != "pods":
            continue
        key = (write.space, write.namespace, write.name)
        if write.subresource == "binding":
            bound_at.setdefault(key, write.when)
        life = lives.get(key)
        if life is not None and write.uid and write.uid != life.uid and write.subresource != "binding":
            past.append(_ended(life, Window(life.appeared.latest, write.when.latest)))
            bound_at.pop(key, None)
            life = None
        if isinstance(write.state, PodState):
            life = _seen(life, write, write.state, bound_at.get(key))
        if life is not None and write.removed:
            life = _ended(life, write.when)
        if life is not None:
            lives[key] = life
    return [*past, *lives.values()]


def _seen(life: PodLife | None, write: Write, state: PodState, bound: Window | None) -> PodLife:
    if life is None:
        # Not the create itself: all that is sure is the second that the object carries.
        earliest = write.when.earliest if write.created else min(state.created, write.when.earliest)
        life = PodLife(
            cluster=write.space,
            namespace=write.namespace,
            name=write.name,
            uid=write.uid,
            workload=state.workload,
            attempt=state.attempt,
            owner=state.owner,
            requests=state.requests,
            node=state.node,
            appeared=Window(earliest, write.when.latest),
        )
    if state.node and life.bound is None:
        life = replace(life, node=state.node, bound=bound or write.when)
    if state.phase in TERMINAL_PHASES:
        life = _ended(life, write.when)
    return life


def _ended(life: PodLife, when: Window) -> PodLife:
    return life if life.ended else replace(life, ended=when)


def _fold_jobs(writes: Sequence[Write]) -> dict[tuple[str, str], JobLife]:
    jobs: dict[tuple[str, str], JobLife] = {}
    for write in writes:
        state = write.state
        if not isinstance(state, JobState):
            continue
        key = (write.space, write.uid)
        job = jobs.get(key) or JobLife(
            write.space, write.namespace, write.name, write.uid, state.workload, state.attempt, state.owner
        )
        if state.finished and job.finished is None:
            job = replace(job, outcome=state.finished, finished=write.when)
        jobs[key] = job
    return jobs


def _fold_workloads(writes: Sequence[Write]) -> dict[str, WorkloadLife]:
    lives: dict[str, WorkloadLife] = {}
    newest = _Newest()
    for write in writes:
        if write.resource != "workloads.kueue.x-k8s.io" or not write.uid:
            continue
        if isinstance(write.state, WorkloadState) and newest(write):
            life = lives.setdefault(write.uid, WorkloadLife(write.uid, write.namespace, write.name))
            _note(life, write.state, write)
        if write.removed and write.uid in lives:
            _release(lives[write.uid], write.when, "removed")
    return lives


def _note(life: WorkloadLife, state: WorkloadState, write: Write) -> None:
    when = write.when
    deactivated = life.active and not state.active
    life.active = state.active
    if state.finished:
        if life.finished is None:
            life.finished, life.finish_reason = when, state.finished
        _release(life, when, f"Finished {state.finished}")
    elif deactivated and write.user in DEACTIVATORS:
        _release(life, when, f"deactivated by {write.user}")
    elif state.reserved and state.active and not life.holding:
        life.holds.append(Hold(when))
    elif not state.reserved:
        _release(life, when, f"QuotaReserved=False {state.unreserved_reason}")


def _release(life: WorkloadLife, when: Window, cause: str) -> None:
    if life.holding:
        life.holds[-1] = replace(life.holds[-1], released=when, cause=cause)


def _fold_nodes(writes: Sequence[Write]) -> list[NodeChange]:
    changes: list[NodeChange] = []
    newest = _Newest()
    for write in writes:
        if write.resource != "nodes":
            continue
        if write.removed:
            changes.append(NodeChange(write.space, write.name, write.when, None))
        elif isinstance(write.state, NodeState) and newest(write):
            changes.append(NodeChange(write.space, write.name, write.when, write.state))
    return changes


def grouped(items: Iterable[S], key: Callable[[S], str]) -> dict[str, list[S]]:
    """Items by key, in their order."""
    groups: dict[str, list[S]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups
