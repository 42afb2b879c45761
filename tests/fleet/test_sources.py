"""A worker whose metrics agent falls silent stays in the quota by a real Prometheus that scrapes it.

The agent is stopped (SIGSTOP), not ended: that is what a hanging one looks like. Each test leaves the
worker as it found it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from local_fleet.ports import claimed
from quota_manager.capacity import fold
from quota_manager.decision import offered_flavors
from quota_manager.facts import Cell, flavor_facts, queue_facts
from quota_manager.sinks.provided_capacity import CONTROLLER, provider_facts
from quota_manager.sources.prometheus import Server, ask_everything
from quota_manager.sources.queries import Wanted
from tests.fleet.capacity_provider import crd
from tests.fleet.jobs.programs import Programs, eventually, install_everywhere, quota_is_filled
from tests.fleet.kube_state import exporter
from tests.fleet.prometheus_server import PrometheusServer, find_prometheus, running_prometheus
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport
from vocabulary.report_reading import parse_report
from vocabulary.resources import (
    CAPACITY_PROVIDERS,
    CLUSTER_METRICS,
    CLUSTER_QUEUES,
    NODES,
    PODS,
    RESOURCE_FLAVORS,
)

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
EVENTS = Resource("", "v1", "events", "Event")
STALE_AFTER = 75.0  # seconds; agents write every 60 when nothing changes
SOON = 15.0  # seconds: a scrape, a round of questions and a write
NOTHING_NEW = f"nothing new for {STALE_AFTER:g} s"
MANAGER = "quota-manager"
CPU = ("standard", "cpu")


@dataclass(frozen=True, slots=True)
class Stack:
    """One worker with its agent, QuotaManager, and a Prometheus that scrapes the worker."""

    fleet: Fleet
    spaces: Mapping[str, Space]
    prometheus: PrometheusServer
    programs: Programs

    async def quota(self) -> dict[tuple[str, str], Fraction]:
        queue = await self.spaces["hub"].get(CLUSTER_QUEUES, "team-queue")
        return {
            (flavor["name"], resource["name"]): parse(resource["nominalQuota"])
            for group in queue["spec"]["resourceGroups"]
            for flavor in group["flavors"]
            for resource in flavor["resources"]
        }

    async def cordon(self, node: str, *, unschedulable: bool) -> None:
        worker = self.spaces["w1"]
        uid = (await worker.get(NODES, node))["metadata"]["uid"]
        patch = {"metadata": {"uid": uid}, "spec": {"unschedulable": unschedulable}}
        await worker.patch(NODES, patch, name=node)

    async def switches(self) -> list[str]:
        events = await self.spaces["its"].list(EVENTS, field_selector="reason=SourceChanged")
        return [event["message"] for event in sorted(events, key=_order)]

    async def by_agent(self) -> ClusterReport:
        return parse_report((await self.spaces["w1"].get(CLUSTER_METRICS, "w1"))["status"])

    async def by_prometheus(self) -> ClusterReport:
        server = Server(self.prometheus.url, "cluster", token_file=None, ca_file=None, timeout=5)
        wanted = Wanted(frozenset(resource for _, resource in await self.quota()), frozenset({"node-class"}))
        reading = await asyncio.to_thread(ask_everything, server, wanted)
        facts = reading.reports["w1"]
        assert reading.bad == ()
        assert facts.report is not None, facts.problem
        return facts.report

    async def capacity(self, report: ClusterReport) -> Mapping[Cell, int]:
        hub = self.spaces["hub"]
        flavors = {f.name: f for f in map(flavor_facts, await hub.list(RESOURCE_FLAVORS))}
        queues = list(map(queue_facts, await hub.list(CLUSTER_QUEUES)))
        return fold({"w1": report}, flavors, offered_flavors(queues)).shares["w1"].amounts


def _order(event: Obj) -> str:
    return str(
        event.get("eventTime") or event.get("firstTimestamp") or event["metadata"]["creationTimestamp"]
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    program, why_not = await asyncio.to_thread(find_prometheus)
    if program is None:
        pytest.skip(why_not)
    folder = tmp_path_factory.mktemp("sources")
    async with AsyncExitStack() as running:
        fleet = await running.enter_async_context(Fleet(folder / "fleet", Options(workers=1)))
        await install_everywhere(fleet)
        async with fleet.space("w1") as worker:  # without any pod, nobody believes that pods are shown
            await worker.create(PODS, pod("system", containers=[{"name": "main", "image": "busybox"}]))
        spaces = {name: await running.enter_async_context(fleet.space(name)) for name in ("hub", "its", "w1")}
        port = await running.enter_async_context(exporter({"w1": spaces["w1"]}))
        own = running.enter_context(claimed(["prometheus"]))["prometheus"]
        prometheus = await running.enter_async_context(
            running_prometheus(program, folder / "prometheus", own, {"w1": ("w1", port)})
        )
        programs = Programs(fleet, folder)
        try:
            await spaces["hub"].create(CRDS, crd())
            await _manager(programs, prometheus)
            await quota_is_filled(spaces["hub"])
            yield Stack(fleet, spaces, prometheus, programs)
            await programs.stop()
            assert fleet.deaths == []
        finally:
            await programs.kill()
            print(programs.log_tails())  # noqa: T201  pytest shows it when something failed


async def _manager(programs: Programs, prometheus: PrometheusServer) -> None:
    await programs.start(
        MANAGER,
        options=(
            f"--prometheus-url={prometheus.url}",
            "--prometheus-interval=1",
            f"--stale-after={STALE_AFTER}",
            "--shrink-after=1",
        ),
    )


def pod(name: str, **changed: Any) -> Obj:
    requests = {"cpu": "1500m", "memory": "1Gi"}
    container = {"name": "main", "image": "busybox", "resources": {"requests": requests}}
    spec = {"nodeName": "w1-standard-1", "containers": [container], "restartPolicy": "Always"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": changed.pop("labels", {})},
        "spec": {**spec, **changed},
    }


PODS_OF_ALL_SORTS = [
    pod("theirs"),
    pod("ours", labels={keys.WORKLOAD_UID: "some-workload"}),
    pod(
        "greater-init-container",
        initContainers=[
            {"name": "first", "image": "busybox", "resources": {"requests": {"cpu": "2", "memory": "1Mi"}}}
        ],
    ),
    pod("nowhere", nodeName="", schedulingGates=[{"name": "example.com/later"}]),
]


async def test_prometheus_says_what_the_agent_says(stack: Stack) -> None:
    """Two ways that share no code but the fold, for a worker with pods of all sorts and a cordoned node."""
    worker = stack.spaces["w1"]
    bare = await stack.capacity(await eventually(stack.by_agent, bool, within=SOON, what="a report"))
    created = [await worker.create(PODS, each) for each in PODS_OF_ALL_SORTS]
    await stack.cordon("w1-standard-0", unschedulable=True)

    async def both() -> tuple[Mapping[Cell, int], Mapping[Cell, int]]:
        return (
            await stack.capacity(await stack.by_agent()),
            await stack.capacity(await stack.by_prometheus()),
        )

    used = 1_500 + 2_000  # the foreign pods' cpu; of the node the whole allocatable is gone
    node = Fraction(31, 2) * 1000
    want = bare[Cell(*CPU)] - used - node
    agent, prometheus = await eventually(
        both, lambda b: b[0] == b[1] and b[0][Cell(*CPU)] == want, within=30, what=f"both say {want} cpu"
    )
    assert agent == prometheus
    assert agent.keys() > {Cell(*CPU), Cell("gpu", "nvidia.com/gpu"), Cell("standard", "pods")}

    for each in created:
        await worker.delete(PODS, each["metadata"]["name"], "default", uid=each["metadata"]["uid"])
    await stack.cordon("w1-standard-0", unschedulable=False)
    await eventually(both, lambda b: b[0] == b[1] == bare, within=30, what="both as before")


def provider(name: str, controller: str) -> Obj:
    flavors = [{"name": "standard"}, {"name": "gpu"}]
    return {
        "apiVersion": CAPACITY_PROVIDERS.api_version,
        "kind": CAPACITY_PROVIDERS.kind,
        "metadata": {"name": name},
        "spec": {"controllerName": controller, "orchestratedFlavors": flavors},
    }


async def test_a_capacity_provider_that_names_us_is_told_what_the_fleet_has(stack: Stack) -> None:
    """With the rights of our role, against the schema's validation."""
    hub = stack.spaces["hub"]
    ours = await hub.create(CAPACITY_PROVIDERS, provider("fleet", CONTROLLER))
    await hub.create(CAPACITY_PROVIDERS, provider("theirs", "example.com/other"))

    async def status(name: str = "fleet") -> Obj:
        return dict((await hub.get(CAPACITY_PROVIDERS, name)).get("status") or {})

    def has(status: Obj, cpu: Fraction) -> bool:
        told = provider_facts({**ours, "status": status})
        return told is not None and (told.capacity or {}).get(Cell(*CPU)) == cpu * 1000

    async def both() -> tuple[dict[tuple[str, str], Fraction], Obj]:
        return await stack.quota(), await status()

    full, told = await eventually(  # the quota may still follow what an earlier test did
        both, lambda b: has(b[1], b[0][CPU]), within=45, what="the whole capacity"
    )
    (condition,) = told["conditions"]
    assert (condition["status"], condition["reason"]) == ("True", "Synchronized")
    assert condition["message"] == "1 of 1 clusters counted"
    capacity = {
        (f["name"], r): parse(a) for f in told["capacity"]["flavors"] for r, a in f["resources"].items()
    }
    assert {cell: capacity[cell] for cell in full} == full, "the only managed queue has it all"

    await stack.cordon("w1-standard-0", unschedulable=True)
    await eventually(status, lambda s: has(s, full[CPU] - Fraction(31, 2)), within=30, what="less")
    await stack.cordon("w1-standard-0", unschedulable=False)
    again = await eventually(status, lambda s: has(s, full[CPU]), within=30, what="all of it again")
    assert again["conditions"][0]["lastTransitionTime"] == condition["lastTransitionTime"]
    assert await status("theirs") == {}
    await eventually(stack.quota, lambda quota: quota == full, within=30, what="the full quota")


async def test_a_silent_agent_is_replaced_and_comes_back(stack: Stack) -> None:
    full = await stack.quota()
    agent = stack.fleet.component("w1/metrics-agent")
    agent.stop()
    try:
        await eventually(
            stack.switches, bool, within=STALE_AFTER + 60 + SOON, what="w1 counted by Prometheus"
        )
        assert await stack.quota() == full, "the change of source changed no quota"
        await stack.cordon("w1-standard-0", unschedulable=True)
        less = {**full, CPU: full[CPU] - Fraction(31, 2)}
        await eventually(
            stack.quota,
            lambda quota: quota[CPU] == less[CPU],
            within=SOON,
            what=f"a quota of {less[CPU]} cpu",
        )
        await stack.cordon("w1-standard-0", unschedulable=False)
        await eventually(stack.quota, lambda quota: quota == full, within=SOON, what="the full quota")
    finally:
        agent.cont()
    told = await eventually(
        stack.switches, lambda told: len(told) == 2, within=30, what="w1 counted by its agent again"
    )
    assert told == [
        f"w1: counted by Prometheus now, by ClusterMetrics before. ClusterMetrics: {NOTHING_NEW}",
        "w1: counted by ClusterMetrics now, by Prometheus before",
    ]
    assert await stack.quota() == full


async def test_a_prometheus_that_is_away_harms_nobody(stack: Stack) -> None:
    full = await stack.quota()
    await stack.prometheus.kill()

    async def noticed() -> bool:
        return "prometheus does not answer" in stack.programs.log(MANAGER)

    await eventually(noticed, bool, within=SOON, what="a line about Prometheus")
    await stack.cordon("w1-standard-0", unschedulable=True)
    await eventually(
        stack.quota, lambda quota: quota[CPU] == full[CPU] - Fraction(31, 2), within=30, what="less cpu"
    )
    await stack.cordon("w1-standard-0", unschedulable=False)
    await eventually(stack.quota, lambda quota: quota == full, within=30, what="the full quota")
    await stack.prometheus.start()
