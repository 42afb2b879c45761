"""``kueue-ks run``'s handling of its children, with small programs in place of the controllers."""

import asyncio
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kueue_ks.errors import CommandError
from kueue_ks.run import Program, Which, controllers, flags, run
from local_fleet.processes import ProcessId

WAITS = "import time; print('waiting', flush=True); time.sleep(60)"


def program(name: str, code: str) -> Program:
    return Program(name, (sys.executable, "-c", code))


async def test_output_is_passed_through_behind_the_name() -> None:
    out = io.StringIO()
    long = "x" * 200_000  # more than a pipe or a StreamReader line holds
    code = f"print('one'); print('x' * {len(long)}); print('last', end=''); raise SystemExit(1)"
    with pytest.raises(CommandError):
        await run([program("a", code), program("quota", WAITS)], out)
    lines = out.getvalue().splitlines()
    assert [line for line in lines if line.startswith("a")] == [
        "a     | one",
        f"a     | {long}",
        "a     | last",
    ]


async def test_one_that_ends_ends_the_other_and_is_reported() -> None:
    before = children()
    with pytest.raises(CommandError) as failed:
        await run(
            [program("a", "print('bad config'); raise SystemExit(7)"), program("b", WAITS)], io.StringIO()
        )
    assert "a ended with exit code 7" in failed.value.what
    assert "bad config" in failed.value.why
    assert children() == before


async def test_an_orderly_end_that_nobody_asked_for_is_a_failure_too() -> None:
    with pytest.raises(CommandError, match="exit code 0"):
        await run([program("a", "pass")], io.StringIO())


async def test_a_signal_that_killed_it_is_named() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(CommandError, match="SIGKILL"):
        await run([program("a", code)], io.StringIO())


async def test_one_that_cannot_start_ends_the_others() -> None:
    before = children()
    with pytest.raises(CommandError, match="missing"):
        await run([program("a", WAITS), Program("b", ("/no/such/program",))], io.StringIO())
    assert children() == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_signals_are_handed_on(number: signal.Signals, code: int) -> None:
    says = (
        "import os, signal, sys, time\n"
        # os.write: a print here could meet the one below in the middle, which Python refuses.
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'asked to end\\n'), sys.exit(0)))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    out = io.StringIO()
    running = asyncio.create_task(run([program("a", says), program("b", says)], out))
    await until(lambda: out.getvalue().count("ready") == 2)
    os.kill(os.getpid(), number)
    assert await running == code
    assert out.getvalue().count("asked to end") == 2


def test_nothing_survives_a_kill_of_the_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)\n"
    )
    parent = (
        "import asyncio, sys\n"
        "from kueue_ks.run import Program, run\n"
        f"asyncio.run(run([Program('a', (sys.executable, '-c', {child!r}))], sys.stdout))\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], cwd=Path(__file__).parents[2]) as process:
        assert wait_for(lambda: pid_file.exists() and bool(pid_file.read_text()))
        pid = int(pid_file.read_text())
        assert ProcessId.of(pid) is not None
        process.kill()
        process.wait()
    assert wait_for(lambda: ProcessId.of(pid) is None)


def test_arguments() -> None:
    assert flags({"hub_context": "kind", "wds_name": None}) == ["--hub-context", "kind"]
    both = controllers(["--log-level", "debug"])
    assert [(p.name, p.argv[2:]) for p in both] == [
        ("workload", ("workload_controller", "--log-level", "debug")),
        ("quota", ("quota_manager", "--log-level", "debug")),
    ]
    assert [p.name for p in controllers([], Which.QUOTA)] == ["quota"]


def children() -> list[str]:
    """Living children of this process."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in listed if ProcessId.of(int(pid)) is not None]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - output of another process has no event
            await asyncio.sleep(0.01)


def wait_for(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()
