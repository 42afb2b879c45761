"""What would let a job that waits for quota go: the quota forecast, asked of changed facts. Pure.

Where the fleet was read, the placement is asked too: quota in a queue whose clusters are full helps less.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from kube_runtime.objects import Obj
from kueue_ks.amounts import amount, short_name
from kueue_ks.forecast.advice import Help, end_of, then
from kueue_ks.forecast.quota import Assignment, Quotas, usage
from kueue_ks.forecast.world import World
from workload_controller.facts import PodSet, WorkloadFacts

MOST_ENDS: Final = 3
"""Jobs whose end would help that are named; more would fill the screen and say the same."""


def quota_helps(world: World, w: WorkloadFacts, queue: str) -> tuple[Help, ...]:
    """``queue`` is its ClusterQueue. By effort: waiting, then what administrators, then what its user can do.

    () where quotas were not read, or where there is quota: then its turn has to come.
    """
    seen = world.seen
    if seen.cluster_queues is None or seen.flavors is None:
        return ()
    quotas = Quotas(seen.cluster_queues, world.view.known_flavors())
    found = quotas.assign(queue, w.pod_sets)
    if found.flavors is not None:
        return ()
    return (
        *_ends(world, w, queue, quotas, found),
        *_more(found, queue),
        *_flavors(world, w, queue, quotas),
        *_queues(world, w, queue, quotas),
    )


def _ends(world: World, w: WorkloadFacts, queue: str, quotas: Quotas, found: Assignment) -> Iterator[Help]:
    """Jobs of its queue, each of which alone holds enough; first those whose end is known and near."""
    raw = {obj["metadata"]["uid"]: obj for obj in world.seen.workloads or ()}
    holding = [o for o in world.workloads if o.cluster_queue == queue and o.quota_reserved and not o.finished]
    ends = {o.uid: end_of(world, o.uid) for o in holding}
    told = 0
    for other in sorted(holding, key=lambda o: (ends[o.uid].at, o.namespace, o.name)):
        if other.uid == w.uid or quotas.assign_without(raw[other.uid], queue, w.pod_sets).flavors is None:
            continue
        frees = _frees(raw[other.uid], found)
        do = f"wait until {other.namespace}/{other.owner_name or other.name} ends"
        yield Help(do, then(f"frees {frees}: enough quota", ends[other.uid]), "wait")
        told += 1
        if told == MOST_ENDS:
            return


def _frees(workload: Obj, found: Assignment) -> str:
    """Of what is missing."""
    missing = {need.resource for need in found.needs if need.missing}
    return ", ".join(
        f"{amount(held, cell.resource)} {short_name(cell.resource)} of flavor {cell.flavor}"
        for cell, held in sorted(usage(workload).items())
        if cell.resource in missing
    )


def _more(found: Assignment, queue: str) -> Iterator[Help]:
    for need in found.needs:
        if need.missing:
            do = f"{need.resource} {need.missing} more in flavor {need.flavor} of {queue}"
            yield Help(do, f"asks {need.asked}, free {need.free} of {need.nominal}", "admin")


def _flavors(world: World, w: WorkloadFacts, queue: str, quotas: Quotas) -> Iterator[Help]:
    """A flavor of its own queue that has quota, and that only its node selector excludes."""
    labels = {key for flavor in world.view.known_flavors().values() for key in flavor.node_labels}
    dropped = {
        f"{key}={value}" for p in w.pod_sets for key, value in p.node_selector.items() if key in labels
    }
    if not dropped:
        return
    pod_sets = tuple(
        replace(p, node_selector={k: v for k, v in p.node_selector.items() if k not in labels})
        for p in w.pod_sets
    )
    found = quotas.assign(queue, pod_sets)
    effect = _effect(world, w, w.queue, queue, pod_sets, found.flavors)
    if found.flavors is not None and effect:
        do = f"leave out node selector {', '.join(sorted(dropped))}"
        yield Help(do, f"flavor {_names(found.flavors)} of {queue} {effect}", "change")


def _queues(world: World, w: WorkloadFacts, queue: str, quotas: Quotas) -> Iterator[Help]:
    """Other LocalQueues of its namespace whose ClusterQueue has quota for it now."""
    for obj in sorted(world.seen.local_queues or (), key=lambda q: str(q["metadata"]["name"])):
        name, head = obj["metadata"]["name"], obj["spec"].get("clusterQueue", "")
        if obj["metadata"]["namespace"] != w.namespace or head == queue:
            continue
        flavors = quotas.assign(head, w.pod_sets).flavors
        effect = _effect(world, w, name, head, w.pod_sets, flavors)
        if flavors is not None and effect:
            yield Help(f"queue {name} ({head}, flavor {_names(flavors)})", effect, "change")


def _names(flavors: Mapping[str, str]) -> str:
    return ", ".join(sorted(set(flavors.values())))


def _effect(
    world: World,
    w: WorkloadFacts,
    queue: str,
    head: str,
    pod_sets: Sequence[PodSet],
    flavors: Mapping[str, str] | None,
) -> str:
    """What follows from having quota there; "" when the job would not run at all with it."""
    if world.lacks:
        return "has quota for it now; which cluster is free was not read"
    names = frozenset((flavors or {}).values())
    supposed = replace(
        w,
        queue=queue,
        cluster_queue=head,
        pod_sets=tuple(replace(p, flavors=names) for p in pod_sets),
    )
    s = world.holding_quota(supposed)
    choice = world.choose(s) if s is not None else None
    if choice is None or choice.never is not None:
        return ""
    if choice.placement is None:
        return f"has quota for it now; {choice.obstacle}"
    if choice.placement.choice is None:
        return "has quota for it now, and no cluster has room for it yet"
    return f"has quota for it now, and fits {choice.placement.choice}"
