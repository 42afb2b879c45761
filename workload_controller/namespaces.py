"""Which namespaces are carried to the workers.

A namespace of the hub that has a LocalQueue gets a twin in the WDS, marked as ours, which every cluster's
base policy carries. The twin bears the hub namespace's UID and its Pod Security labels: the hub never makes
the pods, so only the worker can enforce them. It stays until the hub namespace is gone and no copy is left
in it, because deleting it deletes the namespace on every worker with all that is in it.
"""

from dataclasses import dataclass
from typing import Any

from kube_runtime.objects import Obj
from vocabulary import keys
from vocabulary.resources import NAMESPACES
from workload_controller.refusals import is_system_namespace

POD_SECURITY_PREFIX = "pod-security.kubernetes.io/"
EVERYWHERE = "default"  # exists on every cluster and belongs to nobody: used as it is, never carried


@dataclass(frozen=True, slots=True)
class HubNamespace:
    """A namespace of the hub."""

    name: str
    uid: str
    pod_security: tuple[tuple[str, str], ...]
    deleting: bool


@dataclass(frozen=True, slots=True)
class WdsNamespace:
    """A namespace of the WDS; ``hub_uid`` is "" when it is not ours."""

    name: str
    uid: str
    ours: bool
    hub_uid: str
    pod_security: tuple[tuple[str, str], ...]
    deleting: bool


@dataclass(frozen=True, slots=True)
class Carry:
    """Apply this namespace in the WDS."""

    namespace: Obj


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete this namespace of ours from the WDS."""

    name: str
    uid: str


def read_hub_namespace(obj: Obj) -> HubNamespace:
    """A Namespace of the hub."""
    metadata = obj["metadata"]
    return HubNamespace(
        metadata["name"], metadata["uid"], _pod_security(metadata), "deletionTimestamp" in metadata
    )


def read_wds_namespace(obj: Obj) -> WdsNamespace:
    """A Namespace of the WDS."""
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    # Both: other namespaces of ours, such as the one of our ServiceAccounts, carry the first label only.
    ours = labels.get(keys.MANAGED_BY_LABEL) == keys.MANAGED_BY and labels.get(keys.CARRIED) == "true"
    return WdsNamespace(
        name=metadata["name"],
        uid=metadata["uid"],
        ours=ours,
        hub_uid=(metadata.get("annotations") or {}).get(keys.HUB_NAMESPACE_UID, "") if ours else "",
        pod_security=_pod_security(metadata),
        deleting="deletionTimestamp" in metadata,
    )


def next_step(
    hub: HubNamespace | None, twin: WdsNamespace | None, *, has_queue: bool, copies: int
) -> Carry | Drop | None:
    """What to do about one namespace name; None when nothing."""
    if twin is not None and not twin.ours:
        return None
    belongs = hub is not None and not hub.deleting and (twin is None or twin.hub_uid == hub.uid)
    if twin is not None and not belongs:
        return None if copies or twin.deleting else Drop(twin.name, twin.uid)
    if hub is None or hub.deleting or hub.name == EVERYWHERE or is_system_namespace(hub.name):
        return None
    if twin is None:
        return Carry(_twin(hub)) if has_queue else None
    return None if twin.pod_security == hub.pod_security else Carry(_twin(hub))


def obstacle(name: str, hub: HubNamespace | None, twin: WdsNamespace | None) -> str:
    """Why a copy cannot be made in this namespace yet, "" when it can."""
    if name == EVERYWHERE:
        return ""
    if twin is None:
        return f"namespace {name} is not in the WDS yet"
    if not twin.ours:
        label = keys.MANAGED_BY_LABEL
        return f"namespace {name} of the WDS is not ours (label {label}): delete or rename it there"
    if hub is None or twin.hub_uid != hub.uid or twin.deleting:
        return f"namespace {name} of the WDS belongs to an earlier namespace of the hub and is being removed"
    return ""


def _twin(hub: HubNamespace) -> dict[str, Any]:
    return {
        "apiVersion": NAMESPACES.api_version,
        "kind": NAMESPACES.kind,
        "metadata": {
            "name": hub.name,
            "labels": {
                keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
                keys.CARRIED: "true",
                **dict(hub.pod_security),
            },
            "annotations": {keys.HUB_NAMESPACE_UID: hub.uid},
        },
    }


def _pod_security(metadata: Obj) -> tuple[tuple[str, str], ...]:
    labels = metadata.get("labels") or {}
    return tuple(sorted((k, v) for k, v in labels.items() if k.startswith(POD_SECURITY_PREFIX)))
