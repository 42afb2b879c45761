"""The benchmark's own arithmetic, and what must hold on any machine: compared within one run, not timed."""

import json
import time
from typing import Any, NamedTuple

import pytest

from tests.bench import commands, decisions, fleets, latency
from tests.bench.figures import Run, by_what, figure, percentile, table
from workload_controller.placement import place
from workload_controller.promises import promises_of
from workload_controller.rooms import Rooms


class Case(NamedTuple):
    reason: str
    values: list[float]
    percent: int
    want: float


CASES = [
    Case("of one value it is that", [7.0], 99, 7.0),
    Case("the middle of an odd number", [1.0, 2.0, 3.0], 50, 2.0),
    Case("the lower one of two middles", [1.0, 2.0, 3.0, 4.0], 50, 2.0),
    Case("few values have no 99 %: the greatest", [1.0, 2.0, 3.0], 99, 3.0),
    Case("one of a hundred may be worse", [*[1.0] * 99, 50.0], 99, 1.0),
    Case("two of a hundred may not", [*[1.0] * 98, 40.0, 50.0], 99, 40.0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_percentiles(case: Case) -> None:
    assert percentile(case.values, case.percent) == case.want


def test_a_table_has_every_figure_below_its_group() -> None:
    run = Run(2.0, (figure("a", "x", [0.004], calibration=2.0, limit="5 ms"), figure("b", "y", [1.0])))
    lines = [line.split() for line in table(run).splitlines()]
    assert lines[2:] == [
        ["a"],
        ["x", "1", "4.0", "4.0", "2.00", "5", "ms"],
        [],
        ["b"],
        ["y", "1", "1000.0", "1000.0"],
        [],
        ["RATIO:", "to", "a", "loop", "that", "took", "2.0", "ms", "in", "this", "run"],
    ]
    assert json.loads(json.dumps(run.to_json()))["figures"][0]["ratio"] == 2.0


def event(second: int, verb: str, resource: str, name: str, *, user: str = "", **obj: Any) -> str:
    told = {
        "stage": "ResponseComplete",
        "stageTimestamp": f"2026-01-01T00:00:{second:02}.500000Z",
        "verb": verb,
        "user": {"username": user},
        "objectRef": {"resource": resource},
        "responseObject": {"metadata": {"namespace": "a", "name": name, **obj.pop("metadata", {})}, **obj},
    }
    return json.dumps(told)


def workload(second: int, *conditions: str, check: str = "Pending") -> str:
    status = {
        "conditions": [{"type": c, "status": "True"} for c in conditions],
        "admissionChecks": [{"state": check}],
    }
    owners = {"ownerReferences": [{"name": "train"}]}
    return event(second, "patch", "workloads", "job-train-1b29a", metadata=owners, status=status)


OURS = f"system:serviceaccount:x:{latency.CONTROLLER}"
LOGS = {
    "hub": [
        event(1, "create", "jobs", "train", status={}),
        workload(2, "QuotaReserved"),
        workload(4, "QuotaReserved", check="Ready"),
        workload(5, "QuotaReserved", "Admitted", check="Ready"),
        workload(6, "QuotaReserved", "Admitted", check="Ready"),
        event(6, "update", "jobs", "train", spec={"suspend": True}),
        event(7, "update", "jobs", "train", spec={"suspend": False}),
        event(30, "update", "jobs", "train", status={"ready": 1}),
        '{"stage":"ResponseComplete","objectRef":{"resource":"jobs"},',
    ],
    "control": [
        event(7, "create", "jobs", "train", user="somebody"),
        event(8, "create", "jobs", "train", user=OURS),
        event(9, "delete", "jobs", "train", user=OURS),
    ],
    "w1": [
        event(10, "create", "jobs", "train", status={}),
        event(20, "update", "jobs", "train", status={"ready": 1}),
    ],
}


def test_moments_are_the_first_of_their_kind() -> None:
    (job,) = latency.moments(LOGS).items()
    first = min(job[1].values())
    assert job[0] == "a/train"
    assert {moment: at - first for moment, at in job[1].items()} == {
        "created": 0.0,
        "reserved": 1.0,
        "ready": 3.0,
        "admitted": 4.0,
        "started": 6.0,
        "copy": 7.0,
        "running": 19.0,
        "shown": 29.0,
    }


def test_stages_are_of_the_jobs_that_have_both_ends() -> None:
    found = {"a/x": {"created": 1.0, "running": 3.0}, "a/y": {"created": 1.0}}
    (whole,) = latency.stages(found, "g")
    assert (whole.what, whole.count, whole.median) == ("created -> running", 1, 2000.0)


def test_a_burst_costs_a_fraction_of_what_its_first_job_costs() -> None:
    """Kept rooms are worth it: about a hundredth of the cost here, of which a fifth is asserted."""
    clusters, held = fleets.clusters(50, 40), promises_of(fleets.held(50))
    job = [fleets.pods(4, cpu=4, memory=16)]
    kept = Rooms()

    def spent(rooms: Rooms) -> float:
        began = time.process_time()
        assert place("uid", job, clusters, held, fleets.FLAVORS, rooms=rooms).choice
        return time.process_time() - began

    anew = min(spent(Rooms()) for _ in range(3))
    spent(kept)
    assert min(spent(kept) for _ in range(5)) < anew / 5


def test_figures_of_decisions_are_there() -> None:
    found = by_what(Run(1.0, tuple(decisions.figures(1.0, sizes=(3,), groups=5))))
    assert {what: f.count for what, f in found.items()} == {
        "placement, 3 clusters x 5 node groups: first of a process": 1,
        "placement, 3 clusters x 5 node groups: job of a new shape": 18,
        "placement, 3 clusters x 5 node groups: job of a burst": 200,
        "quota, 3 clusters x 5 node groups: first fold": 1,
        "quota, 3 clusters x 5 node groups: after one report": 3,
    }


def test_a_command_is_measured_to_its_successful_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "COMMANDS", {"clusters": ("clusters", "--no-headers")})
    found = by_what(Run(1.0, tuple(commands.figures(1.0, repeats=1, jobs=(4,)))))
    assert set(found) == {
        "command --help: cpu",
        "commands, 4 jobs, 20 clusters: clusters: wall",
        "commands, 4 jobs, 20 clusters: clusters: cpu",
    }
    assert all(f.median > 0 for f in found.values())


def test_a_command_that_fails_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "COMMANDS", {"explain": ("explain", "job/nobody")})
    with pytest.raises(RuntimeError, match="no job"):
        list(commands.figures(1.0, repeats=1, jobs=(4,)))
