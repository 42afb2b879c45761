"""What people read while they wait."""

import io

import pytest
from rich.console import Console

from local_fleet.progress import Lines, Terminal, elapsed, for_stream


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0s"), (4.24, "4.2s"), (59.9, "59.9s"), (60.0, "1m00s"), (187.4, "3m07s"), (119.9, "2m00s")],
)
def test_elapsed(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text


def test_one_line_per_change() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Lines(out, clock)
    progress.stage("kueue", "starting")
    clock.now += 3.21
    progress.stage("kueue", "starting")
    progress.detail("kueue", "asked 17 times")
    progress.stage("kueue", "ready")
    assert out.getvalue().splitlines() == ["   0.0s  kueue: starting", "   3.2s  kueue: ready"]


def test_a_terminal_shows_the_present_state() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Terminal(Console(file=out, force_terminal=True, width=100), clock)
    progress.stage("kubestellar", "compiling")
    progress.detail("kubestellar", "step 12")
    clock.now += 65
    progress.close()
    last = out.getvalue()
    for text in ("kubestellar", "compiling", "step 12", "1m05s"):
        assert text in last


def test_a_pipe_gets_lines() -> None:
    assert isinstance(for_stream(io.StringIO()), Lines)
