"""The live views of a running fleet: figures are those of the API objects, a dead part hides no other."""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli, parse_milli_down
from local_fleet import Fleet, Options
from local_fleet.tcp_proxy import DOWN
from tests.fleet.failures.trouble import Trouble
from tests.fleet.jobs.programs import eventually, install_everywhere, quota_is_filled, running_programs
from tests.fleet.jobs.stack import END_TIME, OURS
from vocabulary import keys
from vocabulary.pod_requests import pod_requests
from vocabulary.resources import ADMISSION_CHECKS, CLUSTER_QUEUES, JOBS, NODES, PODS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

log = logging.getLogger(__name__)

PATIENCE = 3.0  # seconds for a space
START = 20.0  # seconds that Python may take to start on a busy machine
LONG = "900s"
CPU = {"cpu": "1"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trouble(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Trouble]:
    folder = tmp_path_factory.mktemp("views")
    options = Options(workers=2, proxied=True, heartbeat=1.0)
    async with Fleet(folder / "fleet", options) as fleet, AsyncExitStack() as connections:
        await install_everywhere(fleet)
        async with running_programs(fleet, folder) as programs:
            spaces = [
                await connections.enter_async_context(fleet.space(context))
                for context in ("hub", "wds", "its", *fleet.workers)
            ]
            await quota_is_filled(spaces[0])
            yield Trouble(fleet, programs, *spaces)


class Ran(NamedTuple):
    out: str
    err: str
    code: int
    seconds: float

    @property
    def report(self) -> Any:
        return json.loads(self.out)


async def view(trouble: Trouble, *arguments: str) -> Ran:
    """Run a command as a user would, its WDS reached through the link that tests can break."""
    fleet = trouble.fleet
    flags = [
        f"--hub-kubeconfig={fleet.kubeconfig('hub')}",
        f"--wds-kubeconfig={fleet.kubeconfig('wds', 'workload-controller')}",
        f"--its-kubeconfig={fleet.kubeconfig('its')}",
        f"--request-timeout={PATIENCE:g}",
    ]
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kueue_ks.main", *arguments, *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={k: v for k, v in os.environ.items() if not k.startswith("KUEUE_KS_")},
    )
    out, err = await process.communicate()
    ran = Ran(out.decode(), err.decode(), process.returncode or 0, time.monotonic() - began)
    log.info("%s: %.2fs, exit %s\n%s%s", " ".join(arguments), ran.seconds, ran.code, ran.out[:6000], ran.err)
    return ran


def by_name(rows: Iterable[Any]) -> dict[str, Any]:
    return {row["name"]: row for row in rows}


def room(cluster: Any, resource: str = "cpu") -> dict[str, str]:
    found: dict[str, str] = next(r for r in cluster["rooms"] if r["resource"] == resource)
    return found


def name_of(job: Obj) -> str:
    return str(job["metadata"]["name"])


async def worker_cpu(trouble: Trouble, worker: str) -> tuple[int, int, int]:
    """Milli-cpu by a worker's own objects: of nodes that take pods, asked by others' pods, asked by ours."""
    space = trouble.workers[worker]
    nodes = [
        node
        for node in await space.list(NODES)
        if not node["spec"].get("unschedulable")
        and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])
    ]
    names = {name_of(node) for node in nodes}
    asked = [0, 0]
    for pod in await space.list(PODS):
        alive = pod["status"].get("phase") not in {"Succeeded", "Failed"}
        if alive and pod["spec"].get("nodeName") in names:
            ours = keys.WORKLOAD_UID in (pod["metadata"].get("labels") or {})
            asked[ours] += pod_requests(pod["spec"]).get("cpu", 0)
    whole = sum(parse_milli_down(node["status"]["allocatable"]["cpu"]) for node in nodes)
    return whole, asked[0], asked[1]


async def status_of(trouble: Trouble, job: Obj) -> Obj:
    """Of its Workload; Kueue may not have written any."""
    return (await trouble.workload_of(job)).get("status") or {}


class Jobs(NamedTuple):
    """Jobs of every sort. ``first`` has all of a queue's quota, for which ``waiting`` wait."""

    running: list[Obj]
    too_big: Obj
    first: Obj
    waiting: list[Obj]
    leaving: Obj


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jobs(trouble: Trouble) -> Jobs:
    await trouble.programs.kill("workload-controller")
    patient = "--never-grace=3600"  # the job that is too big is to be seen waiting
    await trouble.programs.start("workload-controller", options=(patient,))
    running = [await trouble.submit(runs=LONG, requests=CPU) for _ in range(3)]
    too_big = await trouble.submit(requests={"cpu": "40"}, name="too-big")
    tiny = await trouble.make_queue("tiny", cpu=1)
    first = await trouble.submit(runs=LONG, labels=tiny, requests=CPU)
    for job in (*running, first):
        await trouble.running(job)
    waiting = [await trouble.submit(runs=LONG, labels=tiny, requests=CPU) for _ in range(3)]
    await trouble.reads(too_big, "0 of 1 pods")

    async def told() -> str:
        return "".join([await trouble.conditions(job) for job in waiting])

    await eventually(told, lambda text: "insufficient unused quota" in text, within=60, what="Kueue's words")
    leaving = await trouble.submit(runs=LONG, requests=CPU, pod_annotations={END_TIME: "300s"}, grace=300)
    await trouble.running(leaving)
    await trouble.hub.delete(JOBS, name_of(leaving), "team-a", uid=leaving["metadata"]["uid"])
    return Jobs(running, too_big, first, waiting, leaving)


async def test_clusters(trouble: Trouble, jobs: Jobs) -> None:
    async def clusters() -> dict[str, Any]:
        return by_name((await view(trouble, "clusters", "-o", "json")).report["clusters"])

    found = await eventually(
        clusters,
        lambda rows: sum(row["leaving"] for row in rows.values()) == 1,
        within=120,
        what="a leaving job",
        every=2,
    )
    copies = await trouble.wds.list(JOBS, label_selector=OURS)
    assert len(copies) == len(jobs.running) + len([jobs.first, jobs.leaving])
    for worker in trouble.fleet.workers:
        mine = [c for c in copies if c["metadata"]["labels"][keys.CLUSTER] == worker]
        whole, others, ours = await worker_cpu(trouble, worker)
        row, cpu = found[worker], room(found[worker])
        assert (row["state"], row["why"]) == ("Usable", "")
        assert row["leaving"] == sum("deletionTimestamp" in c["metadata"] for c in mine)
        assert row["jobs"] == len(mine) - row["leaving"]
        assert cpu["held"] == f"{len(mine)}" == format_milli(ours, "cpu")
        assert (cpu["capacity"], cpu["foreign"]) == (format_milli(whole, "cpu"), format_milli(others, "cpu"))
        assert cpu["free"] == format_milli(whole - others - ours, "cpu")
        assert row["kubernetes"].startswith("v1.")


async def test_queue(trouble: Trouble, jobs: Jobs) -> None:
    report = (await view(trouble, "queue", "-o", "json")).report
    queue = await trouble.hub.get(CLUSTER_QUEUES, "team-queue")
    shown = next(q for q in report["queues"] if q["kind"] == "ClusterQueue" and q["name"] == "team-queue")
    assert shown["pending"] == queue["status"]["pendingWorkloads"]
    nominal = queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]
    quota = next(q for q in shown["quotas"] if (q["flavor"], q["resource"]) == ("standard", nominal["name"]))
    assert quota["nominal"] == nominal["nominalQuota"]

    rows = by_name(report["waiting"])
    checks = (await trouble.workload_of(jobs.too_big))["status"]["admissionChecks"]
    assert rows["too-big"]["ours"] == checks[0]["message"]
    assert (rows["too-big"]["phase"], rows["too-big"]["asks"]["cpu"]) == ("WaitingForCluster", "40")
    assert rows["too-big"]["until"]
    for job in jobs.waiting:
        conditions = (await status_of(trouble, job)).get("conditions") or ()
        words = [c["message"] for c in conditions if c["type"] == "QuotaReserved"]
        assert rows[name_of(job)]["kueue"] == "".join(words)  # of many alike Kueue tells only the first
        assert words or rows[name_of(job)]["ours"] == "Kueue has not looked at it yet"
    assert rows[name_of(jobs.leaving)]["phase"] == "Leaving"
    on = by_name(report["running"])
    for job in (*jobs.running, jobs.first):
        found = on[name_of(job)]
        assert (found["cluster"], found["attempt"]) == await trouble.placed(job)
        assert (found["ready"], found["phase"]) == (1, "Running")


async def test_position_1_is_whom_kueue_takes_next(trouble: Trouble, jobs: Jobs) -> None:
    report = (await view(trouble, "queue", "tiny", "-o", "json")).report
    rows = by_name(report["waiting"])
    assert sorted(rows) == sorted(name_of(job) for job in jobs.waiting)
    assert sorted(row["position"] for row in rows.values()) == [1, 2, 3]
    await trouble.hub.delete(JOBS, name_of(jobs.first), "team-a", uid=jobs.first["metadata"]["uid"])

    async def taken() -> list[str]:
        return [name_of(job) for job in jobs.waiting if "admission" in await status_of(trouble, job)]

    (next_one,) = await eventually(taken, bool, within=60, what="the next job of the queue")
    assert rows[next_one]["position"] == 1


async def test_top(trouble: Trouble, jobs: Jobs) -> None:
    top = await view(trouble, "top", "--once")
    assert (top.code, top.err) == (0, "")
    for words in ("FLEET 2 clusters ", "team-a/too-big", "team-queue", *map(name_of, jobs.running)):
        assert words in top.out
    assert "\x1b" not in top.out


async def test_a_lost_cluster_and_a_silent_space(trouble: Trouble, jobs: Jobs) -> None:
    """The view says of a cluster what the controller says; a silent WDS costs its deadline and no more."""
    link = trouble.fleet.link("w2")
    await link.cut()
    await trouble.availability("w2", "Unknown")
    ran = await view(trouble, "clusters", "-o", "json")
    rows = by_name(ran.report["clusters"])
    assert ran.code == 0
    assert (rows["w1"]["state"], rows["w2"]["state"]) == ("Usable", "Unusable")

    async def check() -> str:
        status = (await trouble.hub.get(ADMISSION_CHECKS, "kubestellar"))["status"]
        return str(next(c["message"] for c in status["conditions"] if c["type"] == "Active"))

    await eventually(
        check, lambda said: f"w2: {rows['w2']['why']}" in said, within=60, what="the controller's own words"
    )

    silent = trouble.fleet.link("wds")
    silent.hold(DOWN)
    try:
        for arguments in (("clusters",), ("queue",), ("top", "--once")):
            ran = await view(trouble, *arguments)
            assert ran.code == 0
            assert ran.err.strip() == f"warning: wds was not read: no answer within {PATIENCE:g}s"
            assert ran.seconds < PATIENCE + START
            assert "w1" in ran.out
            assert arguments[0] == "queue" or "?" in ran.out
            assert arguments[0] == "clusters" or "team-a/too-big" in ran.out
        blind = by_name((await view(trouble, "clusters", "-o", "json")).report["clusters"])
        assert blind["w1"]["jobs"] is None
        assert room(blind["w1"])["held"] is None
        assert room(blind["w1"])["capacity"] == room(rows["w1"])["capacity"]
    finally:
        silent.release(DOWN)
        await link.heal()
    await trouble.availability("w2", "True", within=90)
