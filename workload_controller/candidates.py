"""Which clusters this Workload may not use now, before anybody looks at room.

Three reasons: its queue or the job itself does not allow the cluster; an attempt failed there lately; an
earlier attempt of it may still be there. An attempt that failed on the only usable cluster does not forbid
it: waiting would help nobody.
"""

from collections.abc import Iterable, Mapping

from workload_controller.clock_text import utc_clock
from workload_controller.facts import ClusterFacts, FailedAttempt, History
from workload_controller.wishes import JobPolicy


def barred(
    clusters: Iterable[ClusterFacts],
    policy: JobPolicy,
    history: History,
    still_on: Iterable[str],
    *,
    now: float,
    exclusion: float,
) -> Mapping[str, str]:
    """Cluster → why not; clusters that may be used are absent. ``exclusion`` is in seconds."""
    names = [c.name for c in clusters if not c.refusal]
    why = {name: f"an earlier attempt of it is still leaving {name}" for name in still_on}
    if policy.clusters is not None:
        allowed = ", ".join(sorted(policy.clusters)) or "none that its queue and the job both name"
        why |= {
            name: f"not allowed for it (allowed: {allowed})" for name in names if name not in policy.clusters
        }
    open_ones = [name for name in names if name not in why]
    recent = {f.cluster: f for f in history.recent if f.at + exclusion > now}
    if any(name not in recent for name in open_ones):
        why |= {name: _failed(recent[name], exclusion) for name in open_ones if name in recent}
    return why


def _failed(failure: FailedAttempt, exclusion: float) -> str:
    until = utc_clock(failure.at + exclusion)
    return f"attempt {failure.attempt} failed there ({failure.reason}), left out until {until}"
