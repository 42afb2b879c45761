"""What we need of the generated client: starts fast, applies, keeps unknown fields, shares transports."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes.aio
import kubestellar_client
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

GENERATED = Path(__file__).resolve().parents[2] / "generated"

POLICY: dict[str, Any] = {
    "apiVersion": "control.kubestellar.io/v1alpha1",
    "kind": "BindingPolicy",
    "metadata": {"name": "wave-1", "labels": {"app.kubernetes.io/managed-by": "kueue-kubestellar"}},
    "spec": {
        "clusterSelectors": [{"matchLabels": {"name": "w1"}}],
        "downsync": [
            {
                "apiGroup": "batch",
                "resources": ["jobs"],
                "objectSelectors": [
                    {
                        "matchLabels": {"wave": "1"},
                        "matchExpressions": [{"key": "cluster", "operator": "In", "values": ["w1"]}],
                    }
                ],
                "createOnly": True,
                "wantSingletonReportedState": False,
            }
        ],
    },
}


@dataclass
class Recorder:
    """An API server that answers every write with what was written, and remembers how it came."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport
        body = await request.text()
        self.seen.append(
            {
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "content_type": request.headers.get("Content-Type"),
                "authorization": request.headers.get("Authorization"),
                "connection": request.transport.get_extra_info("peername"),
                "body": body,
            }
        )
        return web.json_response(json.loads(body) if body else POLICY)


@pytest.fixture
async def server() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", recorder.answer)
    async with TestServer(app, host="127.0.0.1") as running:
        recorder.url = str(running.make_url("")).rstrip("/")
        yield recorder


@pytest.fixture
async def official(server: Recorder) -> AsyncIterator[kubernetes.aio.client.ApiClient]:
    configuration = kubernetes.aio.client.Configuration(host=server.url)
    configuration.client_session_kwargs = {"trust_env": False}
    configuration.api_key = {"BearerToken": "Bearer secret"}
    async with kubernetes.aio.client.ApiClient(configuration) as client:
        yield client


@pytest.fixture
def api(
    official: kubernetes.aio.client.ApiClient,
) -> kubestellar_client.ControlKubestellarIoV1alpha1Api:
    """Our client on the transport and the token of the official one, as generated/README.md shows it."""
    configuration = kubestellar_client.Configuration(host=official.configuration.host)
    configuration.api_key = official.configuration.api_key
    ours = kubestellar_client.ApiClient(configuration)
    ours.rest_client = official.rest_client
    return kubestellar_client.ControlKubestellarIoV1alpha1Api(ours)


async def test_server_side_apply_goes_out_as_json(
    api: kubestellar_client.ControlKubestellarIoV1alpha1Api, server: Recorder
) -> None:
    await api.patch_binding_policy(
        "wave-1", POLICY, field_manager="me", force=True, _content_type="application/apply-patch+yaml"
    )

    (request,) = server.seen
    assert request["method"] == "PATCH"
    assert request["path"] == "/apis/control.kubestellar.io/v1alpha1/bindingpolicies/wave-1"
    assert request["content_type"] == "application/apply-patch+yaml"
    assert request["query"] == {"fieldManager": "me", "force": "true"}
    assert json.loads(request["body"]) == POLICY


async def test_server_side_apply_by_the_clients_own_transport(server: Recorder) -> None:
    """What the amended line of the template is for."""
    configuration = kubestellar_client.Configuration(host=server.url)
    async with kubestellar_client.ApiClient(configuration) as client:
        await kubestellar_client.ControlKubestellarIoV1alpha1Api(client).patch_binding_policy(
            "wave-1", POLICY, field_manager="me", _content_type="application/apply-patch+yaml"
        )
    assert json.loads(server.seen[0]["body"]) == POLICY


async def test_a_patch_is_a_merge_patch_unless_said_otherwise(
    api: kubestellar_client.ControlKubestellarIoV1alpha1Api, server: Recorder
) -> None:
    await api.patch_binding_policy("wave-1", {"metadata": {"labels": {"x": "y"}}})
    assert server.seen[0]["content_type"] == "application/merge-patch+json"


async def test_one_connection_and_one_token_serve_both_clients(
    official: kubernetes.aio.client.ApiClient,
    api: kubestellar_client.ControlKubestellarIoV1alpha1Api,
    server: Recorder,
) -> None:
    await kubernetes.aio.client.CustomObjectsApi(official).get_cluster_custom_object(
        "control.kubestellar.io", "v1alpha1", "bindingpolicies", "wave-1"
    )
    read = await api.read_binding_policy("wave-1")

    official.configuration.api_key["BearerToken"] = "Bearer newer"
    await api.read_binding_policy("wave-1")

    first, second, third = server.seen
    assert first["connection"] == second["connection"]
    assert first["authorization"] == second["authorization"] == "Bearer secret"
    assert third["authorization"] == "Bearer newer"
    assert read.spec.downsync[0].create_only is True


async def test_a_list_can_be_paged(
    api: kubestellar_client.ControlKubestellarIoV1alpha1Api, server: Recorder
) -> None:
    with pytest.raises(ValueError, match="items"):  # the recorder answers with a single object
        await api.list_namespaced_work_status("w1", limit=500, _continue="token")
    assert server.seen[0]["path"] == "/apis/control.kubestellar.io/v1alpha1/namespaces/w1/workstatuses"
    assert server.seen[0]["query"] == {"limit": "500", "continue": "token"}


def test_a_binding_policy_survives_the_round_trip() -> None:
    assert kubestellar_client.BindingPolicy.from_dict(POLICY).to_dict() == POLICY


def test_fields_of_a_newer_version_survive() -> None:
    newer = {**POLICY, "spec": {**POLICY["spec"], "fromTheFuture": [{"a": 1}]}}
    assert kubestellar_client.BindingPolicy.from_dict(newer).to_dict() == newer


@pytest.mark.parametrize(
    "kind",
    ["BindingPolicy", "Binding", "StatusCollector", "CombinedStatus", "CustomTransform", "WorkStatus"],
)
def test_a_status_that_is_not_complete_can_be_read(kind: str) -> None:
    obj = {"kind": kind, "metadata": {"name": "x"}, "status": {"conditions": [{"type": "Ready"}]}}
    assert getattr(kubestellar_client, kind).from_dict(obj).to_dict() == obj


def test_importing_loads_no_model_and_no_library() -> None:
    """What is not loaded cannot be slow: all models at once take half a second."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, kubestellar_client; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(GENERATED)},
    ).stdout.split()
    heavy = ("kubestellar_client.", "pydantic", "aiohttp")
    assert "kubestellar_client" in loaded
    assert [name for name in loaded if name.startswith(heavy)] == []
