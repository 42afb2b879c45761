"""The fleet's folder as others see it: who runs there, with which processes and ports.

``fleet.json`` is our mark and the only thing that ``status``, ``down`` and a next ``up`` need. ``lock`` is
held by the living supervisor (flock), so that a dead one never blocks its folder.
"""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from local_fleet.errors import FleetError, FleetRuns
from local_fleet.processes import ProcessId

MARK = "fleet.json"
LOCK = "lock"
SUPERVISOR_LOG = "supervisor.log"
_KEPT = {LOCK, SUPERVISOR_LOG}
_DOWN_WITHIN = 20.0  # seconds for an orderly end, before the processes are killed one by one


@dataclass(frozen=True, slots=True)
class ComponentState:
    """One program. ``state`` as in component.Component; ``process`` is None when it does not run."""

    name: str
    state: str
    process: ProcessId | None
    restarts: int = 0
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class FleetState:
    """What is written to ``fleet.json``. ``phase``: starting, ready, failed or down."""

    phase: str
    supervisor: ProcessId
    workers: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    components: Sequence[ComponentState] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def running(self) -> bool:
        """Whether its supervisor lives."""
        return self.supervisor.alive()

    def survivors(self) -> list[ProcessId]:
        """Processes of this fleet that still live."""
        return [c.process for c in self.components if c.process and c.process.alive()]


def read(root: Path) -> FleetState | None:
    """The state of the fleet in ``root``; None when there never was one."""
    try:
        document = json.loads((root / MARK).read_text())
        return FleetState(
            phase=document["phase"],
            supervisor=ProcessId(**document["supervisor"]),
            workers=tuple(document["workers"]),
            ports=document["ports"],
            components=[_component(each) for each in document["components"]],
            programs=document["programs"],
            error=document["error"],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{root / MARK} cannot be read ({error}). If the folder is of no use any more, remove it."
        raise FleetError(msg) from error


def write(root: Path, state: FleetState) -> None:
    """Replace ``fleet.json`` in one step."""
    fresh = root / f".{MARK}"
    fresh.write_text(json.dumps(asdict(state), indent=1))
    fresh.replace(root / MARK)


def claim(root: Path) -> IO[str]:
    """Make ``root`` ours, empty it of an earlier fleet, and return the open lock. Raises FleetError.

    Closing the file gives the folder back.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = not (root / MARK).exists() and any(p.name not in _KEPT for p in root.iterdir())
    except OSError as error:
        msg = f"The fleet's folder {root} cannot be used: {error.strerror}. Name another one by --dir."
        raise FleetError(msg) from error
    if foreign:
        msg = (
            f"{root} is not empty and was not made by a fleet. Name another folder by --dir; this one "
            "is left as it is."
        )
        raise FleetError(msg)
    lock = (root / LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise FleetRuns(root) from error
    if earlier := read(root):
        end_all(earlier.survivors())
    _empty(root)
    return lock


def end(root: Path) -> bool:
    """Stop the fleet in ``root``, whatever is left of it. False when there was nothing to stop."""
    state = read(root)
    if state is None:
        return False
    was_running = state.running or bool(state.survivors())
    state.supervisor.signal(signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_WITHIN
    while state.supervisor.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    state.supervisor.signal(signal.SIGKILL)
    end_all((read(root) or state).survivors())
    return was_running


def end_all(processes: Sequence[ProcessId]) -> None:
    """Kill what is left and wait until it is gone."""
    for process in processes:
        process.signal(signal.SIGKILL)
    deadline = time.monotonic() + _DOWN_WITHIN
    while any(process.alive() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def myself() -> ProcessId:
    """This process."""
    identity = ProcessId.of(os.getpid())
    assert identity is not None
    return identity


def _empty(root: Path) -> None:
    for path in root.iterdir():
        if path.name in _KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _component(document: dict[str, Any]) -> ComponentState:
    process = document.pop("process")
    return ComponentState(**document, process=ProcessId(**process) if process else None)
