"""Placement policies on a running fleet: what they do, and what is told of wrong ones."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kube_runtime.errors import Invalid, NotFound
from kube_runtime.objects import Obj, uid_of
from kube_runtime.resources import Resource
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack, cluster_queue
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    LOCAL_QUEUES,
    MANAGED_CLUSTERS,
    PLACEMENT_DECISIONS,
    PLACEMENT_POLICIES,
)
from workload_controller.reading import seconds

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
ONE = {"cpu": "1"}


class Policies:
    """Queues with an AdmissionCheck and a policy of their own."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    async def queue(self, name: str, *, policy: str) -> dict[str, str]:
        """A check, a ClusterQueue and a LocalQueue, all of this name; returns the label for its jobs."""
        parameters = {"apiGroup": PLACEMENT_POLICIES.group, "kind": PLACEMENT_POLICIES.kind, "name": policy}
        check = {
            "apiVersion": ADMISSION_CHECKS.api_version,
            "kind": ADMISSION_CHECKS.kind,
            "metadata": {"name": name},
            "spec": {"controllerName": keys.CONTROLLER_NAME, "parameters": parameters},
        }
        queue = cluster_queue(name, 1000)
        queue["spec"]["admissionChecksStrategy"] = {"admissionChecks": [{"name": name}]}
        local = {
            "apiVersion": LOCAL_QUEUES.api_version,
            "kind": LOCAL_QUEUES.kind,
            "metadata": {"name": name, "namespace": "team-a"},
            "spec": {"clusterQueue": name},
        }
        await self.stack.hub.create(ADMISSION_CHECKS, check)
        await self.stack.hub.create(CLUSTER_QUEUES, queue)
        await self.stack.hub.create(LOCAL_QUEUES, local)
        return {keys.QUEUE_NAME: name}

    async def policy(self, name: str, **spec: Any) -> None:
        body = {"apiVersion": PLACEMENT_POLICIES.api_version, "kind": PLACEMENT_POLICIES.kind}
        await self.stack.hub.create(PLACEMENT_POLICIES, body | {"metadata": {"name": name}, "spec": spec})

    async def active(self, name: str, *, want: str, says: str = "", within: float = 20) -> Obj:
        """Wait for the condition Active of a check."""

        async def read() -> Obj:
            check = await self.stack.hub.get(ADMISSION_CHECKS, name)
            found: dict[str, Obj] = {c["type"]: c for c in check.get("status", {}).get("conditions", ())}
            return found.get("Active", {"status": "", "message": ""})

        return await eventually(
            read,
            lambda c: c["status"] == want and says in c["message"],
            within=within,
            what=f"Active {want} of {name}: {says}",
        )

    async def check(self, job: Obj) -> Obj:
        entries = (await self.stack.workload_of(job)).get("status", {}).get("admissionChecks") or [{}]
        entry: Obj = entries[0]
        return entry


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def policies(stack: Stack) -> AsyncIterator[Policies]:
    for name, region in (("w1", "us"), ("w2", "eu")):
        await label(stack, name, region)
    yield Policies(stack)
    for name in ("w1", "w2"):
        await label(stack, name, None)


async def label(stack: Stack, cluster: str, region: str | None) -> None:
    found = await stack.its.get(MANAGED_CLUSTERS, cluster)
    body = {"metadata": {"uid": uid_of(found), "labels": {"region": region}}}
    await stack.its.patch(MANAGED_CLUSTERS, body, name=cluster)


async def test_a_selector_leaves_clusters_out(stack: Stack, policies: Policies) -> None:
    await policies.policy("eu", clusterSelector={"matchLabels": {"region": "eu"}})
    queue = await policies.queue("eu", policy="eu")
    left_out = "w1: left out by PlacementPolicy eu: label region is 'us', wanted eu"
    active = await policies.active("eu", want="True", says="1 of 2 clusters usable: w2")
    assert left_out in active["message"]
    jobs = [await stack.submit(labels=queue, requests=ONE) for _ in range(4)]
    for job in jobs:
        await stack.condition(job, "Finished")
        assert (await stack.placed(job))[0] == "w2"
        assert left_out in (await policies.check(job))["message"]
    await stack.nothing_left()


async def test_pack_fills_one_cluster(stack: Stack, policies: Policies) -> None:
    await policies.policy("pack", strategy="Pack")
    queue = await policies.queue("pack", policy="pack")
    await policies.active("pack", want="True")
    jobs = [await stack.submit(labels=queue, requests=ONE, runs="6s") for _ in range(3)]
    for job in jobs:
        await stack.condition(job, "Admitted")
    assert len({(await stack.placed(job))[0] for job in jobs}) == 1
    assert "by PlacementPolicy pack: filled " in (await policies.check(jobs[0]))["message"]
    for job in jobs:
        await stack.condition(job, "Finished")
    await stack.nothing_left()


async def test_prefer_takes_what_has_the_most_points(stack: Stack, policies: Policies) -> None:
    not_eu = [{"key": "region", "operator": "NotIn", "values": ["eu"]}]
    liked = {"weight": 5, "clusterSelector": {"matchExpressions": not_eu}}
    await policies.policy("prefer", strategy="Prefer", preferences=[liked])
    queue = await policies.queue("prefer", policy="prefer")
    await policies.active("prefer", want="True")
    jobs = [await stack.submit(labels=queue, requests=ONE) for _ in range(4)]
    for job in jobs:
        await stack.condition(job, "Finished")
        assert (await stack.placed(job))[0] == "w1"
        assert "score 5 by PlacementPolicy prefer: preferred 5" in (await policies.check(job))["message"]
    await stack.nothing_left()


async def test_a_missing_policy_is_named_and_its_jobs_go_on_when_it_comes(
    stack: Stack, policies: Policies
) -> None:
    queue = await policies.queue("late", policy="late")
    inactive = await policies.active(
        "late", want="False", says="PlacementPolicy late does not exist: create it"
    )
    assert inactive["reason"] == "BadPlacementPolicy"
    job = await stack.submit(labels=queue, requests=ONE)
    other = await stack.submit()
    await stack.condition(other, "Finished")
    await policies.policy("late")
    await stack.condition(job, "Finished")
    await stack.nothing_left()


async def test_a_policy_that_turns_bad_stops_new_jobs_and_says_what_contradicts(
    stack: Stack, policies: Policies
) -> None:
    await policies.policy("turns")
    await policies.queue("turns", policy="turns")
    await policies.active("turns", want="True", says="2 of 2 clusters usable")
    found = await stack.hub.get(PLACEMENT_POLICIES, "turns")
    expressions: list[Obj] = [
        {"key": "region", "operator": "In", "values": ["eu"]},
        {"key": "region", "operator": "DoesNotExist"},
    ]
    spec: Obj = {"clusterSelector": {"matchExpressions": expressions}}
    await stack.hub.update(PLACEMENT_POLICIES, {**found, "spec": spec})
    await policies.active(
        "turns", want="False", says="contradicts itself: label region cannot be eu and no value"
    )
    found = await stack.hub.get(PLACEMENT_POLICIES, "turns")
    spec = {"clusterSelector": {"matchLabels": {"region": "mars"}}}
    await stack.hub.update(PLACEMENT_POLICIES, {**found, "spec": spec})
    await policies.active("turns", want="False", says="(region mars) leaves none of the clusters w1, w2")
    await label(stack, "w1", "mars")
    await policies.active("turns", want="True", says="1 of 2 clusters usable: w1")
    await label(stack, "w1", "us")


async def test_the_api_server_refuses_an_unknown_strategy(policies: Policies) -> None:
    with pytest.raises(Invalid, match=r'Unsupported value: "Random": supported values'):
        await policies.policy("random", strategy="Random")


async def test_ocms_placement_decisions_filter_and_may_come_later(stack: Stack, policies: Policies) -> None:
    await policies.policy("ocm", placement={"namespace": "default", "name": "gpus"})
    queue = await policies.queue("ocm", policy="ocm")
    await policies.active("ocm", want="False", says="the ITS does not serve PlacementDecisions to us")
    await stack.its.create(CRDS, decisions_crd())
    await policies.active(
        "ocm", want="False", says="Placement default/gpus has no PlacementDecision in the ITS", within=90
    )
    decision = await stack.its.create(
        PLACEMENT_DECISIONS,
        {
            "apiVersion": PLACEMENT_DECISIONS.api_version,
            "kind": PLACEMENT_DECISIONS.kind,
            "metadata": {
                "namespace": "default",
                "name": "gpus-decision-1",
                "labels": {"cluster.open-cluster-management.io/placement": "gpus"},
            },
        },
    )
    status = {"decisions": [{"clusterName": "w2", "reason": ""}]}
    await stack.its.update(PLACEMENT_DECISIONS, {**decision, "status": status}, subresource="status")
    await policies.active(
        "ocm", want="True", says="w1: left out by PlacementPolicy ocm: Placement default/gpus"
    )
    jobs = [await stack.submit(labels=queue, requests=ONE) for _ in range(3)]
    for job in jobs:
        await stack.condition(job, "Finished")
        assert (await stack.placed(job))[0] == "w2"
    await stack.nothing_left()


async def test_a_job_that_fits_no_cluster_even_if_empty(stack: Stack, policies: Policies) -> None:
    """Said at once; rejected after its grace, unless the policy waits for clusters that grow."""
    await policies.policy("grows", whenNeverFits="Wait")
    grows = await policies.queue("grows", policy="grows")
    await policies.policy("fixed")
    fixed = await policies.queue("fixed", policy="fixed")
    for name in ("grows", "fixed"):
        await policies.active(name, want="True")
    waiting = await stack.submit(labels=grows, requests={"cpu": "500"})
    never = await stack.submit(labels=fixed, requests={"cpu": "500"})
    told = await eventually(
        lambda: policies.check(never), lambda c: bool(c.get("message")), within=10, what="a verdict"
    )
    assert told["state"] == "Pending"
    reserved = await stack.condition(never, "QuotaReserved")
    assert seconds(told["lastTransitionTime"]) - seconds(reserved["lastTransitionTime"]) <= 1
    assert told["message"].startswith("Never fits: batch/v1 Job team-a/")
    assert "even with all its nodes empty, largest room first: w" in told["message"]
    assert told["message"].endswith("Rejected if that stays so for 1m00s")
    evicted = await stack.condition(never, "Evicted", within=90)
    assert evicted["reason"] == "Deactivated"
    rejected = await policies.check(never)
    assert rejected["message"].startswith("Rejected: batch/v1 Job team-a/")
    assert "NeverFits" in await stack.events(never)
    check = await policies.check(waiting)
    assert check["state"] == "Pending"
    assert check["message"].startswith("No cluster can take it now: w1: even empty it holds 0 of 1 pods; ")
    with pytest.raises(NotFound):
        await stack.wds.get(Resource("batch", "v1", "jobs", "Job"), never["metadata"]["name"], "team-a")


def decisions_crd() -> Obj:
    """As much of OCM's as is read; OCM's placement controller itself is no part of the fleet."""
    group, plural = PLACEMENT_DECISIONS.group, PLACEMENT_DECISIONS.plural
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": PLACEMENT_DECISIONS.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"plural": plural, "singular": "placementdecision", "kind": PLACEMENT_DECISIONS.kind}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
