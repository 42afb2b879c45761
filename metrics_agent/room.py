"""How much of the report each part may take.

The status has to stay below what one object of etcd holds, here and once more as a WorkStatus in the ITS.
Workloads come first, since the absence of one says that its pods have ended: 39 bytes for the uid of one that
just runs. Then what the words of workers take, then the nodes.

Decisions only.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from vocabulary.cluster_metrics import PROBLEM_LENGTH, WorkloadPods

STATUS_BYTES: Final = 1_400_000
"""Of the 1.5 MiB that etcd takes by default (--max-request-bytes); the rest is for metadata."""

PROBLEM_BYTES: Final = 100_000
"""For all problems together; what is beyond is cut down to its reason, as "ImagePullBackOff"."""

NODE_BYTES: Final = 400_000
"""For all nodes: a report of that size every 10 s from each of 100 workers is 4 MB/s at the ITS."""

LEAST_NODE_BYTES: Final = 100_000
"""What nodes keep whatever the Workloads take."""

_UID_BYTES: Final = 39  # a uuid, quotes and comma
_ENTRY_BYTES: Final = 120  # of counts that are told of one Workload alone


def listed(workloads: Iterable[WorkloadPods]) -> tuple[tuple[WorkloadPods, ...], int]:
    """What can be listed, and how many cannot: then nothing follows from an absence (``report_reading``)."""
    bounded = _bounded(workloads)
    if _taken(bounded) <= STATUS_BYTES - LEAST_NODE_BYTES:
        return bounded, 0
    most = (STATUS_BYTES - LEAST_NODE_BYTES) // (_UID_BYTES + _ENTRY_BYTES + PROBLEM_LENGTH)
    return bounded[:most], len(bounded) - most


def _bounded(workloads: Iterable[WorkloadPods]) -> tuple[WorkloadPods, ...]:
    """Problems in full while there is room for them."""
    left, bounded = PROBLEM_BYTES, []
    for pods in workloads:
        if not pods.problem:
            bounded.append(pods)
            continue
        left -= len(pods.problem.encode())
        bounded.append(pods if left >= 0 else replace(pods, problem=pods.problem.partition(":")[0]))
    return tuple(bounded)


def room_for_nodes(workloads: Iterable[WorkloadPods]) -> int:
    """Bytes that the nodes may take beside these Workloads."""
    return max(LEAST_NODE_BYTES, min(NODE_BYTES, STATUS_BYTES - _taken(workloads)))


def _taken(workloads: Iterable[WorkloadPods]) -> int:
    alike: set[tuple[object, ...]] = set()
    taken = 0
    for pods in workloads:
        taken += _UID_BYTES
        told = (pods.bound, pods.waiting, pods.terminating, pods.ready, pods.problem, pods.terminating_until)
        if told not in alike:
            alike.add(told)
            taken += _ENTRY_BYTES + len(pods.problem.encode())
    return taken
