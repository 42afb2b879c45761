"""An imitation of kube-state-metrics (2.x) over the workers' API servers, for a real Prometheus to scrape.

Nodes and pods are read at each scrape, ``/w1/metrics`` for worker w1. Only the metrics that our queries name,
in kube-state-metrics' words: names with ``_`` for other characters, base units, all labels.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from aiohttp import web

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse
from kube_runtime.resources import Resource
from vocabulary.resources import NODES, PODS

UNITS = {"cpu": "core", "memory": "byte", "ephemeral-storage": "byte"}


class Lister(Protocol):
    """What is asked of a worker's API server."""

    async def list(self, resource: Resource) -> list[Obj]:
        """All objects of a kind."""
        ...


@asynccontextmanager
async def exporter(workers: Mapping[str, Lister]) -> AsyncIterator[int]:
    """Serve on a free port of this machine, which is what it yields."""

    async def metrics(request: web.Request) -> web.Response:
        space = workers[request.match_info["worker"]]
        lines = [*_of_nodes(await space.list(NODES)), *_of_pods(await space.list(PODS))]
        return web.Response(text="\n".join(lines) + "\n", content_type="text/plain")

    application = web.Application()
    application.router.add_get("/{worker}/metrics", metrics)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _of_nodes(nodes: list[Obj]) -> Iterator[str]:
    for node in nodes:
        name, spec = node["metadata"]["name"], node["spec"]
        labels = {f"label_{_spelled(key)}": value for key, value in node["metadata"]["labels"].items()}
        yield _series("kube_node_labels", 1, node=name, **labels)
        yield _series("kube_node_spec_unschedulable", int(spec.get("unschedulable", False)), node=name)
        for taint in spec.get("taints", ()):
            of = {"key": taint["key"], "value": taint.get("value", ""), "effect": taint["effect"]}
            yield _series("kube_node_spec_taint", 1, node=name, **of)
        for condition in node["status"]["conditions"]:
            for status in ("true", "false", "unknown"):
                of = {"condition": condition["type"], "status": status}
                is_so = int(condition["status"].lower() == status)
                yield _series("kube_node_status_condition", is_so, node=name, **of)
        for resource, amount in node["status"]["allocatable"].items():
            yield _series("kube_node_status_allocatable", amount, node=name, **_resource(resource))


def _of_pods(pods: list[Obj]) -> Iterator[str]:
    for pod in pods:
        spec = pod["spec"]
        of = {"namespace": pod["metadata"]["namespace"], "pod": pod["metadata"]["name"]}
        on = {**of, "node": spec.get("nodeName", "")}
        yield _series("kube_pod_info", 1, **on)
        labels = (pod["metadata"].get("labels") or {}).items()
        yield _series("kube_pod_labels", 1, **of, **{f"label_{_spelled(k)}": v for k, v in labels})
        for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
            is_so = int(pod["status"].get("phase") == phase)
            yield _series("kube_pod_status_phase", is_so, **of, phase=phase)
        for kind, containers in (("", spec["containers"]), ("init_", spec.get("initContainers", ()))):
            for container in containers:
                for resource, amount in container.get("resources", {}).get("requests", {}).items():
                    labels = {**on, "container": container["name"], **_resource(resource)}
                    yield _series(f"kube_pod_{kind}container_resource_requests", amount, **labels)


def _resource(name: str) -> dict[str, str]:
    return {"resource": _spelled(name), "unit": UNITS.get(name, "integer")}


def _series(name: str, value: Any, /, **labels: str) -> str:
    text = ",".join(f'{key}="{label}"' for key, label in labels.items())
    return f"{name}{{{text}}} {float('nan') if value == 'NaN' else float(parse(value))!r}"


def _spelled(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
