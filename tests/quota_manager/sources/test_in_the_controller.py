"""The controller decides by the sources' world, and looks again when they say."""

import time

import pytest

from kube_runtime.spaces import Spaces
from quota_manager.controller import Controller
from quota_manager.decision import Rules
from quota_manager.sources.allocatable import AllocatableSource
from quota_manager.sources.choice import JOINING
from quota_manager.sources.cluster_metrics import ClusterMetricsSource
from quota_manager.sources.sources import Sources
from quota_manager.view import QUOTAS
from tests.quota_manager.test_controller import Fleet


@pytest.fixture
def fleet() -> Fleet:
    """A queue, and a cluster whose agent never speaks; OCM says that it has 16 cores."""
    fleet = Fleet()
    fleet.queue("cq", "0")
    fleet.cluster("w1")
    body = fleet.its.objects["ManagedCluster", "w1"]
    body["status"]["allocatable"] = {"cpu": "16"}
    fleet.view.clusters.observe(fleet.its.put("ManagedCluster", body))
    sources = Sources(
        [ClusterMetricsSource(), AllocatableSource()],
        stale_after=180,
        events=fleet.its_events,  # type: ignore[arg-type]
    )
    fleet.controller = Controller(
        Spaces(fleet.hub, fleet.wds, fleet.its),  # type: ignore[arg-type]
        fleet.view,
        fleet.teller,
        rules=Rules(stale_after=180, shrink_after=0),
        may_write=lambda: fleet.leader,
        sources=sources,
    )
    return fleet


async def test_the_last_resort_counts_when_the_time_to_join_is_over(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    await fleet.controller.reconcile(QUOTAS)
    fleet.now = 50.0  # of the teller: what lasts has been told
    monkeypatch.setattr(time, "monotonic", lambda: started + 50)
    again = await fleet.controller.reconcile(QUOTAS)
    assert fleet.cpu("cq") == "0"
    assert again is not None
    assert again <= JOINING - 49, "somebody has to look when it is time"

    monkeypatch.setattr(time, "monotonic", lambda: started + JOINING + 1)
    await fleet.controller.reconcile(QUOTAS)
    assert fleet.cpu("cq") == "16"


async def test_a_new_leadership_gives_time_to_join_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.monotonic()
    await fleet.controller.reconcile(QUOTAS)
    monkeypatch.setattr(time, "monotonic", lambda: started + JOINING + 1)
    fleet.controller.begin()
    await fleet.controller.reconcile(QUOTAS)
    assert fleet.cpu("cq") == "0"
