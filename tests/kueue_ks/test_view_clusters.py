"""What a cluster's row says, and that it is what the controllers would decide."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from kube_runtime.quantity import format_milli
from kueue_ks.views import show
from kueue_ks.views.clusters import Cluster, Room, Rules, State, clusters_report
from kueue_ks.views.clusters_text import clusters_lines, fleet_room
from kueue_ks.views.facts import facts_of
from tests.kueue_ks.forecast_builders import lease
from tests.kueue_ks.view_builders import (
    CORDON,
    GIB,
    RESERVED,
    RULES,
    amounts,
    copy,
    managed,
    nodes,
    placed,
    report,
    seen,
    work_status,
    workload,
)
from vocabulary.cluster_metrics import NotCounted, WorkloadPods
from workload_controller.admission_check import judged
from workload_controller.facts import PodSet
from workload_controller.placement import place
from workload_controller.published import Options
from workload_controller.situation import Timing
from workload_controller.verdicts import Fits


def row(name: str = "w1", **fields: Any) -> Cluster:
    rows = clusters_report(facts_of(seen(**fields)), RULES).clusters
    return next(each for each in rows if each.name == name)


def room(cluster: Cluster, resource: str = "cpu") -> Room:
    return next(each for each in cluster.rooms if each.resource == resource)


class Case(NamedTuple):
    reason: str
    given: dict[str, Any]
    state: State
    why: str


ONE = {"statuses": [report("w1", nodes())]}
CASES = [
    Case("takes jobs", {"clusters": [managed("w1")], **ONE}, State.USABLE, ""),
    Case(
        "cordoned by somebody",
        {"clusters": [managed("w1", taints=[CORDON])], **ONE},
        State.CORDONED,
        "it has the NoSelect taint maintenance",
    ),
    Case(
        "not accepted",
        {"clusters": [managed("w1", hubAcceptsClient=False)], **ONE},
        State.UNUSABLE,
        "hubAcceptsClient is false: accept it with clusteradm accept",
    ),
    Case(
        "lost",
        {"clusters": [managed("w1", available="Unknown")], **ONE},
        State.UNUSABLE,
        "ManagedClusterConditionAvailable is Unknown",
    ),
    Case(
        "silent agent",
        {"clusters": [managed("w1")], "statuses": [report("w1", nodes(), age=181)]},
        State.UNUSABLE,
        "its last report is older than 180s, see whether its metrics agent runs",
    ),
    Case(
        "no report",
        {"clusters": [managed("w1")], "statuses": []},
        State.UNUSABLE,
        "its metrics agent has not reported yet, see whether it runs there",
    ),
    Case(
        "a report that cannot be read is told with its field",
        {"clusters": [managed("w1")], "statuses": [work_status("w1", {"sequence": 1})]},
        State.UNUSABLE,
        (
            "its metrics agent has not reported yet, see whether it runs there: "
            "ClusterMetrics.status lacks 'observedAtSeconds'"
        ),
    ),
    Case(
        "reports were not read: not knowing is no refusal",
        {"clusters": [managed("w1")], "statuses": None},
        State.UNKNOWN,
        "its report was not read",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_state(case: Case) -> None:
    cluster = row(**case.given)
    assert (cluster.state, cluster.why) == (case.state, case.why)


def test_four_figures_add_up() -> None:
    cluster = row("w1")
    cpu, gpu = room(cluster), room(cluster, "nvidia.com/gpu")
    assert (cpu.capacity, cpu.held, cpu.foreign, cpu.free) == ("128", "32", "4", "92")
    assert (gpu.capacity, gpu.held, gpu.foreign, gpu.free) == ("16", "8", "0", "8")
    assert (cluster.jobs, cluster.leaving) == (2, 0)


def test_a_leaving_job_holds_its_room_and_is_counted_apart() -> None:
    cluster = row("w2")
    assert (cluster.jobs, cluster.leaving) == (1, 1)
    assert room(cluster).held == "32"


def test_cordoned_nodes_are_no_capacity() -> None:
    cluster = row("w2")
    assert (cluster.nodes_taking_pods, cluster.nodes) == (1, 2)
    assert room(cluster).capacity == "64"


def test_an_old_report_tells_what_nodes_there_are_and_not_what_is_free() -> None:
    cpu = room(row("w4"))
    assert (cpu.capacity, cpu.held, cpu.foreign, cpu.free) == ("64", "0", None, None)


@pytest.mark.parametrize("lost", ["workloads", "copies", "flavors"])
def test_half_a_ledger_is_no_ledger(lost: str) -> None:
    """Room would be shown that is promised already."""
    cluster = row("w1", **{lost: None})
    assert (room(cluster).held, room(cluster).free, cluster.jobs) == (None, None, None)
    assert room(cluster).capacity == "128"


def test_without_the_its_the_clusters_of_our_jobs_have_rows() -> None:
    rows = clusters_report(facts_of(seen(clusters=None, statuses=None)), RULES).clusters
    assert [(c.name, c.state, c.jobs) for c in rows] == [("w1", State.UNKNOWN, 2), ("w2", State.UNKNOWN, 1)]
    assert room(rows[0]).held == "32"
    assert room(rows[0]).free is None


def test_an_object_that_cannot_be_read_is_named_and_hides_no_other() -> None:
    broken = copy("bad", "w1")
    del broken["metadata"]["annotations"]
    given = seen(copies=[*(seen().copies or ()), broken])
    facts = facts_of(given)
    assert facts.unread == {
        "wds jobs": "team-a/bad cannot be read: KeyError: 'kueue.kubestellar.io/workload'"
    }
    assert [c.name for c in clusters_report(facts, RULES).clusters] == ["w1", "w2", "w3", "w4"]


def test_free_is_what_the_placement_finds() -> None:
    """As many pods of one GPU as FREE says fit, and not one more, whatever is promised and bound."""
    given = seen(
        workloads=[workload(f"j{n}", RESERVED, check=placed("w1")) for n in range(3)],
        copies=[copy("j0", "w1"), copy("j1", "w1", leaving=True)],
        clusters=[managed("w1")],
        statuses=[
            report(
                "w1",
                nodes(2, used=amounts(cpu=1, gpu=1), requested=amounts(cpu=9, gpu=3)),
                nodes(name="n9", unschedulable=True),
                pods=[WorkloadPods("workload-j0", 2, 0, 0)],
            )
        ],
    )
    facts = facts_of(given)
    (cluster,) = clusters_report(facts, RULES).clusters
    free = int(room(cluster, "nvidia.com/gpu").free or "?")
    assert free == 2  # 2 x 8 - 2 foreign - 4 bound - 8 promised and not there yet
    (judged_cluster,) = judged(
        [c for _, c in facts.clusters or ()],
        {n: r.report for n, r in (facts.reports or {}).items() if r.report},
        now=given.now,
        stale_after=RULES.stale_after,
        settle=RULES.settle,
    )

    def verdict(pods: int) -> object:
        wanted = PodSet("main", pods, {"nvidia.com/gpu": 1000})
        return place("new", [wanted], [judged_cluster], facts.ledger or [], facts.flavors or {}).verdicts[0]

    assert isinstance(verdict(free), Fits)
    assert not isinstance(verdict(free + 1), Fits)


def test_sum_of_the_fleet_is_of_clusters_that_take_jobs() -> None:
    clusters = clusters_report(facts_of(seen()), RULES).clusters
    total = fleet_room(clusters, "memory")
    assert total.capacity == format_milli(3 * 512 * GIB * 1000, "memory")
    assert fleet_room(clusters, "cpu").free == "124"


def test_clocks_of_workers_may_be_ahead() -> None:
    cluster = row(statuses=[report("w1", nodes(), age=-90)])
    assert cluster.facts_age_seconds == -90
    assert cluster.state is State.USABLE


def test_with_its_and_wds_dead_decisions_still_name_clusters() -> None:
    report_ = clusters_report(facts_of(seen(clusters=None, statuses=None, copies=None)), RULES)
    assert [(c.name, c.state, c.jobs) for c in report_.clusters] == [
        ("w1", State.UNKNOWN, None),
        ("w2", State.UNKNOWN, None),
    ]
    assert not report_.complete


def test_clusters_are_judged_as_the_leader_does_unless_flags_say_otherwise() -> None:
    known = Options(timing=Timing(settle=7.0), stale_after=5.0, known=True)
    facts = facts_of(seen(leases=[lease(known)]))
    asked = show.Options(where={}, deadline=1.0)
    assert asked.rules(facts) == Rules(stale_after=5.0, settle=7.0)
    assert replace(asked, settle=1.0).rules(facts) == Rules(stale_after=5.0, settle=1.0)
    assert asked.rules(facts_of(seen())) == RULES


LACKS = [
    ("all is there", [report("w1", nodes())], []),
    (
        "no report has ever come",
        [],
        ["our CRD, our roles or the status add-on is not there. Install what our"],
    ),
    (
        "the object came back empty",
        [work_status("w1", {})],
        ["carried there and nobody fills it. Look on"],
    ),
    (
        "no report",
        [work_status("w1", {"sequence": 1})],
        ["lacks 'observedAtSeconds'. Run the metrics"],
    ),
    (
        "silence",
        [report("w1", nodes(), age=500)],
        ["its agent has been silent for 500s. Look on"],
    ),
    (
        "a clock ahead",
        [report("w1", nodes(), age=-500)],
        ["its clock is 500s ahead. Have that"],
    ),
    (
        "a bad cell and devices by claim",
        [
            report(
                "w1",
                nodes(),
                nodes(name="n2", allocatable={"cpu": 10**13}),
                left_out=[NotCounted("pod ns/a", "asks by claim", 3)],
            )
        ],
        ["node n2: cpu: 10G is more than any node has", "pod ns/a and 2 more: asks by claim. Correct it"],
    ),
]


@pytest.mark.parametrize(("reason", "statuses", "want"), LACKS, ids=[case[0] for case in LACKS])
def test_what_is_missing_is_told_with_its_remedy(reason: str, statuses: list[Any], want: list[str]) -> None:
    told = [str(each) for each in row(clusters=[managed("w1")], statuses=statuses).missing]
    assert len(told) == len(want), reason
    assert all(part in text for part, text in zip(want, told, strict=True)), told


@pytest.mark.parametrize(
    "given",
    [
        {"clusters": [managed("w1", available="Unknown")], "statuses": []},
        {"clusters": [managed("w1", hubAcceptsClient=False)], "statuses": []},
        {"clusters": [managed("w1")], "statuses": None},
    ],
    ids=["lost", "not accepted", "reports were not read"],
)
def test_nothing_is_called_missing_where_nothing_can_be_known(given: dict[str, Any]) -> None:
    assert row(**given).missing == ()


def test_a_remedy_is_shown_in_full() -> None:
    told = clusters_report(facts_of(seen(clusters=[managed("w1")], statuses=[])), RULES)
    last = "".join(cell.text for cell in clusters_lines(told, width=40)[-1])
    assert last.startswith("w1 lacks: no report has ever come")
    assert last.endswith("kueue-ks install --worker-context w1")
