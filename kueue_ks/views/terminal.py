"""What stdout is: a terminal of some width, with or without colour and Unicode, or a pipe.

Data goes to stdout, everything else to stderr. ``NO_COLOR`` and ``TERM=dumb`` are honoured; a locale that is
not UTF-8 gets ASCII.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from kueue_ks.views.table import Line, words

TONES: Final[Mapping[str, str]] = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "head": "1"}
ASCII: Final = str.maketrans({"…": "~", "·": "-", "→": ">", "▇": "#", "░": "."})


@dataclass(frozen=True, slots=True)
class Terminal:
    """``width`` None: a pipe, where nothing is cut."""

    width: int | None = None
    height: int | None = None
    color: bool = False
    unicode: bool = True

    def render(self, lines: Iterable[Line]) -> str:
        """Lines with the colour codes that it takes."""
        return "\n".join(self._line(line) for line in lines)

    def _line(self, line: Line) -> str:
        if not self.color:
            return self.plain(words(line))
        return "".join(
            f"\x1b[{TONES[cell.tone]}m{self.plain(cell.text)}\x1b[0m" if cell.tone else self.plain(cell.text)
            for cell in line
        ).rstrip()

    def plain(self, text: str) -> str:
        """In characters that it can show; a job's words cannot move the cursor."""
        shown = text if self.unicode else text.translate(ASCII).encode("ascii", "replace").decode()
        return "".join(c if c.isprintable() else " " for c in shown)


def terminal(out: TextIO, environ: Mapping[str, str] = os.environ) -> Terminal:
    """What ``out`` is."""
    unicode = "utf" in (out.encoding or "").lower()
    if not out.isatty():
        return Terminal(unicode=unicode)
    size = shutil.get_terminal_size()
    color = not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return Terminal(size.columns, size.lines, color=color, unicode=unicode)
