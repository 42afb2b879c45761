"""Clusters, queues and jobs on one screen. Pure: the same rows as the other two views."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from kueue_ks.explain.explanation import Phase
from kueue_ks.views.clusters import Cluster, ClustersReport, Rules, clusters_report
from kueue_ks.views.facts import Facts
from kueue_ks.views.jobs import Job
from kueue_ks.views.queue import Queue, QueueReport, queue_report


@dataclass(frozen=True, slots=True)
class TopReport:
    """None where it was not read."""

    at: str
    clusters: tuple[Cluster, ...]
    complete: bool  # all clusters are here, see ClustersReport
    queues: tuple[Queue, ...] | None
    waiting: tuple[Job, ...] | None
    running: tuple[Job, ...] | None
    unread: Mapping[str, str] = field(default_factory=dict)


def top_report(facts: Facts, rules: Rules, *, namespace: str = "") -> TopReport:
    """Put the facts together; jobs of one namespace only if asked."""
    fleet: ClustersReport = clusters_report(facts, rules)
    queues: QueueReport = queue_report(facts, namespace=namespace)
    return TopReport(
        at=fleet.at,
        clusters=fleet.clusters,
        complete=fleet.complete,
        queues=queues.queues,
        waiting=queues.waiting,
        running=queues.running,
        unread=fleet.unread,
    )


def changes(old: TopReport, new: TopReport) -> Iterator[str]:
    """What a line is written for when there is no screen, in a fixed order."""
    before = {cluster.name: cluster for cluster in old.clusters}
    now = {cluster.name: cluster for cluster in new.clusters}
    for name in sorted(before.keys() | now.keys()):
        was, is_ = _state(before.get(name)), _state(now.get(name))
        if was != is_:
            yield f"cluster {name}: {was} -> {is_}"
    jobs_before, jobs_now = _jobs(old), _jobs(new)
    if jobs_before is not None and jobs_now is not None:
        for key in sorted(jobs_before.keys() | jobs_now.keys()):
            had, has = jobs_before.get(key, "new"), jobs_now.get(key, "ended")
            if had != has:
                yield f"job {key}: {had} -> {has}"
    for space in sorted(old.unread.keys() ^ new.unread.keys()):
        yield f"{space}: {new.unread[space]}" if space in new.unread else f"{space}: read again"


def _state(cluster: Cluster | None) -> str:
    if cluster is None:
        return "gone"
    return f"{cluster.state.value} ({cluster.why})" if cluster.why else cluster.state.value


def _jobs(report: TopReport) -> dict[str, str] | None:
    if report.waiting is None or report.running is None:
        return None
    jobs = (*report.waiting, *report.running)
    return {f"{job.namespace}/{job.name} {job.workload}".rstrip(): _where(job) for job in jobs}


def _where(job: Job) -> str:
    if job.phase in {Phase.STARTING, Phase.RUNNING, Phase.LEAVING} and job.cluster:
        return f"{job.phase.value} on {job.cluster} (attempt {job.attempt})"
    return f"{job.phase.value} ({job.reason})" if job.reason else job.phase.value
