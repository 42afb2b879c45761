from typing import NamedTuple

import pytest

from vocabulary import keys


class Case(NamedTuple):
    reason: str
    key: str
    want: bool


CASES = [
    Case("ours", keys.WORKLOAD_UID, True),
    Case("ours, any word", "kueue.kubestellar.io/never-heard-of", True),
    Case("a queue name would make the copy a Kueue job again", keys.QUEUE_NAME, True),
    Case("KubeStellar", "kubestellar.io/managed", True),
    Case("a subdomain of KubeStellar", "transport.kubestellar.io/originWdsName", True),
    Case("Open Cluster Management", "cluster.open-cluster-management.io/clusterset", True),
    Case("KubeFlex", "kflex.kubestellar.org/cptype", True),
    Case("a subdomain of Kueue", "provreq.kueue.x-k8s.io/ValidUntilSeconds", True),
    Case("no domain", "app", False),
    Case("no domain, our word", "kubestellar.io", False),
    Case("another owner", "app.kubernetes.io/name", False),
    Case("a domain that only ends like ours", "notkubestellar.io/x", False),
    Case("ours in the name part", "example.com/kueue.x-k8s.io", False),
    Case("a parent domain belongs to others", "x-k8s.io/a", False),
    Case("a longer domain that starts like ours", "kubestellar.io.example.com/a", False),
    Case("empty", "", False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_steers_a_controller(case: Case) -> None:
    assert keys.steers_a_controller(case.key) is case.want


def test_every_key_below_our_prefix_is_seen_as_ours() -> None:
    ours = [
        value for value in vars(keys).values() if isinstance(value, str) and value.startswith(keys.PREFIX)
    ]
    assert len(ours) > 5
    assert all(keys.steers_a_controller(key) for key in ours)
