"""Which cluster an attempt runs on: a verdict for every cluster, at most one choice.

Honest means: all pods of the gang are packed, node by node (``packing``), onto what is free now, that is
allocatable minus what bound pods ask for, minus the pods that other attempts have been promised and that are
not bound yet.

"Not now" and "never" are different answers. Never is said of a cluster only by proof, from a fresh report and
with every node counted as if it were empty, and of a Workload only when it holds for every cluster that it
may use: one that is silent might hold it.

Decisions only; the controller gathers and writes.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple, overload

from vocabulary.cluster_metrics import ClusterReport
from workload_controller.facts import ClusterFacts, Flavor, Held, PodSet
from workload_controller.promises import Promises, promises_of
from workload_controller.ranking import Ranking
from workload_controller.rooms import Question, Room, Rooms
from workload_controller.verdicts import (
    Barred,
    Fits,
    NoSuchNode,
    Placement,
    Short,
    TooLarge,
    Unusable,
    Verdict,
)

DEFAULT_RANKING = Ranking()
NONE_BARRED: Mapping[str, str] = MappingProxyType({})


def place(  # noqa: PLR0913  each is a fact of its own
    uid: str,
    pod_sets: Sequence[PodSet],
    clusters: Iterable[ClusterFacts],
    held: Iterable[Held] | Promises,
    flavors: Mapping[str, Flavor],
    barred: Mapping[str, str] = NONE_BARRED,
    *,
    outside: Mapping[str, str] = NONE_BARRED,
    ranking: Ranking = DEFAULT_RANKING,
    rooms: Rooms | None = None,
) -> Placement:
    """Judge every cluster for these pod sets and choose the best one where they fit.

    Without a policy that is the one that stays least loaded (``ranking``).

    ``outside``: cluster → why this Workload may not use it as it and its queue are written; ``barred``: why
    not at present.

    ``held`` is what all other attempts hold, wherever. Ties break by a hash of the uid, so that equal
    clusters share the load and the same facts give the same answer. ``rooms`` are kept by who asks often;
    they change no answer.
    """
    rooms = Rooms() if rooms is None else rooms
    promises = held if isinstance(held, Promises) else promises_of(held)
    question = rooms.question([with_flavors(pod_set, flavors) for pod_set in pod_sets if pod_set.count > 0])
    known = sorted(clusters, key=lambda c: c.name)
    own = promises.places.get(uid, ())
    seen: list[_Seen] = []
    by_rank: dict[tuple[bool, int, int, int], list[_Seen]] = {}
    for cluster in known:
        name, report = cluster.name, cluster.report
        if cluster.refusal or report is None:
            seen.append(_Seen(cluster))
            continue
        if why := outside.get(name) or barred.get(name):
            seen.append(_Seen(cluster, why))
            continue
        promised = promises.on.get(name, ())
        if name in own:
            promised = tuple(h for h in promised if h.workload_uid != uid)
        room = rooms.room(name, report, promised)
        judged = _Seen(cluster, "", room)
        seen.append(judged)
        by_rank.setdefault(ranking.rank(name, room.left_by(question)), []).append(judged)
    verdicts = Verdicts(seen, question, ranking, rooms)
    best = _best(uid, by_rank, question)
    if best is not None:
        return Placement(verdicts, best)
    return Placement(verdicts, None, _never([c for c in known if c.name not in outside], question, rooms))


def _best(
    uid: str, by_rank: Mapping[tuple[bool, int, int, int], Sequence["_Seen"]], question: Question
) -> str | None:
    """The best cluster that holds the job: what would be worse need not be packed to know that."""
    for rank in sorted(by_rank, reverse=True):
        fitting = [s.cluster.name for s in by_rank[rank] if s.room and s.room.holds(question)]
        if fitting:
            return max(fitting, key=lambda name: _tie_break(uid, name))
    return None


class _Seen(NamedTuple):
    """One cluster as a decision saw it: without a room it is unusable or barred."""

    cluster: ClusterFacts
    barred: str = ""
    room: Room | None = None


class Verdicts(Sequence[Verdict]):
    """The verdicts on all clusters, by name, each made when it is looked at: most of a thousand never are."""

    def __init__(self, seen: Sequence[_Seen], question: Question, ranking: Ranking, rooms: Rooms) -> None:
        self._seen = seen
        self._question = question
        self._ranking = ranking
        self._rooms = rooms
        self._made: dict[int, Verdict] = {}

    def __len__(self) -> int:
        return len(self._seen)

    @overload
    def __getitem__(self, at: int) -> Verdict: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Verdict]: ...
    def __getitem__(self, at: int | slice) -> Verdict | Sequence[Verdict]:
        if isinstance(at, slice):
            return tuple(self[n] for n in range(*at.indices(len(self))))
        number = range(len(self))[at]
        if number not in self._made:
            self._made[number] = self._judge(self._seen[number])
        return self._made[number]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def _judge(self, seen: _Seen) -> Verdict:
        cluster, question = seen.cluster, self._question
        if seen.barred:
            return Barred(cluster.name, seen.barred)
        if seen.room is None:
            return Unusable(cluster.name, cluster.refusal or "its agent has not reported yet")
        if seen.room.holds(question):
            free = seen.room.left_by(question)
            return Fits(cluster.name, free, self._ranking.score(cluster.name, free))
        too_small = _too_small(cluster, question, self._rooms)
        if too_small is not None:
            return too_small
        for asked in question.gang:
            if not seen.room.takes(asked):
                return _no_node(cluster.name, seen.room.report, asked.pod_set)
        return Short(cluster.name, seen.room.lack(question))


def free_room(cluster: ClusterFacts, held: Iterable[Held]) -> dict[str, int]:
    """What ``place`` would find free on this cluster, summed over the nodes that take pods now.

    Negative while more is promised than there is. A sum proves no fit, see ``packing``.
    """
    if cluster.report is None:
        return {}
    there = tuple(h for h in held if h.cluster == cluster.name)
    return Rooms().room(cluster.name, cluster.report, there).free


def with_flavors(pod_set: PodSet, flavors: Mapping[str, Flavor]) -> PodSet:
    """The pod set as Kueue starts it: its flavors' labels and tolerations injected (kueue pkg/podset)."""
    assigned = [flavors[name] for name in sorted(pod_set.flavors) if name in flavors]
    labels = dict(pod_set.node_selector)
    tolerations = list(pod_set.tolerations)
    for flavor in assigned:
        labels.update(flavor.node_labels)
        tolerations.extend(flavor.tolerations)
    return replace(pod_set, node_selector=labels, tolerations=tuple(tolerations), flavors=frozenset())


def _never(
    candidates: Iterable[ClusterFacts], question: Question, rooms: Rooms
) -> tuple[TooLarge | NoSuchNode, ...]:
    """What each of them lacks, largest room first, when none could ever hold it; () otherwise."""
    proven: list[TooLarge | NoSuchNode] = []
    for cluster in candidates:
        lacking = _too_small(cluster, question, rooms)
        if lacking is None:
            return ()
        proven.append(lacking)
    return tuple(sorted(proven, key=_room_first))


def _room_first(verdict: TooLarge | NoSuchNode) -> tuple[int, int, str]:
    if isinstance(verdict, NoSuchNode):
        return (0, 0, verdict.cluster)
    return (-verdict.lack.fitting, -verdict.lack.there, verdict.cluster)


def _too_small(cluster: ClusterFacts, question: Question, rooms: Rooms) -> TooLarge | NoSuchNode | None:
    """What a cluster whose state is known could not hold even if it were empty; None when that is open.

    A cordoned cluster is known too: it may be uncordoned, and does not grow by that. One without any node is
    being built, or grows when it is needed.
    """
    if not cluster.fresh or cluster.report is None or not cluster.report.nodes:
        return None
    empty = rooms.empty(cluster.name, cluster.report)
    for asked in question.gang:
        if not empty.takes(asked):
            return replace(_no_node(cluster.name, cluster.report, asked.pod_set), never=True)
    lack = empty.lack(question)
    return TooLarge(cluster.name, lack) if lack else None


def _no_node(cluster: str, report: ClusterReport, pod_set: PodSet) -> NoSuchNode:
    return NoSuchNode(cluster, sum(g.count for g in report.nodes), _describe(pod_set))


def _describe(pod_set: PodSet) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(pod_set.node_selector.items()))
    parts = [f"labels {labels}"] if labels else []
    parts += ["what its node affinity requires"] if pod_set.affinity else []
    return " and ".join(parts) or "the tolerations of the job"


def _tie_break(uid: str, cluster: str) -> str:
    return hashlib.sha256(f"{uid}/{cluster}".encode()).hexdigest()
