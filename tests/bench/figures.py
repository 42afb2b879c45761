"""Figures of one run, as a table for people and as JSON for programs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One row. ``median`` and ``p99`` are milliseconds; ``limit`` says what is wanted, "": nothing.

    ``ratio`` is the median in units of the same run's calibration loop, for which a slower or busier machine
    takes longer, too; None where waiting is part of the figure.
    """

    group: str
    what: str
    count: int
    median: float
    p99: float
    ratio: float | None = None
    limit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All figures. ``calibration``: milliseconds of processor time for the loop that ratios refer to."""

    calibration: float
    figures: tuple[Figure, ...]

    def to_json(self) -> dict[str, Any]:
        """As ``-o json`` prints it."""
        return {"kind": "BenchmarkReport", **asdict(self)}


def figure(
    group: str,
    what: str,
    seconds: Sequence[float],
    *,
    calibration: float | None = None,
    limit: str = "",
    note: str = "",
) -> Figure:
    """Of measured seconds; ``calibration`` as in ``Run`` where these are processor time."""
    millis = sorted(1000.0 * s for s in seconds)
    median = percentile(millis, 50)
    return Figure(
        group=group,
        what=what,
        count=len(millis),
        median=round(median, 2),
        p99=round(percentile(millis, 99), 2),
        ratio=None if not calibration else round(median / calibration, 2),
        limit=limit,
        note=note,
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that so many per cent are not above (nearest rank); ``ordered`` is not empty."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(1, rank) - 1]


def table(run: Run) -> str:
    """All figures in columns."""
    heads = ("WHAT", "COUNT", "MEDIAN ms", "P99 ms", "RATIO", "WANTED", "")
    lines: list[Sequence[str]] = [heads]
    group = ""
    for f in run.figures:
        if f.group != group:
            group = f.group
            lines += [("",) * len(heads), (group, *("",) * (len(heads) - 1))]
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}"
        lines.append((f"  {f.what}", str(f.count), f"{f.median:.1f}", f"{f.p99:.1f}", ratio, f.limit, f.note))
    return "\n".join(
        [*_columns(lines), "", f"RATIO: to a loop that took {run.calibration:.1f} ms in this run"]
    )


def _columns(lines: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *numbers = zip(line, widths, strict=True)
        cells = [first[0].ljust(first[1])]
        cells += [cell.ljust(w) if n > 3 else cell.rjust(w) for n, (cell, w) in enumerate(numbers)]
        yield "   ".join(cells).rstrip()


def by_what(run: Run) -> Mapping[str, Figure]:
    """For tests."""
    return {f"{f.group}: {f.what}": f for f in run.figures}
