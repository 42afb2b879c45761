"""kueue-ks explain and whatif on a running fleet: what they say is what then happens."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import EXAMPLES, Stack
from vocabulary import keys
from vocabulary.resources import CLUSTER_QUEUES, JOBS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

ROOT = Path(__file__).parents[3]


async def kueue_ks(stack: Stack, *arguments: str, spaces: tuple[str, ...] = ("hub", "wds", "its")) -> Any:
    """What a command prints with ``-o json``."""
    flags = [f"--{space}-kubeconfig={stack.fleet.kubeconfig(space)}" for space in spaces]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kueue_ks.main", *arguments, "-o", "json", *flags),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("KUEUE_KS_")},
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def cordon(stack: Stack, verb: str, name: str, *arguments: str) -> Any:
    return await kueue_ks(stack, verb, name, *arguments, spaces=("hub", "its"))


@pytest_asyncio.fixture(loop_scope="package")
async def open_clusters(stack: Stack) -> AsyncIterator[None]:
    yield
    for name in ("w1", "w2"):
        await cordon(stack, "uncordon", name)


def name_of(job: Obj) -> str:
    return str(job["metadata"]["name"])


async def quotas(stack: Stack) -> dict[tuple[str, str, str], str]:
    """Nominal quota by queue, flavor and resource."""
    return {
        (queue["metadata"]["name"], flavor["name"], each["name"]): str(each["nominalQuota"])
        for queue in await stack.hub.list(CLUSTER_QUEUES)
        for group in queue["spec"]["resourceGroups"]
        for flavor in group["flavors"]
        for each in flavor["resources"]
    }


async def test_a_job_goes_where_whatif_said(stack: Stack, tmp_path: Path) -> None:
    first = await stack.submit(runs="25s")
    await stack.running(first)
    file = tmp_path / "job.yaml"
    file.write_text((EXAMPLES / "batch-job.yaml").read_text())
    told = await kueue_ks(stack, "whatif", str(file))
    assert told["optionsKnown"], "the leader's Lease says with which options it decides"
    assert told["job"]["outcome"] == "Placed"
    (where,) = told["job"]["clusters"]
    assert where != (await stack.placed(first))[0], "with an empty cluster beside it"
    job = await stack.hub.create(JOBS, yaml.safe_load(file.read_text()))
    await stack.condition(job, "Admitted")
    assert (await stack.placed(job))[0] == where
    for each in (first, job):
        await stack.hub.delete(
            JOBS, name_of(each), each["metadata"]["namespace"], uid=each["metadata"]["uid"]
        )
        await stack.gone(each)
    await stack.nothing_left()


async def test_quotas_after_a_cordon_are_those_that_whatif_said(stack: Stack, open_clusters: None) -> None:
    job = await stack.submit(runs="20s")
    await stack.running(job)
    where, _ = await stack.placed(job)
    told = await kueue_ks(stack, "whatif", "cordon", where)
    assert told["stays"] == [f"team-a/{name_of(job)}"]
    assert told["quota"], "a cluster less is less quota"
    await cordon(stack, "cordon", where)
    want = {(q["clusterQueue"], q["flavor"], q["resource"]): q["after"] for q in told["quota"]}
    await eventually(
        lambda: quotas(stack), lambda now: want.items() <= now.items(), within=40, what=f"quotas {want}"
    )
    assert (await stack.placed(job))[0] == where
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    await stack.nothing_left()


async def test_jobs_of_a_drained_cluster_go_where_whatif_said(stack: Stack, open_clusters: None) -> None:
    await cordon(stack, "cordon", "w2")
    jobs = [await stack.submit(runs="20s", annotations={keys.CLUSTERS: "w1"})]
    jobs += [await stack.submit(runs="20s") for _ in range(2)]
    for job in jobs:
        await stack.running(job)
        assert (await stack.placed(job))[0] == "w1"
    await cordon(stack, "uncordon", "w2")
    await eventually(lambda: usable(stack), bool, within=40, what="two usable clusters")
    told = await kueue_ks(stack, "whatif", "drain", "w1")
    to = {move["name"]: move["to"] for move in told["moves"]}
    assert to == dict(zip(map(name_of, jobs), ["", "w2", "w2"], strict=True)), "the first may use only w1"
    await cordon(stack, "drain", "w1", "--yes", "--timeout=40")
    for job in jobs:
        if where := to[name_of(job)]:
            await moved(stack, job, where)
    waits = await eventually(
        lambda: kueue_ks(stack, "explain", f"job/{name_of(jobs[0])}", "-n", "team-a"),
        lambda e: e["phase"] == "WaitingForCluster",
        within=40,
        what="waiting for a cluster",
        every=1.0,
    )
    assert [(h["do"], h["effect"]) for h in waits["helps"]] == [("kueue-ks uncordon w1", "fits w1 now")]
    await cordon(stack, "uncordon", "w1")
    for job in jobs:
        assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    assert await stack.placed(jobs[0]) == ("w1", 2), "what would help did help"
    await stack.nothing_left()


async def moved(stack: Stack, job: Obj, where: str) -> None:
    """Its second attempt is there."""

    async def placed() -> tuple[str, int]:
        try:
            return await stack.placed(job)
        except KeyError:  # between two attempts there is no decision
            return "", 0

    await eventually(placed, lambda now: now == (where, 2), within=40, what=f"a move to {where}")


async def usable(stack: Stack) -> bool:
    """Whether every cluster takes jobs."""
    reports = await kueue_ks(stack, "clusters")
    return all(c["state"] == "Usable" for c in reports["clusters"])


async def test_an_explanation_outlives_the_controller(stack: Stack, open_clusters: None) -> None:
    await cordon(stack, "cordon", "w1", "--reason", "kernel")
    job = await stack.submit(annotations={keys.CLUSTERS: "w1"})

    async def explained() -> Any:
        return await kueue_ks(stack, "explain", f"job/{name_of(job)}", "-n", "team-a")

    before = await eventually(
        explained,
        lambda e: e["phase"] == "WaitingForCluster" and "cordoned" in e["waitsFor"]["message"],
        within=40,
        what="a job that waits for w1",
        every=1.0,
    )
    assert [(h["do"], h["action"]) for h in before["helps"]] == [("kueue-ks uncordon w1", "admin")]
    await stack.programs.kill("workload-controller")
    assert without_ages(await explained()) == without_ages(before), "nobody runs, and nothing is lost"
    await stack.programs.start("workload-controller")
    await asyncio.sleep(3.0)  # it has led and looked by then, or the next line compares a life before
    await eventually(
        explained,
        lambda e: without_ages(e) == without_ages(before),
        within=40,
        what="the same explanation",
        every=1.0,
    )
    await cordon(stack, "uncordon", "w1")
    assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    await stack.nothing_left()


def without_ages(explanation: Any) -> Any:
    """All of it but when reports were observed."""
    rows = [{**row, "factsAt": ""} for row in explanation["verdicts"]]
    return {**explanation, "verdicts": rows}
