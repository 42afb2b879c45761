"""Our questions to a real Prometheus server, over clusters that are made up: no fleet is started.

Each row changes one thing about a worker and says what is left for us on its nodes.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from local_fleet.ports import claimed
from quota_manager.sources.prometheus import Server, ask_everything
from quota_manager.sources.queries import Wanted
from quota_manager.sources.samples import Reading
from tests.fleet.kube_state import exporter
from tests.fleet.prometheus_server import PrometheusServer, find_prometheus, running_prometheus
from vocabulary import keys
from vocabulary.cluster_metrics import Taint
from vocabulary.resources import NODES, PODS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

WANTED = Wanted(frozenset({"cpu", "memory", "pods", "nvidia.com/gpu"}), frozenset({"pool"}))


def node(name: str = "n1", **spec: Any) -> Obj:
    ready = spec.pop("ready", "True")
    allocatable = {"cpu": "8", "memory": "16Gi", "pods": "110", "nvidia.com/gpu": "4"}
    return {
        "metadata": {"name": name, "labels": {"pool": "a", "kubernetes.io/hostname": name}},
        "spec": spec,
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(name: str = "p1", cpu: str = "1500m", on: str = "n1", phase: str = "Running", **more: Any) -> Obj:
    def container(asked: str) -> Obj:
        return {"name": f"c-{asked}", "resources": {"requests": {"cpu": asked, "memory": "1Gi"}}}

    return {
        "metadata": {"name": name, "namespace": "default", "labels": more.get("labels", {})},
        "spec": {
            "nodeName": on,
            "containers": [container(cpu), *map(container, more.get("also", ()))],
            "initContainers": [container(asked) for asked in more.get("first", ())],
        },
        "status": {"phase": phase},
    }


@dataclass
class Worker:
    """The API server of a worker, as far as kube-state-metrics asks it."""

    nodes: Sequence[Obj] = field(default_factory=lambda: [node()])
    pods: Sequence[Obj] = field(default_factory=lambda: [pod("system", "0")])

    scrapes: int = 0

    async def list(self, resource: Resource) -> list[Obj]:
        self.scrapes += resource == NODES
        return [copy.deepcopy(obj) for obj in {NODES: self.nodes, PODS: self.pods}[resource]]


@dataclass
class Scraped:
    """Two watchers of w1, which see what they are told, and the server that scrapes both."""

    one: Worker
    other: Worker
    prometheus: PrometheusServer

    async def see(self, nodes: Sequence[Obj], pods: Sequence[Obj]) -> None:
        """From now on; returns when nothing that was seen before is left."""
        for watcher in (self.one, self.other):
            watcher.nodes, watcher.pods = nodes, pods
        await self.scraped_anew()

    async def scraped_anew(self) -> None:
        """When a second scrape of each begins, the first after this call has been stored."""
        for watcher in (self.one, self.other):
            wanted = watcher.scrapes + 2
            async with asyncio.timeout(20):
                while watcher.scrapes < wanted:  # noqa: ASYNC110  a scrape is not told
                    await asyncio.sleep(0.05)

    async def reading(self, holds: Callable[[Reading], bool]) -> Reading:
        """What our questions find, once it holds; the last when it never does."""
        server = Server(self.prometheus.url, "cluster", token_file=None, ca_file=None, timeout=5)
        for _ in range(40):
            reading = await asyncio.to_thread(ask_everything, server, WANTED)
            if holds(reading):
                break
            await asyncio.sleep(0.25)  # a scrape each second
        return reading


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scraped]:
    program, why_not = await asyncio.to_thread(find_prometheus)
    if program is None:
        pytest.skip(why_not)
    one, other = Worker(), Worker()
    with claimed(["prometheus"]) as ports:
        async with exporter({"one": one, "other": other}) as port:
            targets = {"one": ("w1", port), "other": ("w1", port)}
            folder = tmp_path_factory.mktemp("server") / "prometheus"
            async with running_prometheus(program, folder, ports["prometheus"], targets) as server:
                yield Scraped(one, other, server)


class Case(NamedTuple):
    reason: str
    nodes: Sequence[Obj]
    pods: Sequence[Obj]
    foreign: dict[str, int]  # cpu and pods of n1
    requested: int | None = None  # cpu, where it is not the foreign one


SYSTEM = pod("system", "0")
CASES = [
    Case("two watchers of one cluster count once", [node()], [pod()], {"cpu": 1_500, "pods": 1_000}),
    Case(
        "ours are requested and not foreign",
        [node()],
        [SYSTEM, pod("ours", labels={keys.WORKLOAD_UID: "u"})],
        {"cpu": 0, "pods": 1_000},
        1_500,
    ),
    Case("containers add up", [node()], [pod(also=["1"])], {"cpu": 2_500, "pods": 1_000}),
    Case(
        "a greater init container counts instead", [node()], [pod(first=["3"])], {"cpu": 3_000, "pods": 1_000}
    ),
    Case("a lesser one does not", [node()], [pod(first=["1"])], {"cpu": 1_500, "pods": 1_000}),
    Case(
        "pods that have ended do not",
        [node()],
        [pod(), pod("p2", phase="Succeeded"), pod("p3", phase="Failed")],
        {"cpu": 1_500, "pods": 1_000},
    ),
    Case(
        "nor those without a node",
        [node()],
        [pod(), pod("p2", on="", phase="Pending")],
        {"cpu": 1_500, "pods": 1_000},
    ),
    Case(
        "those of another node do not count here",
        [node(), node("n2")],
        [pod(), pod("p2", "4", on="n2")],
        {"cpu": 1_500, "pods": 1_000},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
async def test_use(scraped: Scraped, case: Case) -> None:
    await scraped.see(case.nodes, case.pods)

    def found(reading: Reading) -> dict[str, tuple[int, int]]:
        facts = reading.reports.get("w1")
        if facts is None or facts.report is None:
            return {}
        n1 = next(group for group in facts.report.nodes if group.name == "n1")
        return {r: (n1.foreign.get(r, 0), n1.requested.get(r, 0)) for r in ("cpu", "pods")}

    cpu, pods = case.foreign["cpu"], case.foreign["pods"]
    requested = cpu if case.requested is None else case.requested
    ours = 1_000 if case.requested is not None else 0
    want = {"cpu": (cpu, requested), "pods": (pods, pods + ours)}
    reading = await scraped.reading(lambda reading: found(reading) == want)
    assert found(reading) == want
    assert reading.bad == ()


async def test_nodes(scraped: Scraped) -> None:
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    await scraped.see(
        [node(), node("n2", unschedulable=True), node("n3", ready="Unknown"), node("n4", taints=[taint])],
        [SYSTEM],
    )
    want = {
        ("n1", False, True, ()),
        ("n2", True, True, ()),
        ("n3", False, False, ()),
        ("n4", False, True, (Taint("gpu", "yes", "NoSchedule"),)),
    }

    def found(reading: Reading) -> set[Any]:
        facts = reading.reports.get("w1")
        groups = facts.report.nodes if facts and facts.report else ()
        return {(g.name, g.unschedulable, g.ready, g.taints) for g in groups}

    reading = await scraped.reading(lambda reading: found(reading) == want)
    assert found(reading) == want
    report = reading.reports["w1"].report
    assert report is not None
    assert all(g.labels == {"pool": "a"} for g in report.nodes)
    gi = 2**30 * 1000
    want_amounts = {"cpu": 8_000, "memory": 16 * gi, "pods": 110_000, "nvidia.com/gpu": 4_000}
    assert all(g.allocatable == want_amounts for g in report.nodes)


async def test_watchers_that_disagree(scraped: Scraped) -> None:
    await scraped.see([node()], [pod()])
    less = node()
    less["status"]["allocatable"]["cpu"] = "4"
    scraped.other.nodes = [less]
    await scraped.scraped_anew()
    reading = await scraped.reading(lambda reading: bool(reading.bad))
    assert {bad.reason for bad in reading.bad} == {"conflicting"}
    report = reading.reports["w1"].report
    assert report is not None
    assert report.nodes[0].allocatable.keys() == {"memory", "pods", "nvidia.com/gpu"}


@pytest.mark.parametrize("value", ["NaN", "-1"])
async def test_a_request_that_is_no_amount(scraped: Scraped, value: str) -> None:
    """A sum would hide the negative one; Kubernetes itself allows neither."""
    await scraped.see([node()], [pod(), pod("p2", value)])
    reading = await scraped.reading(lambda reading: {"no_amount"} <= {bad.reason for bad in reading.bad})
    assert "no_amount" in {bad.reason for bad in reading.bad}
    report = reading.reports["w1"].report
    assert report is not None
    assert "cpu" not in report.nodes[0].allocatable
    assert report.nodes[0].allocatable["memory"] == 16 * 2**30 * 1000


async def test_a_cluster_that_is_not_scraped_any_more_is_unknown(scraped: Scraped) -> None:
    await scraped.see([], [])
    reading = await scraped.reading(lambda reading: "w1" not in reading.reports)
    assert reading.reports == {}
