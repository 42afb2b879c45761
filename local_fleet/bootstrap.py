"""What is written into fresh API servers before the programs start, and what must be served by then."""

import asyncio
import base64
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes.aio.client import Configuration

from kube_runtime.errors import AlreadyExists
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from local_fleet.binaries import Binaries
from local_fleet.component import POLL, READY_WITHIN
from local_fleet.components import kueue
from local_fleet.components.kubestellar import ITS_NAME, WDS_NAME
from local_fleet.components.worker import AGENT_NAMESPACE
from local_fleet.layout import Layout
from local_fleet.nodes import nodes_of
from local_fleet.pki import ADMIN, Pki
from vocabulary.resources import MANAGED_CLUSTERS, NAMESPACES, NODES

CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
_RBAC = ("rbac.authorization.k8s.io", "v1")
_WORKER_KINDS: Final = {
    resource.kind: resource
    for resource in (
        NAMESPACES,
        Resource("", "v1", "serviceaccounts", "ServiceAccount"),
        Resource(*_RBAC, "roles", "Role"),
        Resource(*_RBAC, "rolebindings", "RoleBinding"),
        Resource(*_RBAC, "clusterroles", "ClusterRole", namespaced=False),
        Resource(*_RBAC, "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    )
}
CONTROL_PLANES: Final = Resource(
    "tenancy.kflex.kubestellar.org", "v1alpha1", "controlplanes", "ControlPlane", namespaced=False
)
MUTATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING_WEBHOOKS: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
_CONTROL_PLANE_TYPE = "kflex.kubestellar.io/cptype"
_SECRET_KEY = "kubeconfig"  # noqa: S105 - the name of a key, see KubeFlex's admin-kubeconfig Secrets


def open_space(name: str, server: str, pki: Pki, identity: str = ADMIN) -> Space:
    """A connection as one of the fleet's identities."""
    pair = pki.identities[identity]
    configuration = Configuration(host=server)
    configuration.ssl_ca_cert = str(pki.ca)
    configuration.cert_file = str(pair.certificate)
    configuration.key_file = str(pair.key)
    return Space(name, configuration)


async def create_all(space: Space, resource: Resource, objects: Iterable[Obj]) -> None:
    """Create at once; what exists stays as it is."""

    async def create(obj: Obj) -> None:
        try:
            await space.create(resource, obj)
        except AlreadyExists:
            return

    await asyncio.gather(*(create(obj) for obj in objects))


async def serve_crds(space: Space, definitions: Sequence[Obj]) -> None:
    """Create CRDs and wait until the API server serves every one."""
    await create_all(space, CRDS, definitions)
    wanted = {crd["metadata"]["name"] for crd in definitions}
    async with asyncio.timeout(READY_WITHIN):
        while True:
            served = {crd["metadata"]["name"] for crd in await space.list(CRDS) if _established(crd)}
            if wanted <= served:
                return
            await asyncio.sleep(POLL)


async def prepare_hub(hub: Space, layout: Layout, binaries: Binaries) -> None:
    """Kueue's kinds and namespace; the ControlPlane objects by which WDS and ITS are found."""
    crds = [obj for name in ("kueue-crds", "kubeflex-crds") for obj in _upstream(binaries, name)]
    spaces = {WDS_NAME: "wds", ITS_NAME: "its"}
    namespaces = [kueue.NAMESPACE, *(f"{name}-system" for name in spaces)]
    await asyncio.gather(
        serve_crds(hub, crds), create_all(hub, NAMESPACES, (namespace(name) for name in namespaces))
    )
    for name, context in spaces.items():
        await _publish_control_plane(hub, name, context, layout.kubeconfig(context).read_text())


async def prepare_control(control: Space, layout: Layout, binaries: Binaries) -> None:
    """The kinds of WDS and ITS; a namespace and a ManagedCluster per worker."""
    crds = [obj for name in ("kubestellar-crds", "ocm-crds") for obj in _upstream(binaries, name)]
    await serve_crds(control, [*crds, *own_manifests(), *extra_crds()])
    await create_all(control, NAMESPACES, (namespace(worker) for worker in layout.workers))
    await create_all(control, MANAGED_CLUSTERS, (managed_cluster(worker) for worker in layout.workers))


async def prepare_worker(worker: Space, index: int, binaries: Binaries) -> None:
    """The kinds that the agents need, and the simulated nodes."""
    await asyncio.gather(
        serve_crds(worker, [*_upstream(binaries, "ocm-worker-crds"), *extra_crds()]),
        create_all(worker, NAMESPACES, [namespace(AGENT_NAMESPACE)]),
        create_all(worker, NODES, nodes_of(worker.name, index)),
    )
    for obj in project_manifests("config/rbac/worker.yaml"):  # of the metrics agent, which the fleet starts
        await create_all(worker, _WORKER_KINDS[obj["kind"]], [obj])


async def install_webhooks(
    hub: Space, layout: Layout, pki: Pki, binaries: Binaries, frameworks: Sequence[str]
) -> None:
    """Only when Kueue serves them: until then they would refuse everything (failurePolicy Fail)."""
    ca = base64.b64encode(pki.ca.read_bytes()).decode()
    url = f"https://{layout.address('kueue/webhook')}"
    adapted = kueue.webhooks(_upstream(binaries, "kueue-webhooks"), frameworks, url, ca)
    kinds = {resource.kind: resource for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)}
    for configuration in adapted:
        await create_all(hub, kinds[configuration["kind"]], [configuration])


async def nodes_ready(worker: Space) -> None:
    """Wait until every node is Ready and the taint of new nodes is gone: only then are pods scheduled."""
    async with asyncio.timeout(READY_WITHIN):
        while True:
            nodes = await worker.list(NODES)
            if nodes and all(_schedulable_or_cordoned(node) for node in nodes):
                return
            await asyncio.sleep(POLL)


def namespace(name: str) -> Obj:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def managed_cluster(worker: str) -> Obj:
    """A worker as OCM's inventory knows it, with the labels that KubeStellar's own scripts set."""
    return {
        "apiVersion": MANAGED_CLUSTERS.api_version,
        "kind": MANAGED_CLUSTERS.kind,
        "metadata": {"name": worker, "labels": {"name": worker, "location-group": "edge"}},
        "spec": {"hubAcceptsClient": True, "leaseDurationSeconds": 60},
    }


def own_manifests() -> list[Obj]:
    """Definitions that we wrote ourselves because no module has them."""
    folder = resources.files("local_fleet") / "manifests"
    return [yaml.safe_load(file.read_text()) for file in folder.iterdir() if file.name.endswith(".yaml")]


def extra_crds() -> list[Obj]:
    """The project's own CRD for WDS and workers; kueue-ks install brings the hub's."""
    return project_manifests("config/crd/clustermetrics.yaml")


def project_manifests(pattern: str) -> list[Obj]:
    """Objects of the project's own files, from the checkout or from the installed package."""
    here = Path(str(resources.files("local_fleet"))).parent
    root = here if (here / "config").is_dir() else here / "kueue_ks" / "manifests"
    return [obj for file in sorted(root.glob(pattern)) for obj in yaml.safe_load_all(file.read_text()) if obj]


async def _publish_control_plane(hub: Space, name: str, context: str, kubeconfig: str) -> None:
    """A ControlPlane as KubeFlex would leave it for type k8s: status.secretRef leads to the kubeconfig."""
    secret_namespace = f"{name}-system"
    encoded = base64.b64encode(kubeconfig.encode()).decode()
    secret: Obj = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "admin-kubeconfig", "namespace": secret_namespace},
        "data": {_SECRET_KEY: encoded, f"{_SECRET_KEY}-incluster": encoded},
    }
    await create_all(hub, SECRETS, [secret])
    plane: Obj = {
        "apiVersion": CONTROL_PLANES.api_version,
        "kind": CONTROL_PLANES.kind,
        "metadata": {"name": name, "labels": {_CONTROL_PLANE_TYPE: context}},
        "spec": {"type": "k8s", "backend": "shared"},
    }
    await create_all(hub, CONTROL_PLANES, [plane])
    status: Obj = {
        "metadata": {"name": name},
        "status": {
            "conditions": [],
            "observedGeneration": 1,
            "secretRef": {
                "namespace": secret_namespace,
                "name": "admin-kubeconfig",
                "key": _SECRET_KEY,
                "inClusterKey": f"{_SECRET_KEY}-incluster",
            },
        },
    }
    await hub.apply(CONTROL_PLANES, status, field_manager="local-fleet", subresource="status")


def _upstream(binaries: Binaries, name: str) -> list[Obj]:
    objects: list[Obj] = json.loads(binaries.manifest(name).read_text())
    return objects


def _established(crd: Obj) -> bool:
    return _condition(crd, "Established") == "True"


def _condition(obj: Obj, kind: str) -> str:
    conditions: list[dict[str, Any]] = obj.get("status", {}).get("conditions") or []
    return next((str(c["status"]) for c in conditions if c["type"] == kind), "Unknown")


def _schedulable_or_cordoned(node: Obj) -> bool:
    taints = node["spec"].get("taints") or []
    return _condition(node, "Ready") == "True" and not any(t["key"].endswith("/not-ready") for t in taints)
