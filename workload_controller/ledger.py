"""What is promised on each cluster, derived from objects alone (I4, I8).

Two kinds of object hold room: a Workload whose check says Ready (from the apply that decided, before
anything has been carried), and a copy in the WDS, also while it is a tombstone whose pods may still be
ending. The ledger is made anew for each placement, so that a crash has nothing to lose.
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
        if not workload.quota_reserved or workload.finished:
            continue
        for check in workload.checks:
            decision = check.decision
            if check.state is not CheckState.READY or decision is None:
                continue
            if (workload.uid, decision.cluster) not in carried:
                pod_sets = tuple(with_flavors(pod_set, flavors) for pod_set in workload.pod_sets)
                held.append(Held(workload.uid, decision.cluster, pod_sets))
    return held
