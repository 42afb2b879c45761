"""What a PlacementPolicy means: what it leaves out, what is wrong with it, what it prefers."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kueue_ks.install.manifests import load
from tests.workload_controller.builders import amounts, cluster, node_group, pod_set, workload
from workload_controller.admission_check import ActiveCondition, AdmissionCheckFacts, wanted_condition
from workload_controller.candidates import lately_failed
from workload_controller.cluster_selection import ClusterSelector
from workload_controller.facts import FailedAttempt, History, Requirement
from workload_controller.never import never_fits
from workload_controller.node_matching import meets
from workload_controller.placement import place
from workload_controller.placement_policy import (
    DecidedClusters,
    Known,
    Parameters,
    PlacementPolicy,
    Rules,
    Strategy,
    WhenNeverFits,
    read_decided_clusters,
    read_placement_policy,
    rules_of,
)
from workload_controller.ranking import Ranking

CLUSTERS = {"w1": {"region": "eu", "name": "w1"}, "w2": {"region": "us", "name": "w2"}, "w3": {"name": "w3"}}
EU = {"matchLabels": {"region": "eu"}}
PARAMETERS = Parameters("kueue.kubestellar.io", "PlacementPolicy", "p")


def policy(name: str = "p", **spec: Any) -> PlacementPolicy:
    return read_placement_policy({"metadata": {"name": name}, "spec": spec})


def expressed(*requirements: tuple[str, str, list[str]]) -> dict[str, Any]:
    return {
        "matchExpressions": [
            {"key": key, "operator": operator, **({"values": values} if values else {})}
            for key, operator, values in requirements
        ]
    }


class Case(NamedTuple):
    reason: str
    spec: dict[str, Any]
    outside: dict[str, str] = {}  # noqa: RUF012  read only
    problem: str = ""
    decisions: dict[tuple[str, str], frozenset[str]] | None = None
    clusters: dict[str, dict[str, str]] = CLUSTERS


LEFT_OUT = "left out by PlacementPolicy p: "
GPU_CLUSTERS = {"namespace": "ocm", "name": "gpus"}
CASES = [
    Case("an empty one allows all", {}),
    Case(
        "matchLabels, and what the others have",
        {"clusterSelector": EU},
        {
            "w2": LEFT_OUT + "label region is 'us', wanted eu",
            "w3": LEFT_OUT + "label region is missing, wanted eu",
        },
    ),
    Case(
        "an absent label is not among the excluded values",
        {"clusterSelector": expressed(("region", "NotIn", ["us"]))},
        {"w2": LEFT_OUT + "label region is 'us', wanted not us"},
    ),
    Case(
        "Exists",
        {"clusterSelector": expressed(("region", "Exists", []))},
        {"w3": LEFT_OUT + "label region is missing, wanted any value"},
    ),
    Case(
        "all requirements have to be met",
        {"clusterSelector": expressed(("region", "Exists", []), ("region", "NotIn", ["eu"]))},
        {
            "w1": LEFT_OUT + "label region is 'eu', wanted not eu",
            "w3": LEFT_OUT + "label region is missing, wanted any value",
        },
    ),
    Case(
        "a selector that matches no cluster",
        {"clusterSelector": {"matchLabels": {"region": "mars"}}},
        {
            "w1": LEFT_OUT + "label region is 'eu', wanted mars",
            "w2": LEFT_OUT + "label region is 'us', wanted mars",
            "w3": LEFT_OUT + "label region is missing, wanted mars",
        },
        "PlacementPolicy p: spec.clusterSelector (region mars) leaves none of the clusters w1, w2, w3: "
        "label one of them, or change it",
    ),
    Case("without any cluster the selector is not what is wrong", {"clusterSelector": EU}, clusters={}),
    Case(
        "a selector that contradicts itself",
        {"clusterSelector": EU | expressed(("region", "NotIn", ["eu"]))},
        problem="PlacementPolicy p: spec.clusterSelector contradicts itself: "
        "label region cannot be eu and not eu",
    ),
    Case(
        "a strategy that nobody knows",
        {"strategy": "Random"},
        problem="PlacementPolicy p: spec.strategy is 'Random': one of Spread, Pack, Prefer",
    ),
    Case(
        "an operator that nobody knows",
        {"clusterSelector": expressed(("region", "Near", ["eu"]))},
        problem="PlacementPolicy p: spec.clusterSelector: operator is 'Near': "
        "one of In, NotIn, Exists, DoesNotExist",
    ),
    Case(
        "In without values",
        {"clusterSelector": expressed(("region", "In", []))},
        problem="PlacementPolicy p: spec.clusterSelector: region In has values []: In and NotIn need some",
    ),
    Case(
        "Exists with values",
        {"clusterSelector": expressed(("region", "Exists", ["eu"]))},
        problem="PlacementPolicy p: spec.clusterSelector: region Exists has values [eu]: "
        "In and NotIn need some",
    ),
    Case(
        "a preference without its weight",
        {"preferences": [{"clusterSelector": EU}]},
        problem="PlacementPolicy p: spec lacks 'weight'",
    ),
    Case(
        "what OCM decided",
        {"placement": GPU_CLUSTERS},
        {
            "w2": LEFT_OUT + "Placement ocm/gpus does not select it",
            "w3": LEFT_OUT + "Placement ocm/gpus does not select it",
        },
        decisions={("ocm", "gpus"): frozenset({"w1"})},
    ),
    Case(
        "together with a selector",
        {"placement": GPU_CLUSTERS, "clusterSelector": expressed(("region", "Exists", []))},
        {
            "w2": LEFT_OUT + "Placement ocm/gpus does not select it",
            "w3": LEFT_OUT + "label region is missing, wanted any value",
        },
        decisions={("ocm", "gpus"): frozenset({"w1", "w3"})},
    ),
    Case(
        "OCM decided for none",
        {"placement": GPU_CLUSTERS},
        dict.fromkeys(CLUSTERS, LEFT_OUT + "Placement ocm/gpus does not select it"),
        "PlacementPolicy p: spec.clusterSelector (any label) and Placement ocm/gpus leaves none of the "
        "clusters w1, w2, w3: label one of them, or change it",
        decisions={("ocm", "gpus"): frozenset()},
    ),
    Case(
        "a Placement that is not there",
        {"placement": GPU_CLUSTERS},
        problem="PlacementPolicy p: spec.placement: Placement ocm/gpus has no PlacementDecision in the ITS: "
        "create it, or take it out",
        decisions={("other", "gpus"): frozenset({"w1"})},
    ),
    Case(
        "an ITS without OCM's placement",
        {"placement": GPU_CLUSTERS},
        problem="PlacementPolicy p: spec.placement: the ITS does not serve PlacementDecisions to us: "
        "install OCM's placement and our roles there, or take it out",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_rules(case: Case) -> None:
    known = Known({"p": policy(**case.spec)}, case.decisions, case.clusters)
    rules = rules_of(PARAMETERS, known)
    assert (dict(rules.outside), rules.problem) == (case.outside, case.problem)


KNOWN = Known({"p": policy(), "q": policy("q")}, None, CLUSTERS)


class Named(NamedTuple):
    reason: str
    parameters: Parameters | None
    known: Known
    want: str


NAMED = [
    Named("no parameters, no policy", None, KNOWN, ""),
    Named(
        "a policy that does not exist",
        Parameters("kueue.kubestellar.io", "PlacementPolicy", "nope"),
        KNOWN,
        "PlacementPolicy nope does not exist: create it, or name another one in the AdmissionCheck; "
        "there are: p, q",
    ),
    Named(
        "another kind",
        Parameters("kueue.x-k8s.io", "MultiKueueConfig", "p"),
        KNOWN,
        "spec.parameters of the AdmissionCheck names a MultiKueueConfig of kueue.x-k8s.io: "
        "give it a PlacementPolicy of kueue.kubestellar.io, or none",
    ),
    Named(
        "a hub where the kind is not installed, or not read yet: not the same as no policy",
        PARAMETERS,
        Known(None, None, CLUSTERS),
        "PlacementPolicy p cannot be read: the hub does not serve placementpolicies to us, "
        "kueue-ks install mends that",
    ),
]


@pytest.mark.parametrize("case", NAMED, ids=lambda case: case.reason)
def test_what_the_check_names(case: Named) -> None:
    assert rules_of(case.parameters, case.known).problem == case.want


REQUIREMENTS = st.lists(
    st.one_of(
        st.builds(
            Requirement,
            st.just("a"),
            st.sampled_from(("In", "NotIn")),
            st.lists(st.sampled_from("xy"), min_size=1, max_size=2).map(tuple),
        ),
        st.builds(Requirement, st.just("a"), st.sampled_from(("Exists", "DoesNotExist")), st.just(())),
    ),
    max_size=4,
)


@given(requirements=REQUIREMENTS)
def test_a_contradiction_is_what_no_cluster_could_meet(requirements: list[Requirement]) -> None:
    labels: list[dict[str, str]] = [{}, {"a": "x"}, {"a": "y"}, {"a": "another"}]
    possible = any(all(meets(r, each) for r in requirements) for each in labels)
    assert bool(ClusterSelector(tuple(requirements)).contradiction()) == (not possible)


def test_the_schema_knows_what_the_program_knows() -> None:
    (crd,) = load("config/crd/placementpolicy.yaml")
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    assert spec["strategy"]["enum"] == [each.value for each in Strategy]
    assert spec["whenNeverFits"]["enum"] == [each.value for each in WhenNeverFits]
    assert (spec["strategy"]["default"], spec["whenNeverFits"]["default"]) == ("Spread", "Reject")
    assert policy() == PlacementPolicy("p")
    assert set(spec) == {"strategy", "clusterSelector", "placement", "preferences", "whenNeverFits"}


def test_a_placement_decision_belongs_to_the_placement_in_its_label() -> None:
    label = {"cluster.open-cluster-management.io/placement": "gpus"}
    decisions = [{"clusterName": "w1", "reason": ""}, {"clusterName": "w2", "reason": ""}]
    metadata: dict[str, Any] = {"namespace": "ocm", "name": "gpus-decision-1", "labels": label}
    read = read_decided_clusters({"metadata": metadata, "status": {"decisions": decisions}})
    assert read == DecidedClusters(("ocm", "gpus"), frozenset({"w1", "w2"}))
    assert read_decided_clusters({"metadata": metadata}) == DecidedClusters(("ocm", "gpus"), frozenset())
    assert read_decided_clusters({"metadata": metadata | {"labels": {}}}) is None


HALF_FULL, EMPTY = node_group(requested=amounts(cpu=4)), node_group()
ROOM = [
    cluster("w1", HALF_FULL),
    cluster("w2", EMPTY),
    cluster("w3", EMPTY),
]  # a pod leaves 37, 87, 87 percent
LIKES_EU = [{"weight": 600, "clusterSelector": EU}]


class Choice(NamedTuple):
    reason: str
    spec: dict[str, Any]
    want: str
    text: str  # of the chosen one's verdict
    failed_ago: dict[str, int] = {}  # noqa: RUF012


CHOICES = [
    Choice(
        "Pack takes the fullest",
        {"strategy": "Pack"},
        "w1",
        "w1: fits, 38% stays free, score 625 by PlacementPolicy p: filled 625",
    ),
    Choice(
        "Prefer takes what is preferred, however full",
        {"strategy": "Prefer", "preferences": LIKES_EU},
        "w1",
        "w1: fits, 38% stays free, score 600 by PlacementPolicy p: preferred 600",
    ),
    Choice(
        "points outweigh the room that they are larger than",
        {"preferences": LIKES_EU},
        "w1",
        "w1: fits, 38% stays free, score 975 by PlacementPolicy p: free 375 + preferred 600",
    ),
    Choice(
        "and not more",
        {
            "preferences": [
                {"weight": 499, "clusterSelector": EU},
                {"weight": 1, "clusterSelector": expressed(("name", "In", ["w3"]))},
            ]
        },
        "w3",
        "w3: fits, 88% stays free, score 876 by PlacementPolicy p: free 875 + preferred 1",
    ),
    Choice(
        "points of all that match are added, and may be negative",
        {
            "preferences": [
                {"weight": 700, "clusterSelector": EU},
                {"weight": -300, "clusterSelector": EU},
                {"weight": 2, "clusterSelector": {"matchLabels": {"region": "us"}}},
            ]
        },
        "w2",
        "w2: fits, 88% stays free, score 877 by PlacementPolicy p: free 875 + preferred 2",
    ),
    Choice(
        "Prefer decides between equals by room",
        {
            "strategy": "Prefer",
            "preferences": [{"weight": 5, "clusterSelector": expressed(("region", "Exists", []))}],
        },
        "w2",
        "w2: fits, 88% stays free, score 5 by PlacementPolicy p: preferred 5",
    ),
    Choice(
        "failed on all of them: the oldest failure comes first, whatever the policy prefers",
        {"strategy": "Pack"},
        "w3",
        "w3: fits, 88% stays free, score 125 by PlacementPolicy p: filled 125, failed there 300s ago",
        failed_ago={"w1": 100, "w2": 200, "w3": 300},
    ),
    Choice(
        "and one where it has not failed comes before it",
        {"strategy": "Pack"},
        "w2",
        "w2: fits, 88% stays free, score 125 by PlacementPolicy p: filled 125",
        failed_ago={"w1": 100, "w3": 300},
    ),
]


@pytest.mark.parametrize("case", CHOICES, ids=lambda case: case.reason)
def test_choice(case: Choice) -> None:
    ranking = Ranking(policy(**case.spec), CLUSTERS, case.failed_ago)
    for room in (ROOM, ROOM[::-1]):
        placement = place("uid", [pod_set()], room, (), {}, ranking=ranking)
        assert placement.choice == case.want
        (chosen,) = [str(v) for v in placement.verdicts if v.cluster == case.want]
        assert chosen == case.text


def test_without_a_policy_the_oldest_failure_counts_too() -> None:
    room = [cluster("w1", EMPTY), cluster("w2", HALF_FULL)]
    placement = place("uid", [pod_set()], room, (), {}, ranking=Ranking(failed_ago={"w1": 10, "w2": 20}))
    assert placement.choice == "w2"
    assert str(placement.verdicts[1]) == "w2: fits, 38% stays free, failed there 20s ago"


def test_only_the_last_failure_of_a_cluster_counts_and_only_lately() -> None:
    at = [("w1", 50.0), ("w2", 500.0), ("w1", 700.0), ("w3", 100.0)]
    history = History(4, tuple(FailedAttempt(n, name, "X", when, "") for n, (name, when) in enumerate(at)))
    assert lately_failed(history, now=1000.0, exclusion=900.0) == {"w1": 300, "w2": 500}


def test_who_lets_clusters_grow_rejects_nothing() -> None:
    never = place("uid", [pod_set(9)], [cluster("w1", EMPTY)], (), {}).never
    assert never_fits(workload(), never, WhenNeverFits.REJECT) is not None
    assert never_fits(workload(), never, WhenNeverFits.WAIT) is None


CHECK = AdmissionCheckFacts("ks", "uid", 1, "True", "ClustersUsable", "all is well", 1, 50.0)


def test_the_check_is_not_active_while_its_policy_is_wrong_and_says_why() -> None:
    wanted = wanted_condition(CHECK, ROOM, 100.0, Rules(problem="PlacementPolicy p does not exist"))
    assert wanted == ActiveCondition(
        active=False, reason="BadPlacementPolicy", message="PlacementPolicy p does not exist", since=100.0
    )


def test_the_check_counts_the_clusters_that_its_policy_leaves() -> None:
    room = [cluster("w1", EMPTY), cluster("w2", refusal="gone"), cluster("w3", EMPTY)]
    wanted = wanted_condition(CHECK, room, 100.0, Rules(outside={"w2": "left out", "w3": "left out by p"}))
    assert wanted is not None
    assert wanted.message == "1 of 3 clusters usable: w1. Not usable: w2: gone; w3: left out by p"
    wanted = wanted_condition(CHECK, room[1:], 100.0, Rules(outside={"w3": "left out by p"}))
    assert wanted is not None
    assert (wanted.active, wanted.message) == (False, "w2: gone; w3: left out by p")
