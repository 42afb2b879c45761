"""What follows a failed attempt: back to the queue after a growing delay, or, after too many, the end (I5).

A cluster where an attempt failed is left out for a while (``candidates``). The delay doubles with every
failure of the Workload, to a limit; the number of tries is limited by the job's own annotation or our
setting. The end is a deactivated Workload, with every attempt in the text.

A failed attempt is first evicted and then judged, in this order because of two facts about Kueue 0.19.2:

- With ``requeueAfterSeconds`` it evicts only when the delay is over (core/workload_controller.go returns at
  "Waiting for backoff to finish" before its check-based eviction), so the quota would be kept for the delay.
  On a Workload that is evicted already, though, it only records ``requeueState.requeueAt``. The check is
  therefore Retry without a delay, which evicts at once, and Retry once more with the delay when the pods have
  ended and the quota is about to be released. It is Pending again before that, since a Retry that is still
  there at the next reservation would evict anew.
- A Workload that is deactivated counts no more in its cache, whatever its pods do. So the one of a running
  attempt is deactivated when its pods have ended.
"""

from math import ceil

from workload_controller.clock_text import duration, utc_clock
from workload_controller.facts import NO_HISTORY, Check, CheckState, FailedAttempt, History, WorkloadFacts
from workload_controller.history import WORDS, with_failure
from workload_controller.refusals import Refusal, last_word, refused_by_wds
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Deactivate, GiveBack, ResetCheck, SetRequeueAt, Wait
from workload_controller.wishes import JobPolicy, OnRemoved

DRAINED = "Drained from"

REFUSED_BY_WDS = "RefusedByWDS"
ENDED_BY_OTHERS = ("WorkerJobRemoved", "WorkerJobReplaced", "WorkerJobSuspended")
"""Reasons of an attempt that somebody ended on the worker."""


def failed(s: Situation, check: Check, *, reason: str, words: str, timing: Timing) -> GiveBack:
    """The attempt of ``check``'s decision failed; ``words`` are the worker's, or ours with numbers.

    Must be called with a Workload and a decision.
    """
    assert s.workload is not None
    assert check.decision is not None
    where = check.decision.cluster
    failure = FailedAttempt(s.workload.attempt, where, reason, s.now, words[:WORDS])
    history = with_failure(check.history, failure)
    end = no_more_tries(s.workload, history, s.policy)
    if end is not None:
        return GiveBack(reason, check, f"{reason} on {where}: {words}. {end}", history)
    limit = s.policy.max_requeuings
    of = f" of {limit}" if limit else ""
    again = utc_clock(_next_try(history, timing))
    text = (
        f"{reason} on {where}: {words}. Requeuing {history.total}{of}: it queues again when its pods have "
        f"ended, at {again} at the earliest; {where} is left out for {duration(timing.exclusion)}"
    )
    return GiveBack(reason, check, text, history)


def no_more_tries(w: WorkloadFacts, history: History, policy: JobPolicy) -> Refusal | None:
    """Why a Workload with this history is not tried again; None when it is."""
    if not history.recent:
        return None
    job, last, limit = (
        f"{w.owner_kind} {w.namespace}/{w.owner_name}",
        history.recent[-1],
        policy.max_requeuings,
    )
    to_start = f"set spec.active of Workload {w.name} to true"
    if last.reason in ENDED_BY_OTHERS and policy.on_removed is OnRemoved.REJECT:
        remedy = f"It is not started again because of {policy.on_removed.value}; to start it, {to_start}."
        return Refusal(last.reason, job, f"the Job on {last.cluster}", last.words, remedy)
    if last.reason == REFUSED_BY_WDS:
        return refused_by_wds(w, last.words)
    if limit and history.total > limit:
        tries = "; ".join(str(f) for f in history.recent)
        remedy = f"At most {limit} requeuings are allowed: {tries}. Mend the cause, then {to_start}."
        return Refusal("RequeuingLimitExceeded", job, "attempts", str(history.total), remedy)
    return None


def drained(s: Situation) -> GiveBack | None:
    """The cluster of a decision that counts is being drained: the attempt ends, and is no failure.

    Its history stays as it is, so that nothing is delayed, left out or counted for it.
    """
    check = s.check
    if not s.draining or check is None or check.decision is None:
        return None
    text = f"{DRAINED} {check.decision.cluster}, which {s.draining}; it queues again for another cluster"
    return GiveBack("Drained", check, text, check.history)


def before_release(
    s: Situation, w: WorkloadFacts, timing: Timing
) -> Deactivate | SetRequeueAt | ResetCheck | Wait | None:
    """What is to be settled between the end of the pods and the release of the quota; None: nothing.

    Kueue releases the quota of an evicted Workload when the hub job says that nothing is active, so as long
    as we do not say it, there is time to say when, and whether, it may be tried again.
    """
    check = s.check
    if check is None or w.deleting or s.job is None or s.job.deleting:
        return None
    if not w.evicted:
        why = f"attempt {w.attempt} failed, Kueue has not evicted it yet"
        retry = check.state is CheckState.RETRY
        return Wait("NotEvicted", why, until=s.now + timing.recheck) if retry else None
    last = check.history.recent[-1] if check.history.recent else None
    if last is None or last.attempt != w.attempt - 1:
        return ResetCheck(check, check.message, check.history) if check.state is CheckState.RETRY else None
    end = no_more_tries(w, check.history, s.policy)
    if end is not None:  # in this order: who activates it again finds no history and has all tries
        return Deactivate(w, end) if w.active else ResetCheck(check, last_word(end), NO_HISTORY)
    again = _next_try(check.history, timing)
    text = f"{last}; it queues again at {utc_clock(again)}"
    if w.active and s.now < again and w.requeue_at < again - 1.0:  # Kueue counts whole seconds
        if check.state is CheckState.RETRY:
            return Wait("RequeueAtNotSet", f"Kueue has not taken the delay yet: {text}", until=again)
        return SetRequeueAt(check, text, ceil(again - s.now))
    return ResetCheck(check, text, check.history) if check.state is CheckState.RETRY else None


def _next_try(history: History, timing: Timing) -> float:
    """Unix time before which it does not queue again after its last failure."""
    delay = min(timing.retry_delay * 2.0 ** min(history.total - 1, 32), timing.retry_delay_max)
    return history.recent[-1].at + delay
