"""Publishing to CapacityProviders: what is written, once, and only while nobody else has written."""

import copy
from typing import Any

import pytest

from kube_runtime.errors import Conflict, NotFound
from quota_manager.sinks.capacity_provider import CapacityProviders
from quota_manager.sinks.provided_capacity import CONTROLLER, ProviderFacts, provider_facts
from quota_manager.trust import Instant
from tests.quota_manager.builders import cluster, cpus, world
from tests.quota_manager.test_provided_capacity import NOW, decided

CPU_8 = {"flavors": [{"name": "default", "resources": {"cpu": "8"}}]}


class Hub:
    """Has one CapacityProvider and what others do to it between our reading and our writing."""

    def __init__(self) -> None:
        spec = {"controllerName": CONTROLLER, "orchestratedFlavors": [{"name": "default"}]}
        metadata = {"name": "fleet", "uid": "uid", "generation": 1, "resourceVersion": "1"}
        self.provider: dict[str, Any] | None = {"metadata": metadata, "spec": spec}
        self.known = copy.deepcopy(self.provider)
        self.writes: list[tuple[str | None, dict[str, Any]]] = []
        self.refuse: Exception | None = None
        self.leader = True
        space: Any = self
        self.sink = CapacityProviders(space, self.read, shrink_after=15, may_write=lambda: self.leader)

    def read(self) -> dict[str, ProviderFacts]:
        facts = provider_facts(self.known)
        return {} if facts is None else {facts.name: facts}

    async def get(self, _resource: object, _name: str) -> dict[str, Any]:
        if self.provider is None:
            raise NotFound(404)
        return copy.deepcopy(self.provider)

    async def update(self, _resource: object, obj: dict[str, Any], *, subresource: str) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.writes.append((subresource, copy.deepcopy(obj["status"])))
        self.provider = self.known = obj

    async def publish(self, milli: int = 8_000, at: float = NOW) -> float | None:
        facts = world([cluster()], {"w1": cpus(milli, at=at, sequence=int(at))}, [])
        return await self.sink.publish(facts, decided(facts, now=at), Instant(at, at))


@pytest.fixture
def hub() -> Hub:
    return Hub()


async def test_only_the_status_and_once(hub: Hub) -> None:
    for _ in range(3):
        await hub.publish()
    ((subresource, status),) = hub.writes
    assert subresource == "status"
    assert status["capacity"] == CPU_8


async def test_less_is_written_when_it_is_time(hub: Hub) -> None:
    await hub.publish()
    assert await hub.publish(4_000, NOW + 1) == NOW + 16
    assert len(hub.writes) == 1
    await hub.publish(4_000, NOW + 16)
    assert hub.writes[1][1]["capacity"]["flavors"][0]["resources"] == {"cpu": "4"}


async def test_a_new_leadership_takes_up_where_the_status_is(hub: Hub) -> None:
    await hub.publish()
    hub.sink.begin()
    assert await hub.publish(4_000, NOW + 1) == NOW + 16, "what is said is the target of the one before"
    assert len(hub.writes) == 1


@pytest.mark.parametrize("refusal", [Conflict(409), NotFound(404)], ids=str)
async def test_somebody_was_faster(hub: Hub, refusal: Exception) -> None:
    hub.refuse = refusal
    await hub.publish()
    assert hub.writes == []
    hub.refuse = None
    await hub.publish()
    assert len(hub.writes) == 1


async def test_another_spec_than_the_one_decided_for(hub: Hub) -> None:
    assert hub.provider is not None
    hub.provider["metadata"]["generation"] = 2
    await hub.publish()
    assert hub.writes == []


async def test_gone(hub: Hub) -> None:
    hub.provider = None
    await hub.publish()
    assert hub.writes == []


async def test_a_former_leader_writes_nothing(hub: Hub) -> None:
    hub.leader = False
    await hub.publish()
    assert hub.writes == []
