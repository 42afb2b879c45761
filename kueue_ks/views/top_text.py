"""``kueue-ks top``'s screen: a line for the fleet, then clusters, queues and jobs as there is room."""

from collections.abc import Sequence
from typing import Final

from kube_runtime.quantity import parse_milli_down
from kueue_ks.amounts import short_name
from kueue_ks.explain.explanation import Phase
from kueue_ks.views import cells
from kueue_ks.views.clusters import Cluster, Room, State, resource_order
from kueue_ks.views.clusters_text import age_cell, fleet_room, is_main, nodes_cell, state_cell
from kueue_ks.views.queue import Queue, Quota
from kueue_ks.views.queue_text import queue_state, running_table, waiting_table
from kueue_ks.views.table import Cell, Column, Line, clip, table
from kueue_ks.views.top import TopReport

BAR: Final = 7  # characters
LEAST: Final = 3  # lines of a table: its head, a row, and how many more there are


def top_lines(
    report: TopReport, *, width: int | None = None, height: int | None = None, unicode: bool = True
) -> list[Line]:
    """The whole screen, of at most ``height`` lines; what does not fit is counted."""
    head = [_head(report), _use_of_fleet(report.clusters, unicode=unicode)]
    tables = [
        clusters_table(report.clusters, complete=report.complete, width=width),
        queues_table(report.queues, width=width),
        waiting_table(report.waiting, report.at, width=width),
        running_table(report.running, report.at, width=width),
    ]
    tables = [each for each in tables if each]
    notes: list[Line] = [[Cell(f"not read: {what}: {why}", "warn")] for what, why in report.unread.items()]
    rest = None if height is None else height - len(notes) - len(head) - len(tables)
    lines: list[Line] = [*head, *notes]
    for each in _shared(tables, rest):
        lines += [[], *each]
    return lines if width is None else [clip(line, width) for line in lines]


def _head(report: TopReport) -> Line:
    clusters = report.clusters
    off = sum(cluster.state is not State.USABLE for cluster in clusters)
    count = len(clusters) if report.complete else "?"
    line = [Cell(f"FLEET {count} cluster{'' if count == 1 else 's'}", "head")]
    if off and report.complete:
        line.append(Cell(f", {off} not usable", "bad"))
    leaving = [c.leaving for c in clusters]
    going = "?" if None in leaving or not report.complete else str(sum(filter(None, leaving)))
    running = "?" if report.running is None else str(sum(j.phase is Phase.RUNNING for j in report.running))
    waiting = "?" if report.waiting is None else str(len(report.waiting))
    line.append(Cell(f"   running {running}  waiting {waiting}  leaving {going}   {report.at[11:19]}"))
    return line


def _use_of_fleet(clusters: Sequence[Cluster], *, unicode: bool) -> Line:
    """What is not free of the clusters that take jobs."""
    line = []
    for resource in _resources(clusters):
        room = fleet_room(clusters, resource)
        line.append(Cell(f"   {short_name(resource)} {_use(room).text} "))
        line.append(Cell(_bar(room, unicode=unicode), "good"))
    return line


def clusters_table(clusters: Sequence[Cluster], *, complete: bool, width: int | None) -> list[Line]:
    """One line per cluster: held and foreign use of its capacity, per resource."""
    resources = _resources(clusters)
    return table(
        [
            Column("CLUSTER", flexible=True),
            *(Column(f"{short_name(r).upper()} USED/ALL", right=True) for r in resources),
            Column("NODES", right=True, optional=True),
            Column("JOBS", right=True),
            Column("LEAVING", right=True),
            Column("FACTS", right=True),
            Column("STATE", flexible=True, least=24),
        ],
        [
            [
                Cell(cluster.name),
                *(_use(_room(cluster, r)) for r in resources),
                nodes_cell(cluster),
                cells.number(cluster.jobs),
                cells.number(cluster.leaving),
                age_cell(cluster),
                _state(cluster),
            ]
            for cluster in clusters
        ]
        + ([] if complete else [[cells.UNKNOWN] * (len(resources) + 6)]),
        width=width,
    )


def queues_table(queues: Sequence[Queue] | None, *, width: int | None) -> list[Line]:
    """One line per ClusterQueue: reserved of nominal quota, where there is any."""
    rows = [
        [
            Cell(queue.name),
            *(cells.number(n) for n in (queue.pending, queue.reserving, queue.admitted)),
            cells.text(
                "  ".join(
                    _quota(quota)
                    for quota in queue.quotas
                    if quota.resource != "memory" and is_main(quota.resource) and _any(quota)
                )
            ),
            queue_state(queue),
        ]
        for queue in queues or ()
        if not queue.namespace
    ]
    return table(
        [
            Column("CLUSTERQUEUE", flexible=True),
            *(Column(head, right=True, optional=True) for head in ("PENDING", "RESERVING", "ADMITTED")),
            Column("RESERVED/NOMINAL", flexible=True, least=32),
            Column("STATE", flexible=True, least=16),
        ],
        rows if queues is not None else [[cells.UNKNOWN] * 6],
        width=width,
    )


def _any(quota: Quota) -> bool:
    return _some(quota.nominal) or _some(quota.reserved)


def _quota(quota: Quota) -> str:
    reserved, nominal = (cells.shown(q, quota.resource) for q in (quota.reserved, quota.nominal))
    return f"{quota.flavor} {short_name(quota.resource)} {reserved}/{nominal}"


def _resources(clusters: Sequence[Cluster]) -> list[str]:
    """Main resources that somebody has or asks for; memory only where there is no GPU, for want of room."""
    some = {r.resource for c in clusters for r in c.rooms if _some(r.capacity) or _some(r.held)}
    found = sorted(filter(is_main, some), key=resource_order)
    return [r for r in found if r != "memory" or len(found) <= len(("cpu", "memory"))]


def _some(value: str | None) -> bool:
    return value is not None and parse_milli_down(value) != 0


def _room(cluster: Cluster, resource: str) -> Room:
    none = Room(resource, "0", "0", "0", "0")
    return next((room for room in cluster.rooms if room.resource == resource), none)


def used_of(room: Room) -> int | None:
    """What is not free for us, in milli-units: held by our jobs and used by others."""
    if room.held is None or room.foreign is None:
        return None
    return parse_milli_down(room.held) + parse_milli_down(room.foreign)


def _use(room: Room) -> Cell:
    used = used_of(room)
    whole = "?" if room.capacity is None else cells.shown(room.capacity, room.resource)
    if used is None:
        return Cell(f"?/{whole}", "warn")
    if room.capacity is not None and not used and not _some(room.capacity):
        return cells.NOTHING
    over = room.capacity is not None and used > parse_milli_down(room.capacity)
    return Cell(f"{cells.milli(used, room.resource)}/{whole}", "bad" if over else "")


def _bar(room: Room, *, unicode: bool) -> str:
    used, whole = used_of(room), parse_milli_down(room.capacity or "0")
    full, empty = ("▇", "░") if unicode else ("#", ".")
    if used is None or whole <= 0:
        return empty * BAR
    filled = min(BAR, max(1, round(BAR * used / whole))) if used > 0 else 0
    return full * filled + empty * (BAR - filled)


def _state(cluster: Cluster) -> Cell:
    word = state_cell(cluster)
    return Cell(f"{word.text}: {cluster.why}", word.tone) if cluster.why else word


def _shared(tables: Sequence[Sequence[Line]], height: int | None) -> list[Sequence[Line]]:
    """Equal shares; what a short table does not need goes to the longer ones."""
    if height is None:
        return list(tables)
    room = {}
    by_size = sorted(range(len(tables)), key=lambda i: len(tables[i]))
    for done, i in enumerate(by_size):
        share = max(LEAST, height // (len(tables) - done))
        room[i] = min(len(tables[i]), share)
        height -= room[i]
    return [each if len(each) <= room[i] else _counted(each, room[i]) for i, each in enumerate(tables)]


def _counted(lines: Sequence[Line], room: int) -> Sequence[Line]:
    kept = max(1, room - 1)
    return [*lines[:kept], [Cell(f"+{len(lines) - kept} more", "dim")]]
