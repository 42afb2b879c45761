"""Never, and not merely not now: proven of every cluster that may be used, told at once, refused later."""

from typing import NamedTuple

import pytest

from tests.workload_controller.builders import amounts, check, cluster, node_group, pod_set, workload
from vocabulary.cluster_metrics import Taint
from workload_controller.facts import ClusterFacts
from workload_controller.lifecycle import without_room
from workload_controller.never import never_fits
from workload_controller.placement import place
from workload_controller.refusals import Refusal
from workload_controller.situation import Timing
from workload_controller.steps import GiveBack, KeepWaiting, Place, Reject

EIGHT_PODS = cluster("w1", node_group())  # of one cpu each
SIXTEEN_PODS = cluster("w2", node_group(2))
LARGE = cluster("w3", node_group(3))


class Case(NamedTuple):
    reason: str
    clusters: list[ClusterFacts]
    want: list[str]  # what is proven of which cluster
    outside: tuple[str, ...] = ()
    barred: tuple[str, ...] = ()


GANG = pod_set(17, node_selector={"node-class": "standard"})
CASES = [
    Case(
        "too large for all of them: the largest room is named first",
        [EIGHT_PODS, SIXTEEN_PODS],
        [
            "w2: even empty it holds 16 of 17 pods; asks cpu 17, has 16",
            "w1: even empty it holds 8 of 17 pods; asks cpu 17, has 8",
        ],
    ),
    Case(
        "one that is full at present is large enough",
        [EIGHT_PODS, cluster("w3", node_group(3, requested=amounts(cpu=8)))],
        [],
    ),
    Case(
        "large enough with its cordoned nodes",
        [cluster("w1", node_group(2), node_group(unschedulable=True))],
        [],
    ),
    Case("large enough with its unready nodes", [cluster("w1", node_group(2), node_group(ready=False))], []),
    Case(
        "large enough without a taint: kubelets set some by themselves",
        [cluster("w1", node_group(3, taints=(Taint("node.kubernetes.io/not-ready", "", "NoExecute"),)))],
        [],
    ),
    Case(
        "one that is silent might hold it",
        [EIGHT_PODS, cluster("w2", node_group(), refusal="lost", fresh=False)],
        [],
    ),
    Case("one that has not reported yet might", [EIGHT_PODS, ClusterFacts("w2", "no report", None)], []),
    Case(
        "one that is cordoned might hold it later",
        [EIGHT_PODS, cluster("w3", node_group(3), refusal="cordoned")],
        [],
    ),
    Case(
        "one that is cordoned and too small does not matter",
        [EIGHT_PODS, cluster("w2", node_group(), refusal="cordoned")],
        [
            "w1: even empty it holds 8 of 17 pods; asks cpu 17, has 8",
            "w2: even empty it holds 8 of 17 pods; asks cpu 17, has 8",
        ],
    ),
    Case("one without any node grows when it is needed", [EIGHT_PODS, cluster("w2")], []),
    Case(
        "one that it may not use does not matter",
        [EIGHT_PODS, LARGE],
        ["w1: even empty it holds 8 of 17 pods; asks cpu 17, has 8"],
        outside=("w3",),
    ),
    Case("one that it may not use at present does", [EIGHT_PODS, LARGE], [], barred=("w3",)),
    Case("when it may use none, its lists are what is wrong", [EIGHT_PODS], [], outside=("w1",)),
    Case("no cluster at all proves nothing", [], []),
    Case(
        "labels that no node has",
        [cluster("w1", node_group(3, labels={"node-class": "gpu"})), cluster("w2", node_group())],
        [
            "w2: even empty it holds 8 of 17 pods; asks cpu 17, has 8",
            "w1: none of 3 nodes has labels node-class=standard",
        ],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_what_is_proven(case: Case) -> None:
    placement = place(
        "uid",
        [GANG],
        case.clusters,
        (),
        {},
        dict.fromkeys(case.barred, "an attempt failed there"),
        outside=dict.fromkeys(case.outside, "not allowed"),
    )
    assert placement.choice is None
    assert [str(verdict) for verdict in placement.never] == case.want


def test_what_fits_now_is_not_asked_whether_it_never_does() -> None:
    assert place("uid", [GANG], [EIGHT_PODS, LARGE], (), {}).never == ()


def test_the_refusal_names_what_is_asked_and_the_largest_room() -> None:
    pods = pod_set(17, requests=amounts(cpu=1, memory=2**30))
    never = place("uid", [pods], [EIGHT_PODS, SIXTEEN_PODS], (), {}).never
    assert str(never_fits(workload(pod_sets=(pods,)), never)) == (
        "batch/v1 Job team-a/train: spec is '17 pods of cpu 1, memory 1Gi'. No cluster could take that even "
        "with all its nodes empty, largest room first: "
        "w2: even empty it holds 16 of 17 pods; asks cpu 17, has 16; "
        "w1: even empty it holds 8 of 17 pods; asks cpu 17, has 8. Ask for less, or have such nodes added"
    )


def test_many_clusters_do_not_fill_the_message() -> None:
    never = place("uid", [GANG], [cluster(f"w{n}", node_group()) for n in range(9)], (), {}).never
    text = str(never_fits(workload(pod_sets=(GANG,)), never))
    assert text.count("even empty") == 5
    assert "; and 4 more clusters. " in text


def test_nothing_proven_is_no_refusal() -> None:
    assert never_fits(workload(), ()) is None


TIMING = Timing(never_grace=60.0, recheck=15.0)
REFUSAL = Refusal("NeverFits", "Job train", "spec", "17 pods", "Ask for less")
TOLD = f"Never fits: {REFUSAL}. Rejected if that stays so for 1m00s"


class Grace(NamedTuple):
    reason: str
    now: float
    message: str  # what the check says, since 100
    want: tuple[bool, float] | None  # told, looked at again after; None: rejected
    until: float = 700.0


GRACE = [
    Grace("told in the first second", 101.0, "", (True, 15.0)),
    Grace("also when it has waited for room before", 500.0, "No cluster can take it now: full", (True, 15.0)),
    Grace("told once", 130.0, TOLD, (False, 15.0)),
    Grace("the end of the grace is not slept over", 150.0, TOLD, (False, 10.0)),
    Grace("rejected when the proof has stood", 160.0, TOLD, None),
    Grace(
        "and not for what was said about something else", 160.0, "No cluster can take it now", (True, 15.0)
    ),
    Grace("the placement's deadline is not slept over", 130.0, TOLD, (False, 5.0), until=135.0),
]


@pytest.mark.parametrize("case", GRACE, ids=lambda case: case.reason)
def test_when_it_is_refused(case: Grace) -> None:
    action = Place(check(message=case.message), case.until)
    step = without_room(action, "w1: full", case.now, TIMING, REFUSAL)
    wanted = (
        Reject(action.check, REFUSAL) if case.want is None else KeepWaiting(action.check, TOLD, *case.want)
    )
    assert step == wanted


def test_a_deadline_before_the_end_of_the_grace_gives_the_quota_back() -> None:
    step = without_room(Place(check(message=TOLD), 120.0), "w1: full", 120.0, TIMING, REFUSAL)
    assert isinstance(step, GiveBack)


def test_a_proof_that_falls_is_taken_back_at_once() -> None:
    step = without_room(Place(check(message=TOLD), 700.0), "w1: full", 101.0, TIMING)
    assert isinstance(step, KeepWaiting)
    assert (step.tell, step.text) == (
        True,
        "No cluster can take it now: w1: full. The quota goes back at 00:11:40Z",
    )
