"""Which nodes a flavor takes.

Those whose labels include its nodeLabels and whose taints keep none of its pods away: each NoSchedule or
NoExecute taint is among the flavor's nodeTaints (Kueue then asks the workload to tolerate it) or tolerated
by the flavor's tolerations (Kueue adds those to the pods).
"""

from typing import Final

from quota_manager.facts import Flavor, Toleration
from vocabulary.cluster_metrics import NodeGroup, Taint

_HARD: Final = frozenset({"NoSchedule", "NoExecute"})  # PreferNoSchedule keeps nobody away


def labels_match(flavor: Flavor, group: NodeGroup) -> bool:
    """Whether the flavor means these nodes, taints apart."""
    return flavor.node_labels.items() <= group.labels.items()


def kept_away(flavor: Flavor, group: NodeGroup) -> Taint | None:
    """The first taint that keeps the flavor's pods off these nodes."""
    for taint in group.taints:
        if taint.effect not in _HARD or taint in flavor.node_taints:
            continue
        if not any(_tolerates(toleration, taint) for toleration in flavor.tolerations):
            return taint
    return None


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    """core/v1 ``Toleration.ToleratesTaint``; operators unknown to us (Lt, Gt: alpha) tolerate nothing."""
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "Equal":
            return toleration.value == taint.value
        case _:
            return False
