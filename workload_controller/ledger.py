"""What is promised on each cluster, derived from objects alone (I4, I8).

Two kinds of object hold room: a Workload whose check says Ready (from the apply that decided, before
anything has been carried), and a copy in the WDS, also while it is a tombstone whose pods may still be
ending. The ledger is kept nowhere but in those objects, so that a crash has nothing to lose.
"""

from collections.abc import Iterable, Mapping

from workload_controller.facts import CheckState, CopyFacts, Flavor, Held, WorkloadFacts
from workload_controller.placement import with_flavors


def held_room(
    workloads: Iterable[WorkloadFacts],
    copies: Iterable[CopyFacts],
    flavors: Mapping[str, Flavor],
) -> list[Held]:
    """Everything that is held, wherever. A Workload without a live decision holds nothing."""
    held = [Held(copy.workload_uid, copy.cluster, (copy.pod_set,)) for copy in copies]
    carried = {(h.workload_uid, h.cluster) for h in held}
    for workload in workloads:
        for cluster in holds_on(workload):
            if (workload.uid, cluster) not in carried:
                pod_sets = tuple(with_flavors(pod_set, flavors) for pod_set in workload.pod_sets)
                held.append(Held(workload.uid, cluster, pod_sets))
    return held


def holds_on(workload: WorkloadFacts) -> tuple[str, ...]:
    """The clusters that its live decisions name: one, or none."""
    if not workload.quota_reserved or workload.finished:
        return ()
    return tuple(
        check.decision.cluster
        for check in workload.checks
        if check.state is CheckState.READY and check.decision is not None
    )
