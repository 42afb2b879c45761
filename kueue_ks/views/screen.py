"""Where ``top``'s reports go: a live screen on a terminal, a line per change in a pipe."""

import json
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kueue_ks.reports import document
from kueue_ks.views.table import words
from kueue_ks.views.terminal import terminal
from kueue_ks.views.top import TopReport, changes
from kueue_ks.views.top_text import top_lines


class LiveScreen:
    """The whole terminal while it is open; what was there before comes back."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        # Colours are in our text already, or not: rich shall only place it.
        self._live = Live(
            console=Console(file=out, color_system="standard" if terminal(out).color else None),
            screen=True,
            auto_refresh=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, report: TopReport) -> None:
        """Draw it in the size that the terminal has now."""
        screen = terminal(self._out)
        lines = top_lines(report, width=screen.width, height=screen.height, unicode=screen.unicode)
        text = Text.from_ansi(screen.render(lines), no_wrap=True, overflow="crop")
        self._live.update(text, refresh=True)


class Lines:
    """The fleet's line at first, then a line per change; with ``as_json`` every report as one line."""

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool) -> None:
        self._out, self._err, self._as_json = out, err, as_json
        self._last: TopReport | None = None

    def show(self, report: TopReport) -> None:
        """What is new."""
        last, self._last = self._last, report
        screen = terminal(self._out)
        if self._as_json:
            text = json.dumps(document("TopReport", report), ensure_ascii=not screen.unicode)
            print(text, file=self._out, flush=True)
            return
        if last is None:
            (head, *_) = top_lines(report, unicode=screen.unicode)
            print(screen.plain(words(head)), file=self._out, flush=True)
            for what, why in report.unread.items():
                print(f"warning: {what} was not read: {why}", file=self._err, flush=True)
            return
        for line in changes(last, report):
            print(screen.plain(f"{report.at[11:19]}  {line}"), file=self._out, flush=True)
