"""When a job counts as settled: a soak that waits for nothing would hide what hangs."""

from typing import NamedTuple

import pytest

from tests.soak.seen import JobSeen, WorkloadSeen, why_unsettled

SAYS = "Workload w is QuotaReserved; Pending: no room"


def job(*, ended: bool = False, leaving: bool = False, held: bool = False) -> JobSeen:
    return JobSeen("team-a", "one", "uid", ended=ended, leaving=leaving, held=held)


def workload(*, active: bool, reserved: bool) -> WorkloadSeen:
    return WorkloadSeen(
        "team-a", "w", "w-uid", "uid", active=active, reserved=reserved, leaving=False, says=SAYS
    )


class Case(NamedTuple):
    reason: str
    job: JobSeen
    workload: WorkloadSeen | None
    why: str


CASES = [
    Case("finished", job(ended=True), None, ""),
    Case("finished, and we hold it for ever", job(ended=True, held=True), None, "finished and has our"),
    Case("rejected", job(), workload(active=False, reserved=False), ""),
    Case("rejected with its quota", job(), workload(active=False, reserved=True), SAYS),
    Case("waits in its queue", job(), workload(active=True, reserved=False), SAYS),
    Case("runs", job(), workload(active=True, reserved=True), SAYS),
    Case("Kueue has not seen it", job(), None, "no Workload"),
    Case("its deletion hangs", job(ended=True, leaving=True), None, "being deleted"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_why_a_job_is_not_settled(case: Case) -> None:
    why = why_unsettled(case.job, case.workload)
    assert (case.why in why) if case.why else not why
