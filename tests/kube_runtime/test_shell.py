"""The shell is a process matter, so each test starts one."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import asyncio, sys
from kube_runtime import shell, telemetry
from kube_runtime.errors import Unreachable

async def {body}

telemetry.configure_logging(json=False, level="info")
sys.exit(shell.run(program, name="tests"))
"""

WAITS = """program():
    print("started", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.1)
        print("released", flush=True)
"""

PROMPT = 30.0  # seconds; a machine under load needs some to start Python, a hung shell needs all


def start(body: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code and what it said; kills what does not end."""
    with process:
        try:
            out, err = process.communicate(timeout=PROMPT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_program_clean_up(number: signal.Signals) -> None:
    process = start(WAITS)
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    process.send_signal(number)
    asked = time.monotonic()
    code, out, err = end(process)
    assert (code, out) == (0, "released\n")
    assert time.monotonic() - asked < 4.5  # kopf waits 5 s for what it believes to be left over
    assert err == ""


def test_a_second_signal_changes_nothing() -> None:
    process = start(WAITS.replace("sleep(0.1)", "sleep(1.5)"))
    assert process.stdout
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    code, out, err = end(process)
    assert (code, out) == (0, "released\n")
    assert "Traceback" not in err


def test_a_failure_ends_the_process_with_its_traceback() -> None:
    code, _, err = end(start("program():\n    await asyncio.sleep(0)\n    raise ZeroDivisionError('boom')"))
    assert code == 1
    assert "ZeroDivisionError: boom" in err
    assert "the program failed" in err


FAILS_IN_GROUP = """program():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fails())

async def fails():
    raise Unreachable("hub: connection refused. Is it running?")
"""


def test_a_kube_error_is_one_sentence() -> None:
    code, _, err = end(start(FAILS_IN_GROUP))
    assert code == 1
    assert err == "error: tests: hub: connection refused. Is it running?\n"


FAILS_TWICE = """program():
    raise ExceptionGroup("both", [Unreachable("hub is gone"), ZeroDivisionError("boom")])
"""


def test_a_bug_is_not_hidden_behind_a_kube_error() -> None:
    code, _, err = end(start(FAILS_TWICE))
    assert code == 1
    assert "ZeroDivisionError: boom" in err


def test_the_end_of_the_program_is_the_end_of_the_process() -> None:
    assert end(start("program():\n    print('done')")) == (0, "done\n", "")


def test_no_api_server_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    assert end(start("program():\n    print('done')"))[0] == 0
