"""Plain tables as kubectl prints them: upper-case heads, three spaces, no borders, one line a row.

Into a pipe every row is as long as it is. On a terminal rows are cut, never wrapped: first the texts marked
``flexible``, then whole columns marked ``optional`` from the right, at last the end of the line. Figures are
not cut before that.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

GAP: Final = 3


class Cell(NamedTuple):
    """A text and what is said by colour too: "good", "bad", "warn", "dim" or "". Never by colour alone."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """``right`` for figures."""

    head: str
    right: bool = False
    flexible: bool = False
    optional: bool = False
    least: int = 12
    """Characters of a flexible column below which an optional one goes instead."""


Line = Sequence[Cell]
"""Cells that stand side by side, spaces included."""


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], *, width: int | None, heads: bool = True
) -> list[Line]:
    """Lines of at most ``width`` characters; None does not cut."""
    if not rows:
        return []
    kept = list(range(len(columns)))
    sizes = [max(len(c.head) * heads, *(len(row[i].text) for row in rows)) for i, c in enumerate(columns)]
    if width is not None:
        kept, sizes = _fit(columns, sizes, width)
    lines: list[Sequence[Cell]] = [[Cell(c.head, "dim") for c in columns]] if heads else []
    return [_line(columns, kept, sizes, row, width) for row in (*lines, *rows)]


def _fit(columns: Sequence[Column], sizes: list[int], width: int) -> tuple[list[int], list[int]]:
    kept = list(range(len(columns)))
    while True:
        fixed = sum(sizes[i] for i in kept if not columns[i].flexible) + GAP * (len(kept) - 1)
        flexible = [i for i in kept if columns[i].flexible]
        optional = [i for i in kept if columns[i].optional]
        smallest = sum(min(sizes[i], columns[i].least) for i in flexible)
        if fixed + smallest <= width or not optional:
            break
        kept.remove(optional[-1])
    fitted = list(sizes)
    for i in flexible:
        fitted[i] = min(sizes[i], columns[i].least)
    spare = width - fixed - sum(fitted[i] for i in flexible)
    for i in flexible:  # from the left: names whole before sentences
        more = max(0, min(sizes[i] - fitted[i], spare))
        fitted[i] += more
        spare -= more
    return kept, fitted


def _line(
    columns: Sequence[Column],
    kept: Sequence[int],
    sizes: Sequence[int],
    row: Sequence[Cell],
    width: int | None,
) -> Line:
    cells: list[Cell] = []
    for number, i in enumerate(kept):
        text = cut(row[i].text, sizes[i])
        last = number == len(kept) - 1
        pad = " " * (sizes[i] - len(text))
        if columns[i].right:
            cells.append(Cell(pad))
        cells.append(Cell(text, row[i].tone))
        if not last:
            cells.append(Cell(("" if columns[i].right else pad) + " " * GAP))
    return cells if width is None else clip(cells, width)


def cut(text: str, size: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= size else text[: max(0, size - 1)] + "…"[:size]


def clip(line: Line, width: int) -> Line:
    """The line's first ``width`` characters, with an ellipsis where it was longer."""
    if sum(len(cell.text) for cell in line) <= width:
        return line
    kept: list[Cell] = []
    for text, tone in line:
        left = width - sum(len(cell.text) for cell in kept)
        kept.append(Cell(text if len(text) < left else cut(text + " ", left), tone))
        if len(text) >= left:
            break
    return kept


def wrapped(line: str, width: int | None, indent: int = 10) -> list[str]:
    """A sentence in lines of at most ``width`` characters; None does not break it."""
    if width is None or len(line) <= width:
        return [line]
    return textwrap.wrap(line, max(width, indent + 1), subsequent_indent=" " * indent)


def words(line: Line) -> str:
    """Without colour."""
    return "".join(cell.text for cell in line).rstrip()
