"""The audit in the controller: from raw objects in the stores to a gauge, one log line, and a request."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from kube_runtime.objects import Obj
from tests.kueue_ks.builders import (
    CHECK,
    READY,
    WORKLOAD,
    WORKLOAD_UID,
    condition,
    raw_copy,
    raw_job,
    raw_policy,
    raw_status,
    raw_work,
    raw_workload,
)
from tests.workload_controller.scripted_space import ScriptedSpace
from vocabulary import keys
from workload_controller.audit import patrol as patrol_module
from workload_controller.audit.finding import KINDS
from workload_controller.audit.patrol import EVERY, Patrol
from workload_controller.concerns import Request
from workload_controller.heartbeat import config_map
from workload_controller.kinds.batch_job import STARTED
from workload_controller.reading import seconds
from workload_controller.situation import Timing
from workload_controller.stores import Stores
from workload_controller.view import View
from workload_controller.wishes import JobPolicy

NOW = seconds("2026-01-01T12:00:30Z")
RAN = {"type": STARTED, "status": "True", "reason": "Attempt1"}
STATUS = {"active": 4, "ready": 4, "startTime": "2026-01-01T12:00:05Z"}


def cluster(name: str, available: str = "True") -> Obj:
    state = {"type": "ManagedClusterConditionAvailable", "status": available}
    return {
        "metadata": {"name": name, "labels": {keys.CLUSTER_NAME_LABEL: name}},
        "spec": {"hubAcceptsClient": True},
        "status": {"conditions": [{**state, "lastTransitionTime": "2026-01-01T11:00:00Z"}]},
    }


def report(name: str, *, at: float, pods: int = 0, uid: str = WORKLOAD_UID) -> Obj:
    workloads = [{"uid": uid, "bound": pods}] if pods else []
    return {
        "metadata": {"namespace": name, "name": f"metrics-{name}"},
        "spec": {"sourceRef": {"kind": "ClusterMetrics", "name": name}},
        "status": {"observedAtSeconds": f"{at:.3f}", "sequence": 1, "nodes": [], "workloads": workloads},
    }


class World:
    """One job that runs on w1, as all stores have it, and a second cluster."""

    def __init__(self) -> None:
        space = ScriptedSpace().as_space
        self.stores, self.now, self.version = Stores(space, space, space), NOW, 100
        self.asked: list[Request] = []
        timing = Timing()
        view = View(self.stores, stale_after=180.0, timing=timing, defaults=JobPolicy())
        self.patrol = Patrol(
            self.stores, view, self.asked.append, timing=timing, stale_after=180.0, clock=lambda: self.now
        )
        s = self.stores
        self.put(s.checks, CHECK)
        self.put(s.workloads, raw_workload(condition("QuotaReserved"), condition("Admitted"), check=READY))
        self.put(s.jobs, raw_job(**STATUS, conditions=[RAN]))
        self.put(s.copies, raw_copy())
        self.put(s.policies, raw_policy())
        self.put(s.bindings, binding("wave-w1-1", "train"))
        self.put(s.works, raw_work())
        self.put(s.reports, raw_status(**STATUS))
        for name in ("w1", "w2"):
            self.put(s.clusters, cluster(name))
        self.report(w1=4)
        for informer in s.informers:
            informer._synced.set()

    def put(self, informer: Any, obj: Obj) -> None:
        """A version that is newer than all before."""
        self.version += 1
        metadata = {"uid": f"uid-{obj['metadata']['name']}", **obj["metadata"]}
        informer.observe({**obj, "metadata": {**metadata, "resourceVersion": str(self.version)}})

    def report(self, **pods: int) -> None:
        """Both clusters say now how many pods they have."""
        for name in ("w1", "w2"):
            self.put(self.stores.reports, report(name, at=self.now, pods=pods.get(name, 0)))

    async def codes(self) -> list[str]:
        """What lasts, after another minute and another report of each cluster."""
        await self.patrol.look()
        self.now += EVERY
        return [finding.code for finding in (await self.patrol.look()).lasting]


def binding(name: str, *jobs: str) -> Obj:
    listed = [{"group": "batch", "resource": "jobs", "namespace": "team-a", "name": job} for job in jobs]
    return {"metadata": {"name": name}, "spec": {"workload": {"namespaceScope": listed}}}


def gauge(code: str) -> float | None:
    return REGISTRY.get_sample_value("kueue_ks_audit_findings", {"code": code})


async def test_a_running_job_is_no_finding() -> None:
    world = World()
    assert await world.codes() == []
    assert world.asked == []
    assert {gauge(code) for code in KINDS} == {0.0}


async def test_a_policy_that_carries_nothing_is_told_once_counted_and_looked_at_again() -> None:
    world = World()
    metadata = raw_policy()["metadata"] | {"name": "wave-w1-0", "uid": "stray"}
    world.put(world.stores.policies, {"metadata": metadata})
    with capture_logs() as lines:
        assert await world.codes() == ["PolicyWithoutCopy"]
        assert await world.codes() == ["PolicyWithoutCopy"]
    told = [line for line in lines if line.get("reason") == "PolicyWithoutCopy"]
    assert [line["object"] for line in told] == ["wds: BindingPolicy wave-w1-0"]
    assert gauge("PolicyWithoutCopy") == 1.0
    assert set(world.asked) == {Request("workload", "team-a", WORKLOAD)}
    world.stores.policies.observe_deleted(("", "wave-w1-0"), "stray")
    assert await world.codes() == []
    assert gauge("PolicyWithoutCopy") == 0.0


async def test_pods_elsewhere_count_when_their_worker_says_so_again() -> None:
    world = World()
    world.report(w1=4, w2=1)
    assert await world.codes() == []  # the second look has the same report as the first
    world.report(w1=4, w2=1)
    assert await world.codes() == ["PodsWithoutWork", "TwoClusters"]


async def test_what_an_unheard_cluster_said_last_is_no_news() -> None:
    world = World()
    world.report(w1=4, w2=1)
    await world.patrol.look()
    world.put(world.stores.clusters, cluster("w2", available="Unknown"))
    world.report(w1=4, w2=1)
    assert await world.codes() == []


async def test_a_worker_whose_clock_is_ahead_proves_nothing() -> None:
    """Each of its reports would look like a new one."""
    world = World()
    world.put(world.stores.reports, report("w2", at=NOW + 300.0, pods=1))
    assert await world.codes() == []


async def test_pods_of_a_workload_that_is_gone() -> None:
    world = World()
    for _ in range(2):
        world.put(world.stores.reports, report("w2", at=world.now, pods=2, uid="gone"))
        await world.patrol.look()
        world.now += EVERY
    world.put(world.stores.reports, report("w2", at=world.now, pods=2, uid="gone"))
    verdict = await world.patrol.look()
    (finding,) = verdict.lasting
    assert finding.code == "PodsWithoutWork"
    assert "w2 reports 2 running pods of a Workload that is gone (uid gone)" in finding.message


async def test_a_namespace_and_a_heartbeat_that_nobody_needs_are_asked_for() -> None:
    world = World()
    ours = {keys.MANAGED_BY_LABEL: keys.MANAGED_BY, keys.CARRIED: "true"}
    twin = {"name": "team-z", "labels": ours, "annotations": {keys.HUB_NAMESPACE_UID: "gone"}}
    world.put(world.stores.twins, {"metadata": twin})
    world.put(world.stores.beats, config_map("w2", NOW))
    assert await world.codes() == ["HeartbeatLeftOver", "NamespaceLeftOver"]
    assert set(world.asked) == {Request("namespace", "", "team-z"), Request("beat", "", "w2")}


async def test_an_object_that_cannot_be_read_is_named() -> None:
    world = World()
    broken = raw_policy()["metadata"] | {"name": "wave-w1-9", "annotations": {}}
    world.put(world.stores.policies, {"metadata": broken})
    assert await world.codes() == ["UnreadableObject"]


async def test_a_deleted_job_that_only_our_finalizer_keeps_is_asked_for() -> None:
    world = World()
    stuck = raw_job(active=1)
    stuck["metadata"] |= {"name": "stuck", "uid": "stuck", "deletionTimestamp": "2026-01-01T12:00:00Z"}
    world.put(world.stores.jobs, stuck)
    assert await world.codes() == ["FinalizerLeftOver"]
    assert set(world.asked) == {Request("job", "team-a", "stuck")}


async def test_who_does_not_lead_any_more_counts_nothing() -> None:
    world = World()
    patrol_module.FINDINGS.clear()
    task = asyncio.create_task(world.patrol.run())
    for _ in range(10):  # the stores are full: a few turns of the loop
        await asyncio.sleep(0)
    assert gauge("TwoClusters") == 0.0
    task.cancel()
    await asyncio.wait({task})
    assert gauge("TwoClusters") is None


async def test_a_failure_of_the_audit_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world, looks, thrice = World(), [], asyncio.Event()

    async def fails(self: Patrol) -> None:
        looks.append(1)
        if len(looks) == 3:
            thrice.set()
        raise ValueError("a bug")

    monkeypatch.setattr(Patrol, "look", fails)
    monkeypatch.setattr(patrol_module, "EVERY", 0.0)
    with capture_logs():
        task = asyncio.create_task(world.patrol.run())
        await asyncio.wait_for(thrice.wait(), 5.0)
        assert not task.done()
        task.cancel()
        await asyncio.wait({task})
