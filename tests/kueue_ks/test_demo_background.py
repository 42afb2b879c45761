"""The process that stays when the show is over."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from kueue_ks.demo import background
from local_fleet.processes import ProcessId

STAYS = """
import os, pathlib, signal, sys, time
from kueue_ks.demo import background
folder = pathlib.Path({folder!r})
(folder / "pid").write_text(str(os.getpid()))
print("the show", flush=True)
background.show_is_over(7, folder / "log")
print("afterwards", flush=True)
time.sleep(60)
"""
FAILS = "raise SystemExit(3)"
SIGNALLED = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(60)
"""


def play(monkeypatch: pytest.MonkeyPatch, code: str) -> int:
    monkeypatch.setattr(background, "_this_program", lambda: [sys.executable, "-c", code])
    return background.start_and_wait([])


def test_it_tells_the_exit_code_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert play(monkeypatch, STAYS.format(folder=str(tmp_path))) == 7
    process = ProcessId.of(int((tmp_path / "pid").read_text()))
    assert process is not None
    try:
        assert os.getsid(process.pid) == process.pid  # closing the terminal does not end it
        assert wait_for_text(tmp_path / "log", "afterwards")
        assert capfd.readouterr().out == "the show\n"
    finally:
        process.signal(signal.SIGKILL)
        os.waitpid(process.pid, 0)


def test_one_that_ends_in_the_show_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert play(monkeypatch, FAILS) == 3


def test_signals_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert play(monkeypatch, SIGNALLED) == 130
    assert signal.getsignal(signal.SIGTERM) is before


def wait_for_text(path: Path, text: str) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and text in path.read_text():
            return True
        time.sleep(0.01)
    return False
