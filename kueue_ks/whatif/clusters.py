"""What cordoning or draining a cluster would do to quotas, waiting jobs and those that run there. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli
from kueue_ks.forecast.quota import UNSEEN, Quotas
from kueue_ks.forecast.verdicts import total
from kueue_ks.forecast.world import World, asking
from kueue_ks.views.clusters import resource_order
from kueue_ks.views.facts import Facts, rfc3339
from kueue_ks.views.order import place_of
from kueue_ks.whatif.report import Move, QuotaChange, WhatIf
from quota_manager import decision, trust
from quota_manager.facts import Cell, cluster_facts, flavor_facts, is_managed, queue_facts
from vocabulary.cordon import Cordon
from workload_controller.facts import CheckState, ClusterFacts, Held, WorkloadFacts
from workload_controller.placement import with_flavors
from workload_controller.situation import Situation
from workload_controller.verdicts import Fits, NoSuchNode, Short

TURNS: Final = (
    "whose turn is first, and whether a job that waits now comes before: they are taken by priority and uid"
)


def cordon(world: World, facts: Facts, cluster: str) -> WhatIf:
    """New jobs go elsewhere, those there stay: who loses the last cluster that could hold it?"""
    after = _cordoned(world, cluster, draining=False)
    return WhatIf(
        at=rfc3339(world.now),
        verb="cordon",
        cluster=cluster,
        stays=tuple(_name(w) for w in _placed_on(world, cluster)),
        loses=tuple(_losers(world, cluster, after)),
        quota=tuple(_changes(facts, quota_without(facts, world, cluster))),
        options_known=world.options.known,
        unread=facts.unread,
    )


def drain(world: World, facts: Facts, cluster: str) -> WhatIf:
    """Its jobs queue again, in Kueue's order behind those that wait, and go where there is quota and room."""
    after = _cordoned(world, cluster, draining=True)
    nominal = quota_without(facts, world, cluster, empty=True)
    there = {w.uid: w for w in _placed_on(world, cluster)}
    raw = {obj["metadata"]["uid"]: obj for obj, _ in facts.workloads or ()}
    quotas = Quotas(facts.seen.cluster_queues or (), world.view.known_flavors())
    quotas.change_nominal(nominal)
    for uid, w in there.items():
        quotas.give_back(w.cluster_queue, raw[uid])
    moves: dict[str, Move] = {}
    assumed: list[Held] = []
    for uid in sorted(there, key=lambda uid: (place_of(raw[uid]).behind, uid)):
        moves[uid] = _move(world, there[uid], quotas, after, assumed)
    return WhatIf(
        at=rfc3339(world.now),
        verb="drain",
        cluster=cluster,
        moves=tuple(moves[uid] for uid in sorted(moves, key=lambda u: _name(there[u]))),
        loses=tuple(_losers(world, cluster, after)),
        quota=tuple(_changes(facts, nominal)),
        unknown=(UNSEEN, TURNS) if moves else (),
        options_known=world.options.known,
        unread=facts.unread,
    )


def _move(
    world: World,
    w: WorkloadFacts,
    quotas: Quotas,
    clusters: tuple[ClusterFacts, ...],
    assumed: list[Held],
) -> Move:
    move = Move(w.namespace, w.owner_name or w.name, _asks(w), "", "")
    quota = quotas.take(w.cluster_queue, w.pod_sets)
    if quota.flavors is None:
        return replace(move, why=quota.why)
    flavors = frozenset(quota.flavors.values())
    pod_sets = tuple(replace(p, flavors=flavors) for p in w.pod_sets)
    situation = world.situation(w)
    situation = replace(situation, workload=replace(w, pod_sets=pod_sets))
    choice = world.choose(situation, clusters=clusters, assumed=assumed)
    if choice is None or choice.placement is None:
        return replace(move, why=choice.obstacle if choice else "no AdmissionCheck of ours places it")
    if choice.placement.choice is None:
        return replace(move, why=str(choice.never or choice.placement))
    known = world.view.known_flavors()
    promised = tuple(with_flavors(p, known) for p in pod_sets)
    assumed.append(Held(w.uid, choice.placement.choice, promised))
    return replace(move, to=choice.placement.choice)


def _losers(world: World, cluster: str, after: tuple[ClusterFacts, ...]) -> Iterator[Move]:
    """Waiting jobs that this cluster could hold, now or when others have ended, and no other one could."""
    lost = [c for c in world.clusters if c.name == cluster]
    others = [c for c in after if c.name != cluster]
    for w in world.workloads:
        situation = asking(world.situation(w))
        if situation is None or not w.active or w.finished or _decision(w) is not None:
            continue
        if not _could(world, situation, lost) or any(_could(world, situation, [c]) for c in others):
            continue
        then = world.choose(situation, clusters=after)
        why = str(then.placement) if then is not None and then.placement is not None else ""
        yield Move(w.namespace, w.owner_name or w.name, _asks(w), "", why)


def _could(world: World, situation: Situation, clusters: list[ClusterFacts]) -> bool:
    choice = world.choose(situation, clusters=clusters)
    verdicts = choice.placement.verdicts if choice is not None and choice.placement is not None else ()
    return any(isinstance(v, Fits | Short) or (isinstance(v, NoSuchNode) and not v.never) for v in verdicts)


def _asks(w: WorkloadFacts) -> dict[str, str]:
    """What all its pods ask together, as quantities."""
    wanted = total(w.pod_sets)
    return {r: format_milli(wanted[r], r) for r in sorted(wanted, key=resource_order) if r != "pods"}


def _placed_on(world: World, cluster: str) -> list[WorkloadFacts]:
    """Those with a decision in force for it, by name."""
    return [w for w in world.workloads if _decision(w) == cluster and w.quota_reserved and not w.finished]


def _decision(w: WorkloadFacts) -> str | None:
    ready = (c.decision for c in w.checks if c.state is CheckState.READY)
    return next((d.cluster for d in ready if d is not None), None)


def _name(w: WorkloadFacts) -> str:
    return f"{w.namespace}/{w.owner_name or w.name}"


def _cordoned(world: World, cluster: str, *, draining: bool) -> tuple[ClusterFacts, ...]:
    return world.supposing(replace(world.managed[cluster], cordon=Cordon("", world.now, draining)))


def quota_without(
    facts: Facts, world: World, cluster: str, *, empty: bool = False
) -> Mapping[tuple[str, Cell], int]:
    """What QuotaManager would have written once the cluster is cordoned; {} where it cannot be known.

    ``empty``: and once the jobs that run there have ended, until when their use counts.
    """
    if facts.clusters is None or facts.reports is None or facts.seen.flavors is None:
        return {}
    clusters = {obj["metadata"]["name"]: cluster_facts(obj) for obj, _ in facts.clusters}
    queues = {obj["metadata"]["name"]: queue_facts(obj) for obj in facts.seen.cluster_queues or ()}
    supposed = decision.World(
        clusters={
            n: replace(
                c, cordoned=c.cordoned or n == cluster, accepted=c.accepted and not (empty and n == cluster)
            )
            for n, c in clusters.items()
        },
        reports=facts.reports,
        flavors={obj["metadata"]["name"]: flavor_facts(obj) for obj in facts.seen.flavors},
        queues=queues,
    )
    settled = decision.Memory(started_at=0.0, settled=True)
    rules = decision.Rules(stale_after=world.options.stale_after, shrink_after=0.0)
    return decision.decide(supposed, settled, trust.Instant(world.now, world.now), rules).nominal


def _changes(facts: Facts, nominal: Mapping[tuple[str, Cell], int]) -> Iterator[QuotaChange]:
    for obj in sorted(facts.seen.cluster_queues or (), key=_queue_name):
        if not is_managed(obj):
            continue
        queue = queue_facts(obj)
        reserved = _reserved(obj)
        for cell in sorted(queue.quotas, key=lambda c: (c.flavor, resource_order(c.resource))):
            before, after = queue.quotas[cell], nominal.get((queue.name, cell), queue.quotas[cell])
            if before != after:
                r = cell.resource
                taken = reserved.get((cell.flavor, r), "0")
                yield QuotaChange(
                    queue.name, cell.flavor, r, format_milli(before, r), format_milli(after, r), taken
                )


def _queue_name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _reserved(obj: Obj) -> dict[tuple[str, str], str]:
    return {
        (flavor["name"], each["name"]): str(each.get("total", "0"))
        for flavor in (obj.get("status") or {}).get("flavorsReservation") or ()
        for each in flavor.get("resources") or ()
    }
