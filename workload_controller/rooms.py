"""What is free on each cluster, made once per report and ledger, and asked by every job.

A thousand clusters with a hundred groups of nodes are a hundred thousand groups; to look at each of them for
each job took a fifth of a second. Most of it depends on the cluster alone (what is free after the promises,
sums and largest nodes), and most of the rest on what the job asks, which many jobs have in common. So a
``Room`` is kept while its cluster's report and promises stay, and remembers its last answers.

Nothing in here is a fact of its own: whoever decides may bring new ``Rooms`` each time and gets the same
answers, later. Memory is bounded by the clusters that there are: the owner forgets those that are gone.
"""

from collections.abc import Hashable, Sequence
from typing import Final, TypeVar

from vocabulary.cluster_metrics import ClusterReport
from workload_controller.facts import Held, PodSet
from workload_controller.node_matching import NodeSort, NodeSorts
from workload_controller.packing import (
    Asked,
    Nodes,
    empty_nodes,
    free_nodes,
    lacking_now,
    lacking_when_empty,
    room_on,
)
from workload_controller.verdicts import Lack

T = TypeVar("T")

REMEMBERED: Final = 32
"""Questions that are kept, and answers per cluster: what the jobs of a burst ask is mostly alike."""


class Question:
    """What one job asks of every cluster: its pod sets with their flavors."""

    __slots__ = ("gang", "total")

    def __init__(self, wanted: Sequence[PodSet]) -> None:
        self.gang = tuple(map(Asked, wanted))
        total: dict[str, int] = {}
        for asked in self.gang:
            for resource, amount in asked.requests:
                total[resource] = total.get(resource, 0) + amount * asked.count
        self.total = tuple(total.items())


class Sums:
    """All nodes of one sort in one cluster; of each resource the amount on all and on the largest of them."""

    __slots__ = ("free", "largest", "nodes")

    def __init__(self, nodes: Sequence[Nodes]) -> None:
        self.nodes = tuple(sorted(nodes, key=_cpus, reverse=True))
        self.largest: dict[str, int] = {}
        self.free: dict[str, int] = {}  # what is owed on overfull nodes is not taken from others
        for n in nodes:
            count = n.count
            for resource, amount in n.free.items():
                if amount > 0:
                    self.free[resource] = self.free.get(resource, 0) + amount * count
                    if amount > self.largest.get(resource, 0):
                        self.largest[resource] = amount


def _cpus(nodes: Nodes) -> int:
    return nodes.free.get("cpu", 0) * nodes.count


class Room:
    """One cluster's ready, schedulable nodes with what others have been promised on them."""

    __slots__ = ("_allocatable", "_free", "_holds", "_lacks", "_left", "_sums", "held", "nodes", "report")

    def __init__(self, report: ClusterReport, held: Sequence[Held], sorts: NodeSorts) -> None:
        self.report = report
        self.held = held
        self.nodes = tuple(free_nodes(report, held, sorts))
        by_sort: dict[NodeSort, list[Nodes]] = {}
        self._free: dict[str, int] = {}
        for n in self.nodes:
            by_sort.setdefault(n.sort, []).append(n)
            for resource, amount in n.free.items():
                self._free[resource] = self._free.get(resource, 0) + amount * n.count
        self._sums = tuple((sort, Sums(nodes)) for sort, nodes in by_sort.items())
        self._allocatable: dict[str, int] = {}
        for g in report.nodes:
            if g.ready and not g.unschedulable:
                for resource, amount in g.allocatable.items():
                    self._allocatable[resource] = self._allocatable.get(resource, 0) + amount * g.count
        self._holds: dict[Question, bool] = {}
        self._left: dict[Question, int] = {}
        self._lacks: dict[Question, Lack] = {}

    @property
    def free(self) -> dict[str, int]:
        """The sum over all nodes, negative while more is promised than there is. It proves no fit."""
        return dict(self._free)

    def takes(self, asked: Asked) -> bool:
        """Whether there is any node that such pods may run on."""
        return any(asked.taken_by[sort] for sort, _ in self._sums)

    def holds(self, question: Question) -> bool:
        """Whether the job fits now. First each pod set alone: for a single one that is exact."""
        holds = self._holds.get(question)
        if holds is None:
            _make_room(self._holds)
            gang = question.gang
            holds = all(map(self._holds_alone, gang)) and (len(gang) < 2 or not lacking_now(self.nodes, gang))
            self._holds[question] = holds
        return holds

    def left_by(self, question: Question) -> int:
        """What would stay free of the scarcest requested resource, if it fits: per mille, rounded down.

        No packing is needed to know that: what fits takes from nodes that have it, to the last unit.
        """
        left = self._left.get(question)
        if left is None:
            _make_room(self._left)
            left = self._left[question] = self._share_left(question)
        return left

    def lack(self, question: Question) -> Lack:
        """What a job that does not fit lacks."""
        found = self._lacks.get(question)
        if found is None:
            _make_room(self._lacks)
            missing = lacking_now(self.nodes, question.gang)
            assert missing is not None
            found = self._lacks[question] = missing
        return found

    def _share_left(self, question: Question) -> int:
        least: int | None = None
        for resource, asked in question.total:
            there = self._allocatable.get(resource, 0)
            if there > 0:
                share = max(0, self._free.get(resource, 0) - asked) * 1000 // there
                if least is None or share < least:
                    least = share
        return least or 0

    def _holds_alone(self, asked: Asked) -> bool:
        """Mostly the first nodes hold it; where they do not, sums tell sooner than all other nodes."""
        requests, left, summed = asked.requests, asked.count, False
        usable = [sums for sort, sums in self._sums if asked.taken_by[sort]]
        for sums in usable:
            for n in sums.nodes:
                left -= room_on(n.free, requests, left) * n.count
                if left <= 0:
                    return True
                if not summed:
                    summed = True
                    if not _may_hold(usable, asked):
                        return False
        return False


def _make_room(answers: dict[Question, T]) -> None:
    if len(answers) >= REMEMBERED:
        answers.clear()


def _may_hold(usable: Sequence[Sums], asked: Asked) -> bool:
    """False is a proof that these nodes cannot hold such a pod set; True is none."""
    for resource, amount in asked.requests:
        usable = [sums for sums in usable if sums.largest.get(resource, 0) >= amount]
        if sum([sums.free[resource] for sums in usable]) < amount * asked.count:
            return False
    return True


class Empty:
    """One cluster as if nothing were on its nodes: what it could hold at most."""

    __slots__ = ("_lacks", "_nodes", "report")

    def __init__(self, report: ClusterReport, sorts: NodeSorts) -> None:
        self.report = report
        self._nodes = empty_nodes(report, sorts)
        self._lacks: dict[Question, Lack | None] = {}

    def takes(self, asked: Asked) -> bool:
        """Whether there is any node that such pods may run on when its taints are gone."""
        return any(asked.taken_by[n.sort] for n in self._nodes)

    def lack(self, question: Question) -> Lack | None:
        """What is lacking for the job whatever ends there; None when that is not proven."""
        try:
            return self._lacks[question]
        except KeyError:
            _make_room(self._lacks)
            answer = self._lacks[question] = lacking_when_empty(self._nodes, question.gang)
            return answer


class Rooms:
    """The rooms of all clusters, and the questions that were asked of them."""

    def __init__(self) -> None:
        self._sorts = NodeSorts()
        self._rooms: dict[str, Room] = {}
        self._empty: dict[str, Empty] = {}
        self._questions: dict[Hashable, Question] = {}

    def __len__(self) -> int:
        """How many rooms and questions are kept."""
        return len(self._rooms) + len(self._questions)

    def question(self, wanted: Sequence[PodSet]) -> Question:
        """The same object for jobs that ask the same; ``wanted`` has its flavors' labels and tolerations."""
        key = tuple(map(_key, wanted))
        found = self._questions.pop(key, None) or Question(wanted)
        self._questions[key] = found  # as the newest
        if len(self._questions) > REMEMBERED:
            del self._questions[next(iter(self._questions))]
        return found

    def room(self, cluster: str, report: ClusterReport, held: Sequence[Held]) -> Room:
        """What the cluster has free by this report, with these promises on it."""
        room = self._rooms.get(cluster)
        if room is None or room.report is not report or room.held != held:
            room = self._rooms[cluster] = Room(report, held, self._sorts)
        return room

    def refresh(self, cluster: str, report: ClusterReport, held: Sequence[Held]) -> None:
        """It has reported anew: make its room now, if anybody has asked for it before."""
        if cluster in self._rooms:
            self.room(cluster, report, held)

    def empty(self, cluster: str, report: ClusterReport) -> Empty:
        """What the cluster could have free by this report."""
        empty = self._empty.get(cluster)
        if empty is None or empty.report is not report:
            empty = self._empty[cluster] = Empty(report, self._sorts)
        return empty

    def forget(self, cluster: str) -> None:
        """It is gone."""
        self._rooms.pop(cluster, None)
        self._empty.pop(cluster, None)


def _key(p: PodSet) -> Hashable:
    return (
        p.name,
        p.count,
        tuple(p.requests.items()),
        tuple(p.node_selector.items()),
        p.tolerations,
        p.affinity,
    )
