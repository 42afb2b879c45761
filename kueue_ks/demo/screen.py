"""Where the demo's states go: a live view on a terminal, one line per change elsewhere."""

import os
import shutil
from collections import deque
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from kueue_ks.demo.lines import changes, plain
from kueue_ks.demo.state import State
from kueue_ks.demo.view import EVENTS_SHOWN, render
from local_fleet.progress import elapsed

FRAMES: Final = 4  # per second


class Screen:
    """``with screen:`` is the time of the show; ``say`` is for before and after it."""

    def __init__(self, out: TextIO, *, lines_only: bool = False) -> None:
        self.lines_only = lines_only or not out.isatty() or os.environ.get("TERM") == "dumb"
        self._out = out
        self._unicode = "utf" in (out.encoding or "").lower()
        self._state = State()
        self._events: deque[tuple[float, str]] = deque(maxlen=EVENTS_SHOWN)
        self._console = Console(file=out, no_color="NO_COLOR" in os.environ or None)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if not self.lines_only:
            self._live = Live(
                get_renderable=self._render,
                console=self._console,
                refresh_per_second=FRAMES,
                vertical_overflow="crop",
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, old: State, new: State) -> None:
        """A new state, with what has changed since the old one."""
        self._state = new
        for line in changes(old, new):
            self._events.append((new.now, line))
            if self.lines_only:
                self.say(f"{elapsed(new.now):>7}  {line}")

    def say(self, line: str = "") -> None:
        """One line, as wide as it is: it may be piped or copied."""
        print(plain(line, unicode=self._unicode), file=self._out, flush=True)

    def _render(self) -> RenderableType:
        width = shutil.get_terminal_size().columns if self._console.is_terminal else self._console.width
        return render(self._state, list(self._events), width=width, unicode=self._unicode)
