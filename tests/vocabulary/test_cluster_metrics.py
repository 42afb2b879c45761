import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocabulary.cluster_metrics import (
    ClusterReport,
    NodeGroup,
    NotCounted,
    Taint,
    WorkloadPods,
    format_report,
    summed,
)
from vocabulary.report_reading import BadReport, parse_report

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./", min_size=1, max_size=20)
COUNTS = st.integers(0, 5000)
TIMES = st.integers(0, 2**42).map(lambda ms: ms / 1000)
AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "pods", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi"]),
    st.integers(0, 10**9),
    max_size=6,
)
GROUPS = st.builds(
    NodeGroup,
    name=NAMES,
    count=st.integers(1, 5000),
    allocatable=AMOUNTS,
    requested=AMOUNTS,
    foreign=AMOUNTS,
    labels=st.dictionaries(NAMES, NAMES, max_size=3),
    taints=st.lists(st.builds(Taint, NAMES, NAMES, NAMES), max_size=3).map(tuple),
    unschedulable=st.booleans(),
    ready=st.booleans(),
    conditions=st.lists(NAMES, max_size=2).map(tuple),
    pending=AMOUNTS,
    terminating=AMOUNTS,
    terminating_until=TIMES,
)
WORKLOADS = st.builds(WorkloadPods, NAMES, COUNTS, COUNTS, COUNTS, COUNTS, st.text(max_size=256), TIMES)
REPORTS = st.builds(
    ClusterReport,
    observed_at=TIMES,
    sequence=st.integers(0, 2**53),
    nodes=st.lists(GROUPS, max_size=3, unique_by=lambda group: group.name).map(tuple),
    workloads=st.lists(WORKLOADS, max_size=4, unique_by=lambda pods: pods.uid).map(
        lambda found: tuple(sorted(found, key=lambda pods: pods.uid))
    ),
    not_counted=st.lists(st.builds(NotCounted, NAMES, NAMES, COUNTS), max_size=3).map(summed),
)


@given(REPORTS)
def test_a_report_survives_the_way_through_json(report: ClusterReport) -> None:
    assert parse_report(json.loads(json.dumps(format_report(report)))) == report


def test_amounts_are_written_as_quantities() -> None:
    group = NodeGroup(
        name="n1",
        count=3,
        allocatable={"cpu": 3_920, "memory": (64 << 30) * 1000, "nvidia.com/gpu": 8_000},
        requested={"cpu": 1_000},
        foreign={},
        labels={},
        taints=(),
        unschedulable=False,
        ready=True,
    )
    written = format_report(ClusterReport(1.5, 7, (group,), ()))
    assert written["observedAtSeconds"] == "1.500"
    assert written["nodes"][0]["allocatableResources"] == {
        "cpu": "3920m",
        "memory": "64Gi",
        "nvidia.com/gpu": "8",
    }


def status(**changes: Any) -> dict[str, Any]:
    return {"observedAtSeconds": "100.000", "sequence": 1, "nodes": [], "workloads": []} | changes


def test_the_report_of_an_older_agent() -> None:
    """kueue-ks knows neither count nor foreign use: one node, and all use is foreign."""
    node = {
        "name": "n1",
        "allocatableResources": {"cpu": "4"},
        "allocatedResourceRequests": {"cpu": "0.0005"},
        "taints": [{"key": "gpu", "effect": "NoSchedule"}],
    }
    (group,) = parse_report(status(nodes=[node])).nodes
    assert group.count == 1
    assert group.requested == group.foreign == {"cpu": 1}  # use is rounded up
    assert group.taints == (Taint("gpu", "", "NoSchedule"),)
    assert group.ready
    assert not group.unschedulable


def test_capacity_is_rounded_down_and_null_lists_are_empty() -> None:
    node = {"name": "n1", "allocatableResources": {"cpu": "1.9999"}, "labels": None, "taints": None}
    (group,) = parse_report(status(nodes=[node], workloads=None)).nodes
    assert group.allocatable == {"cpu": 1999}
    assert "memory" not in group.allocatable  # not reported is absent, never 0


def test_a_report_from_before_readiness_and_problems() -> None:
    (pods,) = parse_report(status(workloads=[{"uid": "w", "bound": 2}])).workloads
    assert (pods.ready, pods.problem) == (0, "")


def test_a_long_problem_is_cut_on_both_sides() -> None:
    long = WorkloadPods("w", 1, 0, 0, problem="x" * 300)
    written = format_report(ClusterReport(1.0, 1, (), (long,)))
    assert written["workloads"][0]["problem"] == "x" * 256
    (read,) = parse_report(status(workloads=[{"uid": "w", "problem": "y" * 300}])).workloads
    assert read.problem == "y" * 256, "a worker's agent may be somebody else's"


class Bad(NamedTuple):
    reason: str
    given: Any
    names: str  # what the text must name


BAD = [
    Bad("an empty status", {}, "observedAtSeconds"),
    Bad("no sequence", {"observedAtSeconds": "1"}, "sequence"),
    Bad("a sequence that is no number", status(sequence="x"), "'x'"),
    Bad("a time that is no number", status(observedAtSeconds="soon"), "soon"),
    Bad("nodes that are no list", status(nodes=5), "int"),
    Bad("a workload without uid", status(workloads=[{"bound": 1}]), "uid"),
    Bad("uids that are text, a list of letters", status(workloads=[{"uids": "abc"}]), "uids is 'abc'"),
    Bad("Workloads that had no room: their pods live", status(workloadsLeftOut=7), "no room for 7 Workloads"),
    Bad("a status that is a list", [], "list"),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.reason)
def test_a_bad_report_is_named(case: Bad) -> None:
    with pytest.raises(BadReport) as bad:
        parse_report(case.given)
    assert case.names in str(bad.value)


SENSELESS = [
    Bad("a time that is not a number", status(observedAtSeconds="nan"), "nan"),
    Bad("a time that never comes", status(observedAtSeconds="inf"), "inf"),
    Bad("a sequence that JSON calls 1e999", status(sequence=float("inf")), "infinity"),
    Bad("fewer than no pods", status(workloads=[{"uid": "u", "bound": -3}]), "-3"),
    Bad("fewer than no pods that are ready", status(workloads=[{"uid": "u", "ready": -3}]), "ready is -3"),
    Bad("a time before all time", status(observedAtSeconds="-1"), "observedAtSeconds is -1"),
]


@pytest.mark.parametrize("case", SENSELESS, ids=lambda case: case.reason)
def test_a_number_that_makes_no_sense_is_named(case: Bad) -> None:
    with pytest.raises(BadReport) as bad:
        parse_report(case.given)
    assert case.names in str(bad.value)


class Cell(NamedTuple):
    reason: str
    node: Any  # listed after one that is well
    named: str  # what not_counted says of it
    allocatable: dict[str, int] | None = None  # what is left of it; None: the whole group is left out


def node(cpu: Any = "4", **changes: Any) -> dict[str, Any]:
    return {"name": "n1", "allocatableResources": {"cpu": cpu, "memory": "1Ki"}} | changes


MEMORY = {"memory": 1_024_000}
WELL = {"name": "well", "allocatableResources": {"cpu": "1"}}
ASKS_NEGATIVE = node(allocatedResourceRequests={"cpu": "-1"}, foreignResourceRequests={})
OF_SOMEBODY = node(allocatedResourceRequests={"cpu": "1"}, foreignResourceRequests={"cpu": "?"})
CELLS = [
    Cell("no name", {"allocatableResources": {"cpu": "4"}}, "nodes[1]: it has no 'name'"),
    Cell("a name that is a number", node(name=5), "nodes[1]: name is 5"),
    Cell("no nodes in the group", node(count=0), "nodes[1]: count is 0"),
    Cell("a million nodes", node(count=10**6), "nodes[1]: count is 1000000"),
    Cell("text where a group should be", "n1", "nodes[1]: string indices must be integers"),
    Cell("amounts that are a list", node(allocatableResources=["cpu"]), "nodes[1]: 'list' object has no"),
    Cell("a taint without effect", node(taints=[{"key": "a"}]), "nodes[1]: it has no 'effect'"),
    Cell("a name that is taken", node(name="well", count=9), "node well: it is listed twice"),
    Cell("no quantity", node("four"), "node n1: cpu: 'four' is not a quantity", MEMORY),
    Cell("an unknown unit", node("4 cores"), "node n1: cpu: '4 cores' is not a quantity", MEMORY),
    Cell("not a number", node(float("nan")), "node n1: cpu: nan is not a quantity", MEMORY),
    Cell("less than nothing", node("-4"), "node n1: cpu: -4 is less than nothing", MEMORY),
    Cell("the whole world's cores", node("9E"), "node n1: cpu: 9E is more than any node has (10", MEMORY),
    Cell("unknown use is no room", ASKS_NEGATIVE, "node n1: cpu: -1 is less than nothing", MEMORY),
    Cell("nor is use by nobody knows whom", OF_SOMEBODY, "node n1: cpu: '?' is not a quantity", MEMORY),
]


@pytest.mark.parametrize("case", CELLS, ids=lambda case: case.reason)
def test_a_bad_cell_is_left_out_and_named_and_all_others_stand(case: Cell) -> None:
    report = parse_report(status(nodes=[WELL, case.node]))
    groups = {group.name: group for group in report.nodes}
    assert (groups["well"].allocatable, groups["well"].count) == ({"cpu": 1000}, 1)
    assert (groups["n1"].allocatable if "n1" in groups else None) == case.allocatable
    (named,) = map(str, report.not_counted)
    assert named.startswith(case.named)


def test_a_hint_that_cannot_be_read_costs_no_capacity() -> None:
    report = parse_report(status(nodes=[node(pendingResourceRequests={"cpu": "x"})]))
    assert report.nodes[0].allocatable["cpu"] == 4000
    assert report.nodes[0].pending == {}
    assert report.not_counted == ()


def test_what_is_left_out_is_told_once_per_reason_and_not_without_end() -> None:
    many = [node("x", name=f"n{i}", count=2) for i in range(50)]
    (named,) = parse_report(status(nodes=many)).not_counted
    assert (named.about, named.count) == ("node n0: cpu", 100)
    unlike = [node(f"x{i}", name=f"n{i}") for i in range(50)]
    told = parse_report(status(nodes=unlike)).not_counted
    assert len(told) == 32
    assert sum(each.count for each in told) == 50


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "uid", "count", "cpu"]), inner)
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "observedAtSeconds": st.just("1") | JSON,
            "sequence": st.just(1) | JSON,
            "nodes": st.lists(
                st.fixed_dictionaries({}, optional={"name": JSON, "count": JSON, "labels": JSON})
            )
            | JSON,
            "workloads": JSON,
        },
    )
)
def test_whatever_a_worker_sends_it_is_a_report_or_bad(given_status: dict[str, Any]) -> None:
    try:
        report = parse_report(given_status)
    except BadReport:
        return
    assert isinstance(report, ClusterReport)
