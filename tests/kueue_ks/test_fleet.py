"""``kueue-ks fleet`` where no fleet runs: one sentence, exit code 1, nothing started."""

from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from kueue_ks.main import build
from local_fleet import state as states
from local_fleet.processes import ProcessId

GONE = ProcessId(2**22 + 1, 1)  # larger than any pid of Linux


class Case(NamedTuple):
    reason: str
    arguments: list[str]
    code: int
    says: str


CASES = [
    Case("status", ["status"], 1, "error: No fleet runs in"),
    Case("kubeconfig", ["kubeconfig", "hub"], 1, "Start one: kueue-ks fleet up"),
    Case("exec", ["exec", "hub", "--", "kubectl", "get", "nodes"], 1, "No fleet runs in"),
    Case("logs", ["logs", "kueue"], 1, "There is no program 'kueue'"),
    Case("down is idempotent", ["down"], 0, "no fleet runs in"),
    Case("too many workers are a usage error", ["up", "--workers", "33"], 2, "'--workers'"),
    Case("a folder with programs must exist", ["build", "--binaries", "/nowhere/bin"], 1, "does not exist"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_without_a_fleet(case: Case, tmp_path: Path) -> None:
    environment = {"KUEUE_KS_FLEET_DIR": str(tmp_path / "fleet"), "COLUMNS": "200"}
    result = CliRunner().invoke(build(["fleet"]), ["fleet", *case.arguments], env=environment)
    assert result.exit_code == case.code, result.output
    assert case.says in result.output
    assert "Traceback" not in result.output


def test_an_unknown_context_is_told_with_those_there_are(tmp_path: Path) -> None:
    states.write(tmp_path, states.FleetState("ready", states.myself(), workers=("w1",), ports={"hub": 1}))
    result = CliRunner().invoke(build(["fleet"]), ["fleet", "kubeconfig", "w7", "--dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "no context 'w7' for 'admin'. Contexts are hub, wds, its, w1, all." in result.output


def test_status_of_a_fleet_with_a_dead_program(tmp_path: Path) -> None:
    components = [
        states.ComponentState("etcd", "ready", states.myself()),
        states.ComponentState("w1/kwok", "ended", GONE, restarts=2, exit_code=-9),
    ]
    states.write(
        tmp_path, states.FleetState("ready", states.myself(), workers=("w1",), components=components)
    )
    result = CliRunner().invoke(build(["fleet"]), ["fleet", "status", "--dir", str(tmp_path)])
    assert result.exit_code == 1
    rows = [line.split("   ") for line in result.output.splitlines()[1:]]
    assert [row[0] for row in rows] == ["NAME", "etcd", "w1/kwok"]
    assert "ended (-9)" in result.output.splitlines()[3]
