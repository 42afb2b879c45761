"""How long a command takes that reads: each one as a process of its own, against servers on loopback.

The servers answer from memory, so that the figures are the commands' own, imports included.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer

from kube_runtime.objects import Obj
from kueue_ks.views import reading
from kueue_ks.views.seen import Seen
from tests.bench.figures import Figure, figure
from tests.kueue_ks.forecast_builders import lease, namespace, twin
from tests.kueue_ks.view_builders import many
from workload_controller.published import Options

COMMANDS: Final = {
    "queue": ("queue",),
    "clusters": ("clusters",),
    "top --once": ("top", "--once"),
    "explain": ("explain", "job/job-00002", "-n", "team-a"),
    "audit --timeout 0": ("audit", "--timeout", "0", "--exit-zero"),
    "whatif drain": ("whatif", "drain", "w000"),
}
JOBS: Final = (4, 1000)
CLUSTERS: Final = 20
REPEATS: Final = 3
ROOT: Final = Path(__file__).parents[2]


class Spent(NamedTuple):
    """Seconds of one process."""

    wall: float
    cpu: float


def figures(calibration: float, repeats: int = REPEATS, jobs: Sequence[int] = JOBS) -> Iterator[Figure]:
    """Wall and processor time of each command, by number of jobs, and of ``--help``."""
    nothing = {"HOME": "/nonexistent"}
    helps = [asyncio.run(_spent(("--help",), nothing)) for _ in range(repeats)]
    cpu = [s.cpu for s in helps]
    yield figure("command --help", "cpu", cpu, calibration=calibration, limit="250 ms")
    for count in jobs:
        group = f"commands, {count:,} jobs, {CLUSTERS} clusters"
        for name, found in asyncio.run(_all(count, repeats)).items():
            few = count == min(jobs)
            yield figure(group, f"{name}: wall", [s.wall for s in found], limit="" if few else "1,000 ms")
            cpu, wanted = [s.cpu for s in found], "600 ms" if few else ""
            yield figure(group, f"{name}: cpu", cpu, calibration=calibration, limit=wanted)


async def _all(jobs: int, repeats: int) -> dict[str, list[Spent]]:
    seen = fleet(jobs)
    async with _served(seen) as environment:
        return {
            name: [await _spent(arguments, environment) for _ in range(repeats)]
            for name, arguments in COMMANDS.items()
        }


def fleet(jobs: int) -> Seen:
    """So many jobs on 20 clusters, half of them running, of now."""
    given = many(jobs, clusters=CLUSTERS)
    found: dict[str, Any] = {name: getattr(given, name) for name in reading.READINGS}
    namespaces = {o["metadata"]["namespace"] for o in given.workloads or ()}
    found["hub_namespaces"] = [namespace(name) for name in sorted(namespaces)]
    found["twins"] = [twin(name) for name in sorted(namespaces)]
    found["leases"] = [lease(Options(known=True))]
    complete: dict[str, Any] = {name: objects or [] for name, objects in found.items()}
    return replace(given, **complete)


@asynccontextmanager
async def _served(seen: Seen) -> AsyncIterator[dict[str, str]]:
    """Three servers; the environment that leads a command to them."""
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            environment = {"HOME": folder}
            for space in ("hub", "wds", "its"):
                server = await stack.enter_async_context(
                    TestServer(_application(space, seen), host="127.0.0.1")
                )
                file = Path(folder) / space
                file.write_text(json.dumps(_kubeconfig(space, str(server.make_url("")).rstrip("/"))))
                environment[f"KUEUE_KS_{space.upper()}_KUBECONFIG"] = str(file)
            yield environment


def _application(space: str, seen: Seen) -> web.Application:
    """Each list is encoded once."""
    bodies: dict[str, bytes] = {}
    single: dict[str, bytes] = {}
    for name, each in reading.READINGS.items():
        if each.space != space:
            continue
        objects: Sequence[Obj] = getattr(seen, name) or ()
        answer = {"metadata": {"resourceVersion": "1000"}, "items": [_versioned(o) for o in objects]}
        bodies[each.resource.path(each.namespace)] = json.dumps(answer).encode()
        for obj in objects:
            metadata = obj["metadata"]
            path = each.resource.path(metadata.get("namespace"))
            single[f"{path}/{metadata['name']}"] = json.dumps(_versioned(obj)).encode()

    def listed(path: str) -> bytes | None:
        """Of all namespaces, also when one is asked for: all jobs are in few of them."""
        return bodies.get(path) or bodies.get(
            f"{path.partition('/namespaces/')[0]}/{path.rpartition('/')[2]}"
        )

    async def answer_one(request: web.Request) -> web.Response:
        path = request.path
        body = single.get(path) or listed(path)
        if body is None and listed(path.rpartition("/")[0]):
            missing = b'{"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}'
            return web.Response(status=404, body=missing, content_type="application/json")
        nothing = b'{"metadata": {"resourceVersion": "1"}, "items": []}'
        return web.Response(body=body or nothing, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer_one)
    return app


def _versioned(obj: Obj) -> Obj:
    metadata = {"uid": obj["metadata"]["name"], "resourceVersion": "1", **obj["metadata"]}
    return {**obj, "metadata": metadata}


def _kubeconfig(space: str, url: str) -> Obj:
    return {
        "clusters": [{"name": space, "cluster": {"server": url}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": space, "context": {"cluster": space, "user": "me"}}],
        "current-context": space,
    }


async def _spent(arguments: Sequence[str], environment: dict[str, str]) -> Spent:
    """Run it to its end; what other children of this process took in between is not there."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kueue_ks.main",
        *arguments,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "generated"), **environment},
    )
    _, words = await process.communicate()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode != 0:
        msg = f"kueue-ks {' '.join(arguments)} ended with {process.returncode}: {words.decode()[-500:]}"
        raise RuntimeError(msg)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(wall, cpu)
