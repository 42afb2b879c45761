"""Reading the three spaces over real HTTP: what is dead, slow or forbidden is named, the rest is shown."""

import asyncio
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kube_runtime.connections import ConnectionFailed, ConnectionSettings
from kube_runtime.objects import Obj
from kueue_ks.views import reading, show
from kueue_ks.views.facts import facts_of
from kueue_ks.views.seen import Seen
from tests.kueue_ks.scripted_server import ScriptedServer
from tests.kueue_ks.view_builders import seen
from workload_controller.published import Options

PATIENT = 60.0  # seconds: no test waits for it
DEADLINE = 3.0  # of the tests that do
ALL = reading.FOR_TOP


def path_of(name: str, namespace: str = "") -> str:
    each = reading.READINGS[name]
    return each.resource.path(namespace or each.namespace)


def listed(items: Sequence[Obj] | None) -> Obj:
    return {"metadata": {}, "items": list(items or ())}


def server_of(space: str) -> ScriptedServer:
    """An API server with the objects of ``seen()``."""
    given = seen()
    names = [
        name for name, each in reading.READINGS.items() if name in reading.FOR_TOP and each.space == space
    ]
    return ScriptedServer(objects={path_of(name): listed(getattr(given, name)) for name in names})


class Silent(ScriptedServer):
    """Takes every request and never answers."""

    async def answer(self, request: web.Request) -> web.Response:  # noqa: ARG002
        await asyncio.Event().wait()
        raise AssertionError


class Fleet:
    """Three servers with kubeconfigs; a space that is None is a closed port."""

    def __init__(self, folder: Path, **servers: ScriptedServer | None) -> None:
        self.folder = folder
        self.servers: dict[str, ScriptedServer | None] = {
            **{space: server_of(space) for space in ("hub", "wds", "its")},
            **servers,
        }
        self.given = {"hub", "wds", "its"}

    @property
    def where(self) -> dict[str, ConnectionSettings]:
        return {
            space: ConnectionSettings(kubeconfig=self.folder / space if space in self.given else None)
            for space in self.servers
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Fleet"]:
        async with AsyncExitStack() as stack:
            for space, server in self.servers.items():
                url = f"http://127.0.0.1:{closed_port()}"
                if server is not None:
                    app = web.Application()
                    app.router.add_route("*", "/{path:.*}", server.answer)
                    running = await stack.enter_async_context(TestServer(app, host="127.0.0.1"))
                    url = str(running.make_url("")).rstrip("/")
                self.write(space, url)
            yield self

    def write(self, space: str, url: str) -> None:
        kubeconfig = {
            "clusters": [{"name": space, "cluster": {"server": url}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": space, "context": {"cluster": space, "user": "me"}}],
            "current-context": space,
        }
        (self.folder / space).write_text(json.dumps(kubeconfig))

    async def look(self, *, namespace: str = "", deadline: float = PATIENT) -> Seen:
        async with reading.Eyes(self.where, deadline=deadline, namespace=namespace) as eyes:
            return await eyes.look(ALL)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_everything_answers(tmp_path: Path) -> None:
    async with Fleet(tmp_path).running() as fleet:
        found = await fleet.look()
    assert found.unread == {}
    assert [len(getattr(found, name) or ()) for name in reading.READINGS if name in reading.FOR_TOP] == [
        8,
        7,
        1,
        1,
        1,
        2,
        0,
        3,
        4,
        4,
    ]


@pytest.mark.parametrize(
    ("dead", "lost"), [("wds", {"copies"}), ("its", {"clusters", "statuses"})], ids=["wds", "its"]
)
async def test_a_dead_space_is_named_and_the_rest_is_read(tmp_path: Path, dead: str, lost: set[str]) -> None:
    async with Fleet(tmp_path, **{dead: None}).running() as fleet:
        found = await fleet.look()
    assert list(found.unread) == [dead]
    assert {name for name in reading.FOR_TOP if getattr(found, name) is None} == lost


@pytest.mark.parametrize("slow", ["hub", "its"])
async def test_a_silent_space_costs_its_deadline_and_no_more(tmp_path: Path, slow: str) -> None:
    async with Fleet(tmp_path, **{slow: Silent()}).running() as fleet:
        began = time.monotonic()
        found = await fleet.look(deadline=DEADLINE)
        took = time.monotonic() - began
    assert list(found.unread) == [slow]
    assert found.unread[slow] == "no answer within 3s"
    assert DEADLINE <= took < 20  # a request alone may take 30
    others = [
        name for name, each in reading.READINGS.items() if name in reading.FOR_TOP and each.space != slow
    ]
    assert all(getattr(found, name) is not None for name in others)


async def test_spaces_that_are_described_on_a_dead_hub(tmp_path: Path) -> None:
    async with Fleet(tmp_path, hub=None).running() as fleet:
        fleet.given = {"hub", "its"}
        found = await fleet.look()
    assert sorted(found.unread) == ["hub", "wds"]
    assert found.unread["wds"].startswith("it is described on the hub, and that cannot be read: hub: ")
    assert found.clusters is not None


async def test_nothing_answers(tmp_path: Path) -> None:
    async with Fleet(tmp_path, hub=None, wds=None, its=None).running() as fleet:
        with pytest.raises(ConnectionFailed, match=r"^hub: "):
            await fleet.look()


async def test_one_list_that_is_forbidden_is_named(tmp_path: Path) -> None:
    hub = server_of("hub")
    hub.refusals[("GET", path_of("cluster_queues"))] = (403, "no")
    async with Fleet(tmp_path, hub=hub).running() as fleet:
        found = await fleet.look()
    assert list(found.unread) == ["hub clusterqueues"]
    assert found.cluster_queues is None
    assert found.local_queues is not None


async def test_who_may_not_read_the_lease_gets_the_defaults_and_no_warning(tmp_path: Path) -> None:
    hub = server_of("hub")
    hub.refusals[("GET", path_of("leases"))] = (403, "not yours")
    async with Fleet(tmp_path, hub=hub).running() as fleet:
        found = await fleet.look()
    assert (found.unread, found.leases) == ({}, None)
    assert facts_of(found).options == Options()


async def test_a_tenant_sees_his_namespace(tmp_path: Path) -> None:
    hub = server_of("hub")
    for name in ("workloads", "jobs", "local_queues"):
        hub.refusals[("GET", path_of(name))] = (403, "only your own")
        hub.objects[path_of(name, "team-b")] = listed(
            [o for o in getattr(seen(), name) if o["metadata"]["namespace"] == "team-b"]
        )
    async with Fleet(tmp_path, hub=hub).running() as fleet:
        found = await fleet.look(namespace="team-b")
        assert found.unread == {}
        assert (found.namespace, len(found.workloads or ())) == ("team-b", 1)
        assert list((await fleet.look()).unread) == ["hub jobs", "hub localqueues", "hub workloads"]


async def test_a_space_that_comes_back_elsewhere_is_read_again(tmp_path: Path) -> None:
    async with (
        Fleet(tmp_path).running() as fleet,
        reading.Eyes(fleet.where, deadline=PATIENT) as eyes,
    ):
        fleet.servers = {"wds": server_of("wds")}
        async with fleet.running():
            assert (await eyes.look(ALL)).unread == {}
        gone = await eyes.look(ALL)
        assert (list(gone.unread), gone.copies) == (["wds"], None)
        async with fleet.running():
            again = await eyes.look(ALL)
    assert again.unread == {}
    assert len(again.copies or ()) == 3


async def shown(fleet: Fleet, command: str, **fields: Any) -> tuple[str, str]:
    """What a command prints, out and err."""
    out, err = io.StringIO(), io.StringIO()
    options = show.Options(where=fleet.where, deadline=PATIENT, **fields)
    match command:
        case "clusters":
            await asyncio.to_thread(show.show_clusters, options, out, err)
        case "queue":
            await asyncio.to_thread(show.show_queue, options, "", out, err)
        case _:
            await asyncio.to_thread(
                lambda: show.show_top(options, once=True, watch=False, every=1, out=out, err=err)
            )
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("command", ["clusters", "queue", "top"])
async def test_commands_with_a_dead_space(tmp_path: Path, command: str) -> None:
    async with Fleet(tmp_path, wds=None).running() as fleet:
        out, err = await shown(fleet, command)
    assert err.startswith("warning: wds was not read: ")
    assert len(err.splitlines()) == 1
    assert "w1" in out


@pytest.mark.parametrize(
    ("command", "kind"), [("clusters", "ClustersReport"), ("queue", "QueueReport"), ("top", "TopReport")]
)
async def test_json_is_versioned(tmp_path: Path, command: str, kind: str) -> None:
    async with Fleet(tmp_path).running() as fleet:
        out, err = await shown(fleet, command, output=show.Output.JSON)
    report = json.loads(out)
    assert (report["apiVersion"], report["kind"], err) == ("cli.kueue-ks/v1", kind, "")
    if command != "queue":
        (w1, *_) = report["clusters"]
        assert w1["nodesTakingPods"] == 2
        assert {"resource": "cpu", "capacity": "128", "held": "32"}.items() <= w1["rooms"][0].items()
    if command != "clusters":
        assert [job["position"] for job in report["waiting"]] == [None, 1, 2, None]
        assert report["waiting"][1]["asks"]["nvidia.com/gpu"] == "4"


async def test_an_empty_fleet_says_so(tmp_path: Path) -> None:
    empty = {"hub": ScriptedServer(), "wds": ScriptedServer(), "its": ScriptedServer()}
    for name, each in reading.READINGS.items():
        empty[each.space].objects[path_of(name)] = listed([])
    async with Fleet(tmp_path, **empty).running() as fleet:
        assert await shown(fleet, "queue", namespace="x") == ("", "No resources found in x namespace.\n")
        out, err = await shown(fleet, "clusters")
    assert (out, err) == ("", "No ManagedCluster in the ITS: register a worker with OCM\n")
