"""Where states are shown."""

import io
import os
import pty
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from kueue_ks.demo.screen import Screen
from kueue_ks.demo.state import Stage, State
from tests.kueue_ks.builders import job, state

NEW = state(job(Stage.QUEUED))


def test_a_pipe_gets_one_line_per_change() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with Screen(out) as screen:
        screen.show(state(), NEW)
        screen.show(NEW, replace(NEW, now=21.0))
        screen.show(NEW, replace(NEW, step="3/4 →"))
    out.seek(0)
    assert out.read().splitlines() == ["  20.0s  team-a/gang-1 submitted (4 pods)", "  20.0s  3/4 →"]


def test_an_output_that_is_not_utf8_gets_ascii() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Screen(out).say("31 → 15")
    out.seek(0)
    assert out.read() == "31 -> 15\n"


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("FINE", "")])
def test_a_terminal_gets_a_live_view(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, value)
    shown = on_terminal(NEW)
    assert ("fleet: used" in shown) is (variable != "TERM")
    assert ("\x1b[32m" in shown) is (variable == "FINE")  # green bars
    assert "team-a/gang-1 submitted" in shown


def on_terminal(new: State) -> str:
    """Everything that a terminal of 80 columns got."""
    reader, writer = pty.openpty()
    got: list[bytes] = []
    reading = threading.Thread(target=read_all, args=(reader, got))
    reading.start()
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as out, Screen(out) as screen:
            screen.show(state(), new)
    finally:
        reading.join()
        os.close(reader)
    return b"".join(got).decode()


def read_all(descriptor: int, into: list[bytes]) -> None:
    with suppress(OSError):  # EIO: the other side is closed
        while chunk := os.read(descriptor, 65536):
            into.append(chunk)
