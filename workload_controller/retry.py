"""What follows a failed attempt: back to the queue with a growing delay, or, after too many, the end (I5).

A cluster where an attempt failed is left out for a while (``candidates``). The delay doubles with every
failure of the Workload, to a limit; the number of tries is limited by the job's own annotation or our
setting. The last answer is Rejected, with every attempt in its text.

Kueue 0.19.2 evicts only when the delay is over (core/workload_controller.go returns at "Waiting for backoff
to finish" before its check-based eviction), so the quota is kept for the delay, which is therefore short.
"""

from workload_controller.clock_text import duration
from workload_controller.facts import Check, FailedAttempt
from workload_controller.history import WORDS, with_failure
from workload_controller.refusals import Refusal
from workload_controller.situation import Situation, Timing
from workload_controller.steps import GiveBack, Reject


def failed(s: Situation, check: Check, *, reason: str, words: str, timing: Timing) -> GiveBack | Reject:
    """The attempt of ``check``'s decision failed; ``words`` are the worker's, or ours with numbers.

    Must be called with a Workload and a decision.
    """
    assert s.workload is not None
    assert check.decision is not None
    where = check.decision.cluster
    failure = FailedAttempt(s.workload.attempt, where, reason, s.now, words[:WORDS])
    history = with_failure(check.history, failure)
    limit = s.policy.max_requeuings
    if limit and history.total > limit:
        tries = "; ".join(str(f) for f in history.recent)
        refusal = Refusal(
            "RequeuingLimitExceeded",
            f"{s.workload.owner_kind} {s.workload.namespace}/{s.workload.owner_name}",
            "attempts",
            str(history.total),
            f"At most {limit} requeuings are allowed: {tries}. Mend the cause, then set spec.active of "
            f"Workload {s.workload.name} to true.",
        )
        return Reject(check, refusal, history)
    delay = next_delay(check.history.total, timing)
    of = f" of {limit}" if limit else ""
    text = (
        f"{reason} on {where}: {words}. Requeuing {history.total}{of}: it queues again in {delay}s, when its "
        f"pods have ended, and Kueue keeps its quota until then; {where} is left out for "
        f"{duration(timing.exclusion)}"
    )
    return GiveBack(reason, check, text, delay, history)


def next_delay(failures: int, timing: Timing) -> int:
    """Seconds until the next try after this many failures before the present one."""
    return int(min(timing.retry_delay * 2.0 ** min(failures, 32), timing.retry_delay_max))
