"""KubeStellar: the controller-manager (policies, status) and the transport (ManifestWorks)."""

from collections.abc import Sequence

from local_fleet.component import Spec
from local_fleet.components.recipe import CLIENT_BURST, CLIENT_QPS, Site

WDS_NAME = "wds1"
ITS_NAME = "its1"
API_GROUPS = (
    "",  # core: it becomes the leading comma of --api-groups
    "batch",
    "galaxy.kubestellar.io",
    "admissionregistration.k8s.io",
    "rbac.authorization.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
)
"""Groups of everything that is carried to workers; KubeStellar does not look at others."""

_GRACE = 0.2  # seconds: the controller-manager catches SIGTERM and then never ends; it has no state to lose


def controller_manager(site: Site, api_groups: Sequence[str]) -> Spec:
    """Its --kubeconfig is the hosting cluster (our hub), where ControlPlane objects lead to WDS and ITS."""
    argv = [
        str(site.binaries["kubestellar-controller-manager"]),
        f"--kubeconfig={site.layout.kubeconfig('hub', 'kubestellar')}",
        f"--wds-name={WDS_NAME}",
        f"--its-name={ITS_NAME}",
        f"--api-groups={','.join(api_groups)}",
        *_rates("wds", "its"),
        *_addresses(site, "kubestellar"),
    ]
    return _spec(site, "kubestellar", argv)


def transport(site: Site) -> Spec:
    """One object per ManifestWork, as KubeStellar's own chart sets it."""
    argv = [
        str(site.binaries["ocm-transport-controller"]),
        f"--wds-kubeconfig={site.layout.kubeconfig('wds', 'transport')}",
        f"--transport-kubeconfig={site.layout.kubeconfig('its', 'transport')}",
        f"--wds-name={WDS_NAME}",
        "--max-num-wrapped=1",
        *_rates("wds", "transport"),
        *_addresses(site, "transport"),
    ]
    return _spec(site, "transport", argv)


def _rates(*clients: str) -> list[str]:
    return [
        flag
        for client in clients
        for flag in (f"--{client}-qps={CLIENT_QPS}", f"--{client}-burst={CLIENT_BURST}")
    ]


def _addresses(site: Site, name: str) -> list[str]:
    """Every listener moved: two programs on the default ports, and the second panics."""
    flags = {
        "metrics-bind-address": "metrics",
        "health-probe-bind-address": "health",
        "pprof-bind-address": "pprof",
    }
    return [f"--{flag}={site.layout.address(f'{name}/{role}')}" for flag, role in flags.items()]


def _spec(site: Site, name: str, argv: list[str]) -> Spec:
    listens = tuple(f"{name}/{role}" for role in ("metrics", "health", "pprof"))
    ready = site.ready(f"http://{site.layout.address(f'{name}/health')}/readyz")
    return site.spec(name, argv, ready, listens=listens, grace=_GRACE)
