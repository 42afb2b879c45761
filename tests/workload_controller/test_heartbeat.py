"""The heartbeat: written often enough for every lease, never after the cluster counts as lost."""

from typing import Any, NamedTuple

import hypothesis.strategies as st
import pytest
from hypothesis import given

from vocabulary import keys
from workload_controller.facts import Contact, Leases
from workload_controller.heartbeat import BEATS_PER_LEASE, Beat, End, Rest, config_map, next_beat, policy
from workload_controller.reading import read_beat
from workload_controller.situation import Timing

TIMING = Timing(worker_lost_timeout=900)
NEVER, AT_100 = Contact(None, 0.0), Contact(None, 100.0)


def there(*running: int, leaving: bool = False) -> Leases:
    return Leases(running, anything=bool(running) or leaving)


class Case(NamedTuple):
    reason: str
    leases: list[int]
    contact: Contact
    now: float
    want: Beat | Rest | End


CASES = [
    Case("no leased job and no heartbeat: nothing at all", [], NEVER, 1000.0, Rest(None)),
    Case("the last leased job has gone: its heartbeat goes", [], AT_100, 101.0, End()),
    Case("it goes on a lost cluster too", [], Contact(0.0, 100.0), 9999.0, End()),
    Case("its policy was left alone by a crash: it goes", [], Contact(None, 0.0, carried=True), 9.0, End()),
    Case("the first one at once", [600], NEVER, 1000.0, Beat(150.0)),
    Case("a quarter of the lease has passed", [600], AT_100, 250.0, Beat(150.0)),
    Case("not yet", [600], AT_100, 240.0, Rest(10.0)),
    Case("the shortest lease counts", [600, 60, 3600], AT_100, 115.0, Beat(15.0)),
    Case(
        "a short silence changes nothing: the jobs go on", [600], Contact(200.0, 100.0), 1099.9, Beat(150.0)
    ),
    Case("lost: the lease has to run out", [600], Contact(200.0, 100.0), 1100.0, Rest(None)),
    Case("returned: the jobs that are left go on", [600], AT_100, 1100.0, Beat(150.0)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_next_beat(case: Case) -> None:
    assert next_beat(there(*case.leases), case.contact, case.now, TIMING) == case.want


@given(st.lists(st.integers(4, 10**5), min_size=1, max_size=4), st.floats(1, 1e9), st.floats(0, 10**5))
def test_followed_it_is_never_older_than_a_quarter_of_any_lease(
    leases: list[int], beat_at: float, later: float
) -> None:
    now = beat_at + later
    allowed = min(leases) / BEATS_PER_LEASE
    match next_beat(there(*leases), Contact(None, beat_at), now, TIMING):
        case Beat(again_after=seconds):
            assert seconds == allowed
        case Rest(again_after=seconds):
            assert seconds is not None
            assert now + seconds - beat_at == pytest.approx(allowed)
        case other:
            pytest.fail(f"{other} ends a heartbeat that is needed")


def test_what_is_written_is_read_back_and_bears_our_labels() -> None:
    body = config_map("w1", 1767225600.1234)
    assert read_beat(body) == 1767225600.123
    labels = {keys.MANAGED_BY_LABEL: keys.MANAGED_BY, keys.CLUSTER: "w1"}
    assert body["metadata"] == {
        "name": "hub-heartbeat-w1",
        "namespace": keys.SYSTEM_NAMESPACE,
        "labels": labels,
    }


def test_its_policy_carries_it_to_its_cluster_and_nothing_else_anywhere() -> None:
    spec: dict[str, Any] = policy("w1")["spec"]
    assert spec["clusterSelectors"] == [{"matchLabels": {"name": "w1"}}]
    assert spec["downsync"] == [
        {
            "apiGroup": "",
            "resources": ["configmaps"],
            "namespaces": [keys.SYSTEM_NAMESPACE],
            "objectNames": ["hub-heartbeat-w1"],
        }
    ]


def test_it_stays_while_a_leased_job_may_be_left_there() -> None:
    """Its time says until when a job of a lost cluster may run (I1)."""
    assert next_beat(there(leaving=True), Contact(0.0, 880.0), 901.0, TIMING) == Rest(None)
