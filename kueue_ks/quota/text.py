"""``kueue-ks quota`` and ``kueue-ks quota plan`` for people."""

from collections.abc import Iterator
from typing import Final

from kube_runtime.quantity import parse_milli_down
from kueue_ks.quota.plan import PlannedChange, QuotaPlan, Shrunk
from kueue_ks.quota.report import CellReport, ClusterPart, QuotaReport
from kueue_ks.views import cells
from kueue_ks.views.table import Cell, Column, Line, table, wrapped

VICTIMS_SHOWN: Final = 10


def quota_lines(report: QuotaReport, width: int | None, *, heads: bool = True) -> list[Line]:
    """One line per step of the sum, so that anyone can add it up; then what each queue has of it."""
    columns = [
        Column("FLAVOR"),
        Column("RESOURCE"),
        Column("CLUSTER"),
        *(Column(h, right=True, optional=True) for h in ("ALLOCATABLE", "EXCLUDED", "FOREIGN", "RESERVE")),
        *(Column(h, right=True) for h in ("CAPACITY", "QUOTA", "WANTED")),
        Column("WHY", flexible=True, least=16),
    ]
    rows = [row for cell in report.cells for row in _cell_rows(cell)]
    lines = table(columns, rows, width=width, heads=heads)
    queues = [
        [
            Cell(queue.name if queue.kind == "ClusterQueue" else f"cohort/{queue.name}"),
            Cell(cell.flavor),
            Cell(cell.resource),
            Cell(str(queue.weight) if queue.managed else "by hand"),
            cells.quantity(queue.quota, cell.resource),
            cells.quantity(queue.wanted, cell.resource, "" if queue.wanted == queue.quota else "warn"),
            cells.NOTHING if queue.reserved is None else cells.quantity(queue.reserved, cell.resource),
        ]
        for cell in report.cells
        for queue in cell.queues
    ]
    if queues and heads:
        lines.append([])
    names = ("QUEUE", "FLAVOR", "RESOURCE")
    lines += table(
        [*map(Column, names), *(Column(h, right=True) for h in ("WEIGHT", "QUOTA", "WANTED", "RESERVED"))],
        sorted(queues, key=lambda row: row[0].text),
        width=width,
        heads=heads,
    )
    said = [*([f"kept: {report.kept}"] if report.kept else []), *(f"note: {note}" for note in report.notes)]
    return lines + [[Cell(line, "warn")] for text in said for line in wrapped(text, width, indent=6)]


def _cell_rows(cell: CellReport) -> Iterator[list[Cell]]:
    head = [Cell(cell.flavor), Cell(cell.resource)]
    for part in cell.clusters:
        yield [
            *head,
            Cell(part.cluster),
            cells.quantity(part.allocatable, cell.resource),
            _excluded(part, cell.resource),
            cells.quantity(part.foreign, cell.resource),
            Cell(""),
            cells.quantity(part.capacity, cell.resource),
            Cell(""),
            Cell(""),
            Cell(_why(part, cell.resource)),
        ]
        head = [Cell(""), Cell("")]
    yield [
        *head,
        Cell("fleet", "head"),
        Cell(""),
        Cell(""),
        Cell(""),
        cells.quantity(cell.reserve, cell.resource),
        cells.quantity(cell.capacity, cell.resource),
        cells.quantity(cell.quota, cell.resource),
        cells.quantity(cell.wanted, cell.resource, "good" if cell.wanted == cell.quota else "warn"),
        Cell("" if cell.wanted == cell.quota else "see kueue-ks quota plan"),
    ]


def _excluded(part: ClusterPart, resource: str) -> Cell:
    total = sum(parse_milli_down(amount) for amount in part.excluded.values())
    return Cell(cells.milli(total, resource), "warn" if total else "")


def _why(part: ClusterPart, resource: str) -> str:
    reasons = [f"{why} {cells.shown(amount, resource)}" for why, amount in part.excluded.items()]
    return ", ".join([*reasons, *([part.why] if part.why else [])])


def plan_lines(plan: QuotaPlan, width: int | None, *, heads: bool = True) -> list[Line]:
    """Old and new of each quota that would be written, then what a shrink below use would do."""
    columns = [
        *map(Column, ("QUEUE", "FLAVOR", "RESOURCE")),
        *(Column(h, right=True) for h in ("OLD", "NEW", "RESERVED", "OVER")),
        Column("CLUSTERS", flexible=True, least=20),
    ]
    lines = table(columns, [_planned(change) for change in plan.changes], width=width, heads=heads)
    texts = [f"kept: {plan.kept}"] if plan.kept else []
    if not plan.known:
        texts.append("Not everything was read that decides on quotas, so nothing can be said of them.")
    elif not plan.changes and not plan.kept:
        texts.append("Nothing would be written: the quotas are what the clusters have.")
    texts += [_shrunk(shrunk) for shrunk in plan.shrunk]
    return lines + [[Cell(line)] for text in texts for line in wrapped(text, width, indent=2)]


def _planned(change: PlannedChange) -> list[Cell]:
    nothing = cells.NOTHING
    return [
        Cell(change.queue if change.kind == "ClusterQueue" else f"cohort/{change.queue}"),
        Cell(change.flavor),
        Cell(change.resource),
        cells.quantity(change.old, change.resource),
        cells.quantity(change.new, change.resource),
        nothing if change.reserved is None else cells.quantity(change.reserved, change.resource),
        nothing if change.over in (None, "0") else cells.quantity(change.over, change.resource, "warn"),
        Cell(", ".join(change.causes) or "-"),
    ]


def _shrunk(shrunk: Shrunk) -> str:
    said = f"{shrunk.queue}: more is in use than it would have. Nobody is evicted; Kueue admits nothing more "
    said += "to these flavors until use is below the quota. "
    if shrunk.in_the_way is None:
        return said + "Which jobs are in the way is not known: Workloads were not read."
    names = ", ".join(shrunk.in_the_way[:VICTIMS_SHOWN])
    more = len(shrunk.in_the_way) - VICTIMS_SHOWN
    names += f" and {more} more" if more > 0 else ""
    return said + f"In the way, least important and newest first: {names or 'none that can be seen'}."
