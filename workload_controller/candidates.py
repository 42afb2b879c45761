"""Which clusters this Workload may not use, before anybody looks at room.

Not as things are written: its queue or the job itself does not allow the cluster (``outside``). Not now: an
attempt failed there lately, or an earlier attempt of it may still be there (``barred``). An attempt that
failed on the only usable cluster does not forbid it: waiting would help nobody.
"""

from collections.abc import Container, Iterable, Mapping

from workload_controller.clock_text import utc_clock
from workload_controller.facts import ClusterFacts, FailedAttempt, History
from workload_controller.wishes import JobPolicy


def outside(clusters: Iterable[ClusterFacts], policy: JobPolicy) -> Mapping[str, str]:
    """Cluster → why the lists of queue and job leave it out; clusters that they allow are absent."""
    if policy.clusters is None:
        return {}
    names = [c.name for c in clusters]
    allowed = ", ".join(
        name if name in names else f"{name}, which is not registered" for name in sorted(policy.clusters)
    )
    allowed = allowed or "none that its queue and the job both name"
    return {name: f"not allowed for it (allowed: {allowed})" for name in names if name not in policy.clusters}


def barred(
    clusters: Iterable[ClusterFacts],
    left_out: Container[str],
    history: History,
    still_on: Iterable[str],
    *,
    now: float,
    exclusion: float,
) -> Mapping[str, str]:
    """Cluster → why not now; ``left_out`` are those ``outside``. ``exclusion`` is in seconds."""
    why = {name: f"an earlier attempt of it is still leaving {name}" for name in still_on}
    open_ones = [c.name for c in clusters if not (c.refusal or c.name in why or c.name in left_out)]
    recent = {f.cluster: f for f in history.recent if f.at + exclusion > now}
    if any(name not in recent for name in open_ones):
        why |= {name: _failed(recent[name], exclusion) for name in open_ones if name in recent}
    return why


def lately_failed(history: History, *, now: float, exclusion: float) -> Mapping[str, int]:
    """Cluster → whole seconds since the last failure there, where that is less than ``exclusion`` ago."""
    return {f.cluster: int(now - f.at) for f in history.recent if f.at + exclusion > now}


def _failed(failure: FailedAttempt, exclusion: float) -> str:
    until = utc_clock(failure.at + exclusion)
    return f"attempt {failure.attempt} failed there ({failure.reason}), left out until {until}"
