"""kueue-ks whatif: objects → report, text at several widths, conditions."""

from typing import Any, NamedTuple

import pytest

from kueue_ks.errors import CommandError
from kueue_ks.explain.explanation import Phase
from kueue_ks.explain.facts import Found
from kueue_ks.explain.fold import explain
from kueue_ks.explain.future import future_of
from kueue_ks.explain.text import text
from kueue_ks.forecast.world import World
from kueue_ks.views.facts import facts_of
from kueue_ks.views.seen import Seen
from kueue_ks.whatif.clusters import cordon, drain
from kueue_ks.whatif.command import _condition, holds
from kueue_ks.whatif.job import submit
from kueue_ks.whatif.report import WhatIf
from kueue_ks.whatif.text import whatif_lines
from tests.kueue_ks.forecast_builders import NOW, fleet, lease, new_job
from tests.kueue_ks.test_forecast import CORDON
from tests.kueue_ks.test_view_text import same
from tests.kueue_ks.view_builders import (
    CHECK,
    NO_ROOM,
    RESERVED,
    copy,
    job,
    managed,
    nodes,
    placed,
    pod_spec,
    report,
    workload,
)
from vocabulary import keys
from workload_controller.published import Options
from workload_controller.situation import Timing


def created(seen: Seen, **fields: Any) -> WhatIf:
    return submit(seen, facts_of(seen), new_job(**fields), "")


class Case(NamedTuple):
    reason: str
    seen: Seen
    fields: dict[str, Any]
    outcome: str
    clusters: tuple[str, ...]
    why: str


TWINS = {
    "clusters": [managed("w1"), managed("w2")],
    "statuses": [report("w1", nodes(1)), report("w2", nodes(1))],
    "workloads": [],
    "copies": [],
    "jobs": [],
}
CASES = [
    Case("it fits one cluster", fleet(), {}, "Placed", ("w1",), ""),
    Case("two are equal: which, its uid decides", fleet(**TWINS), {}, "Placed", ("w1", "w2"), ""),
    Case("no quota", fleet(), {"pods": 5}, "WaitsForQuota", (), "nvidia.com/gpu 2 more"),
    Case(
        "quota and no room",
        fleet(**TWINS | {"clusters": [managed("w1", taints=[CORDON]), managed("w2", taints=[CORDON])]}),
        {},
        "WaitsForCluster",
        (),
        "w1: it is cordoned by ana (kueue-ks uncordon w1); w2: it is cordoned by ana",
    ),
    Case(
        "never", fleet(**TWINS), {"cpu": "65", "gpu": "0", "pods": 1}, "Never", (), "spec is '1 pod of cpu 65"
    ),
    Case(
        "namespace not carried yet",
        fleet(twins=[]),
        {},
        "WaitsForCluster",
        (),
        "namespace team-a is not in the WDS",
    ),
    Case(
        "refused as it is written",
        fleet(),
        {"annotations": {keys.ON_CLUSTER_LOSS: "never"}},
        "Never",
        (),
        f"annotation {keys.ON_CLUSTER_LOSS} is 'never'",
    ),
    Case("a queue without our check", fleet(checks=[]), {}, "Never", (), "no AdmissionCheck of ours"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_a_job_that_would_be_created(case: Case) -> None:
    told = created(case.seen, **case.fields).job
    assert told is not None
    assert (told.outcome, told.clusters) == (case.outcome, case.clusters)
    assert case.why in told.why


def test_the_fleet_is_not_changed_by_asking() -> None:
    seen = fleet()
    before = repr(seen)
    created(seen)
    drain(World(seen), facts_of(seen), "w1")
    cordon(World(seen), facts_of(seen), "w1")
    assert repr(seen) == before


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (new_job() | {"kind": "Pod"}, "it is a Pod, not a batch/v1 Job"),
        (new_job(queue="defualt"), "no LocalQueue 'defualt' in namespace team-a"),
        (new_job(queue=""), "the job has no label kueue.x-k8s.io/queue-name"),
        (new_job(cpu="many"), "the job cannot be read"),
    ],
)
def test_bad_input_is_named(given: dict[str, Any], what: str) -> None:
    with pytest.raises(CommandError, match=what.replace("(", "\\(")):
        submit(fleet(), facts_of(fleet()), given, "")


def two_jobs(**fields: Any) -> Seen:
    """One and two run on w1; w2 has room for one of them. Quota is there for both without w1."""
    given: dict[str, Any] = {
        "workloads": [
            workload(name, RESERVED, check=placed("w1"), spec=pod_spec(8, gpu=4)) for name in ("one", "two")
        ],
        "jobs": [job("one"), job("two")],
        "copies": [copy("one", "w1"), copy("two", "w1")],
        "clusters": [managed("w1"), managed("w2")],
        "statuses": [report("w1", nodes(2)), report("w2", nodes(1))],
    }
    return fleet(**given | fields)


def unmanaged() -> Any:
    """Its quota is its owner's: QuotaManager lowers nothing."""
    (queue,) = fleet().cluster_queues or ()
    return {**queue, "metadata": {"name": "research", "uid": "q", "resourceVersion": "1"}}


def moves(seen: Seen, cluster: str = "w1") -> list[tuple[str, str, str]]:
    told = drain(World(seen), facts_of(seen), cluster)
    return [(m.name, m.to, m.why) for m in told.moves]


def test_a_drain_places_one_job_after_the_other() -> None:
    short = (
        "w1: it is being drained (kueue-ks uncordon w1); w2: 0 of 2 pods fit; asks nvidia.com/gpu 8, free 0"
    )
    assert moves(two_jobs(cluster_queues=[unmanaged()])) == [("one", "w2", ""), ("two", "", short)]


def test_a_drain_takes_quota_along_with_the_cluster() -> None:
    told = moves(two_jobs())
    assert told[0] == ("one", "w2", "")
    assert told[1][:2] == ("two", "")
    assert told[1][2].startswith("quota is missing: nvidia.com/gpu ")


def test_a_drain_of_an_empty_cluster_moves_nothing() -> None:
    assert moves(two_jobs(), "w2") == []


def test_cordon_tells_which_waiting_jobs_lose_their_last_cluster() -> None:
    seen = fleet(
        workloads=[
            workload("big", RESERVED, check=NO_ROOM, spec=pod_spec(8, gpu=8)),
            workload("small", RESERVED, check=NO_ROOM, pods=1),
        ],
        jobs=[job("big"), job("small", pods=1)],
        copies=[],
        clusters=[managed("w1"), managed("w2")],
        statuses=[report("w1", nodes(2)), report("w2", nodes(1))],
    )
    told = cordon(World(seen), facts_of(seen), "w1")
    assert [(m.name, m.to) for m in told.loses] == [("big", "")]
    assert "w2: even empty it holds 1 of 2 pods" in told.loses[0].why
    assert [(q.resource, q.before, q.after) for q in told.quota] == [
        ("cpu", "160", "64"),
        ("memory", "2Ti", "512Gi"),
        ("nvidia.com/gpu", "24", "8"),
    ]
    assert told.counts == {"waiting": 1, "moving": 0, "never": 0}


@pytest.mark.parametrize(
    ("text", "counts", "want"),
    [
        ("waiting>0", {"waiting": 1}, True),
        ("waiting > 0", {"waiting": 0}, False),
        ("moving>=2", {"moving": 2}, True),
        ("moving<2", {"moving": 2}, False),
        ("never==0", {"never": 0}, True),
        ("waiting<=1", {"waiting": 2}, False),
    ],
)
def test_conditions(text: str, counts: dict[str, int], want: bool) -> None:
    condition = _condition(text)
    assert condition is not None
    assert holds(condition, counts) is want


@pytest.mark.parametrize("text", ["waiting", "waiting>x", "jobs>0", "waiting>0 or 1"])
def test_a_condition_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="is no condition"):
        _condition(text)


WIDTHS = (None, 80, 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_snapshots(width: int | None) -> None:
    seen = two_jobs()
    world, facts = World(seen), facts_of(seen)
    screens = [
        whatif_lines(created(fleet()), width),
        whatif_lines(cordon(world, facts, "w1"), width),
        whatif_lines(drain(world, facts, "w1"), width),
    ]
    lines = "\n\n".join("\n".join(line.rstrip() for line in screen) for screen in screens)
    same(f"whatif-{width or 'piped'}", lines)
    assert width is None or all(len(line) <= width for line in lines.splitlines())


def test_default_options_are_said_to_be_assumed() -> None:
    seen = fleet(leases=[])
    raw = {w["metadata"]["name"]: w for w in seen.workloads or ()}["job-room-4"]
    found = Found(now=NOW, job=job("room-4"), workload=raw, checks=[CHECK], unread={})
    future = future_of(World(seen), facts_of(seen), Phase.WAITING_FOR_CLUSTER, "team-a", "job-room-4")
    assert any("assuming default options" in line for line in text(explain(found), NOW, future))
    known = future_of(World(fleet()), facts_of(fleet()), Phase.WAITING_FOR_CLUSTER, "team-a", "job-room-4")
    assert not any("assuming" in line for line in text(explain(found), NOW, known))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    ("name", "phase"), [("room-4", Phase.WAITING_FOR_CLUSTER), ("quota-5", Phase.WAITING_FOR_QUOTA)]
)
def test_explain_snapshots(name: str, phase: Phase, width: int | None) -> None:
    clusters = [
        managed("w1", taints=[CORDON]),
        managed("w2"),
        managed("w3"),
        managed("w4", available="Unknown"),
    ]
    seen = fleet(
        leases=[lease(Options(timing=Timing(placement_timeout=480.0), known=True))],
        clusters=clusters,
        statuses=[report(n, nodes(1, used={"nvidia.com/gpu": 7000})) for n in ("w2", "w3")]
        + [report("w1", nodes(2))],
    )
    world = World(seen)
    raw = {w["metadata"]["name"]: w for w in seen.workloads or ()}[f"job-{name}"]
    raw_job = {j["metadata"]["name"]: j for j in seen.jobs or ()}[name]
    found = Found(now=NOW, job=raw_job, workload=raw, checks=[CHECK], unread={})
    own = next(w for w in world.workloads if w.name == f"job-{name}")
    told = explain(found, situation=world.situation(own), timing=world.options.timing)
    assert told.phase is phase
    lines = text(told, NOW, future_of(world, facts_of(seen), phase, "team-a", f"job-{name}"), width)
    same(f"explain-{name}-{width or 'piped'}", "\n".join(line.rstrip() for line in lines))
    assert len(lines) <= 40, "one screen"
    assert width is None or all(len(line) <= width for line in lines)
