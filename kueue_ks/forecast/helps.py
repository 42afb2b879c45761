"""What would let a job that waits for a cluster go, each line tried with the placement's own code. Pure.

A change is supposed, the same question is asked again, and only what makes the job fit is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Final

from kueue_ks.forecast.advice import Help, end_of, fits, then
from kueue_ks.forecast.reopened import closed, left_out, unheard
from kueue_ks.forecast.world import World
from vocabulary.cluster_metrics import ClusterReport, NodeGroup
from workload_controller.facts import ClusterFacts, Held, PodSet
from workload_controller.situation import Situation
from workload_controller.verdicts import Short

MOST_ENDS: Final = 3
"""Jobs whose end would help that are named; more would fill the screen and say the same."""

MOST_CLUSTERS: Final = 3
"""Clusters of one kind that are named, as above: one of them is enough."""

MOST_TRIED: Final = 200
"""Jobs that are taken away to see; where none of so many helps alone, the next would hardly."""


def helps(world: World, s: Situation) -> tuple[Help, ...]:
    """By effort: what only has to be waited for, then what administrators, then what its user can do."""
    waits = (*_ends(world, s), *islice(left_out(world, s), MOST_CLUSTERS))
    opened = (islice(lines(world, s), MOST_CLUSTERS) for lines in (closed, unheard, _nodes))
    return (*waits, *chain.from_iterable(opened), *_smaller(world, s))


def _nodes(world: World, s: Situation) -> Iterator[Help]:
    for cluster in world.clusters:
        for number, group in enumerate(cluster.report.nodes if cluster.report else ()):
            if not group.unschedulable:
                continue
            for count in sorted({1, group.count}):
                changed = _uncordoned(cluster, number, count)
                if fits(world, s, cluster.name, clusters=world.with_cluster(changed)):
                    others = f" and {count - 1} like it" if count > 1 else ""
                    do = f"kubectl --context {cluster.name} uncordon {group.name}{others}"
                    yield Help(do, f"fits {cluster.name} now", "admin")
                    break


def _uncordoned(cluster: ClusterFacts, number: int, count: int) -> ClusterFacts:
    assert cluster.report is not None
    groups = list(cluster.report.nodes)
    group = groups.pop(number)
    parts = [replace(group, count=count, unschedulable=False), replace(group, count=group.count - count)]
    nodes = (*groups, *(part for part in parts if part.count > 0))
    return replace(cluster, report=replace(cluster.report, nodes=nodes))


def _ends(world: World, s: Situation) -> Iterator[Help]:
    """Jobs on clusters that are short, each taken away alone, and only its own cluster judged again.

    First those whose end is known and near.
    """
    names = {w.uid: f"{w.namespace}/{w.owner_name or w.name}" for w in world.workloads}
    choice = world.choose(s)
    verdicts = choice.placement.verdicts if choice is not None and choice.placement is not None else ()
    short = {v.cluster for v in verdicts if isinstance(v, Short)}
    told = tried = 0
    for cluster in (c for c in world.clusters if c.name in short):
        there = [h for h in world.held if h.cluster == cluster.name]
        ends = {h.workload_uid: end_of(world, h.workload_uid) for h in there}
        for h in sorted(
            there, key=lambda h: (ends[h.workload_uid].at, names.get(h.workload_uid, ""), h.workload_uid)
        ):
            if told == MOST_ENDS or tried == MOST_TRIED:
                return
            if s.workload is not None and h.workload_uid == s.workload.uid:
                continue
            tried += 1
            without, sure = _without(cluster, h)
            rest = [other for other in there if other is not h]
            if fits(world, s, cluster.name, clusters=[without], held=rest):
                told += 1
                job = names.get(h.workload_uid, "a job that is leaving")
                word = "fits" if sure else "may fit, by where its pods are,"
                effect = then(f"{word} {cluster.name} then", ends[h.workload_uid])
                yield Help(f"wait until {job} on {cluster.name} ends", effect, "wait")


def _without(cluster: ClusterFacts, held: Held) -> tuple[ClusterFacts, bool]:
    """The cluster without the job's pods, and whether it is known on which nodes they are.

    Reports say how many pods a job has, not where: they are taken from nodes that have so much of ours.
    """
    report = cluster.report
    assert report is not None
    bound = next((w.bound for w in report.workloads if w.uid == held.workload_uid), 0)
    left = [p for p in held.pod_sets for _ in range(p.count)][:bound]
    ours = [g for g in report.nodes if _own(g)]
    sure = len(report.nodes) == 1 == report.nodes[0].count or _is_all(ours, left)
    nodes: list[NodeGroup] = []
    for group in report.nodes:
        nodes += _taken_from(group, left)
    return replace(cluster, report=_with_nodes(report, nodes)), sure or not bound


def _with_nodes(report: ClusterReport, nodes: Sequence[NodeGroup]) -> ClusterReport:
    return replace(report, nodes=tuple(nodes))


def _taken_from(group: NodeGroup, left: list[PodSet]) -> list[NodeGroup]:
    """The group's nodes one by one with pods of ``left`` taken away, which are removed from the list."""
    done: list[NodeGroup] = []
    for number in range(group.count):
        node = replace(group, count=1)
        for pod_set in tuple(left):
            own = _own(node)
            if all(own.get(r, 0) >= amount for r, amount in pod_set.requests.items() if r != "pods"):
                free = {r: amount - pod_set.requests.get(r, 0) for r, amount in node.requested.items()}
                node = replace(node, requested=free)
                left.remove(pod_set)
        if node.requested == group.requested:
            return [*done, replace(group, count=group.count - number)]
        done.append(node)
    return done


def _own(group: NodeGroup) -> dict[str, int]:
    """What pods of ours ask for on each node of the group; amounts of 0 are absent."""
    own = {r: amount - group.foreign.get(r, 0) for r, amount in group.requested.items()}
    return {r: amount for r, amount in own.items() if amount > 0}


def _is_all(groups: Sequence[NodeGroup], pods: Sequence[PodSet]) -> bool:
    """Whether these pods are all that is ours there."""
    there = _sum([(_own(g), g.count) for g in groups])
    asked = _sum([(p.requests, 1) for p in pods])
    return all(there.get(r, 0) == amount for r, amount in asked.items() if r != "pods")


def _sum(parts: Sequence[tuple[Mapping[str, int], int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for amounts, count in parts:
        for resource, amount in amounts.items():
            found[resource] = found.get(resource, 0) + amount * count
    return found


def _smaller(world: World, s: Situation) -> Iterator[Help]:
    """As many of its pods as one cluster can take; for a job of one pod set, whose size is one number."""
    w = s.workload
    if w is None or len(w.pod_sets) != 1:
        return
    (pod_set,) = w.pod_sets
    few, many = 0, pod_set.count
    where = ""
    while many - few > 1:
        middle = (few + many) // 2
        choice = world.choose(replace(s, workload=replace(w, pod_sets=(replace(pod_set, count=middle),))))
        if choice is not None and choice.placement is not None and choice.placement.choice is not None:
            few, where = middle, choice.placement.choice
        else:
            many = middle
    if few:
        do = f"ask for {few} pod{'' if few == 1 else 's'} instead of {pod_set.count}"
        yield Help(do, f"fits {where} now", "change")
