"""One program of the fleet: started, tested for readiness, watched, and broken on purpose.

States: ``new`` → ``starting`` → ``ready`` → ``ended``; ``stopped`` while it is frozen by ``stop()``.
A process that ends without having been asked is a death: told to ``on_death`` with the tail of its log.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from local_fleet.errors import ComponentFailed
from local_fleet.ports import in_use
from local_fleet.processes import Command, ProcessId, spawn, tail

POLL = 0.05  # seconds between two readiness tests: loopback calls that cost well under a millisecond
READY_WITHIN = 120.0  # seconds; ten times what the slowest program needs on 2 busy cores
KILL_AFTER = 5.0  # seconds between SIGTERM and SIGKILL

Probe = Callable[[], Awaitable[str]]
"""Readiness test: "" when ready, else what is missing. Must not raise for "not yet"."""


@dataclass(frozen=True, slots=True)
class Spec:
    """How a program is run, when it is ready, which ports it takes.

    ``grace``: seconds between SIGTERM and SIGKILL when it is asked to end.
    """

    name: str
    command: Command
    probe: Probe
    ports: tuple[int, ...] = ()
    grace: float = KILL_AFTER


class Component:
    """A running program. All methods belong to the event loop that started it."""

    def __init__(self, spec: Spec, on_death: Callable[["Component"], None] | None = None) -> None:
        self.spec = spec
        self.state = "new"
        self.restarts = 0
        self.exit_code: int | None = None
        self._on_death = on_death
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._expected_end = False

    @property
    def name(self) -> str:
        """As in ``fleet.component(name)``: "kueue", "w1/kwok"."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def identity(self) -> ProcessId | None:
        """Process id with start time, for whoever must be sure to end the right one."""
        return ProcessId.of(self.pid) if self.pid else None

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of its log."""
        return tail(self.spec.command.log, lines)

    async def start(self) -> None:
        """Start the process; returns before it is ready. Raises FleetError."""
        taken = [port for port in self.spec.ports if in_use(port)]
        if taken:
            msg = (
                f"{self.name} cannot start: address in use, 127.0.0.1:{taken[0]}. Start the fleet "
                "again; it picks new ports."
            )
            raise ComponentFailed(msg)
        self._expected_end = False
        self.exit_code = None
        self._process = await spawn(self.spec.command)
        self.state = "starting"
        self._watch = asyncio.create_task(self._watch_end(self._process), name=f"watch {self.name}")

    async def wait_ready(self, within: float = READY_WITHIN) -> None:
        """Test until it is ready. Raises ComponentFailed when it ends first or the time is over."""
        deadline = time.monotonic() + within
        missing = "never asked"
        while time.monotonic() < deadline:
            if self.pid is None:
                msg = (
                    f"{self.name} ended with exit code {self.exit_code} before it was ready. Its log "
                    f"ends:\n{self.log_tail()}"
                )
                raise ComponentFailed(msg)
            missing = await self.spec.probe()
            if not missing:
                self.state = "ready"
                return
            await asyncio.sleep(POLL)
        msg = f"{self.name} is not ready after {within:.0f} s ({missing}). Its log ends:\n{self.log_tail()}"
        raise ComponentFailed(msg)

    def stop(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nobody answers."""
        self._signal_group(signal.SIGSTOP)
        self.state = "stopped"

    def cont(self) -> None:
        """Let it go on after ``stop()``."""
        self._signal_group(signal.SIGCONT)
        self.state = "ready"

    async def kill(self) -> None:
        """End it at once (SIGKILL) and wait until it is gone."""
        self._expected_end = True
        self._signal_group(signal.SIGKILL)
        await self._gone()

    async def terminate(self) -> None:
        """Ask it to end (SIGTERM), kill it after its grace; wait until it is gone."""
        self._expected_end = True
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # a frozen process cannot follow
        try:
            async with asyncio.timeout(self.spec.grace):
                await self._gone()
        except TimeoutError:
            await self.kill()

    async def restart(self) -> None:
        """Kill it if it runs, start it again on the same ports, wait until it is ready."""
        await self.kill()
        self.restarts += 1
        await self.start()
        await self.wait_ready()

    def _signal_group(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def _gone(self) -> None:
        if self._watch is not None:
            await asyncio.shield(self._watch)

    async def _watch_end(self, process: asyncio.subprocess.Process) -> None:
        self.exit_code = await process.wait()
        self.state = "ended"
        if not self._expected_end and self._on_death is not None:
            self._on_death(self)
