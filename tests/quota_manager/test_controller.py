"""View, controller and what is told, with stores that are filled by hand and spaces that remember writes."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.resources import Resource
from kube_runtime.spaces import Spaces
from quota_manager.controller import SOON, Controller
from quota_manager.decision import Rules
from quota_manager.tell import LASTING, Teller
from quota_manager.view import QUOTAS, Request, View
from tests.quota_manager.builders import cpus
from vocabulary import keys
from vocabulary.cluster_metrics import format_report
from vocabulary.resources import CLUSTER_QUEUES


class Space:
    """Answers what a test has put there, and keeps the writes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.conflicts: set[str] = set()
        self.version = 100

    def put(self, kind: str, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        name = obj["metadata"]["name"]
        metadata = {"uid": f"uid-{name}", "generation": 1, **obj["metadata"]}
        stored = {**obj, "metadata": {**metadata, "resourceVersion": str(self.version)}}
        self.objects[kind, name] = stored
        return copy.deepcopy(stored)

    async def get(self, resource: Resource, name: str) -> dict[str, Any]:
        if (resource.kind, name) not in self.objects:
            raise NotFound(404)
        return copy.deepcopy(self.objects[resource.kind, name])

    async def update(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        name = obj["metadata"]["name"]
        if name in self.conflicts:
            raise Conflict(409)
        self.writes.append(("update", resource.kind, name))
        return self.put(resource.kind, {**obj, "metadata": {**obj["metadata"], "generation": 2}})

    async def create(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        self.writes.append(("create", resource.kind, obj["metadata"]["name"]))
        return self.put(resource.kind, obj)

    async def delete(self, resource: Resource, name: str, *, uid: str) -> None:
        assert self.objects.pop((resource.kind, name))["metadata"]["uid"] == uid
        self.writes.append(("delete", resource.kind, name))


class Events:
    """An EventRecorder that keeps what it is told."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, str, str]] = []

    def record(self, obj: dict[str, Any], _type: str, reason: str, message: str) -> None:
        self.recorded.append((obj["name"], reason, message))


class Fleet:
    """Everything around one Controller."""

    def __init__(self) -> None:
        self.hub, self.wds, self.its = Space("hub"), Space("wds"), Space("its")
        self.requests: list[Request] = []
        self.leader = True
        self.hub_events, self.its_events = Events(), Events()
        self.view = View(self.hub, self.wds, self.its, changed=self.requests.append)  # type: ignore[arg-type]
        self.now = 0.0
        self.teller = Teller(
            self.view,
            hub_events=self.hub_events,  # type: ignore[arg-type]
            its_events=self.its_events,  # type: ignore[arg-type]
            clock=lambda: self.now,
        )
        self.controller = Controller(
            Spaces(self.hub, self.wds, self.its),  # type: ignore[arg-type]
            self.view,
            self.teller,
            rules=Rules(stale_after=180, shrink_after=0),
            may_write=lambda: self.leader,
        )
        self.flavor("default", {})

    def flavor(self, name: str, labels: dict[str, str]) -> None:
        body = {"metadata": {"name": name}, "spec": {"nodeLabels": labels}}
        self.view.flavors.observe(self.hub.put("ResourceFlavor", body))

    def queue(
        self, name: str, cpu: str, *, managed: bool = True, flavors: Sequence[str] = ("default",)
    ) -> None:
        resources = [{"name": "cpu", "nominalQuota": cpu}]
        annotations = {"kueue.kubestellar.io/manage-quota": "true"} if managed else {}
        body = {
            "metadata": {"name": name, "annotations": annotations},
            "spec": {
                "resourceGroups": [
                    {
                        "coveredResources": ["cpu"],
                        "flavors": [{"name": f, "resources": resources} for f in flavors],
                    }
                ]
            },
        }
        self.view.queues.observe(self.hub.put("ClusterQueue", body))

    def cluster(self, name: str, label: str | None = "") -> None:
        labels = {} if label is None else {"name": label or name}
        conditions = [{"type": "ManagedClusterConditionAvailable", "status": "True"}]
        body = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"hubAcceptsClient": True},
            "status": {"conditions": conditions},
        }
        self.view.clusters.observe(self.its.put("ManagedCluster", body))

    def report(self, cluster: str, milli: int, sequence: int = 1) -> None:
        source = {"group": "galaxy.kubestellar.io", "kind": "ClusterMetrics", "name": cluster}
        body = {
            "metadata": {"name": "ws", "namespace": cluster},
            "spec": {"sourceRef": source},
            "status": format_report(cpus(milli, at=9e9, sequence=sequence)),
        }
        self.view.reports.observe(self.its.put("WorkStatus", body))

    def report_with(self, allocatable: Sequence[dict[str, str]]) -> None:
        """A report as anybody might write it."""
        nodes = [{"name": f"n{i}", "allocatableResources": a} for i, a in enumerate(allocatable)]
        body = copy.deepcopy(self.its.objects["WorkStatus", "ws"])
        body["status"] = {"observedAtSeconds": "9e9", "sequence": 9, "nodes": nodes}
        self.view.reports.observe(self.its.put("WorkStatus", body))

    def cpu(self, queue: str) -> str:
        spec = self.hub.objects[CLUSTER_QUEUES.kind, queue]["spec"]
        quota: str = spec["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"]
        return quota


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


async def test_reports_become_quota_and_an_event_says_why(fleet: Fleet) -> None:
    fleet.queue("cq", "0")
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    again = await fleet.controller.reconcile(QUOTAS)
    assert fleet.cpu("cq") == "8"
    assert fleet.hub_events.recorded == [("cq", "NominalQuotaChanged", "cpu of default 0 → 8 (w1 8)")]
    assert again is not None
    assert again <= 180


async def test_a_breakdown_that_changes_alone_is_written_without_an_event(fleet: Fleet) -> None:
    fleet.queue("cq", "8")
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    await fleet.controller.reconcile(QUOTAS)
    assert fleet.hub.writes == [("update", "ClusterQueue", "cq")]
    assert fleet.hub_events.recorded == []
    told = fleet.hub.objects["ClusterQueue", "cq"]["metadata"]["annotations"][keys.QUOTA_BREAKDOWN]
    assert told == '{"default/cpu":{"capacity":"8","clusters":{"w1":{"capacity":"8"}}}}'


async def test_our_own_write_is_known_before_its_event_comes(fleet: Fleet) -> None:
    fleet.queue("cq", "0")
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    await fleet.controller.reconcile(QUOTAS)
    await fleet.controller.reconcile(QUOTAS)
    assert fleet.hub.writes == [("update", "ClusterQueue", "cq")]
    fleet.report("w1", 6000, sequence=2)
    await fleet.controller.reconcile(QUOTAS)
    assert fleet.cpu("cq") == "6"
    assert fleet.hub_events.recorded[-1][2] == "cpu of default 8 → 6 (w1 8 → 6)"


async def test_what_raises_does_not_overtake_what_lowers(fleet: Fleet) -> None:
    fleet.queue("a", "0")
    fleet.queue("b", "8")
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    fleet.hub.conflicts = {"b"}
    assert await fleet.controller.reconcile(QUOTAS) == SOON
    assert (fleet.cpu("a"), fleet.cpu("b")) == ("0", "8")
    fleet.hub.conflicts = set()
    await fleet.controller.reconcile(QUOTAS)
    assert (fleet.cpu("a"), fleet.cpu("b")) == ("4", "4")


async def test_a_cohort_gets_its_part_and_is_told(fleet: Fleet) -> None:
    fleet.queue("cq", "0")
    body = copy.deepcopy(fleet.hub.objects["ClusterQueue", "cq"])
    body["metadata"]["annotations"][keys.QUOTA_WEIGHT] = "3"
    fleet.view.cohorts.observe(
        fleet.hub.put("Cohort", {**body, "metadata": {**body["metadata"], "uid": "c"}})
    )
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    for _ in range(2):
        await fleet.controller.reconcile(QUOTAS)
    spec = fleet.hub.objects["Cohort", "cq"]["spec"]
    assert spec["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] == "6"
    assert fleet.cpu("cq") == "2"
    assert fleet.hub.writes == [("update", "Cohort", "cq"), ("update", "ClusterQueue", "cq")]
    assert sorted(event[2] for event in fleet.hub_events.recorded) == [
        "cpu of default 0 → 2 (w1 8)",
        "cpu of default 0 → 6 (w1 8)",
    ]


async def test_who_does_not_lead_writes_nothing(fleet: Fleet) -> None:
    fleet.queue("cq", "0")
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    fleet.leader = False
    await fleet.controller.reconcile(QUOTAS)
    await fleet.controller.reconcile(Request("cluster", "w1"))
    assert (fleet.hub.writes, fleet.wds.writes) == ([], [])


async def test_a_new_leadership_starts_without_the_memory_of_the_last(fleet: Fleet) -> None:
    fleet.queue("cq", "0")
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    await fleet.controller.reconcile(QUOTAS)
    fleet.controller.begin()
    fleet.cluster("w2")  # has not reported: what is lost meanwhile cannot be told from what is unknown
    fleet.report("w1", 2000, sequence=2)
    await fleet.controller.reconcile(QUOTAS)
    assert fleet.cpu("cq") == "8"


async def test_what_lasts_is_told_once_on_every_managed_queue(fleet: Fleet) -> None:
    fleet.queue("cq", "8")
    fleet.queue("other", "1", managed=False)
    assert await fleet.controller.reconcile(QUOTAS) == LASTING
    fleet.now = LASTING - 1
    assert await fleet.controller.reconcile(QUOTAS) == 1.0
    assert fleet.hub_events.recorded == []
    for _ in range(3):
        fleet.now += 1
        await fleet.controller.reconcile(QUOTAS)
    ((about, reason, message),) = fleet.hub_events.recorded
    assert (about, reason) == ("cq", "QuotaKept")
    assert message.startswith("No cluster has a trusted report")


async def test_what_is_over_and_comes_again_is_told_again(fleet: Fleet) -> None:
    fleet.queue("cq", "8")
    fleet.cluster("w1")
    for _ in range(2):
        await fleet.controller.reconcile(QUOTAS)
        fleet.now += LASTING
        await fleet.controller.reconcile(QUOTAS)
        fleet.report("w1", 8000)
        await fleet.controller.reconcile(QUOTAS)
        fleet.view.reports.observe_deleted(("w1", "ws"), "uid-ws")
        fleet.controller.begin()
    assert [event[1] for event in fleet.hub_events.recorded] == ["QuotaKept", "QuotaKept"]


async def test_what_passes_is_not_told(fleet: Fleet) -> None:
    fleet.queue("cq", "8")
    fleet.cluster("w1")
    await fleet.controller.reconcile(QUOTAS)
    fleet.report("w1", 8000)
    for fleet.now in (5.0, 500.0):
        await fleet.controller.reconcile(QUOTAS)
    assert fleet.hub_events.recorded == []


@pytest.mark.parametrize(
    "reason",
    [
        "ClusterSilent",
        "FlavorNotFound",
        "NodesUnused",
        "FlavorsOverlap",
        "QuotaWishUnreadable",
        "ReportNotWhole",
    ],
)
async def test_what_is_wrong_has_a_public_reason(fleet: Fleet, reason: str) -> None:
    fleet.queue("cq", "8")
    fleet.cluster("w1")
    fleet.report("w1", 8000)
    match reason:
        case "ClusterSilent":
            await fleet.controller.reconcile(QUOTAS)
            fleet.cluster("w2")
        case "FlavorNotFound":
            fleet.queue("more", "0", flavors=["default", "nowhere"])
        case "QuotaWishUnreadable":
            fleet.hub.objects["ClusterQueue", "cq"]["metadata"]["annotations"][keys.QUOTA_WEIGHT] = "much"
            fleet.view.queues.observe(fleet.hub.put("ClusterQueue", fleet.hub.objects["ClusterQueue", "cq"]))
        case "ReportNotWhole":
            fleet.report_with([{"cpu": "-4"}, {"cpu": "NaN"}, {"cpu": "8"}])
        case "NodesUnused":
            fleet.flavor("default", {"pool": "none"})
        case "FlavorsOverlap":
            fleet.flavor("second", {})
            fleet.queue("more", "0", flavors=["default", "second"])
    for fleet.now in (0.0, LASTING):
        await fleet.controller.reconcile(QUOTAS)
    told = {event[1] for event in fleet.hub_events.recorded} - {"NominalQuotaChanged"}
    assert told == {reason}


async def test_metrics_show_the_last_decision(fleet: Fleet) -> None:
    fleet.queue("cq", "0")
    fleet.cluster("w1")
    fleet.report("w1", 1500)
    await fleet.controller.reconcile(QUOTAS)
    samples = {
        (s.name, *s.labels.values()): s.value for family in fleet.teller.collect() for s in family.samples
    }
    assert samples["kueue_ks_nominal_quota", "cq", "default", "cpu"] == 1.5
    assert samples["kueue_ks_cluster_capacity", "w1", "default", "cpu"] == 1.5
    assert samples["kueue_ks_cluster_report_age_seconds", "w1"] < 60


async def test_a_new_cluster_is_introduced_and_a_lost_one_removed(fleet: Fleet) -> None:
    fleet.cluster("w1")
    fleet.cluster("w2")
    request = Request("cluster", "w1")
    assert request in fleet.requests
    for _ in range(2):
        await fleet.controller.reconcile(request)
    made = [("create", "ClusterMetrics", "w1"), ("create", "BindingPolicy", "kueue-ks-base-w1")]
    assert fleet.wds.writes == made
    fleet.requests.clear()
    del fleet.its.objects["ManagedCluster", "w1"]
    fleet.view.clusters.observe_deleted(("", "w1"), "uid-w1")
    assert request in fleet.requests
    await fleet.controller.reconcile(request)
    removed = [("delete", "BindingPolicy", "kueue-ks-base-w1"), ("delete", "ClusterMetrics", "w1")]
    assert fleet.wds.writes[2:] == removed


async def test_a_refusal_is_told_once_on_the_cluster(fleet: Fleet) -> None:
    fleet.cluster("w1", label=None)
    for _ in range(2):
        await fleet.controller.reconcile(Request("cluster", "w1"))
    ((about, reason, message),) = fleet.its_events.recorded
    assert (about, reason) == ("w1", "NameLabelMissing")
    assert "kubectl label managedcluster w1" in message
    assert fleet.wds.writes == []


async def test_a_label_concerns_the_cluster_whose_name_it_claims(fleet: Fleet) -> None:
    fleet.cluster("w1")
    fleet.requests.clear()
    fleet.cluster("w2", label="w1")
    assert Request("cluster", "w1") in fleet.requests
    await fleet.controller.reconcile(Request("cluster", "w1"))
    assert [event[1] for event in fleet.its_events.recorded] == ["NameLabelShared"]
    fleet.requests.clear()
    fleet.cluster("w2")
    assert Request("cluster", "w1") in fleet.requests


async def test_leftovers_are_looked_at_when_a_cluster_joins(fleet: Fleet) -> None:
    fleet.cluster("w1")
    await fleet.controller.reconcile(Request("cluster", "w1"))
    del fleet.its.objects["ManagedCluster", "w1"]
    fleet.view.clusters.observe_deleted(("", "w1"), "uid-w1")
    await fleet.controller.reconcile(Request("cluster", "w1"))
    assert len(fleet.wds.writes) == 2, "kept while there is no cluster at all"
    fleet.requests.clear()
    fleet.cluster("w2")
    assert Request("cluster", "w1") in fleet.requests


def test_a_leader_looks_at_everything(fleet: Fleet) -> None:
    fleet.cluster("w1")
    fleet.view.metrics.observe(fleet.wds.put("ClusterMetrics", {"metadata": {"name": "w9"}}))
    fleet.requests.clear()
    fleet.view.enqueue_all()
    assert set(fleet.requests) == {QUOTAS, Request("cluster", "w1"), Request("cluster", "w9")}


def test_the_status_of_a_job_concerns_nobody(fleet: Fleet) -> None:
    fleet.requests.clear()
    body = {
        "metadata": {"name": "j", "namespace": "w1"},
        "spec": {"sourceRef": {"kind": "Job"}},
        "status": {},
    }
    fleet.view.reports.observe(fleet.its.put("WorkStatus", body))
    assert fleet.requests == []
