"""What follows a failed attempt: eviction at once, the delay before the quota is released, the end."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from tests.workload_controller.builders import check, job, ready, workload
from workload_controller.facts import NO_HISTORY, Check, CheckState, Decision, FailedAttempt, History
from workload_controller.history import KEPT, WORDS
from workload_controller.retry import before_release, failed
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Action, Deactivate, GiveBack, ResetCheck, SetRequeueAt, Wait
from workload_controller.wishes import JobPolicy, OnRemoved

TIMING = Timing(retry_delay=30, retry_delay_max=600, exclusion=900, recheck=15)


def earlier(total: int) -> History:
    recent = [FailedAttempt(n, "w2", "PodsNotReady", 10.0 * n, "no image") for n in range(1, total + 1)]
    return History(total, tuple(recent[-KEPT:]))


def after(total: int) -> Check:
    """Our check of the attempt that follows ``total`` failures."""
    return check(CheckState.READY, decision=Decision("w1", total + 1), history=earlier(total))


def fail(total: int, limit: int, words: str = "exceeded quota") -> GiveBack:
    given = Situation(
        now=500.0,
        workload=workload(admitted=True, evictions=total),
        policy=JobPolicy(max_requeuings=limit),
    )
    return failed(given, after(total), reason="ApplyFailed", words=words, timing=TIMING)


def test_the_first_failure_is_requeued_and_says_everything() -> None:
    text = (
        "ApplyFailed on w1: exceeded quota. Requeuing 1 of 5: it queues again when its pods have ended, at "
        "00:08:50Z at the earliest; w1 is left out for 15m00s"
    )
    history = History(1, (FailedAttempt(1, "w1", "ApplyFailed", 500.0, "exceeded quota"),))
    assert fail(0, 5) == GiveBack("ApplyFailed", after(0), text, history)


GROWTH = [(1, 530), (2, 560), (3, 620), (5, 980), (6, 1100), (10_000, 1100)]


@pytest.mark.parametrize(("failures", "want"), GROWTH)
def test_the_delay_doubles_to_its_cap_and_never_overflows(failures: int, want: int) -> None:
    text = fail(failures - 1, 0).text
    assert f"at 00:{want // 60:02}:{want % 60:02}Z at the earliest" in text


LIMITS = [
    ("the last that is allowed", 4, 5, "Requeuing 5 of 5"),
    ("one more than is allowed", 5, 5, "At most 5 requeuings are allowed"),
    ("one requeuing: the first failure", 0, 1, "Requeuing 1 of 1"),
    ("one requeuing: the second failure", 1, 1, "At most 1 requeuings are allowed"),
    ("0 means no limit, as with MCAD", 500, 0, "Requeuing 501: it queues"),
]


@pytest.mark.parametrize(("reason", "total", "limit", "want"), LIMITS, ids=[row[0] for row in LIMITS])
def test_the_number_of_requeuings_is_limited(reason: str, total: int, limit: int, want: str) -> None:
    assert want in fail(total, limit).text


def test_the_end_names_every_attempt_and_the_way_back() -> None:
    got = fail(2, 2)
    assert got.text == (
        "ApplyFailed on w1: exceeded quota. batch/v1 Job team-a/train: attempts is '3'. At most 2 requeuings "
        "are allowed: attempt 1 on w2: PodsNotReady: no image; attempt 2 on w2: PodsNotReady: no image; "
        "attempt 3 on w1: ApplyFailed: exceeded quota. Mend the cause, then set spec.active of "
        f"Workload {workload().name} to true."
    )
    assert got.history == History(3, (*earlier(2).recent, got.history.recent[-1]))


def test_long_words_are_cut_where_they_are_kept() -> None:
    assert fail(0, 5, words="x" * 1000).history.recent[-1].words == "x" * WORDS


def test_a_check_without_a_decision_is_no_attempt() -> None:
    given = Situation(now=500.0, workload=workload())
    with pytest.raises(AssertionError):
        failed(given, check(), reason="ApplyFailed", words="", timing=TIMING)
    assert ready().decision is not None


# Between the end of the pods and the release. Attempt 2 failed at 500: it may queue again at 560.

FAILURES = History(
    2,
    (
        FailedAttempt(1, "w2", "ApplyFailed", 300.0, "exceeded quota"),
        FailedAttempt(2, "w1", "PodsNotReady", 500.0, "no image"),
    ),
)
TOLD = "attempt 2 on w1: PodsNotReady: no image; it queues again at 00:09:20Z"
EVICTED = workload(admitted=True, evicted=True, evictions=2)
PENDING = check(message="Reset to Pending after eviction. Previously: Retry", history=FAILURES)
RETRY = check(CheckState.RETRY, message="of ours", history=FAILURES)
LAST_TRY = JobPolicy(max_requeuings=1)
END = (
    "Rejected: batch/v1 Job team-a/train: attempts is '2'. At most 1 requeuings are allowed: attempt 1 on "
    "w2: ApplyFailed: exceeded quota; attempt 2 on w1: PodsNotReady: no image. Mend the cause, then set "
    f"spec.active of Workload {workload().name} to true."
)


class Case(NamedTuple):
    reason: str
    given: Situation
    want: Action | None


def ended(our_check: Check | None = PENDING, now: float = 510.0, **fields: object) -> Situation:
    given = Situation(now=now, workload=EVICTED, check=our_check, job=job(active=1))
    return replace(given, **fields)  # type: ignore[arg-type]


CASES = [
    Case("its delay is not over: Kueue is to note it", ended(), SetRequeueAt(PENDING, TOLD, 50)),
    Case("parts of a second count as whole ones", ended(now=509.2), SetRequeueAt(PENDING, TOLD, 51)),
    Case(
        "Kueue has not noted it yet: the quota is not released before",
        ended(RETRY),
        Wait("RequeueAtNotSet", f"Kueue has not taken the delay yet: {TOLD}", until=560.0),
    ),
    Case(
        "noted: a Retry that stayed would evict at the next reservation",
        ended(RETRY, workload=replace(EVICTED, requeue_at=560.0)),
        ResetCheck(RETRY, TOLD, FAILURES),
    ),
    Case(
        "Kueue's time is a whole second, ours is not",
        ended(RETRY, workload=replace(EVICTED, requeue_at=559.0)),
        ResetCheck(RETRY, TOLD, FAILURES),
    ),
    Case("all is settled", ended(workload=replace(EVICTED, requeue_at=560.0)), None),
    Case("the pods took longer than the delay", ended(now=560.0), None),
    Case("it went by before Kueue noted it", ended(RETRY, now=560.0), ResetCheck(RETRY, TOLD, FAILURES)),
    Case(
        "a user has deactivated it: no delay counts",
        ended(workload=replace(EVICTED, active=False)),
        None,
    ),
    Case(
        "a user has deactivated it between our writes",
        ended(RETRY, workload=replace(EVICTED, active=False)),
        ResetCheck(RETRY, TOLD, FAILURES),
    ),
    Case(
        "evicted for another cause: an old failure delays nothing",
        ended(workload=replace(EVICTED, evictions=3)),
        None,
    ),
    Case(
        "evicted for another cause between our writes",
        ended(RETRY, workload=replace(EVICTED, evictions=3)),
        ResetCheck(RETRY, "of ours", FAILURES),
    ),
    Case("no failure at all: preempted", ended(check()), None),
    Case("not our Workload", ended(None), None),
    Case(
        "failed and not evicted yet: Kueue would release at the eviction, without delay",
        ended(RETRY, workload=replace(EVICTED, evicted=False, evictions=1)),
        Wait("NotEvicted", "attempt 2 failed, Kueue has not evicted it yet", until=525.0),
    ),
    Case("not evicted, nothing failed", ended(check(), workload=replace(EVICTED, evicted=False)), None),
    Case("it is deleted: never tried again", ended(workload=replace(EVICTED, deleting=True)), None),
    Case("its job is deleted", ended(job=job(active=1, deleting=True)), None),
    Case("that was the last try: deactivated", ended(policy=LAST_TRY), Deactivate(EVICTED, None)),  # type: ignore[arg-type]
    Case(
        "deactivated: who activates it again has all tries",
        ended(policy=LAST_TRY, workload=replace(EVICTED, active=False)),
        ResetCheck(PENDING, END, NO_HISTORY),
    ),
    Case(
        "the WDS will never take it",
        ended(check(history=History(1, (FailedAttempt(2, "w1", "RefusedByWDS", 500.0, "no such field"),)))),
        Deactivate(EVICTED, None),  # type: ignore[arg-type]
    ),
    Case(
        "removed by hand, and not to start again",
        ended(
            check(history=History(1, (FailedAttempt(2, "w1", "WorkerJobRemoved", 500.0, "gone"),))),
            policy=JobPolicy(on_removed=OnRemoved.REJECT),
        ),
        Deactivate(EVICTED, None),  # type: ignore[arg-type]
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_what_is_settled_before_the_release(case: Case) -> None:
    assert case.given.workload is not None
    got = before_release(case.given, case.given.workload, TIMING)
    if isinstance(got, Deactivate):
        assert isinstance(case.want, Deactivate)
        assert any(remedy in str(got.refusal) for remedy in ("set spec.active", "Change what the WDS names"))
        got = replace(got, refusal=case.want.refusal)
    assert got == case.want
