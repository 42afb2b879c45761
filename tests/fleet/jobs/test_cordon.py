"""kueue-ks cordon, uncordon and drain against a running fleet, as an administrator types them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack
from vocabulary import keys
from vocabulary.resources import ADMISSION_CHECKS, MANAGED_CLUSTERS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

ROOT = Path(__file__).parents[3]


async def kueue_ks(stack: Stack, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "kueue_ks.main",
        *arguments,
        f"--hub-kubeconfig={stack.fleet.kubeconfig('hub')}",
        f"--its-kubeconfig={stack.fleet.kubeconfig('its')}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


@pytest_asyncio.fixture(loop_scope="package")
async def open_clusters(stack: Stack) -> AsyncIterator[None]:
    yield
    for name in ("w1", "w2"):
        code, _, err = await kueue_ks(stack, "uncordon", name)
        assert code == 0, err


async def taints(stack: Stack, name: str) -> list[Obj]:
    found = await stack.its.get(MANAGED_CLUSTERS, name)
    result: list[Obj] = found["spec"].get("taints") or []
    return result


async def test_cordoned_clusters_get_no_jobs_and_say_by_whom(stack: Stack, open_clusters: None) -> None:
    code, out, err = await kueue_ks(stack, "cordon", "w1", "--reason", "kernel update")
    assert (code, err) == (0, "")
    assert out.startswith("managedcluster/w1 cordoned (by ")
    assert ": kernel update)\n" in out
    (taint,) = await taints(stack, "w1")
    assert (taint["key"], taint["effect"]) == (keys.CORDONED, "NoSelect")
    code, again, _ = await kueue_ks(stack, "cordon", "w1")
    assert (code, again) == (0, out.replace("w1 cordoned", "w1 already cordoned"))
    job = await stack.submit()
    await stack.condition(job, "Finished")
    assert (await stack.placed(job))[0] == "w2"
    placed = (await stack.workload_of(job))["status"]["admissionChecks"][0]["message"]
    assert "w1: it is cordoned by " in placed
    assert ": kernel update (kueue-ks uncordon w1)" in placed

    await kueue_ks(stack, "cordon", "w2")

    async def active() -> dict[str, Any]:
        check = await stack.hub.get(ADMISSION_CHECKS, "kubestellar")
        conditions: dict[str, dict[str, Any]] = {c["type"]: c for c in check["status"]["conditions"]}
        return conditions["Active"]

    none = await eventually(active, lambda c: c["status"] == "False", within=20, what="an inactive check")
    assert none["reason"] == "NoUsableCluster"
    assert "w2: it is cordoned by " in none["message"]
    for name in ("w1", "w2"):
        code, out, _ = await kueue_ks(stack, "uncordon", name, "-o", "json")
        told = json.loads(out)
        assert (code, told["state"], told["changed"], told["otherTaints"]) == (0, "uncordoned", True, [])
        assert await taints(stack, name) == []
    await eventually(active, lambda c: c["status"] == "True", within=20, what="an active check")
    await stack.nothing_left()


async def test_a_drained_clusters_job_moves_and_no_attempt_has_failed(
    stack: Stack, open_clusters: None
) -> None:
    job = await stack.submit(runs="15s")
    await stack.running(job)
    where, _ = await stack.placed(job)
    code, _, err = await kueue_ks(stack, "drain", where)
    assert code == 2
    assert f"error: draining {where} makes 1 job start anew elsewhere" in err
    assert await taints(stack, where) == []
    code, out, err = await kueue_ks(stack, "drain", where, "--yes", "--reason", "disk", "--timeout=40")
    assert code == 0, err
    assert out.endswith("  no job is there\n")
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    assert await stack.placed(job) == ({"w1": "w2", "w2": "w1"}[where], 2)
    workload = await stack.workload_of(job)
    (check,) = workload["status"]["admissionChecks"]
    assert keys.HISTORY not in check["podSetUpdates"][0]["annotations"], "a drain counts as no failure"
    assert "requeueState" not in workload["status"], "and delays nothing"
    assert "Drained" in await stack.events(job)
    await stack.nothing_left()
    first, second = await stack.pods(workload)
    assert first.ended is not None
    assert first.ended.earliest < second.appeared.latest


async def test_an_unknown_cluster_is_named(stack: Stack) -> None:
    code, _, err = await kueue_ks(stack, "cordon", "w11")
    assert code == 1
    assert "error: no ManagedCluster 'w11'" in err
    assert "fix: did you mean w" in err
