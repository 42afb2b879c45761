"""Processes: readiness, death, faults on purpose, and nothing that survives its supervisor."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local_fleet.component import Component, Probe, Spec
from local_fleet.errors import ComponentFailed, FleetError
from local_fleet.ports import LOOPBACK
from local_fleet.processes import Command, ProcessId, tail

SHELL = "/bin/sh"


def spec(
    tmp_path: Path,
    script: str,
    *,
    probe: Probe | None = None,
    ports: tuple[int, ...] = (),
    grace: float = 5.0,
) -> Spec:
    return Spec(
        "w1/dummy", Command([SHELL, "-c", script], tmp_path / "dummy.log"), probe or at_once, ports, grace
    )


async def at_once() -> str:
    return ""


async def never() -> str:
    return "nobody listens"


def when_exists(path: Path) -> Probe:
    async def probe() -> str:
        return "" if os.path.exists(path) else f"{path.name} is missing"  # noqa: ASYNC240, PTH110  a local file

    return probe


def dead(pid: int) -> bool:
    return ProcessId.of(pid) is None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  other processes set no Event
            await asyncio.sleep(0.01)


async def test_ready_when_the_probe_says_so(tmp_path: Path) -> None:
    mark = tmp_path / "up"
    component = Component(spec(tmp_path, f"sleep 0.2; touch {mark}; sleep 60", probe=when_exists(mark)))
    await component.start()
    assert component.state == "starting"
    await component.wait_ready()
    assert component.state == "ready"
    assert mark.exists()
    pid = component.pid
    assert pid is not None
    await component.terminate()
    assert (component.state, component.pid, dead(pid)) == ("ended", None, True)


async def test_an_end_before_readiness_is_told_with_the_log(tmp_path: Path) -> None:
    component = Component(spec(tmp_path, "echo one; echo the disk is on fire >&2; exit 7", probe=never))
    await component.start()
    with pytest.raises(
        ComponentFailed, match=r"(?s)w1/dummy ended with exit code 7 .*one\nthe disk is on fire"
    ):
        await component.wait_ready()


async def test_never_ready_names_what_is_missing(tmp_path: Path) -> None:
    component = Component(spec(tmp_path, "sleep 60", probe=never))
    await component.start()
    with pytest.raises(ComponentFailed, match=r"not ready after 0 s \(nobody listens\).*\n.*log is empty"):
        await component.wait_ready(within=0.2)
    await component.kill()


async def test_a_death_is_told_once_and_an_asked_end_never(tmp_path: Path) -> None:
    deaths: list[str] = []
    component = Component(spec(tmp_path, "echo last words; sleep 60"), lambda c: deaths.append(c.log_tail()))
    await component.start()
    await until(lambda: bool(component.log_tail() == "last words"))
    assert component.pid is not None
    os.kill(component.pid, signal.SIGKILL)
    await until(lambda: component.state == "ended")
    assert deaths == ["last words"]
    assert component.exit_code == -signal.SIGKILL

    await component.restart()
    await component.kill()
    await component.start()
    await component.terminate()
    assert len(deaths) == 1
    assert component.restarts == 1


async def test_terminate_reaches_the_program_and_kills_one_that_does_not_listen(tmp_path: Path) -> None:
    polite = Component(
        spec(tmp_path, "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    )
    await polite.start()
    await until(lambda: polite.log_tail() == "ready")
    await polite.terminate()
    assert polite.exit_code == 0
    assert polite.log_tail().endswith("bye")

    deaf = Component(spec(tmp_path, "trap '' TERM; echo deaf; while :; do sleep 0.05; done", grace=0.2))
    await deaf.start()
    await until(lambda: deaf.log_tail().endswith("deaf"))
    await deaf.terminate()
    assert deaf.exit_code == -signal.SIGKILL


async def test_a_stopped_program_does_nothing_until_it_may_go_on(tmp_path: Path) -> None:
    component = Component(spec(tmp_path, "while :; do echo tick; sleep 0.02; done"))
    await component.start()
    await until(lambda: "tick" in component.log_tail())
    component.stop()
    assert component.state == "stopped"
    pid = component.pid
    await until(lambda: ") T" in Path(f"/proc/{pid}/stat").read_text())
    component.cont()
    size = component.spec.command.log.stat().st_size
    await until(lambda: component.spec.command.log.stat().st_size > size)
    component.stop()
    await component.terminate()  # also a frozen one ends
    assert component.pid is None


async def test_a_port_in_use_is_said_before_the_start(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        component = Component(spec(tmp_path, "sleep 60", ports=(port,)))
        with pytest.raises(ComponentFailed, match=f"address in use, 127.0.0.1:{port}"):
            await component.start()
        assert component.pid is None


async def test_a_missing_program_is_said(tmp_path: Path) -> None:
    missing = Spec("kueue", Command([str(tmp_path / "kueue")], tmp_path / "log"), at_once)
    with pytest.raises(FleetError, match=r"kueue is missing. Build again"):
        await Component(missing).start()


def test_tail_is_short_and_survives_any_bytes(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log) == "(no log)"
    log.write_bytes(b"a\n\n" + b"\xff\xfe" + b"x" * 1000 + b"\nlast\n")
    lines = tail(log, 2).splitlines()
    assert (len(lines), len(lines[0]), lines[1]) == (2, 400, "last")


SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from local_fleet.processes import Command, spawn
async def main():
    for number, argv in enumerate({argvs!r}):
        child = await spawn(Command(argv, Path({folder!r}) / f"{{number}}.log"))
        print(child.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", 'exec sleep "$0"', "60"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_survives_the_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    argvs: list[list[str]] = [[SHELL, "-c", "trap '' TERM HUP; while :; do sleep 0.1; done"], ["sleep", "60"]]
    if subprocess.run([*NAMESPACES[:5], "true"], capture_output=True, check=False).returncode == 0:
        argvs.append(NAMESPACES)
    script = SUPERVISOR.format(argvs=argvs, folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(supervisor.stdout.readline()) for _ in argvs]
        assert not any(dead(pid) for pid in pids)
        supervisor.send_signal(number)
    deadline = time.monotonic() + 5
    while not all(dead(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pid for pid in pids if not dead(pid)] == []
