"""What one pod asks of a node, as the kube-scheduler counts it.

component-helpers ``resource.PodRequests`` as ``pkg/scheduler/framework/types.go`` calls it in Kubernetes
1.36.3, where resize in place (UseStatusResources) and pod-level resources are on. What it does not count
here either: DRA claims, whose gate DRANodeAllocatableResources is alpha and off (``asks_by_claim``).

Templates count like pods. The API server writes a limit without a request as the request into a Pod, but
not into a template, so a limit stands in for a missing request here (pkg/apis/core/v1/defaults.go).
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Final

from kube_runtime.quantity import parse_milli_up

ONE_POD: Final = 1000
"""Every pod asks for one of its node's "pods" (kubelet ``--max-pods``), in milli-units."""

_POD_LEVEL: Final = frozenset(
    {"cpu", "memory"}
)  # and hugepages-*: component-helpers, supportedPodLevelResources


def pod_requests(spec: Mapping[str, Any], status: Mapping[str, Any] | None = None) -> dict[str, int]:
    """What kube-scheduler counts for a pod, or will count for a template's, and one of "pods".

    ``spec`` is a PodSpec, ``status`` the PodStatus where there is a pod. Milli-units, rounded up. Raises
    ValueError for a quantity that cannot be read or is negative.
    """
    status = status or {}
    infeasible = _resize_is_infeasible(status)
    amounts = _containers(spec, status, infeasible=infeasible)
    pod_level = _pod_level_asked(spec.get("resources") or {}, amounts)
    if pod_level:
        amounts |= _pod_level(pod_level, status, infeasible=infeasible)
    _add(amounts, _amounts(spec.get("overhead")))
    amounts["pods"] = ONE_POD
    return amounts


def asks_by_claim(spec: Mapping[str, Any]) -> bool:
    """Whether a pod asks for devices by resource claims (DRA), which are in no node's allocatable."""
    return bool(spec.get("resourceClaims"))


def unreadable_requests(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, str]:
    """The resources of which ``pod_requests`` cannot tell how much is asked, and why."""
    found: dict[str, str] = {}
    for amounts in _quantities(spec, status):
        for resource, value in amounts.items():
            try:
                _amount(value)
            except ValueError as bad:
                found.setdefault(resource, str(bad))
    return found


_OF_QUANTITIES: Final = frozenset({"requests", "limits", "allocatedResources", "overhead"})


def without_resources(part: Any, names: Container[str]) -> Any:  # noqa: ANN401  any part of a pod
    """A spec or status, or part of one, in which nobody asks for these resources."""
    if isinstance(part, Mapping):
        return {
            key: {name: amount for name, amount in value.items() if name not in names}
            if key in _OF_QUANTITIES and isinstance(value, Mapping)
            else without_resources(value, names)
            for key, value in part.items()
        }
    return [without_resources(each, names) for each in part] if isinstance(part, list) else part


def _quantities(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All that ``pod_requests`` may read."""
    containers = (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
    states = (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    for one in (spec, status, *containers, *states):
        resources = one.get("resources") or {}
        yield from (resources.get("requests") or {}, resources.get("limits") or {})
        yield one.get("allocatedResources") or {}
    yield spec.get("overhead") or {}


def _containers(spec: Mapping[str, Any], status: Mapping[str, Any], *, infeasible: bool) -> dict[str, int]:
    """The larger of what runs together (containers and sidecars) and of the hungriest moment of the start.

    At the i-th init container there run the sidecars that were listed before it, and itself.
    """
    states = {
        state["name"]: state
        for state in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ()))
    }
    together: dict[str, int] = {}
    for container in spec.get("containers") or ():
        _add(together, _container(container, states.get(container.get("name")), infeasible=infeasible))
    sidecars: dict[str, int] = {}
    start: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            asks = _container(container, states.get(container.get("name")), infeasible=infeasible)
            _add(together, asks)
            _add(sidecars, asks)
        else:
            moment = _container(container, None, infeasible=infeasible)
            _add(moment, sidecars)
            start = _largest((start, moment))
    return _largest((together, start))


def _container(
    container: Mapping[str, Any], state: Mapping[str, Any] | None, *, infeasible: bool
) -> dict[str, int]:
    resources = container.get("resources") or {}
    asked = _amounts(resources.get("limits")) | _amounts(resources.get("requests"))
    if state is None or state.get("resources") is None:
        return asked
    return _effective(asked, state, infeasible=infeasible)


def _pod_level_asked(resources: Mapping[str, Any], of_containers: Mapping[str, int]) -> dict[str, int]:
    """Requests of the pod as a whole. A limit without one stands in where its containers ask for nothing.

    Huge pages are the exception: their limit always is the request.
    """
    limits = _amounts(resources.get("limits"))
    defaults = {
        resource: limit
        for resource, limit in limits.items()
        if resource.startswith("hugepages-") or resource not in of_containers
    }
    return defaults | _amounts(resources.get("requests"))


def _pod_level(asked: dict[str, int], status: Mapping[str, Any], *, infeasible: bool) -> dict[str, int]:
    """Requests of the pod as a whole replace the sum of its containers, resource by resource."""
    effective = asked if status.get("resources") is None else _effective(asked, status, infeasible=infeasible)
    return {
        resource: effective.get(resource, 0)
        for resource in asked
        if resource in _POD_LEVEL or resource.startswith("hugepages-")
    }


def _effective(asked: dict[str, int], state: Mapping[str, Any], *, infeasible: bool) -> dict[str, int]:
    """In a resize the largest of asked, given and allocated; what can never be granted does not count."""
    given = _amounts(state["resources"].get("requests"))
    allocated = _amounts(state.get("allocatedResources"))
    return _largest((given, allocated) if infeasible else (asked, given, allocated))


def _resize_is_infeasible(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    return any(c["type"] == "PodResizePending" and c.get("reason") == "Infeasible" for c in conditions)


def _amounts(requests: Mapping[str, Any] | None) -> dict[str, int]:
    return {resource: _amount(value) for resource, value in (requests or {}).items()}


def _amount(value: str | float) -> int:
    """Less than nothing would make room for others."""
    amount = parse_milli_up(value)
    if amount < 0:
        msg = f"{value} is less than nothing"
        raise ValueError(msg)
    return amount


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0) + amount


def _largest(lists: Iterable[Mapping[str, int]]) -> dict[str, int]:
    largest: dict[str, int] = {}
    for amounts in lists:
        for resource, amount in amounts.items():
            largest[resource] = max(largest.get(resource, amount), amount)
    return largest
