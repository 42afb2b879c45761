"""The writes of onboarding; the other ones are in ``sinks``. Nothing is decided here."""

from contextlib import suppress

from kube_runtime.errors import AlreadyExists, Conflict, NotFound
from kube_runtime.informer import Informer
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from quota_manager.onboarding import Create, Ours, Refuse, Remove, Repair, is_ours, policy_spec
from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, CLUSTER_METRICS, MANAGED_CLUSTERS

RESOURCES = {resource.kind: resource for resource in (CLUSTER_METRICS, BINDING_POLICIES)}


async def create(wds: Space, step: Create, known: Informer[Ours]) -> Refuse | None:
    """Make the object; a refusal when its name belongs to somebody else's, which is left alone (I6).

    One of ours is there already: made by us a moment or a life ago, and now it is known.
    """
    resource = RESOURCES[step.kind]
    name = step.body["metadata"]["name"]
    try:
        known.observe(await wds.create(resource, step.body))
    except AlreadyExists:
        existing = await wds.get(resource, name)
        if not is_ours(existing):
            return _name_taken(step, name)
        known.observe(existing)
    return None


async def repair(wds: Space, step: Repair, known: Informer[Ours]) -> None:
    """Write the spec anew into the policy that was seen.

    404, 409: it is gone, or another one by now; its event brings us back.
    """
    patch = {"metadata": {"uid": step.policy.uid}, "spec": policy_spec(step.policy.cluster)}
    with suppress(NotFound, Conflict):
        known.observe(await wds.patch(BINDING_POLICIES, patch, name=step.policy.name))


async def remove(its: Space, wds: Space, step: Remove, known: Informer[Ours]) -> None:
    """Delete what belonged to a cluster that the ITS does not have any more, asked now and not remembered.

    404: done before. 409: another object has the name; its event brings us back.
    """
    try:
        await its.get(MANAGED_CLUSTERS, step.ours.cluster)
    except NotFound:
        with suppress(NotFound, Conflict):
            await wds.delete(RESOURCES[step.kind], step.ours.name, uid=step.ours.uid)
            known.observe_deleted(("", step.ours.name), step.ours.uid)


def _name_taken(step: Create, name: str) -> Refuse:
    cluster = step.body["metadata"]["labels"][keys.CLUSTER]
    plural = str(_resource_of(step))
    remedy = (
        f"the WDS has a {step.kind} {name} that is not ours. Delete it, or hand it over: "
        f"kubectl label {plural} {name} {keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
    )
    return Refuse(Refuse.NAME_TAKEN, cluster, remedy)


def _resource_of(step: Create) -> Resource:
    return RESOURCES[step.kind]
