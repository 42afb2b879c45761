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

from workload_controller.facts import ClusterFacts, Flavor, Held, PodSet
from workload_controller.node_matching import may_run
from workload_controller.packing import empty_nodes, free_nodes, free_permille, lacking_when_empty, pack_gang
from workload_controller.ranking import Ranking
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


def place(
    uid: str,
    pod_sets: Sequence[PodSet],
    clusters: Iterable[ClusterFacts],
    held: Iterable[Held],
    flavors: Mapping[str, Flavor],
    barred: Mapping[str, str] = NONE_BARRED,
    *,
    outside: Mapping[str, str] = NONE_BARRED,
    ranking: Ranking = DEFAULT_RANKING,
) -> Placement:
    """Judge every cluster for these pod sets and choose the best one where they fit.

    Without a policy that is the one that stays least loaded (``ranking``).

    ``outside``: cluster → why this Workload may not use it as it and its queue are written; ``barred``: why
    not at present.

    ``held`` is what all other attempts hold, wherever. Ties break by a hash of the uid, so that equal
    clusters share the load and the same facts give the same answer.
    """
    wanted = [with_flavors(pod_set, flavors) for pod_set in pod_sets if pod_set.count > 0]
    by_cluster: dict[str, list[Held]] = {}
    for h in held:
        if h.workload_uid != uid:
            by_cluster.setdefault(h.cluster, []).append(h)
    known = sorted(clusters, key=lambda c: c.name)
    verdicts = tuple(
        _judge(
            cluster,
            wanted,
            by_cluster.get(cluster.name, []),
            outside.get(cluster.name) or barred.get(cluster.name, ""),
            ranking,
        )
        for cluster in known
    )
    fitting = [v for v in verdicts if isinstance(v, Fits)]
    best = max(fitting, key=lambda v: (v.score.rank, v.free, _tie_break(uid, v.cluster)), default=None)
    if best is not None:
        return Placement(verdicts, best.cluster)
    return Placement(verdicts, None, _never([c for c in known if c.name not in outside], wanted))


def free_room(cluster: ClusterFacts, held: Iterable[Held]) -> dict[str, int]:
    """What ``place`` would find free on this cluster, summed over the nodes that take pods now.

    Negative while more is promised than there is. A sum proves no fit, see ``packing``.
    """
    free: dict[str, int] = {}
    if cluster.report is None:
        return free
    for nodes in free_nodes(cluster.report, [h for h in held if h.cluster == cluster.name]):
        for resource, amount in nodes.free.items():
            free[resource] = free.get(resource, 0) + amount * nodes.count
    return free


def with_flavors(pod_set: PodSet, flavors: Mapping[str, Flavor]) -> PodSet:
    """The pod set as Kueue starts it: its flavors' labels and tolerations injected (kueue pkg/podset)."""
    assigned = [flavors[name] for name in sorted(pod_set.flavors) if name in flavors]
    labels = dict(pod_set.node_selector)
    tolerations = list(pod_set.tolerations)
    for flavor in assigned:
        labels.update(flavor.node_labels)
        tolerations.extend(flavor.tolerations)
    return replace(pod_set, node_selector=labels, tolerations=tuple(tolerations), flavors=frozenset())


def _judge(
    cluster: ClusterFacts, wanted: Sequence[PodSet], held: Sequence[Held], barred: str, ranking: Ranking
) -> Verdict:
    if cluster.refusal or cluster.report is None:
        return Unusable(cluster.name, cluster.refusal or "its agent has not reported yet")
    if barred:
        return Barred(cluster.name, barred)
    nodes = free_nodes(cluster.report, held)
    for pod_set in wanted:
        if not any(may_run(n.group, pod_set) for n in nodes):
            return _too_small(cluster, wanted) or _no_node(cluster, pod_set)
    left, missing = pack_gang(nodes, wanted)
    if missing is None:
        free = free_permille(left, wanted)
        return Fits(cluster.name, free, ranking.score(cluster.name, free))
    return _too_small(cluster, wanted) or Short(cluster.name, missing)


def _never(candidates: Sequence[ClusterFacts], wanted: Sequence[PodSet]) -> tuple[TooLarge | NoSuchNode, ...]:
    """What each of them lacks, largest room first, when none could ever hold it; () otherwise."""
    lacking = [_too_small(cluster, wanted) for cluster in candidates]
    proven = [each for each in lacking if each is not None]
    if len(proven) < len(candidates):
        return ()
    return tuple(sorted(proven, key=_room_first))


def _room_first(verdict: TooLarge | NoSuchNode) -> tuple[int, int, str]:
    if isinstance(verdict, NoSuchNode):
        return (0, 0, verdict.cluster)
    return (-verdict.lack.fitting, -verdict.lack.there, verdict.cluster)


def _too_small(cluster: ClusterFacts, wanted: Sequence[PodSet]) -> TooLarge | NoSuchNode | None:
    """What a cluster whose state is known could not hold even if it were empty; None when that is open.

    A cordoned cluster is known too: it may be uncordoned, and does not grow by that. One without any node is
    being built, or grows when it is needed.
    """
    if not cluster.fresh or cluster.report is None or not cluster.report.nodes:
        return None
    nodes = empty_nodes(cluster.report)
    for pod_set in wanted:
        if not any(may_run(n.group, pod_set) for n in nodes):
            return replace(_no_node(cluster, pod_set), never=True)
    lack = lacking_when_empty(nodes, wanted)
    return TooLarge(cluster.name, lack) if lack else None


def _no_node(cluster: ClusterFacts, pod_set: PodSet) -> NoSuchNode:
    total = sum(g.count for g in cluster.report.nodes) if cluster.report else 0
    return NoSuchNode(cluster.name, total, _describe(pod_set))


def _describe(pod_set: PodSet) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(pod_set.node_selector.items()))
    parts = [f"labels {labels}"] if labels else []
    parts += ["what its node affinity requires"] if pod_set.affinity else []
    return " and ".join(parts) or "the tolerations of the job"


def _tie_break(uid: str, cluster: str) -> str:
    return hashlib.sha256(f"{uid}/{cluster}".encode()).hexdigest()
