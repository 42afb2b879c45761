"""What the user sees while things take time: live on a terminal, one line per change elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table


class Progress(Protocol):
    """Told about work by a name that stays ("kueue") and a state that changes ("starting")."""

    def stage(self, name: str, text: str) -> None:
        """A change that is worth a line."""

    def detail(self, name: str, text: str) -> None:
        """Something too frequent for lines: shown only live."""

    def close(self) -> None:
        """The work has ended, well or not."""


class Silent:
    """For tests and libraries."""

    def stage(self, name: str, text: str) -> None:
        """Ignored."""

    def detail(self, name: str, text: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Nothing to do."""


class Lines:
    """One line per change with the time since the beginning: logs, pipes, CI."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._began = clock()
        self._last: dict[str, str] = {}

    def stage(self, name: str, text: str) -> None:
        """Print the change; the same text twice is no change."""
        if self._last.get(name) == text:
            return
        self._last[name] = text
        print(f"{elapsed(self._clock() - self._began):>7}  {name}: {text}", file=self._out, flush=True)

    def detail(self, name: str, text: str) -> None:
        """Too frequent for lines."""

    def close(self) -> None:
        """Nothing is held open."""


class Terminal:
    """A table that is redrawn in place; the last state stays on the screen."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._rows: dict[str, tuple[str, str]] = {}
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=8)
        self._live.start()

    def stage(self, name: str, text: str) -> None:
        """Replace the row's state and drop its detail."""
        self._rows[name] = (text, "")

    def detail(self, name: str, text: str) -> None:
        """Replace what stands behind the row's state."""
        self._rows[name] = (self._rows.get(name, ("", ""))[0], text)

    def close(self) -> None:
        """Draw once more and leave the table there."""
        self._live.stop()

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, (text, detail) in self._rows.items():
            table.add_row(f"[bold]{name}", text, f"[dim]{detail}")
        table.add_row("[dim]elapsed", f"[dim]{elapsed(self._clock() - self._began)}", "")
        return table


def for_stream(out: TextIO = sys.stderr) -> Progress:
    """Live when ``out`` is a terminal, lines otherwise."""
    if out.isatty():
        return Terminal(Console(file=out))
    return Lines(out)


def elapsed(seconds: float) -> str:
    """A duration for people: "4.2s" below a minute, "3m07s" above."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    return f"{whole // 60}m{whole % 60:02d}s"
