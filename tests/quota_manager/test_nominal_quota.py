"""The sink: what it changes in a ClusterQueue, and when it must not write."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.quantity import parse
from quota_manager.decision import Change, Write
from quota_manager.facts import Cell, queue_facts
from quota_manager.sinks.nominal_quota import with_quotas, write_quotas
from vocabulary import keys

CPU, MEMORY = Cell("a", "cpu"), Cell("a", "memory")
GI = (1 << 30) * 1000


def cluster_queue(cpu: str = "8", lending: str | None = None, **annotations: str) -> dict[str, Any]:
    cpu_entry = {"name": "cpu", "nominalQuota": cpu, "borrowingLimit": "4"}
    if lending is not None:
        cpu_entry["lendingLimit"] = lending
    return {
        "metadata": {
            "name": "cq",
            "uid": "u",
            "generation": 1,
            "resourceVersion": "5",
            "annotations": {"kueue.kubestellar.io/manage-quota": "true", **annotations},
        },
        "spec": {
            "cohortName": "all",
            "resourceGroups": [
                {
                    "coveredResources": ["cpu", "memory"],
                    "flavors": [
                        {"name": "a", "resources": [cpu_entry, {"name": "memory", "nominalQuota": "64Gi"}]},
                        {"name": "b", "resources": [{"name": "cpu", "nominalQuota": "1"}]},
                    ],
                }
            ],
        },
        "status": {"admittedWorkloads": 3},
    }


def cpu_of(queue: dict[str, Any] | None) -> dict[str, str]:
    assert queue is not None
    entry: dict[str, str] = queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]
    return entry


def test_only_the_number_is_changed() -> None:
    before = cluster_queue()
    after = with_quotas(before, {CPU: 1500, MEMORY: 64 * GI})
    want = copy.deepcopy(before)
    cpu_of(want)["nominalQuota"] = "1500m"
    assert after == want
    assert before == cluster_queue(), "what was read is not touched"


@pytest.mark.parametrize("written", ["8", "8000m", "8.0", "0.008k"])
def test_equal_amounts_are_no_change_however_they_are_written(written: str) -> None:
    assert with_quotas(cluster_queue(written), {CPU: 8000}) is None


def test_an_amount_finer_than_a_milli_unit_is_a_change() -> None:
    assert cpu_of(with_quotas(cluster_queue("8000001u"), {CPU: 8000}))["nominalQuota"] == "8"


def test_cells_that_are_not_there_are_not_invented() -> None:
    assert with_quotas(cluster_queue(), {Cell("z", "cpu"): 1, Cell("a", "gpu"): 1}) is None


def test_a_lending_limit_is_lowered_with_the_quota_and_comes_back_with_it() -> None:
    lost = with_quotas(cluster_queue("8", "6"), {CPU: 2000})
    assert cpu_of(lost) == {"name": "cpu", "nominalQuota": "2", "borrowingLimit": "4", "lendingLimit": "2"}
    assert lost is not None
    assert json.loads(lost["metadata"]["annotations"][keys.LENDING_LIMITS]) == {"a/cpu": "6"}
    less = with_quotas(lost, {CPU: 0})
    assert less is not None
    more = with_quotas(less, {CPU: 5000})
    assert cpu_of(more)["lendingLimit"] == "5"
    assert more is not None
    back = with_quotas(more, {CPU: 8000})
    assert back == cluster_queue("8", "6")


def test_a_lending_limit_that_fits_is_left_as_it_is_written() -> None:
    assert cpu_of(with_quotas(cluster_queue("8", "2000m"), {CPU: 4000}))["lendingLimit"] == "2000m"


@pytest.mark.parametrize("newest", ["1", None])
def test_a_limit_that_its_owner_changed_meanwhile_is_the_newest_word(newest: str | None) -> None:
    lost = with_quotas(cluster_queue("8", "6"), {CPU: 2000})
    entry = cpu_of(lost)
    entry.pop("lendingLimit")
    if newest is not None:
        entry["lendingLimit"] = newest
    assert lost is not None
    back = with_quotas(lost, {CPU: 8000})
    assert cpu_of(back).get("lendingLimit") == newest
    assert back is not None
    assert keys.LENDING_LIMITS not in back["metadata"]["annotations"]


@pytest.mark.parametrize("broken", ["", "[]", "{", '{"a/cpu": "much"}', '{"a/cpu": "-1"}'])
def test_an_annotation_that_somebody_broke_is_worth_nothing(broken: str) -> None:
    queue = cluster_queue("2", "2", **{keys.LENDING_LIMITS: broken})
    assert cpu_of(with_quotas(queue, {CPU: 8000}))["lendingLimit"] == "2"


AMOUNTS = st.integers(0, 20_000)


@given(AMOUNTS, st.lists(AMOUNTS, max_size=6))
def test_lending_never_exceeds_the_quota_and_survives_any_history(limit: int, quotas: list[int]) -> None:
    queue = cluster_queue("20", f"{limit}m")
    for quota in [*quotas, 20_000]:
        queue = with_quotas(queue, {CPU: quota}) or queue
        entry = cpu_of(queue)
        assert parse(entry["nominalQuota"]) * 1000 == quota
        assert parse(entry["lendingLimit"]) * 1000 == min(limit, quota)
    assert keys.LENDING_LIMITS not in queue["metadata"]["annotations"]


class Hub:
    """One ClusterQueue, answering as an API server does."""

    def __init__(self, queue: dict[str, Any] | None) -> None:
        self.queue = queue
        self.writes = 0
        self.changes_in_between = False

    async def get(self, _resource: object, _name: str) -> dict[str, Any]:
        if self.queue is None:
            raise NotFound(404)
        return copy.deepcopy(self.queue)

    async def update(self, _resource: object, obj: dict[str, Any]) -> dict[str, Any]:
        assert self.queue is not None
        if self.changes_in_between or obj["metadata"]["resourceVersion"] != "5":
            raise Conflict(409)
        self.writes += 1
        self.queue = {**obj, "metadata": {**obj["metadata"], "resourceVersion": "6"}}
        return self.queue


DECIDED = Write(queue_facts(cluster_queue()), (Change(CPU, 8000, 2000, (), {}),))


async def sink(
    hub: Hub, write: Write = DECIDED, *, breakdown: str | None = None, leader: bool = True
) -> dict[str, Any] | None:
    return await write_quotas(hub, write, breakdown=breakdown, may_write=lambda: leader)  # type: ignore[arg-type]


async def test_the_decided_quota_is_written() -> None:
    hub = Hub(cluster_queue())
    assert cpu_of(await sink(hub))["nominalQuota"] == "2"
    assert hub.writes == 1


async def test_what_is_there_already_is_not_written() -> None:
    hub = Hub(cluster_queue("2000m"))
    assert cpu_of(await sink(hub))["nominalQuota"] == "2000m"
    assert hub.writes == 0


def changed(part: str, value: Any) -> dict[str, Any]:
    queue = cluster_queue()
    queue["metadata"][part] = value
    return queue


@pytest.mark.parametrize(
    "queue",
    [None, changed("uid", "another"), changed("generation", 2), changed("annotations", {})],
    ids=["gone", "another of that name", "another spec", "not managed any more"],
)
async def test_a_queue_that_is_not_the_one_that_was_seen_is_left_alone(queue: dict[str, Any] | None) -> None:
    hub = Hub(queue)
    assert await sink(hub) is None
    assert hub.writes == 0


async def test_after_a_conflict_it_is_decided_again() -> None:
    hub = Hub(cluster_queue())
    hub.changes_in_between = True
    assert await sink(hub) is None


async def test_who_is_no_leader_any_more_does_not_write() -> None:
    hub = Hub(cluster_queue())
    assert await sink(hub, leader=False) is None
    assert hub.writes == 0


async def test_the_breakdown_goes_with_the_quota_in_one_write_and_not_twice() -> None:
    hub = Hub(cluster_queue())
    answer = await sink(hub, breakdown="{}")
    assert answer is not None
    assert (cpu_of(answer)["nominalQuota"], answer["metadata"]["annotations"][keys.QUOTA_BREAKDOWN]) == (
        "2",
        "{}",
    )
    assert hub.writes == 1


async def test_a_breakdown_alone_is_written_once() -> None:
    hub = Hub(cluster_queue())
    alone = replace(DECIDED, changes=())
    answer = await sink(hub, alone, breakdown="{}")
    assert hub.queue is not None
    assert cpu_of(answer) == cpu_of(cluster_queue())
    hub.queue["metadata"]["resourceVersion"] = "5"
    await sink(hub, alone, breakdown="{}")
    assert hub.writes == 1
