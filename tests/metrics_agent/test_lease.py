from dataclasses import replace
from typing import NamedTuple

import pytest

from metrics_agent.facts import JobFacts
from metrics_agent.lease import Beat, Instant, expired, next_expiry

JOB = JobFacts(
    namespace="ns",
    name="j",
    uid="u",
    resource_version="1",
    workload="w",
    running=True,
    wanted=1,
    created_at=1000.0,
    leased_from=1000.0,
    lease=60.0,
)
NOW = Instant(unix=5000.0, steady=100.0)


def beat(ago: float, seen_ago: float | None = None) -> Beat:
    return Beat(at=NOW.unix - ago, seen=NOW.steady - (ago if seen_ago is None else seen_ago))


class Case(NamedTuple):
    reason: str
    job: JobFacts
    beat: Beat | None
    left: float | None  # seconds; None: has no lease that can end


CASES = [
    Case("the hub was heard a moment ago", JOB, beat(1), 59.0),
    Case("the last moment", JOB, beat(59.5), 0.5),
    Case("silent for as long as the lease", JOB, beat(60), 0.0),
    Case("silent for longer", JOB, beat(75), -15.0),
    Case("a beat of the future lasts no longer than its lease", JOB, beat(-9999, seen_ago=60), 0.0),
    Case("a beat of the future that came just now", JOB, beat(-9999, seen_ago=0), 60.0),
    Case("a beat that came late: its own time counts", JOB, beat(58, seen_ago=1), 2.0),
    Case("first seen by this process just now, after a restart", JOB, beat(60, seen_ago=0), 0.0),
    Case("no beat ever: since the hub made it", replace(JOB, leased_from=NOW.unix - 10), None, 50.0),
    Case("the last beat was of an earlier job", replace(JOB, leased_from=NOW.unix - 2), beat(999), 58.0),
    Case("no beat ever, and the job is old", JOB, None, -3940.0),
    Case("a job made by a clock ahead of ours", replace(JOB, leased_from=NOW.unix + 500), None, 60.0),
    Case("a job made again while the hub is silent", replace(JOB, created_at=NOW.unix), beat(60), 0.0),
    Case("a job without a lease", replace(JOB, lease=None), beat(999), None),
    Case("one that does not run any more", replace(JOB, running=False), beat(999), None),
    Case("a lease of no time", replace(JOB, lease=0.0), beat(0), 0.0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_what_is_left_of_a_lease(case: Case) -> None:
    over = case.left is not None and case.left <= 0
    assert expired([case.job], case.beat, NOW) == ([case.job] if over else [])
    assert next_expiry([case.job], case.beat, NOW) == case.left


def test_each_job_has_its_own_lease() -> None:
    short, long = replace(JOB, name="s", lease=30.0), replace(JOB, name="l", lease=90.0)
    assert expired([long, short], beat(30), NOW) == [short]
    assert next_expiry([long, short, replace(JOB, lease=None)], beat(10), NOW) == 20.0
    assert next_expiry([], beat(10), NOW) is None
