"""``kueue-ks clusters`` for people: whether each cluster takes jobs, then who has what of it."""

from collections.abc import Iterator, Sequence
from typing import Final

from kube_runtime.quantity import format_milli, parse_milli_down
from kueue_ks.amounts import age
from kueue_ks.views import cells
from kueue_ks.views.clusters import MAIN, Cluster, ClustersReport, Room, State, is_gpu, resource_order
from kueue_ks.views.table import Cell, Column, Line, table

TONES: Final = {State.USABLE: "good", State.CORDONED: "warn", State.UNUSABLE: "bad", State.UNKNOWN: "warn"}


def state_cell(cluster: Cluster) -> Cell:
    """One word."""
    word = "?" if cluster.state is State.UNKNOWN else cluster.state.value.lower()
    return Cell(word, TONES[cluster.state])


def age_cell(cluster: Cluster) -> Cell:
    """How old its facts are; "ahead" when its clock is."""
    seconds = cluster.facts_age_seconds
    if seconds is None:
        return cells.UNKNOWN
    return Cell(f"{age(-seconds)} ahead", "warn") if seconds < -1 else Cell(age(seconds))


def clusters_lines(
    report: ClustersReport, *, wide: bool = False, width: int | None = None, heads: bool = True
) -> list[Line]:
    """Two tables. ``wide``: every resource, and the versions."""
    lines = table(
        [
            Column("CLUSTER"),
            Column("STATE"),
            Column("NODES", right=True),
            Column("JOBS", right=True),
            Column("LEAVING", right=True),
            Column("FACTS", right=True),
            *([Column("KUBERNETES", optional=True)] if wide else []),
            Column("WHY", flexible=True, least=24),
        ],
        [
            *(_row(cluster, wide=wide) for cluster in report.clusters),
            *([] if report.complete else [[cells.UNKNOWN] * (8 if wide else 7)]),
        ],
        width=width,
        heads=heads,
    )
    rooms = list(_room_rows(report.clusters, wide=wide))
    if rooms and heads:
        lines.append([])
    lines += table(
        [
            Column("CLUSTER"),
            Column("RESOURCE"),
            *(Column(head, right=True) for head in ("CAPACITY", "HELD", "FOREIGN", "FREE")),
        ],
        rooms,
        width=width,
        heads=heads,
    )
    return lines + list(_missing_lines(report.clusters, heads=heads))


def _missing_lines(clusters: Sequence[Cluster], *, heads: bool) -> Iterator[Line]:
    """What a cluster lacks, with the remedy, in full: a cut command helps nobody."""
    told = [(cluster.name, each) for cluster in clusters for each in cluster.missing]
    if told and heads:
        yield []
    for name, each in told:
        yield [Cell(f"{name} lacks: {each}", "warn")]


def _row(cluster: Cluster, *, wide: bool) -> list[Cell]:
    return [
        Cell(cluster.name),
        state_cell(cluster),
        nodes_cell(cluster),
        cells.number(cluster.jobs),
        cells.number(cluster.leaving),
        age_cell(cluster),
        *([cells.text(cluster.kubernetes)] if wide else []),
        cells.text(cluster.why),
    ]


def nodes_cell(cluster: Cluster) -> Cell:
    """Nodes that take pods now, of all: "3/4"."""
    if cluster.nodes is None or cluster.nodes_taking_pods is None:
        return cells.UNKNOWN
    some_missing = cluster.nodes_taking_pods < cluster.nodes
    return Cell(f"{cluster.nodes_taking_pods}/{cluster.nodes}", "warn" if some_missing else "")


def _room_rows(clusters: Sequence[Cluster], *, wide: bool) -> Iterator[list[Cell]]:
    for cluster in clusters:
        for room in cluster.rooms:
            if wide or is_main(room.resource):
                yield _room(cluster.name, room)
    usable = sum(cluster.state is State.USABLE for cluster in clusters)
    if len(clusters) > 1 and usable:
        resources = {room.resource for cluster in clusters for room in cluster.rooms}
        for resource in sorted(resources, key=resource_order):
            if wide or is_main(resource):
                yield _room(f"{usable} usable", fleet_room(clusters, resource), tone="head")


def is_main(resource: str) -> bool:
    """What is shown without being asked for."""
    return resource in MAIN or is_gpu(resource)


def fleet_room(clusters: Sequence[Cluster], resource: str) -> Room:
    """The sum over the clusters that take jobs; one unknown makes the sum unknown."""
    usable = [c for c in clusters if c.state is State.USABLE]
    rooms = [room for c in usable for room in c.rooms if room.resource == resource]
    return Room(
        resource,
        capacity=_sum(resource, [r.capacity for r in rooms]),
        held=_sum(resource, [r.held for r in rooms]),
        foreign=_sum(resource, [r.foreign for r in rooms]),
        free=_sum(resource, [r.free for r in rooms]),
    )


def _sum(resource: str, amounts: Sequence[str | None]) -> str | None:
    known = [parse_milli_down(each) for each in amounts if each is not None]
    return format_milli(sum(known), resource) if len(known) == len(amounts) else None


def _room(name: str, room: Room, tone: str = "") -> list[Cell]:
    over = room.free is not None and parse_milli_down(room.free) < 0
    return [
        Cell(name, tone),
        Cell(room.resource),
        cells.quantity(room.capacity, room.resource),
        cells.quantity(room.held, room.resource),
        cells.quantity(room.foreign, room.resource),
        cells.quantity(room.free, room.resource, "bad" if over else ""),
    ]
