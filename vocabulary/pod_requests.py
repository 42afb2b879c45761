"""What one pod asks of a node, as the kube-scheduler counts it.

Facts: k8s.io/component-helpers ``resource.PodRequests``: containers are summed, init containers count by
their maximum, restartable init containers (sidecars) run on and are summed too, pod-level
``spec.resources`` replace the containers' amounts of the same resource, overhead comes on top. A limit
without a request is the request (API server defaulting), also where a template has not been defaulted yet.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kube_runtime.quantity import parse_milli_up

PODS = "pods"
ONE_POD = 1000  # milli-units, like every amount


def pod_requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """Requests of a ``PodSpec`` in milli-units, with ``pods: 1000`` for the pod itself.

    Raises ValueError for a quantity that cannot be read.
    """
    containers = _summed(_requests(c) for c in spec.get("containers") or ())
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        requests = _requests(container)
        if container.get("restartPolicy") == "Always":
            sidecars = _summed((sidecars, requests))
            peak = _largest(peak, sidecars)
        else:
            peak = _largest(peak, _summed((sidecars, requests)))
    total = _largest(_summed((containers, sidecars)), peak)
    total.update(_requests(spec))
    total = _summed((total, _amounts(spec.get("overhead"))))
    total[PODS] = ONE_POD
    return total


def _requests(owner: Mapping[str, Any]) -> dict[str, int]:
    resources = owner.get("resources") or {}
    return _amounts(resources.get("limits")) | _amounts(resources.get("requests"))


def _amounts(amounts: Mapping[str, Any] | None) -> dict[str, int]:
    return {name: parse_milli_up(value) for name, value in (amounts or {}).items()}


def _summed(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0) + amount
    return total


def _largest(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in left.keys() | right.keys()}
