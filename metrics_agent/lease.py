"""Which Jobs have to end because the hub has been silent for too long.

A job that its user declared ``leased`` may be started elsewhere when its cluster is lost and its lease is
over: that is safe only because the cluster itself ends it by then, cut off or not.

The hub writes its time into an object that is carried here like anything else. Two clocks are compared,
which may differ: so a beat never lasts longer than the lease from when we first saw it, by our own steady
clock, whatever time it bears. A beat that was seen in an earlier life of this process is judged by its time
alone. A new Job bears the time when the hub made it, which counts as a sign of life too: its heartbeat is
still on its way, or the last one is of an earlier job. The Job's own age does not count: the work agent
makes a Job again that somebody deleted, cut off or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from metrics_agent.facts import JobFacts


@dataclass(frozen=True, slots=True)
class Beat:
    """The hub's last sign of life."""

    at: float  # unix seconds of the hub's clock
    seen: float  # when we first saw this one, by our steady clock


@dataclass(frozen=True, slots=True)
class Instant:
    """Now, by both clocks."""

    unix: float
    steady: float


def silence(job: JobFacts, beat: Beat | None, now: Instant) -> float:
    """Seconds for which ``job`` has had no sign of the hub."""
    since_made = max(0.0, now.unix - job.leased_from)
    if beat is None:
        return since_made
    return min(since_made, max(0.0, now.unix - beat.at, now.steady - beat.seen))


def left(job: JobFacts, beat: Beat | None, now: Instant) -> float | None:
    """Seconds until the lease of ``job`` is over; None when it has none, or does not run."""
    return job.lease - silence(job, beat, now) if job.running and job.lease is not None else None


def expired(jobs: Iterable[JobFacts], beat: Beat | None, now: Instant) -> list[JobFacts]:
    """The Jobs whose lease is over."""
    return [job for job in jobs if (rest := left(job, beat, now)) is not None and rest <= 0]


def next_expiry(jobs: Iterable[JobFacts], beat: Beat | None, now: Instant) -> float | None:
    """Seconds until the first lease is over if the hub stays silent; None without any lease."""
    return min((rest for job in jobs if (rest := left(job, beat, now)) is not None), default=None)
