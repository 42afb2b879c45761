"""A BindingPolicy that is not ours, and selects every job for every cluster, moves none of ours.

KubeStellar would make a ManifestWork for each cluster, and the copy would run once on each. Protected by
config/admission/its-guard.yaml.
"""

import pytest

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.tenants.tenancy import Tenancy, change, example
from vocabulary.resources import BINDING_POLICIES, BINDINGS, JOBS, MANIFEST_WORKS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

ORIGIN = "transport.kubestellar.io/originOwnerReferenceBindingKey"
NAME = "everything-everywhere"


def policy() -> Obj:
    jobs = {
        "apiGroup": "batch",
        "resources": ["jobs"],
        "createOnly": True,
        "wantSingletonReportedState": True,
    }
    return {
        "apiVersion": BINDING_POLICIES.api_version,
        "kind": BINDING_POLICIES.kind,
        "metadata": {"name": NAME},
        "spec": {"clusterSelectors": [{"matchLabels": {"location-group": "edge"}}], "downsync": [jobs]},
    }


async def until_bound(tenancy: Tenancy, name: str) -> None:
    """Until KubeStellar knows that the policy selects the copy."""

    async def selected() -> list[str]:
        bindings = [b for b in await tenancy.wds.list(BINDINGS) if b["metadata"]["name"] == NAME]
        objects = [o for b in bindings for o in b["spec"].get("workload", {}).get("namespaceScope", ())]
        return [o["name"] for o in objects]

    await eventually(selected, lambda names: name in names, within=30, what=f"{name} in the foreign Binding")


async def carried_by(tenancy: Tenancy) -> list[str]:
    works = await tenancy.its.list(MANIFEST_WORKS, label_selector=f"{ORIGIN}={NAME}")
    return [f"{w['metadata']['namespace']}/{w['metadata']['name']}" for w in works]


async def end_of(tenancy: Tenancy, foreign: Obj) -> None:
    await tenancy.wds.delete(BINDING_POLICIES, NAME, uid=foreign["metadata"]["uid"])

    async def left() -> list[str]:
        return [
            o["metadata"]["name"] for o in await tenancy.wds.list(BINDINGS) if o["metadata"]["name"] == NAME
        ]

    await eventually(left, lambda names: not names, within=30, what="the end of the foreign Binding")


async def test_one_that_was_there_before(tenancy: Tenancy) -> None:
    foreign = await tenancy.wds.create(BINDING_POLICIES, policy())
    job = await tenancy.create_job(example("wanted", runs="8s"))
    await until_bound(tenancy, "wanted")
    await tenancy.running(job)
    assert len(await tenancy.on_workers(JOBS, "wanted", "team-a")) == 1
    assert not await carried_by(tenancy)
    assert (await tenancy.condition(job, "Finished"))["reason"] == "Succeeded"
    await end_of(tenancy, foreign)
    await tenancy.nothing_left()


async def test_one_that_comes_while_it_runs_and_goes_before_its_end(tenancy: Tenancy) -> None:
    job = await tenancy.create_job(example("running", runs="25s"))
    await tenancy.running(job)
    before = await tenancy.on_workers(JOBS, "running", "team-a")
    foreign = await tenancy.wds.create(BINDING_POLICIES, policy())
    await until_bound(tenancy, "running")
    # An update of the policy has transport try again, on the works that it knows by now.
    await change(tenancy.wds, BINDING_POLICIES, NAME, lambda m: m.update(annotations={"tried": "twice"}))
    await eventually(
        lambda: denied(tenancy),
        bool,
        within=30,
        what="the denial",
    )
    assert not await carried_by(tenancy)
    await end_of(tenancy, foreign)
    during = await tenancy.on_workers(JOBS, "running", "team-a")
    assert {w: j["metadata"]["uid"] for w, j in during.items()} == {
        w: j["metadata"]["uid"] for w, j in before.items()
    }
    assert all(len(j["metadata"]["ownerReferences"]) == 1 for j in during.values())
    assert not (await tenancy.hub.get(JOBS, "running", "team-a"))["status"].get("succeeded")
    assert (await tenancy.condition(job, "Finished"))["reason"] == "Succeeded"
    await tenancy.nothing_left()


async def denied(tenancy: Tenancy) -> bool:
    """Only the API server's audit log tells: transport retries in silence unless it runs with -v=4."""
    lines = tenancy.fleet.audit_log("its").read_text().splitlines()
    return any(f" by {NAME}" in line and '"code":403' in line for line in lines)
