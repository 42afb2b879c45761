"""What happens to a fleet, and the quota that must follow within 15 s, as a table; Kueue admits by it.

Only the cpus of flavor "standard" are looked at: w1 has two such nodes of 15.5 in use, w2 two of 23.5 and one
of 7.5. Cordon and loss of a cluster are here, those of nodes and the debounce in test_quota.
"""

import asyncio
import copy
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from kube_runtime.errors import NotFound
from kube_runtime.objects import Obj, uid_of
from kube_runtime.quantity import format_milli, parse
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from local_fleet.nodes import nodes_of
from tests.fleet.jobs.programs import eventually, install_everywhere
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    JOBS,
    MANAGED_CLUSTERS,
    NODES,
    PODS,
    WORKLOADS,
)

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

QUEUE = "team-queue"
WITHIN = 15.0  # seconds; what is promised
SHRINK_AFTER = 3.0
STALE_AFTER = 75.0  # seconds; a heartbeat comes every 60
APART = 11.0  # seconds between two changes: an agent's interval, after which it reports at once


class World:
    """A fleet with a QuotaManager, and what can happen to it."""

    def __init__(self, fleet: Fleet, spaces: dict[str, Space]) -> None:
        self.fleet, self.spaces = fleet, spaces
        self.hub, self.its = spaces["hub"], spaces["its"]

    async def cpu(self) -> Fraction:
        queue = await self.hub.get(CLUSTER_QUEUES, QUEUE)
        flavors = queue["spec"]["resourceGroups"][0]["flavors"]
        standard = next(flavor for flavor in flavors if flavor["name"] == "standard")
        return parse(standard["resources"][0]["nominalQuota"])

    async def told(self) -> str:
        queue = await self.hub.get(CLUSTER_QUEUES, QUEUE)
        return str((queue["metadata"].get("annotations") or {}).get(keys.QUOTA_BREAKDOWN, ""))

    async def add_node(self) -> None:
        node = copy.deepcopy(nodes_of("w1", 0)[0])
        node["metadata"]["name"] = node["metadata"]["labels"]["kubernetes.io/hostname"] = "w1-standard-9"
        await self.spaces["w1"].create(NODES, node)

    async def delete_node(self) -> None:
        node = await self.spaces["w1"].get(NODES, "w1-standard-9")
        await self.spaces["w1"].delete(NODES, "w1-standard-9", uid=uid_of(node))

    async def cordon_node(self) -> None:
        await self._node("w1", "w1-standard-0", {"unschedulable": True})

    async def taint_node(self) -> None:
        taint = {"key": "team", "value": "x", "effect": "NoSchedule"}
        await self._node("w2", "w2-standard-3", {"taints": [taint]})

    async def run_foreign_pod(self) -> None:
        container = {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": "1500m"}}}
        spec = {"nodeName": "w2-standard-1", "containers": [container]}
        metadata = {"name": "theirs", "namespace": "default"}
        await self.spaces["w2"].create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        )

    async def cordon_cluster(self) -> None:
        await self._cluster([{"key": "maintenance", "effect": "NoSelect"}])

    async def uncordon_cluster(self) -> None:
        await self._cluster([])

    async def lose_cluster(self) -> None:
        """Its agent hangs; what is lost is noticed after STALE_AFTER."""
        self.fleet.component("w2/metrics-agent").stop()
        await asyncio.sleep(STALE_AFTER)

    async def find_cluster(self) -> None:
        self.fleet.component("w2/metrics-agent").cont()

    async def ask(self, name: str, cpu: Fraction) -> dict[str, Any]:
        """A job for standard nodes; condition QuotaReserved of its Workload once Kueue has an answer."""
        requests = {"cpu": format_milli(int(cpu * 1000), "cpu")}
        container = {"name": "c", "image": "busybox", "resources": {"requests": requests}}
        pod = {
            "nodeSelector": {"node-class": "standard"},
            "restartPolicy": "Never",
            "containers": [container],
        }
        metadata = {"name": name, "namespace": "team-a", "labels": {keys.QUEUE_NAME: "default-queue"}}
        job = await self.hub.create(
            JOBS,
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": metadata,
                "spec": {"suspend": True, "template": {"spec": pod}},
            },
        )

        async def workloads() -> list[Obj]:
            found = await self.hub.list(
                WORKLOADS, "team-a", label_selector=f"{keys.KUEUE_JOB_UID}={uid_of(job)}"
            )
            return [
                condition
                for workload in found
                for condition in (workload.get("status") or {}).get("conditions") or ()
                if condition["type"] == "QuotaReserved"
            ]

        answer = (await eventually(workloads, bool, within=20, what=f"an answer for {name}"))[0]
        await self.hub.delete(JOBS, name, "team-a", uid=uid_of(job))

        async def gone() -> bool:
            with suppress(NotFound):
                await self.hub.get(JOBS, name, "team-a")
                return False
            return not await workloads()

        await eventually(gone, bool, within=20, what=f"an end of {name}")
        return answer

    async def _node(self, worker: str, name: str, spec: Obj) -> None:
        uid = uid_of(await self.spaces[worker].get(NODES, name))
        await self.spaces[worker].patch(NODES, {"metadata": {"uid": uid}, "spec": spec}, name=name)

    async def _cluster(self, taints: list[Obj]) -> None:
        cluster = await self.its.get(MANAGED_CLUSTERS, "w2")
        cluster["spec"]["taints"] = taints
        await self.its.update(MANAGED_CLUSTERS, cluster)


class Row(NamedTuple):
    reason: str
    happens: Callable[[World], Awaitable[None]]
    cpu: str
    told: str  # a part of the breakdown


ROWS = [
    Row("a node is added", World.add_node, "101", '"w1":{"capacity":"46500m"'),
    Row("a node is cordoned", World.cordon_node, "85500m", '"node cordoned":"31"'),
    Row("a node is tainted", World.taint_node, "78", '"node tainted":"7500m"'),
    Row("a node is deleted", World.delete_node, "62500m", '"w1":{"capacity":"15500m"'),
    Row("a pod of somebody else runs", World.run_foreign_pod, "61", '"foreign":"1500m"'),
    Row("a cluster is cordoned", World.cordon_cluster, "15500m", '"cluster cordoned":"45500m"'),
    Row("it takes jobs again", World.uncordon_cluster, "61", '"w2":{"capacity":"45500m"'),
    Row("a cluster is lost", World.lose_cluster, "15500m", '"cluster silent":"78"'),
    Row("it is back", World.find_cluster, "61", '"w2":{"capacity":"45500m"'),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("quota-table")
    log = folder / "quota-manager.log"
    async with Fleet(folder / "fleet", Options(workers=2)) as fleet:
        await install_everywhere(fleet)
        spaces = {name: fleet.space(name) for name in ("hub", "its", *fleet.workers)}
        manager = None
        try:
            with log.open("ab") as out:
                manager = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "quota_manager"),
                    *(
                        f"--{s}-kubeconfig={fleet.kubeconfig(s, 'quota-manager')}"
                        for s in ("hub", "wds", "its")
                    ),
                    *(f"--shrink-after={SHRINK_AFTER}", f"--stale-after={STALE_AFTER}"),
                    stdout=out,
                    stderr=out,
                    cwd=Path(__file__).parents[2],
                    env={k: v for k, v in os.environ.items() if not k.startswith("KUEUE_KS_")},
                )
            await _activate_check(spaces["hub"])
            yield World(fleet, spaces)
        finally:
            if manager is not None:
                with suppress(ProcessLookupError):
                    manager.kill()
                await manager.wait()
            for space in spaces.values():
                await space.close()
            print(log.read_text())  # noqa: T201  pytest shows it when something failed


async def _activate_check(hub: Space) -> None:
    """WorkloadController does not run here; without it Kueue holds every job back."""
    check = await hub.get(ADMISSION_CHECKS, "kubestellar")
    active = {"type": "Active", "status": "True", "reason": "Test", "message": "for the test"}
    active["lastTransitionTime"] = check["metadata"]["creationTimestamp"]
    patch = {"metadata": {"uid": uid_of(check)}, "status": {"conditions": [active]}}
    await hub.patch(ADMISSION_CHECKS, patch, name="kubestellar", subresource="status")


async def test_the_quota_follows_the_fleet(world: World) -> None:
    """One test: each row stands on the rows before it."""
    await eventually(world.cpu, lambda cpu: cpu == parse("85500m"), within=60, what="the first quota")
    for number, row in enumerate(ROWS):
        await asyncio.sleep(APART)
        await row.happens(world)
        began, want = time.monotonic(), parse(row.cpu)
        await eventually(world.cpu, lambda cpu, want=want: cpu == want, within=WITHIN, what=row.reason)  # type: ignore[misc]
        took = time.monotonic() - began
        await eventually(world.told, lambda text, row=row: row.told in text, within=WITHIN, what=row.told)  # type: ignore[misc]
        fits, more = (await world.ask(f"fits-{number}", want), await world.ask(f"more-{number}", want + 1))
        assert (fits["status"], more["status"]) == ("True", "False"), (row.reason, fits, more)
        print(f"{row.reason}: cpu {row.cpu} after {took:.1f} s; Kueue: {more['message']}")  # noqa: T201
