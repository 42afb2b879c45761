"""What belongs to a worker's own users is not used, not changed, not reported and not deleted by us (I6).

Protected by config/admission/worker-guard.yaml.
"""

import asyncio

import pytest

from tests.fleet.jobs.programs import eventually
from tests.fleet.tenants.tenancy import (
    SECRETS,
    Tenancy,
    change,
    example,
    foreign_job,
    gone,
    mark,
    namespace,
    secret,
)
from vocabulary import keys
from vocabulary.resources import JOBS, NAMESPACES

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

NOT_CARRIED = "was not carried here by kueue-kubestellar"
RESTRICTED = "pod-security.kubernetes.io/enforce"


async def test_a_foreign_job_of_the_same_name(tenancy: Tenancy) -> None:
    first = await tenancy.create_job(example("before"))  # so that the workers have the namespace
    await tenancy.condition(first, "Finished")
    theirs = {
        worker: await space.create(JOBS, foreign_job("taken", "team-a"))
        for worker, space in tenancy.workers.items()
    }
    ours = await tenancy.create_job(example("taken"))
    await tenancy.until_told(ours, NOT_CARRIED)
    await tenancy.until_told(ours, "kubectl label job -n team-a taken")
    status = (await tenancy.hub.get(JOBS, "taken", "team-a"))["status"]
    assert not {"ready", "succeeded", "failed", "conditions"} & {k for k, v in status.items() if v}
    await tenancy.delete_job(ours)
    still = await tenancy.on_workers(JOBS, "taken", "team-a")
    assert {w: mark(job["metadata"]) for w, job in still.items()} == {
        w: {"uid": job["metadata"]["uid"], "owners": [], "ours": []} for w, job in theirs.items()
    }
    for worker, job in still.items():
        await tenancy.workers[worker].delete(JOBS, "taken", "team-a", uid=job["metadata"]["uid"])


async def test_a_foreign_namespace_of_the_same_name_until_it_is_handed_over(tenancy: Tenancy) -> None:
    theirs = {}
    for worker, space in tenancy.workers.items():
        theirs[worker] = await space.create(NAMESPACES, namespace("shared", labels={"owner": "somebody"}))
        await space.create(SECRETS, secret("password", "shared"))
    tenant = await tenancy.tenant("shared")
    job = example("reader", "shared")
    job["spec"]["template"]["spec"]["volumes"] = [{"name": "s", "secret": {"secretName": "password"}}]
    ours = await tenancy.create_job(job)
    await tenancy.until_told(ours, NOT_CARRIED)
    assert await tenancy.refusal_of_work("Namespace", "shared")
    still = await tenancy.on_workers(NAMESPACES, "shared")
    assert {w: mark(n["metadata"]) for w, n in still.items()} == {
        w: {"uid": n["metadata"]["uid"], "owners": [], "ours": []} for w, n in theirs.items()
    }
    assert not await tenancy.on_workers(JOBS, "reader", "shared")
    assert not await tenancy.pods_in("shared")

    # Its administrator does what the message says.
    for space in tenancy.workers.values():
        await change(space, NAMESPACES, "shared", lambda m: m["labels"].update({keys.MAY_BE_ADOPTED: "true"}))
    await tenancy.condition(ours, "Finished", within=180)
    await tenancy.nothing_left()
    await tenancy.tenant_leaves(tenant)
    for space in tenancy.workers.values():
        await gone(space, NAMESPACES, "shared")


async def test_a_foreign_namespace_outlives_the_hubs(tenancy: Tenancy) -> None:
    theirs = {
        worker: await space.create(NAMESPACES, namespace("older", labels={RESTRICTED: "baseline"}))
        for worker, space in tenancy.workers.items()
    }
    tenant = await tenancy.tenant("older", **{RESTRICTED: "restricted"})

    async def refused() -> list[str]:
        return await tenancy.refusal_of_work("Namespace", "older")

    await eventually(
        refused, lambda found: len(found) == len(theirs), within=30, what="the workers' refusals"
    )
    await tenancy.tenant_leaves(tenant)
    await eventually(refused, lambda found: not found, within=30, what="the withdrawal")
    await asyncio.sleep(1)  # time for the deletion that must not come
    still = await tenancy.on_workers(NAMESPACES, "older")
    assert {w: n["metadata"]["uid"] for w, n in still.items()} == {
        w: n["metadata"]["uid"] for w, n in theirs.items()
    }
    for worker, found in still.items():
        assert found["metadata"]["labels"][RESTRICTED] == "baseline"
        assert found["status"]["phase"] == "Active"
        await tenancy.workers[worker].delete(NAMESPACES, "older", uid=found["metadata"]["uid"])
        await gone(tenancy.workers[worker], NAMESPACES, "older")


async def test_the_namespace_of_an_earlier_tenant_is_not_used_by_the_next(tenancy: Tenancy) -> None:
    """It came back on the workers, from a backup, with all Secrets that the earlier tenant had there."""
    earlier = await tenancy.tenant("reborn")
    job = await tenancy.create_job(example("first", "reborn"))
    await tenancy.condition(job, "Finished")
    await tenancy.nothing_left()
    backup = await tenancy.on_workers(NAMESPACES, "reborn")
    await tenancy.tenant_leaves(earlier)
    for worker, space in tenancy.workers.items():
        await gone(space, NAMESPACES, "reborn")
        kept = {key: backup[worker]["metadata"][key] for key in ("name", "labels", "annotations")}
        await space.create(NAMESPACES, {**backup[worker], "metadata": kept})
        await space.create(SECRETS, secret("password", "reborn"))

    later = await tenancy.tenant("reborn")
    body = example("second", "reborn")
    body["spec"]["template"]["spec"]["volumes"] = [{"name": "s", "secret": {"secretName": "password"}}]
    ours = await tenancy.create_job(body)
    await tenancy.until_told(ours, "belongs to another namespace of the hub")
    found = await tenancy.on_workers(NAMESPACES, "reborn")
    owners = {n["metadata"]["annotations"][keys.HUB_NAMESPACE_UID] for n in found.values()}
    assert owners == {earlier["metadata"]["uid"]}
    assert not await tenancy.on_workers(JOBS, "second", "reborn")
    assert not await tenancy.pods_in("reborn")

    for worker, left in found.items():  # as the message says
        await tenancy.workers[worker].delete(NAMESPACES, "reborn", uid=left["metadata"]["uid"])
    await tenancy.condition(ours, "Finished", within=180)
    await tenancy.nothing_left()
    await tenancy.tenant_leaves(later)
