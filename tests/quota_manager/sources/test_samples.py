"""A Prometheus' samples become the facts of an agent's report; what is bad is left out and named."""

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota_manager.sources.queries import Wanted
from quota_manager.sources.samples import NAME, Sample, read
from tests.quota_manager.sources.prometheus_answers import (
    GI,
    ONE_NODE,
    WANTED,
    answers,
    cpu,
    memory,
    node,
    sample,
)
from vocabulary.cluster_metrics import NodeGroup, Taint

N1 = NodeGroup(
    name="n1",
    count=1,
    allocatable={"cpu": 8_000, "memory": 16 * GI * 1000, "nvidia.com/gpu": 4_000},
    requested={"cpu": 2_500},
    foreign={"cpu": 500},
    labels={"pool": "a", "example.com/gpu": "h100"},
    taints=(),
    unschedulable=False,
    ready=True,
)


def test_one_node_as_its_agent_would_report_it() -> None:
    reading = read(answers(), WANTED, "cluster")
    facts = reading.reports["w1"]
    assert (facts.problem, facts.source, reading.bad) == ("", NAME, ())
    assert facts.report is not None
    assert facts.report.nodes == (N1,)
    assert facts.report.observed_at == 1764000000.25


class Bad(NamedTuple):
    reason: str
    question: str
    samples: Sequence[Sample]
    named: str
    cpu: int | None  # what is left of n1's; None: nothing


REST = [memory(16 * GI), node(4, resource="nvidia_com_gpu", unit="integer")]
BAD = [
    Bad("not a number", "allocatable", [cpu("NaN"), *REST], "n1 cpu is NaN (not_finite)", None),
    Bad("endless", "allocatable", [cpu("+Inf"), *REST], "n1 cpu is +Inf (not_finite)", None),
    Bad("less than nothing", "allocatable", [cpu("-1"), *REST], "n1 cpu is -1 (out_of_range)", None),
    Bad("absurd", "allocatable", [cpu("1e300"), *REST], "n1 cpu is 1e300 (out_of_range)", None),
    Bad("twice", "allocatable", [cpu(8), cpu(9), *REST], "n1 cpu is 9 (duplicate)", None),
    Bad("twice, thrice", "allocatable", [cpu(8), cpu(8), cpu(8), *REST], "n1 cpu is 8 (duplicate)", None),
    Bad("two watchers disagree", "conflicting", [cpu(9)], "n1 cpu is 9 (conflicting)", None),
    Bad(
        "an unknown unit",
        "allocatable",
        [cpu(8, unit="millicore"), *REST],
        "n1 cpu is 8 millicore (unknown_unit)",
        None,
    ),
    Bad("no unit", "allocatable", [cpu(8, unit=""), *REST], "n1 cpu is 8 without unit (unknown_unit)", None),
    Bad(
        "use that is not a number: then what is left is not known",
        "foreign",
        [cpu("NaN")],
        "n1 cpu is NaN (not_finite)",
        None,
    ),
    Bad(
        "use in an unknown unit",
        "foreign",
        [cpu(1, unit="bananas")],
        "n1 cpu is 1 bananas (unknown_unit)",
        None,
    ),
    Bad(
        "a request inside a sum that is no amount",
        "bad_requests",
        [node(-1, resource="cpu")],
        "n1 cpu is -1 (no_amount)",
        None,
    ),
    Bad(
        "a resource that nobody asked for",
        "allocatable",
        [*ONE_NODE["allocatable"], node(1, resource="tpu")],
        "n1 tpu is 1 (unknown_resource)",
        8_000,
    ),
    Bad(
        "no cluster",
        "allocatable",
        [*ONE_NODE["allocatable"], Sample({"node": "n9", "resource": "cpu"}, "1")],
        "n9 is 1 (no_cluster)",
        8_000,
    ),
    Bad(
        "no node",
        "allocatable",
        [*ONE_NODE["allocatable"], sample(1, resource="cpu")],
        "cpu is 1 (no_node)",
        8_000,
    ),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.reason)
def test_bad_samples_are_left_out_and_named(case: Bad) -> None:
    reading = read(answers(**{case.question: case.samples}), WANTED, "cluster")
    report = reading.reports["w1"].report
    assert report is not None
    (group,) = report.nodes
    assert group.allocatable.get("cpu") == case.cpu
    assert group.allocatable["memory"] == 16 * GI * 1000, "the others go on"
    assert case.named in {str(bad) for bad in reading.bad}


class Node(NamedTuple):
    """A second node, n2, that is not like n1, and what it is then; None: it is not counted."""

    reason: str
    unschedulable: object
    ready: object
    want: tuple[bool, bool] | None
    named: str = ""


TWO = [cpu(8), cpu(8, "n2")]
NODES = [
    Node("like n1", 0, 1, (False, True)),
    Node("cordoned", 1, 1, (True, True)),
    Node("not ready", 0, 0, (False, False)),
    Node("no flag", 0, 0.5, None, "n2 is 0.5 (no_flag)"),
    Node("not known whether it is cordoned", None, 1, None, "n2 is without condition or spec (incomplete)"),
    Node("not known whether it is ready", 0, None, None, "n2 is without condition or spec (incomplete)"),
]


@pytest.mark.parametrize("case", NODES, ids=lambda case: case.reason)
def test_a_node_counts_when_all_is_known(case: Node) -> None:
    def flags(n1: object, n2: object) -> list[Sample]:
        return [node(n1), *([] if n2 is None else [node(n2, "n2")])]

    reading = read(
        answers(
            allocatable=TWO,
            foreign=[],
            requested=[],
            unschedulable=flags(0, case.unschedulable),
            ready=flags(1, case.ready),
            labels=[node(1, name, label_pool="a", label_example_com_gpu="h100") for name in ("n1", "n2")],
        ),
        WANTED,
        "cluster",
    )
    report = reading.reports["w1"].report
    assert report is not None
    got = {(g.unschedulable, g.ready): g.count for g in report.nodes}
    want = {(False, True): 1}
    if case.want is not None:
        want[case.want] = want.get(case.want, 0) + 1
    assert got == want
    if case.named:
        assert case.named in {str(bad) for bad in reading.bad}


class Unusable(NamedTuple):
    reason: str
    changed: dict[str, list[Sample]]
    problem: str


UNUSABLE = [
    Unusable("no pods are shown: all nodes would look empty", {"pods": []}, "kube_pod_info"),
    Unusable("no age", {"scraped_at": []}, "when it was scraped"),
    Unusable("an age that is none", {"scraped_at": [sample("NaN")]}, "when it was scraped"),
    Unusable("no readiness of any node", {"ready": []}, "no node that can be used"),
    Unusable("no node's spec", {"unschedulable": []}, "no node that can be used"),
    Unusable("no amounts", {"allocatable": []}, "no node that can be used"),
    Unusable(
        "labels that flavors go by are not shown", {"labels": []}, "no node with label example.com/gpu, pool"
    ),
    Unusable(
        "one of them is not", {"labels": [node(1, label_pool="a")]}, "no node with label example.com/gpu,"
    ),
]


@pytest.mark.parametrize("case", UNUSABLE, ids=lambda case: case.reason)
def test_what_is_not_known_is_not_nothing(case: Unusable) -> None:
    facts = read(answers(**case.changed), WANTED, "cluster").reports["w1"]
    assert facts.report is None
    assert case.problem in facts.problem


def test_another_label_tells_the_clusters_apart() -> None:
    def moved(sample: Sample) -> Sample:
        rest = {key: value for key, value in sample.labels.items() if key != "cluster"}
        return Sample({"site": "w1", **rest}, sample.value)

    at_sites = {question: [moved(sample) for sample in given] for question, given in answers().items()}
    reading = read(at_sites, WANTED, "site")
    assert reading.bad == ()
    assert reading.reports["w1"].report == read(answers(), WANTED, "cluster").reports["w1"].report


def test_taints() -> None:
    gpu = node(1, key="gpu", value="h100", effect="NoSchedule")
    report = read(answers(taints=[gpu]), WANTED, "cluster").reports["w1"].report
    assert report is not None
    assert report.nodes[0].taints == (Taint("gpu", "h100", "NoSchedule"),)


def test_two_names_with_one_spelling_cannot_be_told_apart() -> None:
    wanted = Wanted(frozenset({"cpu", "a.b/c", "a-b/c"}), frozenset())
    reading = read(
        answers(allocatable=[cpu(8), node(1, resource="a_b_c", unit="integer")], foreign=[], requested=[]),
        wanted,
        "cluster",
    )
    report = reading.reports["w1"].report
    assert report is not None
    assert report.nodes[0].allocatable == {"cpu": 8_000}
    assert "n1 a_b_c is 1 (unknown_resource)" in {str(bad) for bad in reading.bad}


@pytest.mark.parametrize(
    ("reason", "allocatable", "foreign", "want"),
    [
        ("a sum of binary fractions is the number that it means", "8", "0.30000000000000004", (8_000, 300)),
        ("what there is goes down, what is used goes up", "7.9999", "0.0001", (7_999, 1)),
        ("as JSON writes great numbers", "1.6e+01", "1e-3", (16_000, 1)),
    ],
)
def test_amounts_are_exact(reason: str, allocatable: str, foreign: str, want: tuple[int, int]) -> None:
    report = (
        read(answers(allocatable=[cpu(allocatable)], foreign=[cpu(foreign)]), WANTED, "cluster")
        .reports["w1"]
        .report
    )
    assert report is not None
    assert (report.nodes[0].allocatable["cpu"], report.nodes[0].foreign["cpu"]) == want, reason


WILD = st.dictionaries(
    st.sampled_from(["cluster", "node", "resource", "unit", "key"]),
    st.sampled_from(["", "w1", "n1", "cpu", "core"]),
)
VALUES = st.one_of(
    st.sampled_from(["NaN", "+Inf", "-Inf", "0", "1", "", "x", "1e999", "-0"]), st.floats().map(str)
)


@given(
    st.fixed_dictionaries({name: st.lists(st.builds(Sample, WILD, VALUES), max_size=4) for name in ONE_NODE})
)
def test_nothing_that_a_server_says_stops_us(wild: dict[str, list[Sample]]) -> None:
    for facts in read(wild, WANTED, "cluster").reports.values():
        assert (facts.report is None) == bool(facts.problem)
        for group in facts.report.nodes if facts.report else ():
            for amounts in (group.allocatable, group.foreign, group.requested):
                assert all(amount >= 0 for amount in amounts.values())


@given(st.permutations(range(3)))
def test_order_does_not_matter(order: list[int]) -> None:
    given = answers()
    mixed = {**given, "allocatable": [given["allocatable"][i] for i in order]}
    assert read(mixed, WANTED, "cluster") == read(given, WANTED, "cluster")
