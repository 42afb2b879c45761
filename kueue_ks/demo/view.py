"""The demo's screen: one ``State`` and the newest event lines as something rich can draw.

Fits 80 columns and more without wrapping; what is too long is cut. Colour is a second signal only.
"""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kueue_ks.amounts import amount, short_name
from kueue_ks.demo.facts import Cell
from kueue_ks.demo.lines import admitted_to_running, create_to_running, measured, plain
from kueue_ks.demo.state import Stage, State, Worker

EVENTS_SHOWN: Final = 9
WIDE: Final = 110  # columns from which bars are long
MOST_WORKERS: Final = 8  # rows; a screen has 24 lines, and the others are counted

_QUEUE_ROWS: Final = (
    (Stage.RUNNING, "green"),
    (Stage.STARTING, ""),
    (Stage.PLACING, "yellow"),
    (Stage.QUEUED, "yellow"),
    (Stage.FINISHED, "dim"),
    (Stage.FAILED, "red"),
)


def render(state: State, events: Sequence[tuple[float, str]], *, width: int, unicode: bool) -> RenderableType:
    """The whole screen for a terminal of ``width`` columns."""
    style = box.SQUARE if unicode else box.ASCII
    fleet = _panel("fleet: used / schedulable", _fleet(state, wide=width >= WIDE, unicode=unicode), style)
    queue = _panel("jobs", _queue(state), style)
    numbers = _panel("measured here", _numbers(state, unicode=unicode), style)
    return Group(_head(state, unicode=unicode), fleet, _row(queue, numbers), _events(events, unicode=unicode))


def clock(seconds: float) -> str:
    """As "00:41" since the demo began."""
    whole = max(0, int(seconds))
    return f"{whole // 60:02d}:{whole % 60:02d}"


def bar(used: int, whole: int, width: int, *, unicode: bool) -> str:
    """Filled in proportion; something is never shown as nothing."""
    full, empty = ("█", "░") if unicode else ("#", ".")
    filled = 0 if whole <= 0 or used <= 0 else min(width, max(1, round(width * used / whole)))
    return full * filled + empty * (width - filled)


def _head(state: State, *, unicode: bool) -> Table:
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    head.add_column(no_wrap=True, justify="right")
    separator = " · " if unicode else " - "
    title = Text(plain(f"kueue-ks demo{separator}{state.step}", unicode=unicode), style="bold")
    head.add_row(title, clock(state.now))
    return head


def _panel(title: str, content: RenderableType, style: box.Box) -> Panel:
    return Panel(content, title=title, title_align="left", box=style, padding=(0, 1))


def _row(*panels: Panel) -> Table:
    row = Table.grid(expand=True)
    for _ in panels:
        row.add_column(ratio=1)
    row.add_row(*panels)
    return row


def _fleet(state: State, *, wide: bool, unicode: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    for _ in state.cells:
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row("", *(Text(f"{c.flavor} {short_name(c.resource)}", style="dim") for c in state.cells), "")
    size = 14 if wide else 5
    for worker in state.workers[:MOST_WORKERS]:
        cells = (_use(worker, cell, size, unicode=unicode) for cell in state.cells)
        table.add_row(Text(worker.name, style="bold"), *cells, _note(worker))
    if len(state.workers) > MOST_WORKERS:
        table.add_row(f"+{len(state.workers) - MOST_WORKERS} more")
    quota = (
        _share(state.reserved.get(cell, 0), state.nominal[cell], cell.resource, size, unicode=unicode)
        for cell in state.cells
    )
    table.add_row(Text("quota", style="bold"), *quota, Text("reserved / nominal", style="dim"))
    return table


def _use(worker: Worker, cell: Cell, size: int, *, unicode: bool) -> Text:
    found = next((b for b in worker.bars if b.cell == cell), None)
    if found is None:
        return Text("-", style="dim")
    return _share(found.used, found.allocatable, cell.resource, size, unicode=unicode)


def _share(used: int, whole: int, resource: str, size: int, *, unicode: bool) -> Text:
    text = Text(bar(used, whole, size, unicode=unicode), style="red" if used > whole else "green")
    return text.append(f" {amount(used, resource)}/{amount(whole, resource)}", style="default")


def _note(worker: Worker) -> Text:
    if not worker.available:
        return Text("not available", style="red")
    return Text(f"{len(worker.cordoned)} cordoned", style="yellow") if worker.cordoned else Text("")


def _queue(state: State) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right")
    for stage, colour in _QUEUE_ROWS:
        count = state.count(stage)
        if count or stage is not Stage.FAILED:
            table.add_row(stage.value, Text(str(count), style=colour if count else "dim"))
    return table


def _numbers(state: State, *, unicode: bool) -> Table:
    twice = sum(len(job.trace.places) > 1 for job in state.jobs)
    table = Table.grid()
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_row(Text(plain("create → running", unicode=unicode), style="dim"))
    table.add_row(f"  {measured(create_to_running(state))}")
    table.add_row(Text(plain("admitted → running", unicode=unicode), style="dim"))
    table.add_row(f"  {measured(admitted_to_running(state))}")
    table.add_row(f"pods on the hub {len(state.hub_pods)}   ran twice {twice}")
    return table


def _events(events: Sequence[tuple[float, str]], *, unicode: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis" if unicode else "crop", ratio=1)
    for at, text in events[-EVENTS_SHOWN:]:
        table.add_row(Text(clock(at), style="dim"), Text(plain(text, unicode=unicode)))
    return table
