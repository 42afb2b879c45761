"""I1 and I3: a Workload's pods live in one place at a time, and never after its end."""

from collections.abc import Iterator

from tests.judge.facts import Window
from tests.judge.history import History, JobLife, PodLife, WorkloadLife, grouped
from tests.judge.rules import Rules, Violation

SECOND = 1_000_000


def in_one_place(history: History, rules: Rules) -> Iterator[Violation]:
    """I1: at any instant, a Workload's pods live on one cluster and are of one worker Job (or JobSet)."""
    ours = (pod for pod in history.pods if pod.workload and rules.is_worker(pod.cluster))
    for workload, pods in grouped(ours, lambda pod: pod.workload).items():
        if workload in rules.may_run_twice:
            continue
        yield from _overlaps(history, workload, pods)


def _overlaps(history: History, workload: str, pods: list[PodLife]) -> Iterator[Violation]:
    """Sweep over the certain life times; each pair of places is reported once."""
    living: list[PodLife] = []
    told: set[frozenset[tuple[str, str]]] = set()
    for pod in sorted(pods, key=lambda pod: pod.appeared.latest):
        begin = pod.appeared.latest
        if pod.ended is not None and pod.ended.earliest <= begin:
            continue  # shorter than the log can tell
        living = [other for other in living if other.ended is None or other.ended.earliest > begin]
        place = (pod.cluster, history.top_owner(pod))
        for other in living:
            there = (other.cluster, history.top_owner(other))
            if there != place and frozenset({there, place}) not in told:
                told.add(frozenset({there, place}))
                yield Violation("I1", begin / SECOND, f"Workload {workload}", _together(other, pod))
        living.append(pod)


def _together(first: PodLife, second: PodLife) -> str:
    until = [life.ended.earliest for life in (first, second) if life.ended]
    how_long = (
        f"for at least {(min(until) - second.appeared.latest) / SECOND:.3f} s"
        if until
        else "to the end of the log"
    )
    pods = " and ".join(f"{life.title} (owner {life.owner})" for life in (first, second))
    return f"{pods} lived together {how_long}"


def not_after_the_end(history: History, rules: Rules) -> Iterator[Violation]:
    """I3: no pod is created after its Workload's Finished, nor after its attempt's Job ended on a worker."""
    ended = (j for j in history.jobs.values() if j.finished and not j.owner and rules.is_worker(j.cluster))
    ended_jobs = grouped(ended, lambda job: f"{job.workload}@{job.attempt}")
    for pod in history.pods:
        if pod.workload and rules.is_worker(pod.cluster):
            jobs = ended_jobs.get(f"{pod.workload}@{pod.attempt}", [])
            yield from _too_late(pod, history.workloads.get(pod.workload), jobs)


def _too_late(pod: PodLife, workload: WorkloadLife | None, jobs: list[JobLife]) -> Iterator[Violation]:
    """At most one: against the Workload's end, else against the first Job's."""
    ends: list[tuple[Window, str]] = []
    if workload and workload.finished:
        ends.append((workload.finished, f"Workload {pod.workload} was Finished ({workload.finish_reason})"))
    for job in jobs:
        if job.finished:
            what = f"Job {job.namespace}/{job.name} (uid {job.uid}, attempt {job.attempt or '?'})"
            ends.append((job.finished, f"{what} was {job.outcome} on {job.cluster}"))
    created = pod.appeared.earliest
    for end, what in ends:
        if created > end.latest:
            late = (created - end.latest) / SECOND
            yield Violation("I3", created / SECOND, pod.title, f"created {late:.3f} s after {what}")
            return


def none_on_the_hub(history: History, rules: Rules) -> Iterator[Violation]:
    """No pod is created where only specifications live."""
    for write in history.writes:
        if write.resource == "pods" and write.created and not rules.is_worker(write.space):
            yield Violation(
                "no hub pods",
                write.when.earliest / SECOND,
                write.title,
                f"a pod was created on {write.space} by {write.user}",
            )
