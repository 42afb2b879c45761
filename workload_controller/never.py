"""A job that no cluster could hold even if it were empty: what it is told, and when it is refused.

It is told in its first second, and refused when the proof has stood for ``Timing.never_grace``. At once would
be wrong too often: a kubelet that restarts reports no GPUs until its device plugin has come back, and a node
that is being replaced is gone for a while. Waiting until the placement's deadline, and again after each
requeuing, would keep quota from jobs that fit.

What the proof cannot know is a node that will be made only when a pod waits for it: where a cluster grows,
its administrator says so in the placement policy (docs/placement.md).
"""

from collections.abc import Sequence

from kube_runtime.quantity import format_milli
from workload_controller.facts import PodSet, WorkloadFacts
from workload_controller.placement_policy import WhenNeverFits
from workload_controller.refusals import Refusal
from workload_controller.verdicts import NoSuchNode, TooLarge

NAMED = 5
"""Clusters in the text, those with the most room: who has to shrink his job needs the first one."""


def never_fits(
    w: WorkloadFacts, never: Sequence[TooLarge | NoSuchNode], when: WhenNeverFits = WhenNeverFits.REJECT
) -> Refusal | None:
    """The refusal that ``Placement.never`` calls for; None when nothing is proven or the policy waits."""
    if not never or when is WhenNeverFits.WAIT:
        return None
    others = len(never) - NAMED
    more = f"; and {others} more clusters" if others > 0 else ""
    room = "; ".join(str(verdict) for verdict in never[:NAMED]) + more
    obj = f"{w.owner_kind or 'Workload'} {w.namespace}/{w.owner_name or w.name}"
    remedy = (
        f"No cluster could take that even with all its nodes empty, largest room first: {room}. "
        "Ask for less, or have such nodes added"
    )
    asked = " and ".join(_asked(pod_set) for pod_set in w.pod_sets if pod_set.count > 0)
    return Refusal("NeverFits", obj, "spec", asked, remedy)


def _asked(pod_set: PodSet) -> str:
    amounts = ", ".join(
        f"{resource} {format_milli(amount, resource)}"
        for resource, amount in sorted(pod_set.requests.items())
        if amount > 0 and resource != "pods"
    )
    return f"{pod_set.count} pod{'' if pod_set.count == 1 else 's'} of {amounts or 'no requests'}"
