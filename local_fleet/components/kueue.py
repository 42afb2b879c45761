"""Kueue on the hub, with its webhooks for real.

Kueue reads its metrics certificate from /etc/kueue/metrics/certs, a path that no flag changes (kueue
cmd/kueue/main.go, 0.19.2). It therefore gets a private mount namespace in which /etc is a folder of ours;
nothing outside the fleet's folder is written, also as root. ``unshare`` and the shell replace themselves by
Kueue (exec), so that signals reach it.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from local_fleet.component import Spec
from local_fleet.components.recipe import CLIENT_BURST, CLIENT_QPS, Site
from local_fleet.errors import FleetError
from local_fleet.layout import HUB

NAMESPACE = "kueue-system"
_METRICS_CERTIFICATES = Path("kueue/metrics/certs")  # below /etc
_ENTER = 'mount --bind "$0" /etc && exec "$@"'
_WAYS = (["--mount"], ["--user", "--map-root-user", "--mount"])


def kueue(site: Site, frameworks: Sequence[str]) -> Spec:
    """Kueue with the given integrations ("batch/job")."""
    layout = site.layout
    certificates = layout.config("kueue-webhook")
    etc = layout.config("kueue-etc")
    for folder in (certificates, etc / _METRICS_CERTIFICATES):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(site.pki.server.certificate, folder / "tls.crt")
        shutil.copy(site.pki.server.key, folder / "tls.key")  # with its mode, 0600
    (etc / "hosts").write_text("127.0.0.1 localhost\n")
    config = layout.config("kueue.yaml")
    config.write_text(yaml.safe_dump(configuration(site, frameworks, certificates)))
    argv = [
        *_private_etc(etc),
        str(site.binaries["kueue"]),
        f"--config={config}",
        f"--kubeconfig={layout.kubeconfig(HUB, 'kueue')}",
        "--zap-log-level=2",
    ]
    return site.spec(
        "kueue",
        argv,
        site.ready(f"http://{layout.address('kueue/health')}/readyz"),
        listens=("kueue/health", "kueue/webhook", "kueue/metrics"),
    )


def configuration(site: Site, frameworks: Sequence[str], certificates: Path) -> dict[str, Any]:
    """Kueue's configuration file (config.kueue.x-k8s.io/v1beta2)."""
    ports = site.layout.ports
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": NAMESPACE,
        "health": {"healthProbeBindAddress": site.layout.address("kueue/health")},
        "metrics": {"bindAddress": site.layout.address("kueue/metrics"), "enableClusterQueueResources": True},
        "webhook": {"port": ports["kueue/webhook"], "host": "127.0.0.1", "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        # With the default rate Kueue admitted 10 jobs per second (docs/design.md, section 9).
        "clientConnection": {"qps": CLIENT_QPS, "burst": CLIENT_BURST},
        "controller": {
            "groupKindConcurrency": {
                "Job.batch": 5,
                "Workload.kueue.x-k8s.io": 10,
                "LocalQueue.kueue.x-k8s.io": 5,
                "ClusterQueue.kueue.x-k8s.io": 5,
                "ResourceFlavor.kueue.x-k8s.io": 1,
                "AdmissionCheck.kueue.x-k8s.io": 1,
            }
        },
        "featureGates": {
            # On by default since 0.19: it would evict whatever a test keeps from running for a while.
            "DisableWaitForPodsReady": True,
            # On by default since 0.19: it finishes the Workload of a deleted job while its pods still end,
            # and so frees the quota of what runs (docs/design.md, section 2).
            "FinishOrphanedWorkloads": False,
            "VisibilityOnDemand": False,
            "MultiKueue": False,
        },
        "integrations": {"frameworks": list(frameworks)},
    }


def webhooks(
    configurations: list[dict[str, Any]], frameworks: Sequence[str], url: str, ca: str
) -> list[dict[str, Any]]:
    """Kueue's own webhook manifests, pointed at a URL, without the frameworks that are off. ``ca`` is base64.

    As Kueue's kustomization does, kinds of users are left alone in the system's namespaces.
    """
    adapted = []
    for each in configurations:
        name = {
            "MutatingWebhookConfiguration": "kueue-mutating",
            "ValidatingWebhookConfiguration": "kueue-validating",
        }
        kept = [_pointed(hook, url, ca) for hook in each["webhooks"] if _serves(hook, frameworks)]
        adapted.append({**each, "metadata": {"name": name[each["kind"]]}, "webhooks": kept})
    return adapted


def _serves(hook: dict[str, Any], frameworks: Sequence[str]) -> bool:
    """Frameworks are called "batch/job", or "pod" and "deployment" for kinds that come with Kubernetes."""
    rule = hook["rules"][0]
    group, kind = rule["apiGroups"][0], rule["resources"][0].partition("/")[0].removesuffix("s")
    return group == "kueue.x-k8s.io" or f"{group}/{kind}" in frameworks or kind in frameworks


def _pointed(hook: dict[str, Any], url: str, ca: str) -> dict[str, Any]:
    pointed = {**hook, "clientConfig": {"url": url + hook["clientConfig"]["service"]["path"], "caBundle": ca}}
    if hook["rules"][0]["apiGroups"][0] != "kueue.x-k8s.io":
        outside = {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": ["kube-system", NAMESPACE],
        }
        pointed["namespaceSelector"] = {"matchExpressions": [outside]}
    return pointed


def _private_etc(etc: Path) -> list[str]:
    way = _way_in(etc)
    return ["unshare", *way, "--", "sh", "-c", _ENTER, str(etc)]


@cache
def _way_in(etc: Path) -> list[str]:
    """Options of ``unshare`` that work here. Raises FleetError where none do.

    A plain mount namespace needs root; inside a user namespace anybody may have one.
    """
    if not shutil.which("unshare"):
        msg = "The command unshare is missing, which gives Kueue a private /etc. Install util-linux."
        raise FleetError(msg)
    for way in _WAYS if os.geteuid() == 0 else _WAYS[1:]:
        trial = ["unshare", *way, "--", "sh", "-c", _ENTER, str(etc), "true"]
        if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return way
    msg = (
        "Kueue needs a private /etc (its metrics certificate has a fixed path there), and this "
        "machine allows you neither a mount "
        "namespace nor a user namespace. Allow unprivileged user namespaces (sysctl "
        "user.max_user_namespaces, or "
        "kernel.apparmor_restrict_unprivileged_userns=0), or run as root."
    )
    raise FleetError(msg)
