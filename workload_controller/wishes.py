"""What a job, its LocalQueue and its ClusterQueue ask of us, by annotations below our prefix.

The job's own word counts before its LocalQueue's, that before its ClusterQueue's, that before our settings.
Clusters are different: which ones a queue may use is for administrators to say, and a job can only ask for
fewer (docs/design.md, section 1).

The requeuing fields are those of MCAD (AppWrapper v1beta1 ``schedulingSpec.requeuing``): the time that pods
may take to become ready, how it grows with every try, its limit, and how many tries there are. As there, 0
means no limit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from vocabulary import keys
from workload_controller.facts import LossPolicy, WorkloadFacts
from workload_controller.refusals import Refusal


class Growth(Enum):
    """How the time to become ready grows with every requeuing."""

    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    NONE = "none"


class OnRemoved(Enum):
    """What happens when the Job was deleted by hand on its worker."""

    RESTART = "restart"
    REJECT = "reject"


LONGEST = 365 * 86_400
"""A year, in seconds or tries: beyond it, it is a slip, and dates end."""


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """Everything that may be asked for; times in seconds. ``clusters`` is None when all may be used."""

    on_loss: LossPolicy = LossPolicy.AT_MOST_ONCE
    on_removed: OnRemoved = OnRemoved.RESTART
    start_timeout: float = 300.0
    growth: Growth = Growth.EXPONENTIAL
    start_timeout_max: float = 0.0
    max_requeuings: int = 5
    clusters: frozenset[str] | None = None

    @property
    def leased(self) -> bool:
        """Whether the worker's agent ends the job when it does not hear from the hub."""
        return self.on_loss is LossPolicy.LEASED

    def time_to_start(self, requeuings: int) -> float:
        """Seconds that the pods of the next try may take to become ready."""
        match self.growth:
            case Growth.EXPONENTIAL:
                grown = self.start_timeout * 2.0 ** min(requeuings, 32)
            case Growth.LINEAR:
                grown = self.start_timeout * (requeuings + 1)
            case Growth.NONE:
                grown = self.start_timeout
        return min(grown, self.start_timeout_max or LONGEST)


@dataclass(frozen=True, slots=True)
class BadWish:
    """An annotation that cannot be read; ``obj`` bears it."""

    obj: str
    key: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.obj}: annotation {self.key} is {self.value!r}: {self.remedy}"


def job_policy(
    defaults: JobPolicy,
    *,
    cluster_queue: Mapping[str, str],
    local_queue: Mapping[str, str],
    job: Mapping[str, str],
) -> tuple[JobPolicy, tuple[BadWish, ...]]:
    """The policy of one job, and all that could not be read; what is bad changes nothing.

    Bad wishes of the job come first: those reject it, an administrator's only make it wait.
    """
    policy, bad = defaults, []
    for obj, wishes in (("ClusterQueue", cluster_queue), ("LocalQueue", local_queue), ("Job", job)):
        for key, read in _READERS.items():
            if key not in wishes:
                continue
            if key == keys.CLUSTERS and obj == "LocalQueue":
                continue  # a tenant's namespace holds it: it could only pretend to be an administrator's
            try:
                policy = read(policy, wishes[key])
            except ValueError as wrong:
                bad.append(BadWish(obj, key, wishes[key], str(wrong)))
    bad.sort(key=lambda wish: wish.obj != "Job")
    return policy, tuple(bad)


def bad_wish(w: WorkloadFacts, bad: Sequence[BadWish]) -> Refusal | None:
    """The job's own annotation that cannot be read; a queue's is its administrator's, and is waited for."""
    for wish in bad:
        if wish.obj == "Job":
            obj = f"{w.owner_kind} {w.namespace}/{w.owner_name}"
            return Refusal(
                "BadAnnotation", obj, f"annotation {wish.key}", wish.value, f"Give it {wish.remedy}."
            )
    return None


def _on_loss(policy: JobPolicy, value: str) -> JobPolicy:
    return replace(policy, on_loss=LossPolicy(_one_of(value, [p.value for p in LossPolicy])))


def _on_removed(policy: JobPolicy, value: str) -> JobPolicy:
    return replace(policy, on_removed=OnRemoved(_one_of(value, [p.value for p in OnRemoved])))


def _growth(policy: JobPolicy, value: str) -> JobPolicy:
    return replace(policy, growth=Growth(_one_of(value, [g.value for g in Growth])))


def _start_timeout(policy: JobPolicy, value: str) -> JobPolicy:
    seconds = _whole(value)
    if seconds == 0:
        raise ValueError("seconds, at least 1")
    return replace(policy, start_timeout=float(seconds))


def _start_timeout_max(policy: JobPolicy, value: str) -> JobPolicy:
    return replace(policy, start_timeout_max=float(_whole(value)))


def _max_requeuings(policy: JobPolicy, value: str) -> JobPolicy:
    return replace(policy, max_requeuings=_whole(value))


def _clusters(policy: JobPolicy, value: str) -> JobPolicy:
    named = frozenset(name.strip() for name in value.split(",") if name.strip())
    if not named:
        raise ValueError("the names of clusters, at least one, separated by commas")
    return replace(policy, clusters=named if policy.clusters is None else policy.clusters & named)


_READERS: Mapping[str, Callable[[JobPolicy, str], JobPolicy]] = {
    keys.ON_CLUSTER_LOSS: _on_loss,
    keys.ON_JOB_REMOVED: _on_removed,
    keys.TIME_IN_SECONDS: _start_timeout,
    keys.GROWTH_TYPE: _growth,
    keys.MAX_TIME_IN_SECONDS: _start_timeout_max,
    keys.MAX_NUM_REQUEUINGS: _max_requeuings,
    keys.CLUSTERS: _clusters,
}


def _one_of(value: str, allowed: list[str]) -> str:
    if value not in allowed:
        msg = f"one of {', '.join(allowed)}"
        raise ValueError(msg)
    return value


def _whole(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value) <= LONGEST):
        msg = f"a whole number from 0 to {LONGEST}"
        raise ValueError(msg)
    return int(value)
