"""What follows a failed attempt: a delay that grows, an exclusion that is told, a limit with its history."""

import pytest

from tests.workload_controller.builders import check, ready, workload
from workload_controller.facts import Check, CheckState, Decision, FailedAttempt, History
from workload_controller.history import KEPT, WORDS
from workload_controller.retry import failed, next_delay
from workload_controller.situation import Situation, Timing
from workload_controller.steps import GiveBack, Reject
from workload_controller.wishes import JobPolicy

TIMING = Timing(retry_delay=30, retry_delay_max=600, exclusion=900)

DELAYS = [(0, 30), (1, 60), (2, 120), (4, 480), (5, 600), (9, 600), (10_000, 600)]


@pytest.mark.parametrize(("failures", "want"), DELAYS)
def test_the_delay_doubles_to_its_cap_and_never_overflows(failures: int, want: int) -> None:
    assert next_delay(failures, TIMING) == want


def earlier(total: int) -> History:
    recent = [FailedAttempt(n, "w2", "PodsNotReady", 10.0 * n, "no image") for n in range(1, total + 1)]
    return History(total, tuple(recent[-KEPT:]))


def after(total: int) -> Check:
    """Our check of the attempt that follows ``total`` failures."""
    return check(CheckState.READY, decision=Decision("w1", total + 1), history=earlier(total))


def fail(total: int, limit: int, words: str = "exceeded quota") -> GiveBack | Reject:
    given = Situation(
        now=500.0,
        workload=workload(admitted=True, evictions=total),
        policy=JobPolicy(max_requeuings=limit),
    )
    return failed(given, after(total), reason="ApplyFailed", words=words, timing=TIMING)


def test_the_first_failure_is_requeued_and_says_everything() -> None:
    text = (
        "ApplyFailed on w1: exceeded quota. Requeuing 1 of 5: it queues again in 30s, when its pods have "
        "ended, and Kueue keeps its quota until then; w1 is left out for 15m00s"
    )
    history = History(1, (FailedAttempt(1, "w1", "ApplyFailed", 500.0, "exceeded quota"),))
    assert fail(0, 5) == GiveBack("ApplyFailed", after(0), text, 30, history)


def test_the_delay_grows_with_the_failures_not_with_kueues_retries() -> None:
    got = fail(3, 5)
    assert isinstance(got, GiveBack)
    assert got.delay == 240
    assert "Requeuing 4 of 5" in got.text


LIMITS = [
    ("the last that is allowed", 4, 5, GiveBack),
    ("one more than is allowed", 5, 5, Reject),
    ("one requeuing: the first failure", 0, 1, GiveBack),
    ("one requeuing: the second failure", 1, 1, Reject),
    ("0 means no limit, as with MCAD", 500, 0, GiveBack),
]


@pytest.mark.parametrize(("reason", "total", "limit", "want"), LIMITS, ids=[row[0] for row in LIMITS])
def test_the_number_of_requeuings_is_limited(reason: str, total: int, limit: int, want: type) -> None:
    assert isinstance(fail(total, limit), want)


def test_without_a_limit_none_is_told() -> None:
    got = fail(7, 0)
    assert isinstance(got, GiveBack)
    assert "Requeuing 8: it queues" in got.text


def test_the_end_names_every_attempt_and_the_way_back() -> None:
    got = fail(2, 2)
    assert isinstance(got, Reject)
    assert got.refusal.reason == "RequeuingLimitExceeded"
    assert str(got.refusal) == (
        "batch/v1 Job team-a/train: attempts is '3'. At most 2 requeuings are allowed: "
        "attempt 1 on w2: PodsNotReady: no image; attempt 2 on w2: PodsNotReady: no image; "
        "attempt 3 on w1: ApplyFailed: exceeded quota. Mend the cause, then set spec.active of "
        f"Workload {workload().name} to true."
    )
    assert got.history == History(3, (*earlier(2).recent, got.history.recent[-1]))


def test_long_words_are_cut_where_they_are_kept() -> None:
    got = fail(0, 5, words="x" * 1000)
    assert got.history.recent[-1].words == "x" * WORDS


def test_a_check_without_a_decision_is_no_attempt() -> None:
    given = Situation(now=500.0, workload=workload())
    with pytest.raises(AssertionError):
        failed(given, check(), reason="ApplyFailed", words="", timing=TIMING)
    assert ready().decision is not None
