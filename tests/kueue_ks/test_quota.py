"""``kueue-ks quota`` and its plan, over the objects of a small fleet."""

import asyncio
import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse
from kueue_ks.errors import CommandError
from kueue_ks.quota.command import quota_command
from kueue_ks.quota.plan import quota_plan
from kueue_ks.quota.report import CellReport, QuotaReport, quota_report
from kueue_ks.quota.text import plan_lines, quota_lines
from kueue_ks.reports import document
from kueue_ks.views import reading
from kueue_ks.views.seen import Seen
from kueue_ks.views.terminal import Terminal
from tests.kueue_ks.scripted_server import ScriptedServer
from tests.kueue_ks.test_view_reading import Fleet, listed, path_of
from tests.kueue_ks.view_builders import (
    ADMITTED,
    CORDON,
    FLAVOR,
    NOW,
    amounts,
    cluster_queue,
    condition,
    managed,
    nodes,
    report,
    workload,
)
from vocabulary import keys

SNAPSHOTS = Path(__file__).parent / "snapshots"
STALE_AFTER = 180.0
GPU = "nvidia.com/gpu"


def holding(name: str, *, gpu: int, priority: int = 0, age: float = 60) -> Obj:
    assignment = {
        "name": "main",
        "flavors": {GPU: "standard", "cpu": "standard"},
        "resourceUsage": {GPU: str(gpu), "cpu": "8"},
    }
    found = workload(name, condition("QuotaReserved", age=age), ADMITTED, priority=priority)
    found["status"]["admission"] = {"clusterQueue": "research", "podSetAssignments": [assignment]}
    return found


def cohort(quota: str) -> Obj:
    body = cluster_queue("shared")
    resources = [{"name": "cpu", "nominalQuota": quota}]
    group = {"coveredResources": ["cpu"], "flavors": [{"name": "standard", "resources": resources}]}
    annotations = {keys.MANAGE_QUOTA: "true", keys.QUOTA_WEIGHT: "3"}
    metadata = {**body["metadata"], "annotations": annotations}
    return {"metadata": metadata, "spec": {"resourceGroups": [group]}}


def seen(**fields: Any) -> Seen:
    """w1 is whole but for a node, w2 is cordoned with a job of ours, w3 is silent; 2 GPUs are too much."""
    mine = amounts(cpu=16, gpu=4)
    given: dict[str, Any] = {
        "now": NOW,
        "cluster_queues": [cluster_queue()],
        "cohorts": [],
        "flavors": [FLAVOR],
        "clusters": [managed("w1"), managed("w2", taints=[CORDON]), managed("w3")],
        "statuses": [
            report("w1", nodes(used=amounts(cpu=4)), nodes(name="n2", unschedulable=True)),
            report("w2", nodes(requested=mine, foreign={})),
            report("w3", nodes(), age=600),
        ],
        "workloads": [
            holding("old", gpu=8, age=900),
            holding("new", gpu=4, age=60),
            holding("great", gpu=4, priority=10),
        ],
    }
    return Seen(**{**given, **fields})


def cell(told: QuotaReport, resource: str) -> CellReport:
    return next(each for each in told.cells if each.resource == resource)


def test_every_step_of_the_sum_is_there() -> None:
    told = quota_report(seen(), stale_after=STALE_AFTER)
    cpus = cell(told, "cpu")
    rows = {c.cluster: (c.allocatable, dict(c.excluded), c.foreign, c.capacity) for c in cpus.clusters}
    assert rows == {
        "w1": ("128", {"node cordoned": "64"}, "4", "60"),
        "w2": ("64", {"cluster cordoned": "48"}, "0", "16"),
        "w3": ("64", {"cluster silent": "64"}, "0", "0"),
    }
    assert (cpus.capacity, cpus.reserve, cpus.quota, cpus.wanted) == ("76", "0", "160", "76")
    assert "has not changed for 180 s" in cpus.clusters[2].why
    for each in told.cells:
        for c in each.clusters:
            left = parse(c.allocatable) - parse(c.foreign) - sum(map(parse, c.excluded.values()))
            assert parse(c.capacity) == left, "anyone can add it up"
        assert each.capacity is not None
        assert sum(parse(c.capacity) for c in each.clusters) == parse(each.capacity)


def test_queues_and_cohorts_share_and_the_reserve_is_told() -> None:
    flavor = {"metadata": {"name": "standard", "annotations": {keys.RESERVE: "cpu=16"}}, "spec": {}}
    told = quota_report(seen(cohorts=[cohort("1")], flavors=[flavor]), stale_after=STALE_AFTER)
    cpus = cell(told, "cpu")
    assert (cpus.reserve, cpus.quota, cpus.wanted) == ("16", "161", "60")
    found = [(q.kind, q.name, q.weight, q.quota, q.wanted, q.reserved) for q in cpus.queues]
    assert found == [
        ("Cohort", "shared", 3, "1", "45", None),
        ("ClusterQueue", "research", 1, "160", "15", "64"),
    ]


def test_one_queue_is_shown_with_what_others_have_of_its_cells() -> None:
    told = quota_report(seen(cohorts=[cohort("1")]), "cohort/shared", stale_after=STALE_AFTER)
    assert [each.resource for each in told.cells] == ["cpu"]
    assert len(told.cells[0].queues) == 2


def test_half_of_the_facts_is_unknown_and_not_zero() -> None:
    told = quota_report(seen(statuses=None, unread={"its": "no answer"}), stale_after=STALE_AFTER)
    cpus = cell(told, "cpu")
    assert (cpus.capacity, cpus.wanted, cpus.quota) == (None, None, "160")
    plan = quota_plan(seen(statuses=None), stale_after=STALE_AFTER)
    assert (plan.known, plan.changes) == (False, ())


def test_an_object_that_cannot_be_read_is_named_and_the_rest_is_told() -> None:
    broken = {"metadata": {"name": "broken"}, "spec": {"nodeLabels": 7}}
    told = quota_report(seen(flavors=[FLAVOR, broken]), stale_after=STALE_AFTER)
    assert told.unread["resourceflavors"].startswith("broken cannot be read")
    assert cell(told, "cpu").wanted == "76"


def test_the_plan_says_old_new_causes_and_who_is_in_the_way() -> None:
    plan = quota_plan(seen(), stale_after=STALE_AFTER)
    changes = {c.resource: (c.old, c.new, c.causes, c.reserved, c.over) for c in plan.changes}
    assert changes == {
        "cpu": ("160", "76", ("w1 60", "w2 16"), "64", "0"),
        GPU: ("24", "12", ("w1 8", "w2 4"), "16", "4"),
    }
    (shrunk,) = plan.shrunk
    assert shrunk.in_the_way == ("team-a/job-new",), "newest of the least important, and no more"


def test_the_plan_names_the_clusters_that_changed_since_the_breakdown() -> None:
    told = {
        f"standard/{r}": {"clusters": {"w1": {"capacity": a}, "w2": {"capacity": b}}}
        for r, a, b in (("cpu", "128", "16"), (GPU, "8", "4"))
    }
    queue = cluster_queue()
    queue["metadata"]["annotations"][keys.QUOTA_BREAKDOWN] = json.dumps(told)
    plan = quota_plan(seen(cluster_queues=[queue]), stale_after=STALE_AFTER)
    assert [c.causes for c in plan.changes] == [("w1 128 → 60",), ()]


def test_in_a_cohort_what_is_borrowed_is_not_in_the_way() -> None:
    queue = cluster_queue(cohortName="all")
    resources = queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"]
    resources[1]["nominalQuota"] = "13"
    plan = quota_plan(seen(cluster_queues=[queue]), stale_after=STALE_AFTER)
    assert [c.over for c in plan.changes] == ["0", "1"]


def test_workloads_that_were_not_read_are_not_nobody() -> None:
    (shrunk,) = quota_plan(seen(workloads=None), stale_after=STALE_AFTER).shrunk
    assert shrunk.in_the_way is None


def same(name: str, text: str) -> None:
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("KUEUE_KS_WRITE_SNAPSHOTS"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


@pytest.mark.parametrize("width", [None, 80, 120])
def test_snapshots(width: int | None) -> None:
    given = seen(cohorts=[cohort("1")])
    screen = Terminal(width)
    told = quota_report(given, stale_after=STALE_AFTER)
    same(f"quota-{width or 'piped'}", screen.render(quota_lines(told, width)))
    plan = quota_plan(seen(), stale_after=STALE_AFTER)
    same(f"quota-plan-{width or 'piped'}", screen.render(plan_lines(plan, width)))


def test_a_plan_without_changes_says_so() -> None:
    queue = cluster_queue()
    for entry, quota in zip(
        queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"], ("76", "12"), strict=True
    ):
        entry["nominalQuota"] = quota
    plan = quota_plan(seen(cluster_queues=[queue]), stale_after=STALE_AFTER)
    assert Terminal().render(plan_lines(plan, None)).startswith("Nothing would be written")
    assert plan.shrunk == (), "4 GPUs too many are in use, and no quota changes for that"


def test_json_is_one_document() -> None:
    told = document("QuotaReport", quota_report(seen(), stale_after=STALE_AFTER))
    assert json.loads(json.dumps(told))["cells"][0]["clusters"][0]["cluster"] == "w1"
    assert told["apiVersion"] == "cli.kueue-ks/v1"


def server_of(space: str) -> ScriptedServer:
    names = [n for n in reading.FOR_QUOTA_PLAN if reading.READINGS[n].space == space]
    return ScriptedServer(objects={path_of(n): listed(getattr(seen(), n)) for n in names})


async def printed(
    tmp_path: Path, *arguments: str, dead: bool = False, output: str = "table"
) -> tuple[str, str]:
    """What the command prints, out and err."""
    servers = {"hub": server_of("hub"), "its": None if dead else server_of("its")}
    out, err = io.StringIO(), io.StringIO()
    async with Fleet(tmp_path, **servers).running() as fleet:

        def run() -> None:
            with redirect_stdout(out), redirect_stderr(err):
                paths = {f"{s}_kubeconfig": fleet.folder / s for s in ("hub", "wds", "its")}
                quota_command(*arguments, output=output, request_timeout=20.0, stale_after=1e9, **paths)  # type: ignore[arg-type]

        await asyncio.to_thread(run)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize(("arguments", "kind"), [((), "QuotaReport"), (("plan", "research"), "QuotaPlan")])
async def test_the_command_reads_and_prints(tmp_path: Path, arguments: tuple[str, ...], kind: str) -> None:
    out, err = await printed(tmp_path, *arguments, output="json")
    assert (json.loads(out)["kind"], err) == (kind, "")
    text, _ = await printed(tmp_path, *arguments)
    assert "research" in text


async def test_a_dead_space_does_not_block_it(tmp_path: Path) -> None:
    out, err = await printed(tmp_path, dead=True)
    assert "fleet" in out
    assert err.startswith("warning: its was not read: ")


async def test_a_queue_that_is_not_managed_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="nowhere is no managed") as refused:
        await printed(tmp_path, "nowhere")
    assert "research" in refused.value.why
