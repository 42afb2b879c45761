"""Failures → what the user reads, and the exit code."""

import io
from typing import NamedTuple

import pytest

from kube_runtime.connections import ConnectionFailed
from kube_runtime.errors import Forbidden, Invalid, Unreachable
from kube_runtime.preflight import PreflightFailed
from kueue_ks.errors import CommandError, Exit, quoted, report
from local_fleet.errors import FleetError


class Case(NamedTuple):
    reason: str
    given: Exception
    want: str
    code: int = 1


CASES = [
    Case(
        "all three parts",
        CommandError("no job 'x'", why="2 jobs are there", fix="name another one", code=Exit.USAGE),
        "error: no job 'x'\n  why: 2 jobs are there\n  fix: name another one\n",
        2,
    ),
    Case("parts that are not known are left out", CommandError("no job"), "error: no job\n"),
    Case(
        "a sentence stays",
        ConnectionFailed("hub: context 'x' is unknown"),
        "error: hub: context 'x' is unknown\n",
    ),
    Case("also from the preflight", PreflightFailed("hub is too old"), "error: hub is too old\n"),
    Case("also from the fleet", FleetError("A fleet already runs."), "error: A fleet already runs.\n"),
    Case(
        "rights: what was asked, and how to get it",
        Forbidden(403, "Forbidden", "jobs is forbidden", request="hub: GET /jobs"),
        "error: not allowed: hub: GET /jobs\n  why: jobs is forbidden\n"
        "  fix: grant it by RBAC (kueue-ks install does so for our own programs), or use other credentials\n",
    ),
    Case(
        "the server's words",
        Invalid(422, "Invalid", "spec: bad", request="hub: POST /jobs"),
        "error: hub: POST /jobs: 422 Invalid: spec: bad\n",
    ),
    Case(
        "nobody answers",
        Unreachable("hub: GET /version: refused"),
        "error: hub: GET /version: refused\n"
        "  fix: check that the API server runs and that the context is right\n",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_report(case: Case) -> None:
    out = io.StringIO()
    assert report(case.given, out) == case.code
    assert out.getvalue() == case.want


def test_quoted() -> None:
    assert quoted("a\n\nb\n") == "its output ends:\n       a\n       b"
    assert quoted("\n") == "its output ends:\n       (it printed nothing)"
