"""The writes of onboarding against spaces that answer as API servers do."""

from typing import Any

import pytest

from kube_runtime.errors import AlreadyExists, Conflict, NotFound
from kube_runtime.resources import Resource
from quota_manager import actions
from quota_manager.onboarding import (
    Create,
    Ours,
    Refuse,
    Remove,
    Repair,
    metrics_body,
    policy_body,
    policy_spec,
)
from vocabulary.resources import BINDING_POLICIES, CLUSTER_METRICS, MANAGED_CLUSTERS


class Space:
    """Objects by kind and name."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.uids = 0

    def put(self, kind: str, name: str, /, **body: Any) -> dict[str, Any]:
        self.uids += 1
        metadata = {"name": name, "uid": f"uid-{self.uids}", **body.pop("metadata", {})}
        self.objects[kind, name] = {"metadata": metadata, **body}
        return self.objects[kind, name]

    async def create(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
        name = obj["metadata"]["name"]
        if (resource.kind, name) in self.objects:
            raise AlreadyExists(409)
        return self.put(resource.kind, name, **obj)

    async def get(self, resource: Resource, name: str) -> dict[str, Any]:
        try:
            return self.objects[resource.kind, name]
        except KeyError:
            raise NotFound(404) from None

    async def patch(self, resource: Resource, patch: dict[str, Any], *, name: str) -> dict[str, Any]:
        stored = await self.get(resource, name)
        if patch["metadata"]["uid"] != stored["metadata"]["uid"]:
            raise Conflict(409)
        stored["spec"] = patch["spec"]
        return stored

    async def delete(self, resource: Resource, name: str, *, uid: str) -> None:
        if (await self.get(resource, name))["metadata"]["uid"] != uid:
            raise Conflict(409)
        del self.objects[resource.kind, name]


class Known:
    """What an informer was told of our own writes."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.deleted: list[str] = []

    def observe(self, obj: dict[str, Any]) -> None:
        self.seen.append(obj["metadata"]["name"])

    def observe_deleted(self, key: tuple[str, str], _uid: str) -> None:
        self.deleted.append(key[1])


@pytest.fixture
def wds() -> Any:
    return Space()


@pytest.fixture
def its() -> Any:
    return Space()


@pytest.fixture
def known() -> Any:
    return Known()


METRICS = Create(CLUSTER_METRICS.kind, metrics_body("w1"))


async def test_what_was_created_is_known_at_once(wds: Any, known: Any) -> None:
    assert await actions.create(wds, METRICS, known) is None
    assert await actions.create(wds, Create(BINDING_POLICIES.kind, policy_body("w1")), known) is None
    assert set(wds.objects) == {("ClusterMetrics", "w1"), ("BindingPolicy", "kueue-ks-base-w1")}
    assert known.seen == ["w1", "kueue-ks-base-w1"]


async def test_what_a_life_before_this_one_created_is_taken_up(wds: Any, known: Any) -> None:
    await actions.create(wds, METRICS, known)
    assert await actions.create(wds, METRICS, known) is None
    assert known.seen == ["w1", "w1"]


async def test_a_name_that_is_taken_is_refused_and_its_owner_left_alone(wds: Any, known: Any) -> None:
    theirs = wds.put("ClusterMetrics", "w1")
    refusal = await actions.create(wds, METRICS, known)
    assert refusal is not None
    assert (refusal.reason, refusal.cluster) == (Refuse.NAME_TAKEN, "w1")
    assert "kubectl label clustermetrics.galaxy.kubestellar.io w1" in str(refusal)
    assert wds.objects["ClusterMetrics", "w1"] is theirs
    assert known.seen == []


def ours(stored: dict[str, Any]) -> Ours:
    metadata = stored["metadata"]
    return Ours(metadata["name"], "w1", metadata["uid"], as_wanted=False, deleting=False)


async def test_a_changed_policy_is_repaired(wds: Any, known: Any) -> None:
    policy = ours(wds.put("BindingPolicy", "kueue-ks-base-w1", spec={"downsync": []}))
    await actions.repair(wds, Repair(policy), known)
    assert wds.objects["BindingPolicy", "kueue-ks-base-w1"]["spec"] == policy_spec("w1")


async def test_a_later_policy_of_the_same_name_is_not_touched(wds: Any, known: Any) -> None:
    policy = ours(wds.put("BindingPolicy", "kueue-ks-base-w1", spec={}))
    later = wds.put("BindingPolicy", "kueue-ks-base-w1", spec={"theirs": 1})
    await actions.repair(wds, Repair(policy), known)
    await actions.remove(Space(), wds, Remove("BindingPolicy", policy), known)  # type: ignore[arg-type]
    assert wds.objects["BindingPolicy", "kueue-ks-base-w1"] is later
    assert later["spec"] == {"theirs": 1}


async def test_what_belongs_to_a_cluster_that_is_gone_is_removed(its: Any, wds: Any, known: Any) -> None:
    policy = ours(wds.put("BindingPolicy", "kueue-ks-base-w1"))
    await actions.remove(its, wds, Remove("BindingPolicy", policy), known)
    assert wds.objects == {}
    assert known.deleted == ["kueue-ks-base-w1"]


async def test_while_the_its_has_the_cluster_nothing_is_removed(its: Any, wds: Any, known: Any) -> None:
    """Deleting the policy would delete the namespaces on the worker: a cache's word is not enough."""
    its.put(MANAGED_CLUSTERS.kind, "w1")
    policy = ours(wds.put("BindingPolicy", "kueue-ks-base-w1"))
    await actions.remove(its, wds, Remove("BindingPolicy", policy), known)
    assert list(wds.objects) == [("BindingPolicy", "kueue-ks-base-w1")]
    assert known.deleted == []


async def test_a_removal_that_was_done_before_is_done(its: Any, wds: Any, known: Any) -> None:
    policy = ours(wds.put("BindingPolicy", "kueue-ks-base-w1"))
    await actions.remove(its, wds, Remove("BindingPolicy", policy), known)
    await actions.remove(its, wds, Remove("BindingPolicy", policy), known)
    assert wds.objects == {}
