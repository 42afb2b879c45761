from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota_manager.capacity import Capacity, Overlap, Part, Standing, Unmatched, fold
from quota_manager.facts import Cell, Flavor, Toleration
from tests.quota_manager.builders import flavor, nodes, report
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, Taint

GPU_TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")


class Case(NamedTuple):
    reason: str
    nodes: Sequence[NodeGroup]
    want: Mapping[Cell, int]
    flavors: Sequence[Flavor] = (flavor(),)
    resources: Sequence[str] = ("cpu",)


CPU = Cell("default", "cpu")
CASES = [
    Case("a flavor without labels takes every node", [nodes({"cpu": 4000}, count=3)], {CPU: 12_000}),
    Case(
        "what pods that are not ours ask for is gone, on each of the nodes",
        [nodes({"cpu": 4000}, count=2, foreign={"cpu": 1500})],
        {CPU: 5000},
    ),
    Case(
        "an overcommitted node has nothing, and takes nothing from its neighbours",
        [nodes({"cpu": 4000}, foreign={"cpu": 9000}), nodes({"cpu": 4000}, name="n2")],
        {CPU: 4000},
    ),
    Case("a cordoned node does not count", [nodes({"cpu": 4000}, unschedulable=True)], {}),
    Case("a node that is not ready does not count", [nodes({"cpu": 4000}, ready=False)], {}),
    Case("a resource that no node reports is absent", [nodes({"memory": 1000})], {}),
    Case("a resource that no queue offers is not folded", [nodes({"cpu": 1, "memory": 1})], {CPU: 1}),
    Case(
        "pods are a resource like any other",
        [nodes({"pods": 110_000}, foreign={"pods": 10_000})],
        {Cell("default", "pods"): 100_000},
        resources=["pods"],
    ),
    Case(
        "labels must all match",
        [
            nodes({"cpu": 1}, name="n1", labels={"arch": "amd64", "pool": "a"}),
            nodes({"cpu": 2}, name="n2", labels={"arch": "amd64", "pool": "b"}),
            nodes({"cpu": 4}, name="n3", labels={"pool": "a"}),
        ],
        {Cell("a", "cpu"): 1},
        flavors=[flavor("a", labels={"arch": "amd64", "pool": "a"})],
    ),
    Case(
        "a node belongs to the first flavor that takes it",
        [nodes({"cpu": 1}, labels={"pool": "a"}), nodes({"cpu": 2}, name="n2", labels={"pool": "b"})],
        {Cell("a", "cpu"): 1, Cell("any", "cpu"): 2},
        flavors=[flavor("a", labels={"pool": "a"}), flavor("any")],
    ),
    Case("a taint keeps a flavor out", [nodes({"cpu": 1}, taints=[GPU_TAINT])], {}),
    Case(
        "unless it only prefers",
        [nodes({"cpu": 1}, taints=[Taint("x", "", "PreferNoSchedule")])],
        {CPU: 1},
    ),
    Case(
        "or the flavor lists it as its own",
        [nodes({"cpu": 1}, taints=[GPU_TAINT])],
        {CPU: 1},
        flavors=[flavor(taints=[GPU_TAINT])],
    ),
    Case(
        "a taint of another effect is another taint",
        [nodes({"cpu": 1}, taints=[Taint("nvidia.com/gpu", "present", "NoExecute")])],
        {},
        flavors=[flavor(taints=[GPU_TAINT])],
    ),
    Case(
        "tolerated by its value",
        [nodes({"cpu": 1}, taints=[GPU_TAINT])],
        {CPU: 1},
        flavors=[flavor(tolerations=[Toleration("nvidia.com/gpu", "Equal", "present", "NoSchedule")])],
    ),
    Case(
        "another value does not tolerate it",
        [nodes({"cpu": 1}, taints=[GPU_TAINT])],
        {},
        flavors=[flavor(tolerations=[Toleration("nvidia.com/gpu", "Equal", "absent", "")])],
    ),
    Case(
        "tolerated by its key, for every effect",
        [nodes({"cpu": 1}, taints=[GPU_TAINT, Taint("nvidia.com/gpu", "", "NoExecute")])],
        {CPU: 1},
        flavors=[flavor(tolerations=[Toleration("nvidia.com/gpu", "Exists", "", "")])],
    ),
    Case(
        "a toleration of everything",
        [nodes({"cpu": 1}, taints=[GPU_TAINT])],
        {CPU: 1},
        flavors=[flavor(tolerations=[Toleration("", "Exists", "", "")])],
    ),
    Case(
        "a toleration for another effect does not help",
        [nodes({"cpu": 1}, taints=[GPU_TAINT])],
        {},
        flavors=[flavor(tolerations=[Toleration("nvidia.com/gpu", "Exists", "", "NoExecute")])],
    ),
    Case(
        "an operator that we do not know tolerates nothing",
        [nodes({"cpu": 1}, taints=[GPU_TAINT])],
        {},
        flavors=[flavor(tolerations=[Toleration("nvidia.com/gpu", "Gt", "present", "")])],
    ),
    Case(
        "all taints of a node must be tolerated",
        [nodes({"cpu": 1}, taints=[GPU_TAINT, Taint("other", "", "NoSchedule")])],
        {},
        flavors=[flavor(tolerations=[Toleration("nvidia.com/gpu", "Exists", "", "")])],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_fold(case: Case) -> None:
    flavors = {f.name: f for f in case.flavors}
    capacity = fold({"w1": report(*case.nodes)}, flavors, dict.fromkeys(case.resources, tuple(flavors)))
    assert capacity.shares["w1"].amounts == case.want


def test_clusters_are_added_up_and_kept_apart() -> None:
    reports = {"w2": report(nodes({"cpu": 2})), "w1": report(nodes({"cpu": 1}), nodes({"cpu": 4}, name="b"))}
    capacity = fold(reports, {"default": flavor()}, {"cpu": ["default"]})
    assert capacity.by_cluster(CPU) == {"w1": 5, "w2": 2}
    assert capacity.total(CPU) == 7
    assert capacity.total(Cell("default", "memory")) == 0


def test_cpus_and_gpus_of_one_node_may_belong_to_different_flavors() -> None:
    flavors = {"x86": flavor("x86"), "a100": flavor("a100", labels={"gpu": "a100"})}
    node = nodes({"cpu": 64_000, "gpu": 8000}, labels={"gpu": "a100"})
    capacity = fold({"w1": report(node)}, flavors, {"cpu": ["x86"], "gpu": ["a100"]})
    assert capacity.shares["w1"].amounts == {Cell("x86", "cpu"): 64_000, Cell("a100", "gpu"): 8000}
    assert capacity.overlaps == [], "two resources, no overlap"


def test_overlaps_are_told() -> None:
    flavors = {name: flavor(name) for name in ("a", "b", "c")}
    capacity = fold({"w1": report(nodes({"cpu": 1}, count=2))}, flavors, {"cpu": ["b", "a", "c"]})
    assert capacity.overlaps == [Overlap("w1", "n1", 2, "b", ("a", "c"))]
    assert "2 nodes like n1 counted as b" in str(capacity.overlaps[0])


def test_nodes_in_no_flavor_are_told_with_what_kept_them_out() -> None:
    flavors = {"a": flavor("a", labels={"pool": "a"})}
    tainted = nodes({"cpu": 1}, name="n2", labels={"pool": "a"}, taints=[GPU_TAINT])
    cordoned = nodes({"cpu": 1}, name="n3", unschedulable=True)
    capacity = fold({"w1": report(nodes({"cpu": 1}), tainted, cordoned)}, flavors, {"cpu": ["a"]})
    assert capacity.unmatched == [Unmatched("w1", "n1", 1, None), Unmatched("w1", "n2", 1, GPU_TAINT)]
    assert "tolerates nvidia.com/gpu:NoSchedule" in str(capacity.unmatched[1])


def test_a_node_that_kubernetes_itself_keeps_free_for_a_while_is_no_news() -> None:
    pressed = nodes({"cpu": 1}, taints=[Taint("node.kubernetes.io/memory-pressure", "", "NoSchedule")])
    capacity = fold({"w1": report(pressed)}, {"default": flavor()}, {"cpu": ["default"]})
    assert (capacity.total(CPU), capacity.unmatched) == (0, [])


def test_a_flavor_that_does_not_exist_takes_no_node() -> None:
    capacity = fold({"w1": report(nodes({"cpu": 1}))}, {"b": flavor("b")}, {"cpu": ["a", "b"]})
    assert capacity.shares["w1"].amounts == {Cell("b", "cpu"): 1}


class PartCase(NamedTuple):
    reason: str
    nodes: Sequence[NodeGroup]
    want: Part
    standing: Standing = Standing.COUNTS


PARTS = [
    PartCase(
        "foreign use and what is out of use are told apart",
        [
            nodes({"cpu": 10}, count=2, foreign={"cpu": 3}),
            nodes({"cpu": 5}, name="b", unschedulable=True, foreign={"cpu": 1}),
            nodes({"cpu": 7}, name="c", ready=False, unschedulable=True),
            nodes({"cpu": 9}, name="d", taints=[GPU_TAINT]),
        ],
        Part(41, 6, {"node cordoned": 5, "node not ready": 7, "node tainted": 9}),
    ),
    PartCase("more foreign use than there is", [nodes({"cpu": 4}, foreign={"cpu": 9})], Part(4, 4, {})),
    PartCase(
        "of a cordoned cluster counts what our jobs use",
        [nodes({"cpu": 10}, count=2, foreign={"cpu": 3}, ours={"cpu": 5})],
        Part(20, 6, {"cluster cordoned": 4}),
        Standing.CORDONED,
    ),
    PartCase(
        "of an overcommitted cordoned node not more than is left",
        [nodes({"cpu": 10}, foreign={"cpu": 7}, ours={"cpu": 5})],
        Part(10, 7, {}),
        Standing.CORDONED,
    ),
    PartCase(
        "an idle cordoned cluster is out",
        [nodes({"cpu": 10})],
        Part(10, 0, {"cluster cordoned": 10}),
        Standing.CORDONED,
    ),
    PartCase(
        "of a silent cluster counts nothing, whatever it said",
        [nodes({"cpu": 10}, foreign={"cpu": 3}), nodes({"cpu": 1}, name="b", ready=False)],
        Part(11, 0, {"cluster silent": 11}),
        Standing.SILENT,
    ),
]


@pytest.mark.parametrize("case", PARTS, ids=lambda case: case.reason)
def test_what_became_of_the_rest(case: PartCase) -> None:
    capacity = fold(
        {"w1": report(*case.nodes)},
        {"default": flavor()},
        {"cpu": ["default"]},
        cordoned={"w1"} if case.standing is Standing.CORDONED else frozenset(),
        silent={"w1"} if case.standing is Standing.SILENT else frozenset(),
    )
    assert capacity.shares["w1"].parts == {CPU: case.want}
    assert capacity.total(CPU) == case.want.amount


LABELS = st.dictionaries(st.sampled_from(["pool", "arch"]), st.sampled_from("xy"), max_size=2)
TAINTS = st.sampled_from([(), (GPU_TAINT,), (Taint("soft", "", "PreferNoSchedule"),)])
AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory"]), st.integers(0, 2**70), max_size=2)
GROUPS = st.builds(
    nodes,
    AMOUNTS,
    name=st.sampled_from(["n1", "n2", "n3"]),
    count=st.integers(1, 3),
    foreign=AMOUNTS,
    labels=LABELS,
    taints=TAINTS,
    unschedulable=st.booleans(),
    ready=st.booleans(),
)
REPORTS = st.dictionaries(
    st.sampled_from(["w1", "w2", "w3"]), st.lists(GROUPS, max_size=4).map(lambda gs: report(*gs)), max_size=3
)
FLAVORS = st.lists(
    st.builds(flavor, st.sampled_from(["a", "b", "c"]), labels=LABELS, taints=TAINTS),
    max_size=3,
    unique_by=lambda f: f.name,
)


def all_offered(flavors: Sequence[Flavor]) -> tuple[dict[str, Flavor], dict[str, tuple[str, ...]]]:
    names = tuple(f.name for f in flavors)
    return {f.name: f for f in flavors}, {"cpu": names, "memory": names}


def counted(group: NodeGroup, resource: str) -> int:
    return group.count * max(0, group.allocatable.get(resource, 0) - group.foreign.get(resource, 0))


@given(REPORTS, FLAVORS)
def test_each_node_is_counted_exactly_once(
    reports: dict[str, ClusterReport], flavors: Sequence[Flavor]
) -> None:
    by_name, offered = all_offered(flavors)
    capacity = fold(reports, by_name, offered)
    for resource in offered:
        taken = sum(capacity.total(Cell(f.name, resource)) for f in flavors)
        alone = [fold({c: report(g)}, by_name, offered) for c, r in reports.items() for g in r.nodes]
        one_by_one = [max((a.total(Cell(f.name, resource)) for f in flavors), default=0) for a in alone]
        assert taken == sum(one_by_one), "no node in two flavors, none lost"
        ready = [g for r in reports.values() for g in r.nodes if g.ready and not g.unschedulable]
        assert taken <= sum(counted(g, resource) for g in ready)


@given(REPORTS, FLAVORS, st.randoms())
def test_the_order_of_clusters_and_nodes_changes_nothing(
    reports: dict[str, ClusterReport], flavors: Sequence[Flavor], random: Random
) -> None:
    shuffled = {}
    for name in reversed(reports):
        groups = list(reports[name].nodes)
        random.shuffle(groups)
        shuffled[name] = report(*groups)
    by_name, offered = all_offered(flavors)
    one, other = fold(reports, by_name, offered), fold(shuffled, by_name, offered)
    assert (one.overlaps, one.unmatched) == (other.overlaps, other.unmatched)
    for name in by_name:
        for resource in offered:
            assert one.by_cluster(Cell(name, resource)) == other.by_cluster(Cell(name, resource))


@given(REPORTS, FLAVORS, GROUPS)
def test_more_nodes_never_make_less(
    reports: dict[str, ClusterReport], flavors: Sequence[Flavor], more: NodeGroup
) -> None:
    by_name, offered = all_offered(flavors)
    before = fold(reports, by_name, offered)
    after = fold({**reports, "w9": report(more)}, by_name, offered)
    for name in by_name:
        for resource in offered:
            assert after.total(Cell(name, resource)) >= before.total(Cell(name, resource))


@given(REPORTS)
def test_amounts_are_exact_integers(reports: dict[str, ClusterReport]) -> None:
    capacity = fold(reports, {"any": flavor("any", taints=[GPU_TAINT])}, {"cpu": ["any"], "memory": ["any"]})
    for resource in ("cpu", "memory"):
        ready = [g for r in reports.values() for g in r.nodes if g.ready and not g.unschedulable]
        total = capacity.total(Cell("any", resource))
        assert type(total) is int
        assert total == sum(counted(g, resource) for g in ready)


NAMES = st.frozensets(st.sampled_from(["w1", "w2", "w3"]))


@given(st.lists(st.tuples(REPORTS, FLAVORS, NAMES, NAMES, NAMES), min_size=1, max_size=4))
def test_what_was_counted_before_changes_nothing(
    questions: list[
        tuple[dict[str, ClusterReport], Sequence[Flavor], frozenset[str], frozenset[str], frozenset[str]]
    ],
) -> None:
    before = None
    known: dict[str, ClusterReport] = {}
    for reports, flavors, gone, cordoned, silent in questions:
        known = {name: each for name, each in {**known, **reports}.items() if name not in gone}
        by_name, offered = all_offered(flavors)
        before = fold(known, by_name, offered, cordoned=cordoned, silent=silent, before=before)
        assert before == fold(known, by_name, offered, cordoned=cordoned, silent=silent)
        for cell in {cell for share in before.shares.values() for cell in share.parts}:
            parts = [share.parts[cell] for share in before.shares.values() if cell in share.parts]
            assert sum(part.amount for part in parts) == before.total(cell), "nobody need trust the sum"


def test_a_cluster_is_not_counted_again_for_the_same_report() -> None:
    flavors = {"default": flavor()}
    same, old, new = report(nodes({"cpu": 1})), report(nodes({"cpu": 1})), report(nodes({"cpu": 2}))
    first = fold({"w1": same, "w2": old}, flavors, {"cpu": ["default"]})
    second = fold({"w1": same, "w2": new}, flavors, {"cpu": ["default"]}, before=first)
    assert second.shares["w1"] is first.shares["w1"]
    assert second.total(CPU) == 3


def test_totals_follow_clusters_that_change_and_leave() -> None:
    def look(before: Capacity | None, silent: frozenset[str] = frozenset(), **cpu: int) -> Capacity:
        reports = {name: report(nodes({"cpu": amount})) for name, amount in cpu.items()}
        return fold(reports, {"default": flavor()}, {"cpu": ["default"]}, silent=silent, before=before)

    first = look(None, w1=1, w2=4)
    grown = look(first, w1=2, w2=4)
    left = look(grown, w1=2)
    quiet = look(left, frozenset({"w1"}), w1=2)
    assert [each.total(CPU) for each in (first, grown, left, quiet)] == [5, 6, 2, 0]
