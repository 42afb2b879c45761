import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota_manager.facts import ClusterFacts
from quota_manager.onboarding import (
    Create,
    Ours,
    Refuse,
    Remove,
    Repair,
    Step,
    base_policy_name,
    is_ours,
    metrics_body,
    next_steps,
    policy_body,
    read_metrics,
    read_policy,
)
from tests.quota_manager.builders import cluster

METRICS = Ours("w1", "w1", "u1", as_wanted=True, deleting=False)
POLICY = Ours("kueue-ks-base-w1", "w1", "u2", as_wanted=True, deleting=False)
CHANGED = Ours("kueue-ks-base-w1", "w1", "u2", as_wanted=False, deleting=False)
LEAVING = Ours("kueue-ks-base-w1", "w1", "u2", as_wanted=False, deleting=True)
CREATE_METRICS = Create("ClusterMetrics", metrics_body("w1"))
CREATE_POLICY = Create("BindingPolicy", policy_body("w1"))


class Case(NamedTuple):
    reason: str
    cluster: ClusterFacts | None
    metrics: Ours | None
    policy: Ours | None
    want: tuple[Step, ...]
    namesakes: Sequence[str] = ("w1",)
    known: int = 3


CASES = [
    Case("a new cluster gets both", cluster(), None, None, (CREATE_METRICS, CREATE_POLICY)),
    Case("a crash between the two is completed", cluster(), METRICS, None, (CREATE_POLICY,)),
    Case("what is lost is made again", cluster(), None, POLICY, (CREATE_METRICS,)),
    Case("all is well", cluster(), METRICS, POLICY, ()),
    Case("a policy that somebody changed", cluster(), METRICS, CHANGED, (Repair(CHANGED),)),
    Case("one that is being deleted is waited for", cluster(), METRICS, LEAVING, ()),
    Case("a cluster that nobody accepted", cluster(accepted=False), None, None, ()),
    Case(
        "unavailable or cordoned, it keeps its namespaces",
        cluster(available=False, cordoned=True),
        METRICS,
        POLICY,
        (),
    ),
    Case("no longer accepted, it keeps them too", cluster(accepted=False), METRICS, POLICY, ()),
    Case(
        "a cluster that is gone, policy first",
        None,
        METRICS,
        POLICY,
        (Remove("BindingPolicy", POLICY), Remove("ClusterMetrics", METRICS)),
        (),
    ),
    Case("half of it is gone already", None, METRICS, LEAVING, (Remove("ClusterMetrics", METRICS),), ()),
    Case("never known, nothing to do", None, None, None, (), ()),
    Case("all clusters are gone at once: hardly", None, METRICS, POLICY, (), (), known=0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_next_steps(case: Case) -> None:
    steps = next_steps(
        "w1",
        case.cluster,
        namesakes=case.namesakes,
        known_clusters=case.known,
        metrics=case.metrics,
        policy=case.policy,
    )
    assert steps == case.want


@pytest.mark.parametrize("policy", [None, POLICY, CHANGED], ids=["new", "known", "changed"])
@pytest.mark.parametrize(
    ("label", "namesakes", "reason", "remedy"),
    [
        (None, [], "NameLabelMissing", "kubectl label managedcluster w1 --overwrite name=w1"),
        ("edge", ["edge"], "NameLabelDiffers", "kubectl label managedcluster w1 --overwrite name=w1"),
        ("w1", ["w2", "w1"], "NameLabelShared", "carried by w2 too"),
    ],
)
def test_a_cluster_that_no_policy_can_select_alone_is_refused(
    policy: Ours | None, label: str | None, namesakes: list[str], reason: str, remedy: str
) -> None:
    steps = next_steps(
        "w1", cluster(label=label), namesakes=namesakes, known_clusters=2, metrics=None, policy=policy
    )
    (refusal,) = steps
    assert isinstance(refusal, Refuse)
    assert refusal.reason == reason
    assert remedy in str(refusal)


def from_server(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": {**body["metadata"], "uid": "u", "finalizers": ["kubestellar"]}}


def test_what_we_make_is_known_as_ours() -> None:
    policy, metrics = from_server(policy_body("w1")), from_server(metrics_body("w1"))
    assert is_ours(policy)
    assert is_ours(metrics)
    assert read_policy(policy) == Ours("kueue-ks-base-w1", "w1", "u", as_wanted=True, deleting=False)
    assert read_metrics(metrics) == Ours("w1", "w1", "u", as_wanted=True, deleting=False)
    assert not is_ours({"metadata": {"name": "w1"}})


def test_namespaces_are_updated_and_reports_are_not() -> None:
    """The Pod Security of the hub must reach a namespace that exists; the report is the agent's."""
    reports, namespaces = policy_body("w1")["spec"]["downsync"]
    assert (reports["resources"], reports["createOnly"]) == (["clustermetrics"], True)
    assert (namespaces["resources"], "createOnly" in namespaces) == (["namespaces"], False)


def test_a_changed_spec_is_seen() -> None:
    policy = from_server(policy_body("w1"))
    policy["spec"]["downsync"].pop()
    assert not read_policy(policy).as_wanted


NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
LONG_NAMES = st.from_regex(r"[a-z0-9][-a-z0-9]{45,61}[a-z0-9]", fullmatch=True)


@given(NAMES | LONG_NAMES)
def test_names_are_valid_objects_and_label_values(name: str) -> None:
    policy = base_policy_name(name)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", policy)
    assert len(policy) <= 63


@given(st.lists(LONG_NAMES, min_size=2, max_size=5, unique=True))
def test_names_do_not_collide(names: list[str]) -> None:
    forged = [base_policy_name(name).removeprefix("kueue-ks-base-") for name in names]
    everybody = {*names, *forged}
    assert len({base_policy_name(name) for name in everybody}) == len(everybody)
