"""What runs for a worker beside its control plane: simulated nodes, and the agents."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

import local_fleet
from local_fleet.component import Probe, Spec
from local_fleet.components.recipe import CLIENT_BURST, CLIENT_QPS, Site

AGENT_NAMESPACE = "open-cluster-management-agent"
COMPLETE_AFTER = 3000  # milliseconds that a Job's pod runs, unless its annotation says otherwise
REPORT_INTERVAL = "2"  # seconds; a real cluster's 10 would make people wait at every step of a demo
_COMPLETE_DELAY = "pod-complete.stage.kwok.x-k8s.io/delay"
_DELETE_DELAY = "pod-delete.stage.kwok.x-k8s.io/delay"


def kwok(site: Site, worker: str) -> Spec:
    """Plays the kubelets of all nodes."""
    name = f"{worker}/kwok"
    config = site.layout.config("kwok-stages.yaml")
    if not config.exists():
        upstream = json.loads(site.binaries.manifest("kwok-stages").read_text())
        config.write_text(yaml.safe_dump_all(stages(upstream)))
    argv = [
        str(site.binaries["kwok"]),
        f"--kubeconfig={site.layout.kubeconfig(worker, 'kwok')}",
        f"--config={config}",
        "--manage-all-nodes=true",
        "--node-lease-duration-seconds=40",  # kubelet's; nodes are NotReady when kwok stops for longer
        f"--server-address={site.layout.address(name)}",
    ]
    return site.spec(name, argv, site.ready(f"http://{site.layout.address(name)}/healthz"), listens=(name,))


def stages(upstream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The stages of kwok's own repository with time in them, which a pod's annotations set.

    ``pod-complete.stage.kwok.x-k8s.io/delay: 30s``: how long a pod of a Job runs (default 3 s).
    ``pod-delete.stage.kwok.x-k8s.io/delay: 5s`` or ``grace``: how long a deleted pod takes to end, its
    terminationGracePeriodSeconds with ``grace`` (default: at once).
    """
    ends = (
        f'.metadata.annotations["{_DELETE_DELAY}"] as $delay '
        '| if $delay == "grace" then .metadata.deletionTimestamp else $delay end'
    )
    delays = {
        "pod-complete": _delay(COMPLETE_AFTER, f'.metadata.annotations["{_COMPLETE_DELAY}"]'),
        "pod-delete": _delay(0, ends),
    }
    timed = []
    for stage in upstream:
        delay = delays.get(stage["metadata"]["name"])
        timed.append({**stage, "spec": {**stage["spec"], "delay": delay}} if delay else stage)
    return timed


def work_agent(site: Site, worker: str) -> Spec:
    """OCM's work agent: pulls ManifestWorks from the ITS. It needs no registration."""
    name = f"{worker}/work-agent"
    argv = [
        str(site.binaries["work"]),
        "agent",
        f"--kubeconfig={site.layout.kubeconfig(worker, 'work-agent')}",
        f"--spoke-cluster-name={worker}",
        "--workload-source-driver=kube",
        f"--workload-source-config={site.layout.agent_kubeconfig(worker, 'work-agent')}",
        "--disable-leader-election",
        f"--namespace={AGENT_NAMESPACE}",
        f"--listen={site.layout.address(name)}",
        "--status-sync-interval=10s",
        # Of a Job that it started while its ManifestWork was being deleted; its own default is an hour.
        "--appliedmanifestwork-eviction-grace-period=2m",
        f"--kube-api-qps={CLIENT_QPS}",
        f"--kube-api-burst={CLIENT_BURST}",
        f"--hub-kube-api-qps={CLIENT_QPS}",
        f"--hub-kube-api-burst={CLIENT_BURST}",
    ]
    return site.spec(name, argv, site.ready(f"https://{site.layout.address(name)}/healthz"), listens=(name,))


def status_addon(site: Site, worker: str) -> Spec:
    """Our stand-in for KubeStellar's status add-on, which is not to be had as a Go module."""
    name = f"{worker}/status-addon"
    argv = [
        *_python("local_fleet.status_addon"),
        "--worker-kubeconfig",
        str(site.layout.kubeconfig(worker, "status-addon")),
        "--its-kubeconfig",
        str(site.layout.agent_kubeconfig(worker, "status-addon")),
        "--cluster-name",
        worker,
        "--health-port",
        str(site.layout.ports[name]),
    ]
    return site.spec(
        name,
        argv,
        site.ready(f"http://{site.layout.address(name)}/readyz"),
        listens=(name,),
        environment=_import_path(),
    )


def metrics_agent(site: Site, worker: str) -> Spec:
    """Our metrics agent, with the rights of its own identity."""
    name = f"{worker}/metrics-agent"
    kubeconfig = site.layout.kubeconfig(worker, "metrics-agent")
    argv = [*_python("metrics_agent"), "--kubeconfig", str(kubeconfig), "--metrics-name", worker]
    argv += ["--interval", REPORT_INTERVAL]
    return site.spec(name, argv, _no_probe(), listens=(), environment=_import_path())


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def _import_path() -> dict[str, str]:
    """Our own packages, wherever the caller's working directory is."""
    here = str(Path(local_fleet.__file__).parent.parent)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def _delay(milliseconds: int, expression: str) -> dict[str, Any]:
    return {"durationMilliseconds": milliseconds, "durationFrom": {"jq": {"expression": expression}}}


def _no_probe() -> Probe:
    async def ready() -> str:
        return ""

    return ready
