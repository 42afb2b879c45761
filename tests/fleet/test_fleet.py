"""The real control planes: up, complete, working, broken on purpose, and down without a trace."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kube_runtime.errors import KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from local_fleet import Fleet, Options, ports
from local_fleet import state as states
from local_fleet.processes import ProcessId
from vocabulary.resources import (
    BINDING_POLICIES,
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    MANAGED_CLUSTERS,
    NAMESPACES,
    NODES,
    PODS,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
    WORKLOADS,
)

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

CONTROL_PLANES = Resource(
    "tenancy.kflex.kubestellar.org", "v1alpha1", "controlplanes", "ControlPlane", namespaced=False
)
PER_WORKER = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "work-agent",
    "status-addon",
)


async def eventually(question: Callable[[], Awaitable[Any]], *, within: float = 30.0) -> Any:
    """The first true answer; a KubeError counts as no."""
    deadline = time.monotonic() + within
    while True:
        try:
            if answer := await question():
                return answer
        except KubeError:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.05)


async def ensure(
    space: Space, resource: Resource, name: str, namespace: str | None = None, **content: Any
) -> Obj:
    metadata = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        **content.pop("metadata", {}),
    }
    return await space.apply(resource, {"metadata": metadata, **content}, field_manager="test")


def job(
    name: str,
    namespace: str,
    *,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Obj:
    container = {"name": "main", "image": "example.invalid/none", "resources": {"requests": {"cpu": "1"}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {
            "parallelism": 2,
            "completions": 2,
            "template": {
                "metadata": {"annotations": annotations or {}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container],
                    "terminationGracePeriodSeconds": 2,
                },
            },
        },
    }


async def is_complete(space: Space, name: str, namespace: str) -> bool:
    status = (await space.get(JOBS, name, namespace)).get("status", {})
    return any(c["type"] == "Complete" and c["status"] == "True" for c in status.get("conditions", []))


async def gone(space: Space, resource: Resource, name: str, namespace: str) -> bool:
    try:
        await space.get(resource, name, namespace)
    except NotFound:
        return True
    return False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """A running fleet with two workers; programs that end unasked are an error at the end."""
    async with Fleet(tmp_path_factory.mktemp("fleet") / "shared", Options(workers=2)) as running:
        yield running
        assert running.deaths == []


@pytest_asyncio.fixture(loop_scope="module")
async def hub(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("hub") as space:
        yield space


@pytest_asyncio.fixture(loop_scope="module")
async def wds(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("wds") as space:
        yield space


@pytest_asyncio.fixture(loop_scope="module")
async def w1(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("w1") as space:
        yield space


async def test_every_program_is_ready_and_says_the_pinned_version(
    fleet: Fleet, hub: Space, wds: Space
) -> None:
    names = {component.name: component.state for component in fleet.components}
    wanted = {"etcd", "kueue", "kubestellar", "transport", "hub/kube-apiserver", "control/kube-apiserver"}
    wanted |= {f"{worker}/{program}" for worker in ("w1", "w2") for program in PER_WORKER}
    assert wanted <= set(names)
    assert set(names.values()) == {"ready"}
    assert (await hub.version()).startswith("v1.36.")
    planes = {plane["metadata"]["name"]: plane for plane in await hub.list(CONTROL_PLANES)}
    assert {
        name: plane["metadata"]["labels"]["kflex.kubestellar.io/cptype"] for name, plane in planes.items()
    } == {
        "wds1": "wds",
        "its1": "its",
    }
    assert {cluster["metadata"]["labels"]["name"] for cluster in await wds.list(MANAGED_CLUSTERS)} == {
        "w1",
        "w2",
    }
    etc = os.path.exists("/etc/kueue")  # noqa: ASYNC240, PTH110  a local look
    assert not etc, "Kueue's certificate lies in its private /etc only"


async def test_workers_are_available_with_what_their_nodes_have(wds: Space, w1: Space) -> None:
    async def reported() -> Obj | None:
        cluster = await wds.get(MANAGED_CLUSTERS, "w1")
        return cluster if cluster.get("status", {}).get("allocatable") else None

    status = (await eventually(reported))["status"]
    conditions = {c["type"]: c["status"] for c in status["conditions"]}
    assert conditions["ManagedClusterConditionAvailable"] == "True"
    assert status["version"]["kubernetes"] == await w1.version()
    assert status["capacity"]["nvidia.com/gpu"] == "12"
    nodes = await w1.list(NODES)
    assert len(nodes) == 5
    assert status["allocatable"]["pods"] == str(110 * 4), "the cordoned node does not count"


async def test_kueue_admits_a_job_that_runs_on_a_worker_and_reports_back(
    hub: Space, wds: Space, w1: Space
) -> None:
    """The life of a batch job (design, section 2) with our part done by hand."""
    await ensure(hub, NAMESPACES, "team-a")
    await ensure(hub, RESOURCE_FLAVORS, "default")
    await ensure(hub, CLUSTER_QUEUES, "all", spec=cluster_queue("default"))
    await ensure(hub, LOCAL_QUEUES, "queue", "team-a", spec={"clusterQueue": "all"})
    ours = job("one", "team-a", labels={"kueue.x-k8s.io/queue-name": "queue"})
    ours["spec"]["managedBy"] = "example.com/test"
    made = await hub.create(JOBS, ours)
    assert made["spec"]["suspend"] is True, "Kueue's webhook suspends a queued job"

    async def admitted() -> bool:
        workloads = await hub.list(WORKLOADS, "team-a")
        conditions = [
            c["type"] for workload in workloads for c in workload.get("status", {}).get("conditions", [])
        ]
        return "Admitted" in conditions and not (await hub.get(JOBS, "one", "team-a"))["spec"]["suspend"]

    assert await eventually(admitted)
    assert await hub.list(PODS) == [], "managedBy keeps the hub's Job controller away"

    await ensure(wds, NAMESPACES, "team-a", metadata={"labels": {"carried": "true"}})
    await policy(wds, "namespaces-of-w1", "", "namespaces", {"carried": "true"})
    await policy(wds, "wave-1", "batch", "jobs", {"wave": "wave-1"})
    await wds.create(JOBS, job("one", "team-a", labels={"wave": "wave-1"}))

    async def returned() -> bool:
        reports = await wds.list(WORK_STATUSES, "w1")
        return any(
            r["spec"]["sourceRef"]["kind"] == "Job" and r.get("status", {}).get("succeeded") == 2
            for r in reports
        )

    assert await eventually(returned)
    assert await is_complete(w1, "one", "team-a")
    phases = [pod["status"]["phase"] for pod in await w1.list(PODS, "team-a")]
    assert phases == ["Succeeded", "Succeeded"]
    assert await eventually(lambda: is_complete(wds, "one", "team-a")), "singleton status in the WDS"

    copy = await wds.get(JOBS, "one", "team-a")
    await wds.delete(JOBS, "one", "team-a", uid=copy["metadata"]["uid"])
    assert await eventually(lambda: gone(w1, JOBS, "one", "team-a"))
    assert await eventually(lambda: no_reports_of_jobs(wds))


async def test_annotations_set_how_long_pods_run_and_end(w1: Space) -> None:
    await ensure(w1, NAMESPACES, "timing")
    times = {"pod-complete.stage.kwok.x-k8s.io/delay": "60s", "pod-delete.stage.kwok.x-k8s.io/delay": "grace"}
    made = await w1.create(JOBS, job("long", "timing", annotations=times))

    async def all_ready() -> bool:
        status = (await w1.get(JOBS, "long", "timing")).get("status", {})
        return bool(status.get("ready") == 2)

    assert await eventually(all_ready)
    began = time.monotonic()  # before the deletion: what is seen late must not shorten the grace
    await w1.delete(JOBS, "long", "timing", uid=made["metadata"]["uid"])

    async def pods_gone() -> bool:
        return not await w1.list(PODS, "timing")

    async def pods_leaving() -> bool:
        pods = await w1.list(PODS, "timing")
        return bool(pods) and all(pod["metadata"].get("deletionTimestamp") for pod in pods)

    assert await eventually(pods_leaving)
    assert await eventually(pods_gone)
    assert time.monotonic() - began > 1.0, "two seconds of grace were given"


async def test_a_program_is_frozen_killed_and_restarted(fleet: Fleet, hub: Space) -> None:
    server = fleet.component("hub/kube-apiserver")
    server.stop()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await hub.version()
    server.cont()
    assert await hub.version()

    kueue = fleet.component("kueue")
    before = kueue.pid
    await kueue.restart()
    assert kueue.pid != before
    assert (kueue.state, kueue.restarts) == ("ready", 1)
    await server.restart()
    assert await hub.version()
    await eventually(lambda: hub.list(WORKLOADS))
    assert fleet.deaths == []
    with pytest.raises(KeyError, match="there are etcd"):
        fleet.component("nobody")


async def test_audit_logs_tell_writes_with_their_content_and_no_reads(fleet: Fleet, w1: Space) -> None:
    await ensure(w1, NAMESPACES, "audited")
    made = await w1.create(JOBS, job("seen", "audited"))
    await w1.list(PODS, "audited")

    async def created() -> Obj | None:
        events = [
            json.loads(line) for line in fleet.audit_log("w1").read_text().splitlines() if line.endswith("}")
        ]
        assert not any(event["verb"] in ("get", "list", "watch") for event in events)
        assert not any(event["objectRef"].get("resource") == "leases" for event in events)
        found = [e for e in events if e["verb"] == "create" and e["objectRef"].get("name") == "seen"]
        return next((e for e in found if e["objectRef"]["resource"] == "jobs"), None)

    event = await eventually(created)
    assert event["responseObject"]["metadata"]["uid"] == made["metadata"]["uid"]
    assert "managedFields" not in event["responseObject"]["metadata"]
    assert event["user"]["username"] == "admin"


async def test_a_cut_link_makes_a_cluster_unknown_until_it_heals(tmp_path: Path) -> None:
    """A fleet of its own, with an etcd per space and proxies; one worker keeps it small."""
    options = Options(workers=1, proxied=True, etcd_per_space=True, heartbeat=0.2)
    async with Fleet(tmp_path / "fleet", options) as fleet, fleet.space("its") as its:

        async def available(status: str) -> bool:
            cluster = await its.get(MANAGED_CLUSTERS, "w1")
            conditions = {c["type"]: c["status"] for c in cluster["status"]["conditions"]}
            return bool(conditions["ManagedClusterConditionAvailable"] == status)

        assert await eventually(lambda: available("True"))
        await fleet.link("w1").cut()
        assert await eventually(lambda: available("Unknown"))
        await fleet.link("w1").heal()
        assert await eventually(lambda: available("True"))
        fleet.component("w1/kube-apiserver").stop()
        fleet.component("w1/kube-apiserver").cont()
        assert {c.name for c in fleet.components if c.name.startswith("etcd")} == {
            "etcd-hub",
            "etcd-control",
            "etcd-w1",
        }
        processes = [component.identity for component in fleet.components]
        assert None not in processes
        taken = list(fleet.site.layout.ports.values())
        assert fleet.deaths == []
    assert [process for process in processes if process and process.alive()] == []
    assert [port for port in taken if ports.in_use(port)] == []


async def test_the_command_line_starts_one_in_the_background_and_ends_it(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    up = await kueue_ks("up", "--detach", "--workers", "1", "--dir", str(root))
    assert up.returncode == 0, up.stderr
    try:
        assert "kueue: ready in" in up.stderr
        state = states.read(root)
        assert state is not None
        assert state.running
        status = await kueue_ks("status", "--dir", str(root))
        assert (status.returncode, "w1/kwok" in status.stdout) == (0, True)
        nodes = await kueue_ks(
            "exec", "w1", "--dir", str(root), "--", "kubectl", "get", "nodes", "-o", "name"
        )
        assert nodes.stdout.splitlines()[0] == "node/w1-gpu-0", nodes.stderr
        path = (
            await kueue_ks("kubeconfig", "wds", "--as", "quota-manager", "--dir", str(root))
        ).stdout.strip()
        assert path == str(root / "kubeconfigs" / "quota-manager" / "wds.yaml")
        assert "serviceaccounts" in (await kueue_ks("logs", "hub/kube-apiserver", "--dir", str(root))).stdout
        again = await kueue_ks("up", "--detach", "--dir", str(root))
        assert (again.returncode, "already runs" in again.stderr) == (1, True)
        assert state.running, "the second one did not touch the first"
    finally:
        down = await kueue_ks("down", "--dir", str(root))
    assert (down.returncode, down.stdout) == (0, f"fleet in {root} stopped\n")
    assert not state.running
    assert state.survivors() == []
    assert [port for port in state.ports.values() if ports.in_use(port)] == []
    assert (await kueue_ks("down", "--dir", str(root))).returncode == 0
    assert (await kueue_ks("status", "--dir", str(root))).returncode == 1


async def test_a_killed_supervisor_takes_everything_with_it(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    up = await kueue_ks("up", "--detach", "--workers", "1", "--dir", str(root))
    assert up.returncode == 0, up.stderr
    state = states.read(root)
    assert state is not None
    os.kill(state.supervisor.pid, 9)

    async def nothing_left() -> bool:
        return not state.survivors() and ProcessId.of(state.supervisor.pid) is None

    assert await eventually(nothing_left, within=10)


async def kueue_ks(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command line as a user runs it."""
    command = [sys.executable, "-m", "kueue_ks.main", "fleet", *arguments]
    run = partial(
        subprocess.run, command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    return await asyncio.to_thread(run)


def cluster_queue(flavor: str) -> Obj:
    resources = [{"name": "cpu", "nominalQuota": "10"}]
    group = {"coveredResources": ["cpu"], "flavors": [{"name": flavor, "resources": resources}]}
    return {"namespaceSelector": {}, "resourceGroups": [group]}


async def policy(wds: Space, name: str, group: str, resource: str, labels: dict[str, str]) -> None:
    """A BindingPolicy for w1."""
    clause = {
        "apiGroup": group,
        "resources": [resource],
        "objectSelectors": [{"matchLabels": labels}],
        "createOnly": True,
        "wantSingletonReportedState": True,
    }
    spec = {"clusterSelectors": [{"matchLabels": {"name": "w1"}}], "downsync": [clause]}
    await ensure(wds, BINDING_POLICIES, name, spec=spec)


async def no_reports_of_jobs(its: Space) -> bool:
    return all(report["spec"]["sourceRef"]["kind"] != "Job" for report in await its.list(WORK_STATUSES, "w1"))
