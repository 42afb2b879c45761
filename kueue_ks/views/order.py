"""Kueue's order of the Workloads that wait for quota in one ClusterQueue. Pure.

As Kueue sorts its own snapshot of a queue (pkg/cache/queue/cluster_queue.go baseCompareFunc, pkg/workload
GetQueueOrderTimestamp, with default settings): priority, then the time of creation, or of the eviction for
one that did not get ready in time or whose check gave its quota back, then the uid. Times are whole seconds,
so the uid decides often.

Not followed, because no object tells: a Workload that waits for its own preemption to end stays in front; and
where admission is fair between LocalQueues, their past use counts first. Such queues have no positions here.
Kueue's visibility API would answer all of it; it is often not installed, and needs rights of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kube_runtime.objects import Obj
from workload_controller.reading import seconds

TO_THE_BACK: Final = frozenset({"PodsReadyTimeout", "AdmissionCheck"})
"""Reasons of Evicted that send a Workload behind those that came before the eviction."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """What decides about a place in the queue; sorts as Kueue sorts."""

    behind: int  # minus priority
    at: float
    uid: str


def place_of(workload: Obj) -> Place:
    """Read it from a Workload."""
    metadata, spec, status = workload["metadata"], workload["spec"], workload.get("status") or {}
    at = metadata.get("creationTimestamp")
    for condition in status.get("conditions") or ():
        evicted = condition["type"] == "Evicted" and condition["status"] == "True"
        if evicted and condition.get("reason") in TO_THE_BACK:
            at = condition.get("lastTransitionTime")
    return Place(-(spec.get("priority") or 0), seconds(at), metadata["uid"])


def positions(waiting: Iterable[tuple[str, Place]]) -> dict[str, int]:
    """Uid → position from 1, of pairs (ClusterQueue, place)."""
    queues: dict[str, list[Place]] = {}
    for queue, place in waiting:
        queues.setdefault(queue, []).append(place)
    return {
        place.uid: number
        for places in queues.values()
        for number, place in enumerate(sorted(places), start=1)
    }
