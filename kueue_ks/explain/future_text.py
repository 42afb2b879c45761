"""The verdicts and what would help, as lines of at most the screen's width."""

from collections.abc import Iterator, Sequence
from typing import Final

from kube_runtime.quantity import parse_milli_down
from kueue_ks.amounts import age, amount, short_name
from kueue_ks.explain.future import Future
from kueue_ks.forecast.verdicts import ClusterVerdict
from kueue_ks.views.cells import seconds
from kueue_ks.views.table import Cell, Column, table, words
from workload_controller.verdicts import Fits

_COLUMNS: Final = (
    Column("CLUSTER"),
    Column("VERDICT"),
    Column("CLASS"),
    Column("FREE/ASKED"),
    Column("WHY", flexible=True, least=20),
    Column("FACTS", right=True),
)
SHORT: Final = {
    "Fits": "fits",
    "InsufficientResources": "short now",
    "NeverFits": "never fits",
    "NoMatchingNodes": "no such node",
    "ClusterUnusable": "unusable",
    "ClusterBarred": "not for it",
}


def verdict_lines(verdicts: Sequence[ClusterVerdict], now: float, width: int | None) -> Iterator[str]:
    """The table, below an empty line."""
    if not verdicts:
        return
    rows = [
        [
            Cell(v.cluster),
            Cell(SHORT[v.reason] + (" *" if v.chosen else "")),
            Cell("-" if v.reason == Fits.reason else v.action),
            Cell(_room(v)),
            Cell(v.why),
            Cell(age(now - seconds(v.facts_at)) if v.facts_at else "?"),
        ]
        for v in verdicts
    ]
    yield ""
    for line in table(_COLUMNS, rows, width=None if width is None else width - 2):
        yield f"  {words(line)}".rstrip()
    yield ""


def future_lines(future: Future, now: float, width: int | None) -> Iterator[str]:
    """Place in the queue, verdicts, and what would help."""
    if future.place is not None:
        where = f"{future.place.position} of" if future.place.position else "unknown among"
        ahead = ", ".join(future.place.ahead) or ("nobody" if future.place.position else "?")
        more = (future.place.position or 1) - 1 - len(future.place.ahead)
        others = f" and {more} more" if more > 0 else ""
        yield f"  {'queue':<8}position {where} {future.place.waiting}; ahead: {ahead}{others}"
    if future.unknown:
        yield f"  {'clusters':<8}no verdict: {future.unknown}"
    yield from verdict_lines(future.verdicts, now, width)
    if future.helps:
        yield "  would help"
        rows = [[Cell(h.do), Cell(h.effect), Cell(h.action)] for h in future.helps]
        columns = (
            Column("DO", flexible=True, least=30),
            Column("EFFECT", flexible=True, least=12),
            Column("WHO"),
        )
        for line in table(columns, rows, width=None if width is None else width - 4, heads=False):
            yield f"    {words(line)}"


def _room(v: ClusterVerdict) -> str:
    if not v.resource:
        return "-"
    free, asked = ("?" if q is None else amount(parse_milli_down(q), v.resource) for q in (v.free, v.asked))
    return f"{free}/{asked} {short_name(v.resource)}"
