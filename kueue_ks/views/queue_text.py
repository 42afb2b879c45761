"""``kueue-ks queue`` for people: quotas, queues, what waits and why, what runs and where."""

from collections.abc import Sequence
from typing import Final

from kueue_ks.explain.explanation import Phase
from kueue_ks.views import cells
from kueue_ks.views.jobs import Job
from kueue_ks.views.queue import Queue, QueueReport
from kueue_ks.views.table import Cell, Column, Line, table

STATES: Final = {
    Phase.NOT_QUEUED: "not queued",
    Phase.WAITING_FOR_QUOTA: "quota",
    Phase.WAITING_FOR_CLUSTER: "cluster",
    Phase.STARTING: "starting",
    Phase.RUNNING: "running",
    Phase.LEAVING: "leaving",
    Phase.REFUSED: "refused",
    Phase.STOPPED: "stopped",
}
TONES: Final = {Phase.RUNNING: "good", Phase.REFUSED: "bad", Phase.LEAVING: "warn", Phase.STOPPED: "warn"}


def queue_lines(
    report: QueueReport, *, wide: bool = False, width: int | None = None, heads: bool = True
) -> list[Line]:
    """Tables with an empty line between; ``wide``: priorities, our words beside Kueue's."""
    tables = [
        quota_table(report.queues, width=width, heads=heads),
        queue_table(report.queues, width=width, heads=heads),
        waiting_table(report.waiting, report.at, wide=wide, width=width, heads=heads),
        running_table(report.running, report.at, width=width, heads=heads),
    ]
    lines: list[Line] = []
    for each in filter(None, tables):
        lines += [[], *each] if lines and heads else each
    return lines


def quota_table(queues: Sequence[Queue] | None, *, width: int | None, heads: bool = True) -> list[Line]:
    """One row per nominalQuota."""
    return table(
        [
            Column("CLUSTERQUEUE", flexible=True),
            Column("FLAVOR", flexible=True),
            Column("RESOURCE", flexible=True),
            *(Column(head, right=True) for head in ("NOMINAL", "RESERVED", "USED")),
        ],
        [
            [
                Cell(queue.name),
                Cell(quota.flavor),
                Cell(quota.resource),
                *(cells.quantity(q, quota.resource) for q in (quota.nominal, quota.reserved, quota.used)),
            ]
            for queue in queues
            for quota in queue.quotas
        ]
        if queues is not None
        else [[cells.UNKNOWN] * 6],
        width=width,
        heads=heads,
    )


def queue_table(queues: Sequence[Queue] | None, *, width: int | None, heads: bool = True) -> list[Line]:
    """One row per ClusterQueue and LocalQueue, with Kueue's own counts."""
    return table(
        [
            Column("QUEUE", flexible=True),
            Column("CLUSTERQUEUE", flexible=True),
            *(Column(head, right=True) for head in ("PENDING", "RESERVING", "ADMITTED")),
            Column("STATE", flexible=True, least=24),
        ],
        [
            [
                Cell(f"{queue.namespace}/{queue.name}" if queue.namespace else queue.name),
                Cell(queue.cluster_queue) if queue.namespace else cells.NOTHING,
                cells.number(queue.pending),
                cells.number(queue.reserving),
                cells.number(queue.admitted),
                queue_state(queue),
            ]
            for queue in queues
        ]
        if queues is not None
        else [[cells.UNKNOWN] * 6],
        width=width,
        heads=heads,
    )


def queue_state(queue: Queue) -> Cell:
    """Whether Kueue admits from it."""
    if queue.active is None:
        return cells.UNKNOWN
    if not queue.active:
        return Cell(f"{queue.reason}: {queue.message}", "bad")
    return Cell("active, managed" if queue.managed else "active")


def waiting_table(
    jobs: Sequence[Job] | None, now: str, *, wide: bool = False, width: int | None, heads: bool = True
) -> list[Line]:
    """One row per job that does not run. POS is its place in Kueue's queue; WHY Kueue's or our own words."""
    return table(
        [
            Column("WAITING", flexible=True, least=24),
            Column("FOR"),
            Column("QUEUE", flexible=True, optional=True),
            Column("POS", right=True),
            *([Column("PRIORITY", right=True)] if wide else []),
            Column("ASKS", optional=True),
            Column("SINCE", right=True),
            Column("UNTIL", right=True),
            Column("WHY", flexible=True, least=28),
            *([Column("LAST VERDICT", flexible=True)] if wide else []),
        ],
        [_waiting(job, now, wide=wide) for job in jobs]
        if jobs is not None
        else [[cells.UNKNOWN] * (10 if wide else 8)],
        width=width,
        heads=heads,
    )


def _waiting(job: Job, now: str, *, wide: bool) -> list[Cell]:
    place = cells.UNKNOWN if job.phase is Phase.WAITING_FOR_QUOTA else cells.NOTHING
    return [
        Cell(f"{job.namespace}/{job.name}"),
        Cell(_waits_for(job), TONES.get(job.phase, "")),
        cells.text(job.cluster_queue or job.queue),
        Cell(str(job.position)) if job.position else place,
        *([Cell(str(job.priority))] if wide else []),
        Cell(cells.asks(job.asks, job.pods)),
        cells.since(job.since, now),
        cells.until(job.until, now),
        Cell(why(job)),
        *([cells.text(job.ours if job.kueue else "")] if wide else []),
    ]


def _waits_for(job: Job) -> str:
    leaves = job.phase is Phase.LEAVING and job.cluster
    return f"{STATES[job.phase]} {job.cluster}" if leaves else STATES[job.phase]


def why(job: Job) -> str:
    """The reason with its class, and Kueue's or our own words as they stand."""
    return (
        ": ".join(filter(None, (cells.with_action(job.reason, job.action), _one_line(job.kueue or job.ours))))
        or "-"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def running_table(
    jobs: Sequence[Job] | None, now: str, *, width: int | None, heads: bool = True
) -> list[Line]:
    """One row per admitted job. PODS are ready ones of all."""
    return table(
        [
            Column("RUNNING", flexible=True, least=24),
            Column("QUEUE", flexible=True, optional=True),
            Column("CLUSTER"),
            Column("ATTEMPT", right=True),
            Column("PODS", right=True),
            Column("ASKS", optional=True),
            Column("SINCE", right=True),
            Column("STATE"),
        ],
        [
            [
                Cell(f"{job.namespace}/{job.name}"),
                cells.text(job.cluster_queue or job.queue),
                cells.text(job.cluster),
                cells.number(job.attempt),
                Cell(f"{'?' if job.ready is None else job.ready}/{job.pods}"),
                Cell(cells.asks(job.asks, job.pods)),
                cells.since(job.since, now),
                Cell(STATES[job.phase], TONES.get(job.phase, "")),
            ]
            for job in jobs
        ]
        if jobs is not None
        else [[cells.UNKNOWN] * 8],
        width=width,
        heads=heads,
    )
