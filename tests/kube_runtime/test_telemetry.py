import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kube_runtime import telemetry
from kube_runtime.work_queue import WorkQueue


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
async def served(ready: list[bool]) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session and the root URL of a running server."""
    with capture_logs() as logs:
        server = asyncio.create_task(telemetry.serve(0, ready=lambda: ready[0]))
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
    ready = [False]
    async with asyncio.timeout(30), served(ready) as (session, root):
        assert root.startswith("http://127.0.0.1:")

        async def get(path: str) -> tuple[int, str]:
            async with session.get(root + path) as answer:
                return answer.status, await answer.text()

        assert (await get("/healthz"))[0] == 200
        assert (await get("/readyz"))[0] == 503
        ready[0] = True
        assert (await get("/readyz"))[0] == 200
        status, text = await get("/metrics")
        assert status == 200
        assert "kube_runtime_loop_lag_seconds" in text
        assert (await get("/"))[0] == 404


LOGS = """
import logging, structlog
from kube_runtime import telemetry
early = structlog.get_logger("early")
telemetry.configure_logging(json={json}, level="info")
early.debug("unheard")
early.info("placed", cluster="w1", amount=3)
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
