"""QuotaManager and the metrics agents on the real stack: nodes and pods of workers become Kueue's quota.

A fleet of its own, because nodes are cordoned here. Each test leaves nodes and pods as it found them.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from kube_runtime.errors import NotFound
from kube_runtime.objects import Obj
from kube_runtime.quantity import parse
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from quota_manager.onboarding import base_policy_name
from tests.fleet.jobs.programs import eventually, install_everywhere
from vocabulary import keys
from vocabulary.resources import (
    BINDING_POLICIES,
    CLUSTER_METRICS,
    CLUSTER_QUEUES,
    MANAGED_CLUSTERS,
    NAMESPACES,
    NODES,
    PODS,
)

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

EVENTS = Resource("", "v1", "events", "Event")

QUEUE = "team-queue"
SHRINK_AFTER = 8.0  # seconds; more than the way of a report takes when the agent's interval is over
REPORTED = 30.0  # seconds: an agent's interval of 10, the way through KubeStellar, a busy machine
QUIET = 12.0  # seconds: an agent's interval and the way

Amounts = dict[tuple[str, str], Fraction]  # by flavor and resource


class Manager:
    """QuotaManager as a process of its own, with its own rights."""

    def __init__(self, fleet: Fleet, log: Path) -> None:
        self._fleet, self._log = fleet, log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        flags = [
            f"--{s}-kubeconfig={self._fleet.kubeconfig(s, 'quota-manager')}" for s in ("hub", "wds", "its")
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KUEUE_KS_")}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "quota_manager", *flags, f"--shrink-after={SHRINK_AFTER}"),
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env=environment,
            )

    async def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await asyncio.wait_for(self._process.wait(), 20)

    def log(self) -> str:
        return self._log.read_text()


class Stack:
    """A fleet with its agents, and QuotaManager."""

    def __init__(self, fleet: Fleet, manager: Manager, spaces: Mapping[str, Space]) -> None:
        self.fleet, self.manager, self.spaces = fleet, manager, spaces
        self.hub, self.wds, self.its = spaces["hub"], spaces["wds"], spaces["its"]

    async def queue(self) -> Obj:
        return await self.hub.get(CLUSTER_QUEUES, QUEUE)

    async def quota(self) -> Amounts:
        groups = (await self.queue())["spec"]["resourceGroups"]
        return {
            (flavor["name"], resource["name"]): parse(resource["nominalQuota"])
            for group in groups
            for flavor in group["flavors"]
            for resource in flavor["resources"]
        }

    async def there_is(self) -> Amounts:
        """Counted anew from nodes and pods: the sample's flavors go by node-class and tolerate GPU taints."""
        amounts: Amounts = dict.fromkeys(await self.quota(), Fraction(0))
        for worker in self.fleet.workers:
            pods = await self.spaces[worker].list(PODS)
            for node in await self.spaces[worker].list(NODES):
                ready = any(
                    c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"]
                )
                if node["spec"].get("unschedulable") or not ready:
                    continue
                theirs = [p for p in pods if p["spec"].get("nodeName") == node["metadata"]["name"]]
                for flavor, resource in amounts:
                    if flavor == node["metadata"]["labels"]["node-class"]:
                        have = parse(node["status"]["allocatable"].get(resource, "0"))
                        amounts[flavor, resource] += have - sum(_asks(pod, resource) for pod in theirs)
        return amounts

    async def becomes(self, want: Amounts, *, within: float = REPORTED) -> None:
        await eventually(self.quota, lambda quota: quota == want, within=within, what=f"a quota of {want}")

    async def cordon(self, worker: str, node: str, *, unschedulable: bool) -> None:
        uid = (await self.spaces[worker].get(NODES, node))["metadata"]["uid"]
        patch = {"metadata": {"uid": uid}, "spec": {"unschedulable": unschedulable}}
        await self.spaces[worker].patch(NODES, patch, name=node)

    def quota_writes(self) -> list[Obj]:
        """QuotaManager's writes of ClusterQueues that were accepted, by the API server's own log."""
        events = map(json.loads, self.fleet.audit_log("hub").read_text().splitlines())
        return [
            event
            for event in events
            if event["user"]["username"] == "kueue-ks:quota-manager"
            and event["verb"] in ("update", "patch")
            and event["objectRef"]["resource"] == "clusterqueues"
            and event.get("responseStatus", {}).get("code") == 200
        ]


def _asks(pod: Obj, resource: str) -> Fraction:
    if resource == "pods":
        return Fraction(1)
    containers = pod["spec"]["containers"]
    return sum(
        (parse(c.get("resources", {}).get("requests", {}).get(resource, "0")) for c in containers),
        Fraction(0),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("quota")
    async with Fleet(folder / "fleet", Options(workers=2)) as fleet:
        await install_everywhere(fleet)
        async with _spaces(fleet) as spaces:
            manager = Manager(fleet, folder / "quota-manager.log")
            try:
                await manager.start()
                running = Stack(fleet, manager, spaces)
                await running.becomes(await running.there_is(), within=60)
                yield running
                assert await manager.stop() == 0
                assert fleet.deaths == []
            finally:
                await manager.kill()
                print(manager.log())  # noqa: T201  pytest shows it when something failed


@asynccontextmanager
async def _spaces(fleet: Fleet) -> AsyncIterator[Mapping[str, Space]]:
    spaces = {name: fleet.space(name) for name in ("hub", "wds", "its", *fleet.workers)}
    try:
        yield spaces
    finally:
        for space in spaces.values():
            await space.close()


async def test_the_quota_is_what_the_fleet_has(stack: Stack) -> None:
    quota = await stack.quota()
    assert quota == await stack.there_is()
    assert quota["gpu", "nvidia.com/gpu"] == 24, "12 on each worker, tainted nodes included"
    assert quota["standard", "nvidia.com/gpu"] == 0
    events = await stack.hub.list(EVENTS, field_selector="reason=NominalQuotaChanged")
    assert any("cpu of standard 0 → " in event["message"] for event in events)


async def test_a_cordoned_node_leaves_after_the_debounce_and_returns_at_once(stack: Stack) -> None:
    full = await stack.quota()
    await asyncio.sleep(QUIET)  # so that the agent reports at once
    began = time.monotonic()
    await stack.cordon("w1", "w1-standard-0", unschedulable=True)
    less = await stack.there_is()
    assert less["standard", "cpu"] == full["standard", "cpu"] - Fraction(31, 2)
    await stack.becomes(less, within=REPORTED + SHRINK_AFTER)
    assert time.monotonic() - began >= SHRINK_AFTER
    await stack.cordon("w1", "w1-standard-0", unschedulable=False)
    await stack.becomes(full)


async def test_a_dip_that_is_shorter_than_the_debounce_is_not_written(stack: Stack) -> None:
    await asyncio.sleep(QUIET)
    before = await stack.queue()
    await stack.cordon("w2", "w2-standard-0", unschedulable=True)

    async def reported() -> bool:
        metrics = await stack.spaces["w2"].get(CLUSTER_METRICS, "w2")
        nodes = metrics["status"]["nodes"]
        return bool(sum(n["count"] for n in nodes if n["unschedulable"]) == 2)

    await eventually(reported, bool, within=REPORTED, what="a report of the cordoned node")
    await stack.cordon("w2", "w2-standard-0", unschedulable=False)
    await asyncio.sleep(QUIET + SHRINK_AFTER)
    assert (await stack.queue())["metadata"]["generation"] == before["metadata"]["generation"]


async def test_a_pod_that_is_not_ours_takes_its_part(stack: Stack) -> None:
    full = await stack.quota()
    requests = {"cpu": "1500m", "memory": "1Gi"}
    container = {"name": "theirs", "image": "busybox", "resources": {"requests": requests}}
    pod: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "theirs", "namespace": "default"},
        "spec": {"nodeName": "w2-standard-1", "containers": [container], "restartPolicy": "Always"},
    }
    worker = stack.spaces["w2"]
    created = await worker.create(PODS, pod)
    want = full | {
        ("standard", "cpu"): full["standard", "cpu"] - Fraction(3, 2),
        ("standard", "memory"): full["standard", "memory"] - (1 << 30),
        ("standard", "pods"): full["standard", "pods"] - 1,
    }
    await stack.becomes(want, within=REPORTED + SHRINK_AFTER)
    await worker.delete(PODS, "theirs", "default", uid=created["metadata"]["uid"])
    await stack.becomes(full)


async def test_killed_and_started_again_nothing_changes(stack: Stack) -> None:
    await stack.becomes(await stack.there_is())
    before, writes = await stack.queue(), len(stack.quota_writes())
    lines = stack.manager.log().count("reconciling")
    await stack.manager.kill()
    await stack.manager.start()

    async def leads() -> bool:
        return stack.manager.log().count("reconciling") > lines

    await eventually(leads, bool, within=30, what="the new process leads")
    await asyncio.sleep(SHRINK_AFTER + QUIET)
    assert (await stack.queue())["metadata"]["generation"] == before["metadata"]["generation"]
    assert len(stack.quota_writes()) == writes
    await stack.cordon("w1", "w1-standard-1", unschedulable=True)
    await stack.becomes(await stack.there_is(), within=REPORTED + SHRINK_AFTER)
    await stack.cordon("w1", "w1-standard-1", unschedulable=False)
    await stack.becomes(await stack.there_is())


async def test_equal_facts_are_not_written_again(stack: Stack) -> None:
    """Heartbeats and reports go on, the quota stands."""
    await stack.becomes(await stack.there_is())
    writes = len(stack.quota_writes())
    await asyncio.sleep(QUIET)
    assert len(stack.quota_writes()) == writes


async def test_a_change_by_hand_is_put_right(stack: Stack) -> None:
    full = await stack.quota()
    queue = await stack.queue()
    queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] = "1000"
    await stack.hub.update(CLUSTER_QUEUES, queue)
    await stack.becomes(full)


async def test_marked_namespaces_are_carried_and_those_of_others_keep_their_labels(stack: Stack) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "theirs", "labels": {"of": "them"}},
    }
    await stack.spaces["w1"].create(NAMESPACES, theirs)
    for name in ("theirs", "ours"):
        labels = {keys.CARRIED: "true"}
        metadata = {"name": name, "labels": labels}
        await stack.wds.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    async def arrived() -> list[str]:
        return [
            f"{worker}/{namespace['metadata']['name']}"
            for worker in stack.fleet.workers
            for namespace in await stack.spaces[worker].list(
                NAMESPACES, label_selector=f"{keys.CARRIED}=true"
            )
        ]

    want = ["w1/ours", "w2/ours", "w2/theirs"]
    await eventually(
        arrived, lambda found: found == want, within=REPORTED, what="the namespaces on the workers"
    )
    found = await stack.spaces["w1"].get(NAMESPACES, "theirs")
    assert found["metadata"]["labels"]["of"] == "them"


async def test_a_cluster_that_joins_is_introduced_and_one_that_leaves_is_forgotten(stack: Stack) -> None:
    metadata = {"name": "w9", "labels": {"name": "w9"}}
    cluster = {
        "apiVersion": MANAGED_CLUSTERS.api_version,
        "kind": MANAGED_CLUSTERS.kind,
        "metadata": metadata,
        "spec": {"hubAcceptsClient": True},
    }
    policy = base_policy_name("w9")

    async def introduced() -> list[str]:
        found = []
        for resource, name in ((CLUSTER_METRICS, "w9"), (BINDING_POLICIES, policy)):
            with suppress(NotFound):
                found.append((await stack.wds.get(resource, name))["kind"])
        return found

    created = await stack.its.create(MANAGED_CLUSTERS, cluster)
    both = ["ClusterMetrics", "BindingPolicy"]
    await eventually(introduced, lambda found: found == both, within=20, what="objects of w9")
    await stack.its.delete(MANAGED_CLUSTERS, "w9", uid=created["metadata"]["uid"])
    await eventually(introduced, lambda found: found == [], within=20, what="an end of them")


async def test_a_cluster_without_its_name_label_is_told_what_to_do(stack: Stack) -> None:
    cluster = {
        "apiVersion": MANAGED_CLUSTERS.api_version,
        "kind": MANAGED_CLUSTERS.kind,
        "metadata": {"name": "w8"},
        "spec": {"hubAcceptsClient": True},
    }
    created = await stack.its.create(MANAGED_CLUSTERS, cluster)

    remedy = "kubectl label managedcluster w8 --overwrite name=w8"

    async def told() -> bool:
        return remedy in stack.manager.log()

    await eventually(told, bool, within=20, what=remedy)
    await stack.its.delete(MANAGED_CLUSTERS, "w8", uid=created["metadata"]["uid"])
