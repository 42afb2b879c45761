import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import MappingProxyType
from typing import NamedTuple

import aiohttp
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kube_runtime import telemetry
from kube_runtime.errors import NotFound, Unreachable
from kube_runtime.informer import Informer
from kube_runtime.resources import Resource
from kube_runtime.work_queue import WorkQueue
from tests.kube_runtime.faulty_server import serving, space_at
from tests.kube_runtime.object_history import Place


class Request(NamedTuple):
    kind: str
    namespace: str
    name: str


def value(metric: str, name: str) -> float | None:
    return REGISTRY.get_sample_value(metric, {"name": name})


def test_queue_metrics_bear_the_names_of_client_go() -> None:
    now = [100.0]
    name = "of-one-queue"
    queue: WorkQueue[str] = WorkQueue(
        clock=lambda: now[0], metrics=telemetry.QueueTelemetry(name, clock=lambda: now[0])
    )
    for key in ("a", "b", "a"):
        queue.add(key)
    assert value("workqueue_adds_total", name) == 2
    assert value("workqueue_depth", name) == 2
    now[0] += 3
    queue.get_nowait()
    assert value("workqueue_depth", name) == 1
    assert value("workqueue_queue_duration_seconds_sum", name) == pytest.approx(3)
    now[0] += 5
    queue.get_nowait()
    now[0] += 2
    assert value("workqueue_unfinished_work_seconds", name) == pytest.approx(7 + 2)
    assert value("workqueue_longest_running_processor_seconds", name) == pytest.approx(7)
    queue.retry("a")
    for key in ("a", "b"):
        queue.done(key)
    assert value("workqueue_retries_total", name) == 1
    assert value("workqueue_work_duration_seconds_sum", name) == pytest.approx(7 + 2)
    assert value("workqueue_work_duration_seconds_count", name) == 2
    assert value("workqueue_unfinished_work_seconds", name) == 0


@asynccontextmanager
async def served(missing: list[str]) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session and the root URL of a running server."""
    with capture_logs() as logs:
        server = asyncio.create_task(telemetry.serve(0, missing=lambda: missing))
        while not logs:  # noqa: ASYNC110 - the port is known from the log only
            await asyncio.sleep(0.001)
    host, port = logs[0]["address"][:2]
    try:
        async with aiohttp.ClientSession() as session:
            yield session, f"http://{host}:{port}"
    finally:
        server.cancel()
        await asyncio.wait([server])
        assert server.cancelled()


async def test_endpoints() -> None:
    missing = ["its: workstatuses not listed yet", "hub: lease ns/n: no answer"]
    async with asyncio.timeout(30), served(missing) as (session, root):
        assert root.startswith("http://127.0.0.1:")

        async def get(path: str) -> tuple[int, str]:
            async with session.get(root + path) as answer:
                return answer.status, await answer.text()

        assert await get("/healthz") == (200, "ok\n")
        assert await get("/readyz") == (503, "".join(f"{line}\n" for line in missing))
        missing.clear()
        assert await get("/readyz") == (200, "ok\n")
        telemetry.LOOP_LAG.set(telemetry.LAG_LIMIT + 0.5)
        assert await get("/healthz") == (503, "the event loop is 10.5 s late\n")
        telemetry.LOOP_LAG.set(0)
        status, text = await get("/metrics")
        assert status == 200
        assert "kube_runtime_loop_lag_seconds" in text
        assert (await get("/"))[0] == 404


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        ("w1", "w1"),
        (3, 3),
        (Request("workload", "ns", "a"), Request("workload", "ns", "a")),
        ({"kind": "Secret", "data": {"key": "czNjcjN0"}}, "<dict>"),
        ([{"env": [{"name": "TOKEN", "value": "s3cr3t"}]}], "<list>"),
        ([["a"], [MappingProxyType({"token": "s3cr3t"})]], "<list>"),
        (b"s3cr3t", "<bytes>"),
    ],
    ids=["text", "number", "key", "object", "objects", "nested", "bytes"],
)
def test_no_object_is_logged(value: object, logged: object) -> None:
    assert telemetry._without_objects(None, "info", {"event": "x", "of": value}) == {
        "event": "x",
        "of": logged,
    }


async def test_informers_tell_how_well_they_know_their_servers() -> None:
    async with serving() as server, space_at(server) as hub:
        pods = Resource("", "v1", "pods", "Pod")
        jobs = Resource("batch", "v1", "jobs", "Job")
        informers: list[Informer[str]] = [
            Informer(hub, resource, transform=lambda obj: str(obj["metadata"]["name"]))
            for resource in (jobs, pods)
        ]
        server.put(Place("/apis/batch/v1/jobs", "ns", "a"))
        assert telemetry.unsynced(informers) == [f"{hub.name}: {r} not listed yet" for r in (jobs, pods)]
        running = asyncio.create_task(informers[0].run())
        await asyncio.wait_for(informers[0].wait_synced(), 10)
        running.cancel()
        await asyncio.wait([running])
        assert telemetry.unsynced(informers) == [f"{hub.name}: {pods} not listed yet"]
        with telemetry.exposed(telemetry.InformerTelemetry(informers)):
            read = {
                name: [
                    REGISTRY.get_sample_value(
                        f"kube_runtime_informer_{name}", {"space": hub.name, "resource": str(r)}
                    )
                    for r in (jobs, pods)
                ]
                for name in ("synced", "objects", "relists_total", "skipped_total", "last_contact_seconds")
            }
        age = read.pop("last_contact_seconds")
        assert read == {"synced": [1, 0], "objects": [1, 0], "relists_total": [0, 0], "skipped_total": [0, 0]}
        assert age[0] is not None
        assert 0 <= age[0] < 10
        assert age[1] is None


LOGS = """
import logging, structlog
from kube_runtime import telemetry
early = structlog.get_logger("early")
telemetry.configure_logging(json={json}, level="info")
early.debug("unheard")
early.info("placed", cluster="w1", amount=3, job={{"spec": "secret-spec"}})
logging.getLogger("aiohttp.client").warning("from %s", "stdlib")
logging.getLogger("kopf.x").info("unheard")
token = "secret-token"
try:
    1 / 0
except ZeroDivisionError:
    early.exception("failed")
"""


def logged(*, as_json: bool) -> str:
    """stderr of a process that logs as above: the configuration is global, so it gets its own."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOGS.format(json=as_json)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == ""
    return done.stderr


def test_json_lines_for_machines() -> None:
    lines = [json.loads(line) for line in logged(as_json=True).splitlines()]
    assert [line["event"] for line in lines] == ["placed", "from stdlib", "failed"]
    assert [line["level"] for line in lines] == ["info", "warning", "error"]
    assert lines[0]["cluster"] == "w1"
    assert lines[0]["job"] == "<dict>"
    assert lines[0]["timestamp"].endswith("Z")
    assert "ZeroDivisionError" in lines[2]["exception"]


def test_text_for_people_shows_no_variables() -> None:
    text = logged(as_json=False)
    assert "placed" in text
    assert "cluster=w1" in text
    assert "from stdlib" in text
    assert "ZeroDivisionError" in text
    assert "unheard" not in text
    assert "secret-token" not in text
    assert "secret-spec" not in text


async def test_requests_are_counted_by_their_answer() -> None:
    async with serving() as server, space_at(server) as hub:
        host = hub.server.removeprefix("http://")
        jobs = Resource("batch", "v1", "jobs", "Job")
        server.put(Place("/apis/batch/v1/jobs", "ns", "a"))
        await hub.get(jobs, "a", "ns")
        with pytest.raises(NotFound):
            await hub.get(jobs, "b", "ns")
        async with aclosing(hub.watch(jobs.path("ns"), {"resourceVersion": "0"}, idle=5)) as events:
            assert (await anext(events))["type"] == "ADDED"
    with pytest.raises(Unreachable):
        async with space_at(server) as gone:
            await gone.get(jobs, "a", "ns")

    def counted(code: str) -> float | None:
        of = {"code": code, "method": "GET", "host": host}
        return REGISTRY.get_sample_value("rest_client_requests_total", of)

    assert [counted(code) for code in ("200", "404", "<error>")] == [2, 1, 1]
    took = {"verb": "GET", "host": host}
    assert REGISTRY.get_sample_value("rest_client_request_duration_seconds_count", took) == 3
