"""What must be true before ``install`` writes anything. Each failure is one sentence with its remedy."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from kube_runtime.connections import require_version
from kube_runtime.objects import Obj
from kube_runtime.preflight import PreflightFailed, require_served
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from vocabulary import resources as known


class Duty(StrEnum):
    """What a space does in the topology (docs/design.md, section 1)."""

    HUB = "hub"
    WDS = "wds"
    ITS = "its"
    WORKER = "worker"


OLDEST: Final[Mapping[Duty, str]] = {
    Duty.HUB: "1.34",  # the oldest minor with which Kueue 0.19 is tested
    # KubeFlex's control planes are 1.29 (k8s) and 1.27 (vcluster). Strict field validation is on since 1.27.
    Duty.WDS: "1.27",
    Duty.ITS: "1.27",
    Duty.WORKER: "1.27",
}

ADMISSION_POLICIES: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicies",
    "MutatingAdmissionPolicy",
    namespaced=False,
)
ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)

SERVED: Final[Mapping[Duty, tuple[tuple[Resource, ...], str]]] = {
    Duty.HUB: (
        (
            known.WORKLOADS,
            known.LOCAL_QUEUES,
            known.CLUSTER_QUEUES,
            known.RESOURCE_FLAVORS,
            known.ADMISSION_CHECKS,
        ),
        "Install Kueue 0.16 or newer on the hub first.",
    ),
    Duty.WDS: (
        (known.BINDING_POLICIES, known.BINDINGS, known.JOBS),
        "Start KubeStellar's controller-manager for this WDS, or check that this is the WDS.",
    ),
    Duty.ITS: (
        (known.MANAGED_CLUSTERS, known.MANIFEST_WORKS, known.WORK_STATUSES),
        "Install Open Cluster Management and KubeStellar's status add-on, or check that this is the ITS.",
    ),
    Duty.WORKER: ((known.NODES, known.PODS), "Check that this is a worker cluster."),
}


async def require_ready(space: Space, duty: Duty, *, admission: bool) -> None:
    """The server answers, is new enough and has what ``duty`` builds on.

    Raises ConnectionFailed or PreflightFailed.
    """
    await require_version(space, OLDEST[duty])
    served, remedy = SERVED[duty]
    await require_served(space, served, remedy)
    if duty is Duty.HUB and admission:
        await require_served(
            space,
            [ADMISSION_POLICIES],
            "Kubernetes 1.36 and newer do: upgrade, or install with --without-admission and write "
            "spec.managedBy: kubestellar.io/ks-kueue into every queued Job.",
        )


async def require_rights(space: Space, wanted: Iterable[tuple[Resource, Obj]], verbs: Iterable[str]) -> None:
    """Raise PreflightFailed naming every verb and resource that we may not use here.

    Whether the rules of a role may be granted is not asked: the dry run finds out.
    """
    places = dict.fromkeys((resource, obj["metadata"].get("namespace", "")) for resource, obj in wanted)
    asked = list(verbs)
    missing: dict[str, list[str]] = {}  # verbs: resources
    for resource, namespace in places:
        denied = [verb for verb in asked if not await _allowed(space, verb, resource, namespace)]
        if denied:
            where = f"{resource} in {namespace}" if namespace else str(resource)
            missing.setdefault("/".join(denied), []).append(where)
    if missing:
        what = "; ".join(f"{denied} {', '.join(where)}" for denied, where in missing.items())
        msg = (
            f"{space.name} ({space.server}): these credentials may not {what}. "
            "Use those of an administrator of this cluster (ClusterRole cluster-admin)."
        )
        raise PreflightFailed(msg)


async def _allowed(space: Space, verb: str, resource: Resource, namespace: str) -> bool:
    attributes = {
        "verb": verb,
        "group": resource.group,
        "version": resource.version,
        "resource": resource.plural,
        "namespace": namespace,
    }
    review = await space.create(
        ACCESS_REVIEWS,
        {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "metadata": {},
            "spec": {"resourceAttributes": attributes},
        },
    )
    return bool(review["status"]["allowed"])
