import json
from dataclasses import replace
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_agent.facts import JobFacts, NodeFacts, PodFacts, Refusal
from metrics_agent.fold import fold
from metrics_agent.problems import Problem
from vocabulary.cluster_metrics import ClusterReport, Taint, WorkloadPods, format_report
from vocabulary.report_reading import BadReport, parse_report

NODE = NodeFacts("n1", {"pool": "a"}, (), unschedulable=False, ready=True, allocatable={"cpu": 8000})
POD = PodFacts("n1", "", terminating=False, ended=False, requests={"cpu": 1000, "pods": 1000})
OURS = replace(POD, workload="w-1")


def report(nodes: list[NodeFacts], pods: list[PodFacts]) -> ClusterReport:
    return fold(nodes, pods, now=100.0, sequence=7)


def test_time_and_sequence_are_those_that_were_given() -> None:
    empty = report([], [])
    assert (empty.observed_at, empty.sequence, empty.nodes, empty.workloads) == (100.0, 7, (), ())


def test_what_is_foreign_is_part_of_what_is_requested() -> None:
    (group,) = report([NODE], [POD, OURS]).nodes
    assert group.requested == {"cpu": 2000, "pods": 2000}
    assert group.foreign == {"cpu": 1000, "pods": 1000}


def test_pending_and_terminating_are_parts_of_what_is_requested() -> None:
    pods = [
        replace(OURS, started=False),
        replace(OURS, terminating=True, started=False, ends_by=130.0),
        replace(POD, terminating=True, ends_by=160.0),
        replace(POD, started=False, ended=True),
    ]
    folded = report([NODE], pods)
    (group,) = folded.nodes
    assert group.requested["cpu"] == 3000
    assert group.pending["cpu"] == 1000
    assert (group.terminating["cpu"], group.terminating_until) == (2000, 160.0)
    assert folded.workloads[0].terminating_until == 130.0


def test_devices_by_claim_are_said_to_be_not_counted() -> None:
    claims = [replace(POD, by_claim=True, name=f"ns/{name}") for name in ("b", "a")]
    (said,) = report([NODE], [*claims, replace(POD, by_claim=True, ended=True, name="ns/0")]).not_counted
    assert (said.about, said.count) == ("pod ns/a", 2)
    assert "resource claim" in said.why


def test_unknown_use_is_no_room_on_that_node() -> None:
    nodes = [replace(NODE, allocatable={"cpu": 8000, "memory": 9000}), replace(NODE, name="n2")]
    folded = report(nodes, [replace(POD, unreadable=(("cpu", "-1 is less than nothing"),), name="ns/p")])
    assert [group.allocatable for group in folded.nodes] == [{"memory": 9000}, {"cpu": 8000}]
    assert [str(each) for each in folded.not_counted] == ["pod ns/p: cpu: -1 is less than nothing"]


def test_a_device_plugin_that_talks_nonsense_is_named() -> None:
    broken = replace(NODE, unreadable=(("example.com/fpga", "'many' is not a quantity"),))
    (said,) = report([broken], []).not_counted
    assert str(said) == "node n1: example.com/fpga: 'many' is not a quantity"


def test_a_report_keeps_below_what_an_object_holds() -> None:
    """Problems in full while there is room; too many Workloads are counted, not forgotten."""
    stuck = [
        replace(OURS, workload=f"{i:036}", problem=Problem(0, "p", f"ErrImagePull: {i} " + "x" * 230))
        for i in range(2000)
    ]
    problems = [pods.problem for pods in report([NODE], stuck).workloads]
    assert problems[0].startswith("ErrImagePull: 0 x")
    assert problems[-1] == "ErrImagePull"
    assert sum(map(len, problems)) < 130_000
    assert report([NODE], stuck).workloads_left_out == 0


def test_too_many_workloads_are_counted_and_not_just_absent() -> None:
    folded = report([NODE], [replace(OURS, workload=f"{i:036}") for i in range(40_000)])
    assert folded.workloads_left_out == 40_000 - len(folded.workloads) > 0
    assert len(json.dumps(format_report(folded))) < 1_400_000
    with pytest.raises(BadReport, match="no room for"):
        parse_report(format_report(folded))


def test_nodes_that_are_alike_become_one_entry_named_after_the_first() -> None:
    nodes = [replace(NODE, name=name) for name in ("n3", "n1", "n2")]
    (group,) = report(nodes, []).nodes
    assert (group.name, group.count) == ("n1", 3)


def test_nodes_that_differ_in_anything_are_told_apart() -> None:
    nodes = [
        NODE,
        replace(NODE, name="n2", labels={"pool": "b"}),
        replace(NODE, name="n3", taints=(Taint("gpu", "", "NoSchedule"),)),
        replace(NODE, name="n4", unschedulable=True),
        replace(NODE, name="n5", ready=False),
        replace(NODE, name="n6", allocatable={"cpu": 4000}),
        replace(NODE, name="n7"),  # has a pod of ours
        replace(NODE, name="n8"),  # has one that is not
    ]
    groups = report(nodes, [replace(OURS, node="n7"), replace(POD, node="n8")]).nodes
    assert [(group.name, group.count) for group in groups] == [(f"n{i}", 1) for i in range(1, 9)]


def test_pods_that_have_ended_count_nowhere() -> None:
    folded = report([NODE], [replace(POD, ended=True), replace(OURS, ended=True, terminating=True)])
    assert folded.nodes[0].requested == {}
    assert folded.workloads == ()


def test_a_workload_is_reported_while_it_has_pods_anywhere() -> None:
    pods = [
        OURS,
        replace(OURS, node=""),
        replace(OURS, node="", terminating=True),
        replace(OURS, node="unknown", terminating=True),
        replace(OURS, workload="w-0"),
        POD,
    ]
    assert report([NODE], pods).workloads == (
        WorkloadPods("w-0", bound=1, waiting=0, terminating=0),
        WorkloadPods("w-1", bound=2, waiting=2, terminating=2),
    )


def test_ready_pods_are_counted_and_the_most_telling_problem_is_told() -> None:
    pods = [
        replace(OURS, ready=True),
        replace(OURS, ready=True, ended=True),
        replace(OURS, node="", problem=Problem(1, "a", "Unschedulable: no room")),
        replace(OURS, problem=Problem(0, "b", "ErrImagePull: not found")),
    ]
    assert report([NODE], pods).workloads == (
        WorkloadPods("w-1", bound=2, waiting=1, terminating=0, ready=1, problem="ErrImagePull: not found"),
    )


JOB = JobFacts(
    namespace="ns",
    name="j",
    uid="u",
    resource_version="1",
    workload="w-1",
    running=True,
    wanted=2,
    created_at=50.0,
    leased_from=0.0,
    lease=None,
)
REFUSED = Refusal("u", 60.0, "FailedCreate: no")
MADE = replace(OURS, created_at=60.0)  # in the same second: one of two pods was made, the other refused


class Case(NamedTuple):
    reason: str
    jobs: list[JobFacts]
    refusals: list[Refusal]
    pods: list[PodFacts]
    want: str | None  # None: the Workload is not in the report


NO_ROOM = replace(MADE, problem=Problem(1, "a", "Unschedulable: no room"))
CASES = [
    Case("a Job whose pods never came to be", [JOB], [REFUSED], [], "FailedCreate: no"),
    Case(
        "the newest refusal is told",
        [JOB],
        [replace(REFUSED, at=55.0, text="old"), REFUSED],
        [],
        "FailedCreate: no",
    ),
    Case("the refusal of another Job, of that name too", [JOB], [replace(REFUSED, job="other")], [], None),
    Case("a refusal whose Job is gone", [], [REFUSED], [], None),
    Case("a Job that wants no pods, suspended or finished", [replace(JOB, wanted=0)], [REFUSED], [], None),
    Case("a Job that has fewer pods than it wants", [JOB], [REFUSED], [MADE], "FailedCreate: no"),
    Case("a Job that has all its pods", [JOB], [REFUSED], [MADE, MADE], ""),
    Case(
        "between two pods of a Job: one was made since the refusal",
        [JOB],
        [REFUSED],
        [replace(MADE, created_at=61.0, ended=True)],
        None,
    ),
    Case(
        "a pod that is leaving is not one that it has",
        [replace(JOB, wanted=1)],
        [REFUSED],
        [replace(MADE, terminating=True)],
        "FailedCreate: no",
    ),
    Case("a refusal from before the Job", [replace(JOB, created_at=61.0)], [REFUSED], [], None),
    Case("what a pod itself says comes first", [JOB], [REFUSED], [NO_ROOM], "Unschedulable: no room"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_pods_that_never_came_to_be(case: Case) -> None:
    for refusals in (case.refusals, case.refusals[::-1]):
        workloads = fold([NODE], case.pods, case.jobs, refusals, now=100.0, sequence=7).workloads
        assert [w.problem for w in workloads] == ([] if case.want is None else [case.want])


def test_pods_without_a_node_ask_nothing_of_any() -> None:
    assert report([NODE], [replace(POD, node=""), replace(POD, node="unknown")]).nodes[0].requested == {}


AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory", "pods"]), st.integers(0, 3), max_size=3)
NODES = st.lists(
    st.builds(
        NodeFacts,
        name=st.sampled_from([f"n{i}" for i in range(9)]),
        labels=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), max_size=2),
        taints=st.sampled_from([(), (Taint("gpu", "", "NoSchedule"),)]),
        unschedulable=st.booleans(),
        ready=st.booleans(),
        allocatable=AMOUNTS,
    ),
    max_size=9,
    unique_by=lambda node: node.name,
)
PODS = st.lists(
    st.builds(
        PodFacts,
        node=st.sampled_from(["", *(f"n{i}" for i in range(9))]),
        workload=st.sampled_from(["", "w-1", "w-2"]),
        terminating=st.booleans(),
        ended=st.booleans(),
        requests=AMOUNTS,
    ),
    max_size=12,
)


@given(NODES, PODS, st.randoms())
def test_the_order_of_nodes_and_pods_changes_nothing(
    nodes: list[NodeFacts], pods: list[PodFacts], random: Random
) -> None:
    shuffled_nodes, shuffled_pods = nodes[:], pods[:]
    random.shuffle(shuffled_nodes)
    random.shuffle(shuffled_pods)
    assert report(nodes, pods) == report(shuffled_nodes, shuffled_pods)


@given(NODES, PODS)
def test_nothing_is_lost_and_nothing_counted_twice(nodes: list[NodeFacts], pods: list[PodFacts]) -> None:
    folded = report(nodes, pods)
    names = {node.name for node in nodes}
    bound = [pod for pod in pods if not pod.ended and pod.node in names]
    assert sum(group.count for group in folded.nodes) == len(nodes)
    for resource in ("cpu", "memory", "pods"):
        have = sum(group.count * group.allocatable.get(resource, 0) for group in folded.nodes)
        requested = sum(group.count * group.requested.get(resource, 0) for group in folded.nodes)
        foreign = sum(group.count * group.foreign.get(resource, 0) for group in folded.nodes)
        assert have == sum(node.allocatable.get(resource, 0) for node in nodes)
        assert requested == sum(pod.requests.get(resource, 0) for pod in bound)
        assert foreign == sum(pod.requests.get(resource, 0) for pod in bound if not pod.workload)


@given(NODES, PODS)
def test_every_living_pod_of_ours_is_in_its_workload(nodes: list[NodeFacts], pods: list[PodFacts]) -> None:
    living = [pod for pod in pods if pod.workload and not pod.ended]
    workloads = report(nodes, pods).workloads
    assert {w.uid for w in workloads} == {pod.workload for pod in living}
    assert sum(w.bound + w.waiting for w in workloads) == len(living)
    assert sum(w.terminating for w in workloads) == sum(pod.terminating for pod in living)


def test_five_thousand_nodes_of_one_kind_are_one_entry() -> None:
    nodes = [replace(NODE, name=f"n{i:04}") for i in range(5000)]
    assert [group.count for group in report(nodes, []).nodes] == [5000]
