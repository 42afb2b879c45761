"""etcd, kube-apiserver, kube-controller-manager, kube-scheduler."""

import yaml

from local_fleet.component import Spec
from local_fleet.components.recipe import CLIENT_BURST, CLIENT_QPS, Site
from local_fleet.layout import CONTROL, HUB

# RequestResponse for what the tests judge by, Metadata for other writes, nothing for reads: a judge must be
# complete about changes and need not know who looked (reference/reliability.md, section 2).
_JUDGED = [
    {"group": "", "resources": ["pods", "pods/status", "nodes"]},
    {"group": "batch", "resources": ["jobs", "jobs/status"]},
    {"group": "kueue.x-k8s.io", "resources": ["workloads", "workloads/status"]},
    {"group": "work.open-cluster-management.io", "resources": ["manifestworks"]},
    {"group": "control.kubestellar.io", "resources": ["bindingpolicies", "workstatuses"]},
]
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {
            "level": "None",
            "resources": [
                {"group": "", "resources": ["events"]},
                {"group": "events.k8s.io", "resources": ["events"]},
                {"group": "coordination.k8s.io", "resources": ["leases"]},
                {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
                {
                    "group": "authorization.k8s.io",
                    "resources": ["subjectaccessreviews", "selfsubjectaccessreviews"],
                },
            ],
        },
        {"level": "RequestResponse", "resources": _JUDGED},
        {"level": "Metadata"},
    ],
}

# Realistic where it matters (managedBy must keep a running Job controller away from our jobs) and small
# elsewhere.
_HUB_CONTROLLERS = (
    "job-controller,cronjob-controller,ttl-after-finished-controller,garbage-collector-controller,namespace-controller,"
    "resourcequota-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,"
    "clusterrole-aggregation-controller,replicaset-controller,deployment-controller,validatingadmissionpolicy-status-controller"
)
_CONTROLLERS = {HUB: _HUB_CONTROLLERS, CONTROL: "garbage-collector-controller,namespace-controller"}
_ON_WORKERS = (
    "*,-node-ipam-controller,-service-lb-controller,-node-route-controller,-cloud-node-lifecycle-controller"
)


def etcd(site: Site, name: str) -> Spec:
    """One etcd; without fsync, since a fleet's data need not survive the machine."""
    data = site.layout.root / name
    client, peer = (f"http://{site.layout.address(f'{name}/{role}')}" for role in ("client", "peer"))
    argv = [
        str(site.binaries["etcd"]),
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=4294967296",  # 4 GiB: 10,000 jobs with their history fill the default of 2
        "--auto-compaction-mode=periodic",
        "--auto-compaction-retention=10m",
        "--log-level=warn",
    ]
    return site.spec(name, argv, site.ready(f"{client}/health"), listens=(f"{name}/client", f"{name}/peer"))


def api_server(site: Site, space: str) -> Spec:
    """The API server of a space, with an audit log of its own."""
    layout, pki = site.layout, site.pki
    policy = layout.config("audit-policy.yaml")
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    argv = [
        str(site.binaries["kube-apiserver"]),
        f"--etcd-servers=http://{layout.address(f'{layout.etcd_of(space)}/client')}",
        f"--etcd-prefix=/registry-{space}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",  # else it looks for a default route, and fails where there is none
        "--external-hostname=localhost",
        f"--secure-port={layout.ports[space]}",
        f"--tls-cert-file={pki.server.certificate}",
        f"--tls-private-key-file={pki.server.key}",
        f"--client-ca-file={pki.ca}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",  # as kubeadm, kind and k3s have it: Pod Security says who may
        # Nobody is an authenticating proxy here, but without this CA OCM's agent logs an error every second.
        f"--requestheader-client-ca-file={pki.ca}",
        "--requestheader-allowed-names=nobody-is-a-proxy.invalid",
        "--requestheader-username-headers=X-Remote-User",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki.service_accounts}",
        f"--service-account-signing-key-file={pki.service_accounts}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",  # a loopback address is not allowed as an endpoint
        "--max-requests-inflight=1000",
        "--max-mutating-requests-inflight=500",
        "--profiling=false",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={layout.audit_log(space)}",
    ]
    return site.spec(
        f"{space}/kube-apiserver", argv, site.ready(f"{layout.url(space)}/readyz"), listens=(space,)
    )


def controller_manager(site: Site, space: str) -> Spec:
    """kube-controller-manager with the controllers that the space needs."""
    name = f"{space}/kube-controller-manager"
    kubeconfig = site.layout.kubeconfig(_context(space), "kube-controller-manager")
    argv = [
        str(site.binaries["kube-controller-manager"]),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={_CONTROLLERS.get(space, _ON_WORKERS)}",
        "--leader-elect=false",
        f"--kube-api-qps={CLIENT_QPS}",
        f"--kube-api-burst={CLIENT_BURST}",
        f"--root-ca-file={site.pki.ca}",
        f"--service-account-private-key-file={site.pki.service_accounts}",
        *_serving(site, name),
    ]
    return site.spec(name, argv, site.ready(f"https://{site.layout.address(name)}/healthz"), listens=(name,))


def scheduler(site: Site, worker: str) -> Spec:
    """kube-scheduler of a worker."""
    name = f"{worker}/kube-scheduler"
    config = site.layout.config(f"{worker}-scheduler.yaml")
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": str(site.layout.kubeconfig(worker, "kube-scheduler")),
            "qps": CLIENT_QPS,
            "burst": CLIENT_BURST,
        },
    }
    config.write_text(yaml.safe_dump(document))
    argv = [str(site.binaries["kube-scheduler"]), f"--config={config}", *_serving(site, name)]
    return site.spec(name, argv, site.ready(f"https://{site.layout.address(name)}/readyz"), listens=(name,))


def _serving(site: Site, name: str) -> list[str]:
    return [
        "--bind-address=127.0.0.1",
        f"--secure-port={site.layout.ports[name]}",
        f"--tls-cert-file={site.pki.server.certificate}",
        f"--tls-private-key-file={site.pki.server.key}",
    ]


def _context(space: str) -> str:
    return "wds" if space == CONTROL else space
