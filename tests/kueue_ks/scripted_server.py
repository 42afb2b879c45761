"""An API server that gives the answers that a test wrote down, over real HTTP, and remembers what was asked.

For refusals and for "nothing was written". What an installation really does is tested on real API servers
(tests/fleet/test_install.py).
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from kube_runtime.objects import Obj
from kube_runtime.space import Space
from vocabulary.keys import CONTROLLER_NAME, QUEUE_NAME, WORKLOAD_UID

RESOURCES = {
    "/api/v1": {
        "Namespace": "namespaces",
        "ServiceAccount": "serviceaccounts",
        "Node": "nodes",
        "Pod": "pods",
    },
    "/apis/rbac.authorization.k8s.io/v1": {
        "ClusterRole": "clusterroles",
        "ClusterRoleBinding": "clusterrolebindings",
        "Role": "roles",
        "RoleBinding": "rolebindings",
    },
    "/apis/admissionregistration.k8s.io/v1": {
        "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
        "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    },
    "/apis/apiextensions.k8s.io/v1": {"CustomResourceDefinition": "customresourcedefinitions"},
    "/apis/kueue.x-k8s.io/v1beta2": {
        "Workload": "workloads",
        "LocalQueue": "localqueues",
        "ClusterQueue": "clusterqueues",
        "ResourceFlavor": "resourceflavors",
        "AdmissionCheck": "admissionchecks",
    },
}
NAMESPACED = {"ServiceAccount", "Pod", "Role", "RoleBinding", "Workload", "LocalQueue"}
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class Asked(NamedTuple):
    method: str
    path: str
    dry_run: bool


@dataclass
class ScriptedServer:
    """A cluster with Kueue and nothing of ours, as long as the test does not say otherwise."""

    version: str = "v1.36.3"
    served: dict[str, dict[str, str]] = field(default_factory=lambda: dict(RESOURCES))
    objects: dict[str, Obj] = field(default_factory=dict)  # path: object
    denied: set[tuple[str, str]] = field(default_factory=set)  # (verb, plural) that reviews deny
    refusals: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)  # (method, path): answer
    manages_jobs: bool = True  # the admission policy is in effect
    guards_namespaces: bool = True  # the policy for jobs of ours on a worker too
    asked: list[Asked] = field(default_factory=list)

    @property
    def writes(self) -> list[Asked]:
        """What was asked and would have changed something."""
        return [a for a in self.asked if a.method != "GET" and not a.dry_run and a.path != REVIEWS]

    async def answer(self, request: web.Request) -> web.Response:
        asked = Asked(request.method, request.path, "dryRun" in request.query)
        self.asked.append(asked)
        if refusal := self.refusals.get((asked.method, asked.path)):
            return _status(*refusal)
        if asked.path == REVIEWS:
            return web.json_response(self._review(await request.json()), status=201)
        if asked.method in {"POST", "PATCH"}:
            body = json.loads(await request.text())
            if self.guards_namespaces and WORKLOAD_UID in (body["metadata"].get("labels") or {}):
                return _status(403, "ValidatingAdmissionPolicy 'kueue-ks-namespace' denied request")
            body["metadata"]["resourceVersion"] = "2"
            if self.manages_jobs and QUEUE_NAME in (body["metadata"].get("labels") or {}):
                body["spec"]["managedBy"] = CONTROLLER_NAME
            return web.json_response(body, status=201)
        if asked.method == "DELETE":
            return web.json_response({"kind": "Status", "status": "Success"})
        return self._read(asked.path)

    def _review(self, review: Obj) -> Obj:
        wanted = review["spec"]["resourceAttributes"]
        return {**review, "status": {"allowed": (wanted["verb"], wanted["resource"]) not in self.denied}}

    def _read(self, path: str) -> web.Response:
        if path == "/version":
            major, minor = self.version.removeprefix("v").split(".")[:2]
            return web.json_response({"major": major, "minor": minor, "gitVersion": self.version})
        if path in self.served:
            return web.json_response({"kind": "APIResourceList", "resources": _entries(self.served[path])})
        if path in self.objects:
            return web.json_response(self.objects[path])
        return _status(404, f"{path} not found")


def _entries(kinds: dict[str, str]) -> list[dict[str, Any]]:
    whole = [{"name": name, "kind": kind, "namespaced": kind in NAMESPACED} for kind, name in kinds.items()]
    return [*whole, *({**entry, "name": f"{entry['name']}/status"} for entry in whole)]


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


@asynccontextmanager
async def serving(server: ScriptedServer) -> AsyncIterator[Space]:
    """A space that talks to the server."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(app, host="127.0.0.1") as running:
        url = str(running.make_url("")).rstrip("/")
        async with Space("hub", Configuration(host=url)) as space:
            yield space
