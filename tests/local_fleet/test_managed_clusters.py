"""OCM's registration as we play it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local_fleet.managed_clusters import _ACCEPTED, _HEALTHY, _LOST, AVAILABLE, amounts, is_lost, merged

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def lease(seconds_ago: float) -> dict[str, Any]:
    return {"spec": {"renewTime": (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}


def test_a_lease_is_lost_after_the_limit() -> None:
    assert not is_lost(lease(24.9), now=NOW, after=25)
    assert is_lost(lease(25.1), now=NOW, after=25)


def test_transition_times_move_only_with_the_status() -> None:
    first = merged({}, [_ACCEPTED, _HEALTHY], {"version": {"kubernetes": "v1.36.3"}})
    first["conditions"][0]["lastTransitionTime"] = first["conditions"][1]["lastTransitionTime"] = (
        "2020-01-01T00:00:00Z"
    )
    assert merged(first, [_ACCEPTED, _HEALTHY], {}) == first

    lost = merged(first, [_LOST], {})
    accepted, available = lost["conditions"]
    assert accepted == first["conditions"][0]
    assert (available["type"], available["status"]) == (AVAILABLE, "Unknown")
    assert available["lastTransitionTime"] > "2020-01-01T00:00:00Z"
    assert lost["version"] == {"kubernetes": "v1.36.3"}


def test_amounts_are_exact_sums() -> None:
    assert amounts([{"cpu": "15500m", "memory": "62Gi"}, {"cpu": "500m", "nvidia.com/gpu": "4"}]) == {
        "cpu": "16",
        "memory": "62Gi",
        "nvidia.com/gpu": "4",
    }
