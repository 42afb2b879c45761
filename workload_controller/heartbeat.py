"""The heartbeat of the hub for clusters with leased jobs.

One ConfigMap per cluster, carried by a policy of its own, says until when the hub has cared. The metrics
agent there ends leased jobs when it grows older than their lease. It is written only while a leased copy is
there, every quarter of the shortest lease, and no more once the cluster counts as lost: from then on the
lease runs out, and the jobs may start elsewhere (``loss``).
"""

from dataclasses import dataclass
from typing import Any

from kube_runtime.objects import Obj
from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, CONFIG_MAPS
from workload_controller.facts import Contact, Leases
from workload_controller.situation import Timing

BEATS_PER_LEASE = 4  # three may be lost


@dataclass(frozen=True, slots=True)
class Beat:
    """Write the heartbeat now, look again after so many seconds."""

    again_after: float


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to write; look again after so many seconds, or with an event."""

    again_after: float | None


@dataclass(frozen=True, slots=True)
class End:
    """No leased job is there: take heartbeat and policy away."""


def next_beat(leases: Leases, contact: Contact, now: float, timing: Timing) -> Beat | Rest | End:
    """What the heartbeat of one cluster needs.

    It stays while a leased copy or its ManifestWork is there, also a leaving one: its time says when a job
    of a lost cluster must have ended (``loss``).
    """
    if not leases.running:
        over = not leases.anything and (contact.beat_at or contact.carried)
        return End() if over else Rest(None)
    if contact.lost_since is not None and now >= contact.lost_since + timing.worker_lost_timeout:
        return Rest(None)
    period = min(leases.running) / BEATS_PER_LEASE
    due = contact.beat_at + period
    return Beat(period) if now >= due else Rest(due - now)


def name_of(cluster: str) -> str:
    """Name of a cluster's heartbeat ConfigMap and of the policy that carries it."""
    return keys.HEARTBEAT_PREFIX + cluster


def config_map(cluster: str, now: float) -> Obj:
    """The heartbeat."""
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {
            "name": name_of(cluster),
            "namespace": keys.SYSTEM_NAMESPACE,
            "labels": _labels(cluster),
        },
        "data": {keys.BEAT_AT: f"{now:.3f}"},
    }


def policy(cluster: str) -> Obj:
    """The BindingPolicy that carries it. Not ``createOnly``: it is there to change."""
    clause: dict[str, Any] = {
        "apiGroup": CONFIG_MAPS.group,
        "resources": [CONFIG_MAPS.plural],
        "namespaces": [keys.SYSTEM_NAMESPACE],
        "objectNames": [name_of(cluster)],
    }
    return {
        "apiVersion": BINDING_POLICIES.api_version,
        "kind": BINDING_POLICIES.kind,
        "metadata": {"name": name_of(cluster), "labels": _labels(cluster)},
        "spec": {
            "clusterSelectors": [{"matchLabels": {keys.CLUSTER_NAME_LABEL: cluster}}],
            "downsync": [clause],
        },
    }


def _labels(cluster: str) -> dict[str, str]:
    return {keys.MANAGED_BY_LABEL: keys.MANAGED_BY, keys.CLUSTER: cluster}
