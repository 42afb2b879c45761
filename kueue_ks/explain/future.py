"""What an explanation says beyond the job's own objects: verdicts, quota, its place in the queue, what helps.

Made from the whole fleet's objects by the controllers' own code (``forecast``). Pure.
"""

from dataclasses import dataclass

from kueue_ks.explain.explanation import Phase
from kueue_ks.forecast.advice import Help
from kueue_ks.forecast.helps import helps
from kueue_ks.forecast.quota_helps import quota_helps
from kueue_ks.forecast.verdicts import ClusterVerdict, verdict_rows
from kueue_ks.forecast.world import World
from kueue_ks.views.facts import Facts
from kueue_ks.views.jobs import Job, jobs_of
from workload_controller.facts import WorkloadFacts
from workload_controller.situation import Situation

AHEAD: int = 5
"""Jobs ahead that are named; the rest is a number."""


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """``position`` from 1 of ``waiting``, None where no object tells; ``ahead``: the first before it."""

    position: int | None
    waiting: int
    ahead: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Future:
    """Empty where it does not apply or could not be known; ``unknown`` says why not, "" otherwise."""

    verdicts: tuple[ClusterVerdict, ...] = ()
    place: QueuePlace | None = None
    helps: tuple[Help, ...] = ()
    unknown: str = ""
    options_known: bool = False


def future_of(world: World, facts: Facts, phase: Phase, namespace: str, name: str) -> Future:
    """``namespace`` and ``name`` are the Workload's."""
    workload = next((w for w in world.workloads if (w.namespace, w.name) == (namespace, name)), None)
    known = world.options.known
    if workload is None or phase not in (Phase.WAITING_FOR_CLUSTER, Phase.WAITING_FOR_QUOTA):
        return Future(options_known=known)
    if phase is Phase.WAITING_FOR_QUOTA:
        return _waiting_for_quota(world, facts, workload)
    if world.lacks:
        return Future(unknown=f"not read: {', '.join(world.lacks)}", options_known=known)
    return _waiting_for_cluster(world, workload)


def _waiting_for_cluster(world: World, workload: WorkloadFacts) -> Future:
    situation: Situation = world.situation(workload)
    choice = world.choose(situation)
    if choice is None or choice.placement is None:
        unknown = choice.obstacle if choice is not None else "no AdmissionCheck of ours asks for a cluster"
        return Future(unknown=unknown, options_known=world.options.known)
    held = [h for h in world.held if h.workload_uid != workload.uid]
    return Future(
        verdicts=verdict_rows(choice.placement, world.clusters, held, workload.pod_sets),
        helps=() if choice.placement.choice else helps(world, situation),
        options_known=world.options.known,
    )


def _waiting_for_quota(world: World, facts: Facts, workload: WorkloadFacts) -> Future:
    rows = jobs_of(facts) or ()
    mine = next((j for j in rows if (j.namespace, j.workload) == (workload.namespace, workload.name)), None)
    if mine is None:
        return Future(options_known=world.options.known)
    helped = quota_helps(world, workload, mine.cluster_queue)
    return Future(place=_place(mine, rows), helps=helped, options_known=world.options.known)


def _place(mine: Job, rows: tuple[Job, ...]) -> QueuePlace:
    queue = [j for j in rows if j.cluster_queue == mine.cluster_queue and j.phase is Phase.WAITING_FOR_QUOTA]
    before = [j for j in queue if j.position and mine.position and j.position < mine.position]
    first = sorted(before, key=lambda j: j.position or 0)[:AHEAD]
    return QueuePlace(mine.position, len(queue), tuple(f"{j.namespace}/{j.name}" for j in first))
