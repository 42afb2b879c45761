import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vocabulary.cluster_metrics import (
    BadReport,
    ClusterReport,
    NodeGroup,
    Taint,
    WorkloadPods,
    format_report,
    parse_report,
)

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-./", min_size=1, max_size=20)
COUNTS = st.integers(0, 5000)
AMOUNTS = st.dictionaries(
    st.sampled_from(["cpu", "memory", "pods", "ephemeral-storage", "nvidia.com/gpu", "hugepages-2Mi"]),
    st.integers(0, 2**62),
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
)
REPORTS = st.builds(
    ClusterReport,
    observed_at=st.integers(0, 2**42).map(lambda ms: ms / 1000),
    sequence=st.integers(0, 2**53),
    nodes=st.lists(GROUPS, max_size=3).map(tuple),
    workloads=st.lists(
        st.builds(WorkloadPods, NAMES, COUNTS, COUNTS, COUNTS, COUNTS, st.text(max_size=256)), max_size=3
    ).map(tuple),
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
    Bad("a node without name", status(nodes=[{}]), "name"),
    Bad("a group of no nodes", status(nodes=[{"name": "n1", "count": 0}]), "nodes[n1].count is 0"),
    Bad(
        "a quantity that is none",
        status(nodes=[{"name": "n1", "allocatableResources": {"cpu": "four"}}]),
        "'four' is not a quantity",
    ),
    Bad("amounts that are a list", status(nodes=[{"name": "n1", "allocatableResources": ["cpu"]}]), "list"),
    Bad("nodes that are no list", status(nodes=5), "int"),
    Bad("nodes that are text", status(nodes=["n1"]), "str"),
    Bad("a taint without effect", status(nodes=[{"name": "n1", "taints": [{"key": "a"}]}]), "effect"),
    Bad("a workload without uid", status(workloads=[{"bound": 1}]), "uid"),
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
    Bad(
        "less than nothing allocatable",
        status(nodes=[{"name": "n", "allocatableResources": {"cpu": "-4"}}]),
        "-4",
    ),
]


@pytest.mark.parametrize("case", SENSELESS, ids=lambda case: case.reason)
def test_a_number_that_makes_no_sense_is_named(case: Bad) -> None:
    with pytest.raises(BadReport) as bad:
        parse_report(case.given)
    assert case.names in str(bad.value)


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
