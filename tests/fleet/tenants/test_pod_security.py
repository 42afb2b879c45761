"""The hub never makes the pods, so a worker has to hold them to the Pod Security of the hub's namespace."""

import pytest

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.tenants.tenancy import EVENTS, Tenancy, change, example
from vocabulary.resources import NAMESPACES

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

ENFORCE = "pod-security.kubernetes.io/enforce"


def privileged(name: str, where: str) -> Obj:
    job = example(name, where)
    job["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    return job


async def no_pod_of(tenancy: Tenancy, name: str, where: str) -> None:
    """Submit a privileged job; a worker's Job controller tries, and gets no pod."""
    job = await tenancy.create_job(privileged(name, where))

    async def forbidden() -> list[str]:
        events = [e for space in tenancy.workers.values() for e in await space.list(EVENTS, where)]
        return [e["message"] for e in events if e["involvedObject"]["name"] == name]

    await eventually(
        forbidden,
        lambda messages: any('violates PodSecurity "restricted' in m for m in messages),
        within=30,
        what="the worker's refusal of the pod",
    )
    assert not [p for p in await tenancy.pods_in(where) if p["metadata"]["name"].startswith(name)]
    await tenancy.delete_job(job)


async def test_a_privileged_pod_in_a_restricted_namespace(tenancy: Tenancy) -> None:
    tenant = await tenancy.tenant("confined", **{ENFORCE: "restricted"})
    await no_pod_of(tenancy, "breakout", "confined")
    await tenancy.tenant_leaves(tenant)


async def test_a_namespace_that_is_restricted_later(tenancy: Tenancy) -> None:
    tenant = await tenancy.tenant("loose")
    job = await tenancy.create_job(privileged("allowed", "loose"))
    await tenancy.condition(job, "Finished")
    await change(tenancy.hub, NAMESPACES, "loose", lambda m: m["labels"].update({ENFORCE: "restricted"}))

    async def enforced() -> set[str]:
        found = await tenancy.on_workers(NAMESPACES, "loose")
        return {n["metadata"]["labels"].get(ENFORCE, "") for n in found.values()}

    await eventually(enforced, lambda levels: levels == {"restricted"}, within=30, what="the new label")
    await no_pod_of(tenancy, "breakout", "loose")
    await tenancy.tenant_leaves(tenant)
