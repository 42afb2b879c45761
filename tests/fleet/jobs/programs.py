"""Our two controllers as processes of their own, with their own identities, against a fleet.

They are killed and started as a user's would be: nothing here reaches into them. "quota-manager#2" is a
second replica of the same program.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from kube_runtime.space import Space
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import install
from local_fleet import Fleet
from vocabulary.resources import CLUSTER_QUEUES

MODULES = {"workload-controller": "workload_controller", "quota-manager": "quota_manager"}
T = TypeVar("T")


class Programs:
    """The controllers of one fleet."""

    def __init__(self, fleet: Fleet, log_folder: Path) -> None:
        self._fleet = fleet
        self._logs = log_folder
        self._running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, *names: str, options: tuple[str, ...] = ()) -> None:
        """Start the named controllers, or both, with further options."""
        for name in names or MODULES:
            program = name.partition("#")[0]
            flags = [
                f"--{space}-kubeconfig={self._fleet.kubeconfig(space, program)}"
                for space in ("hub", "wds", "its")
            ]
            with (self._logs / f"{name}.log").open("ab") as log:
                self._running[name] = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    MODULES[program],
                    *flags,
                    *options,
                    stdout=log,
                    stderr=log,
                    cwd=Path(__file__).parents[3],
                    env={k: v for k, v in os.environ.items() if not k.startswith("KUEUE_KS_")},
                )

    async def kill(self, *names: str) -> None:
        """SIGKILL: no clean-up, the leases stay taken."""
        for name in names or tuple(self._running):
            process = self._running.pop(name)
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def names(self) -> tuple[str, ...]:
        """Of all that were started and neither killed nor awaited."""
        return tuple(self._running)

    def pid(self, name: str) -> int:
        """Of the process that was started under that name."""
        return self._running[name].pid

    def send(self, name: str, number: signal.Signals) -> None:
        """A signal, and no waiting."""
        self._running[name].send_signal(number)

    async def ended(self, name: str, *, within: float) -> int:
        """Wait for its end; returns the exit code."""
        code = await asyncio.wait_for(self._running[name].wait(), within)
        del self._running[name]
        return code

    def log(self, name: str) -> str:
        """All that it has said, also under an earlier process."""
        return (self._logs / f"{name}.log").read_text()

    async def stop(self) -> None:
        """SIGTERM, as a user's Ctrl-C; every program must end with 0."""
        codes = {}
        for name, process in self._running.items():
            with suppress(ProcessLookupError):
                process.terminate()
            codes[name] = await asyncio.wait_for(process.wait(), 20)
        self._running.clear()
        assert all(code == 0 for code in codes.values()), f"{codes}: {self.log_tails()}"

    def dead(self) -> list[str]:
        """Programs that have ended on their own."""
        return [name for name, process in self._running.items() if process.returncode is not None]

    def log_tails(self) -> str:
        """The last lines of both logs."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text().splitlines()[-25:])
            for path in self._logs.glob("*.log")
        )


@asynccontextmanager
async def running_programs(fleet: Fleet, log_folder: Path) -> AsyncIterator[Programs]:
    """Both controllers; ended by SIGTERM after success, by SIGKILL after a failure, never left."""
    programs = Programs(fleet, log_folder)
    try:
        await programs.start()
        yield programs
        await programs.stop()
    finally:
        await programs.kill()


async def install_everywhere(fleet: Fleet) -> None:
    """What ``kueue-ks install --samples`` does, in all spaces."""
    async with fleet.space("hub") as hub, fleet.space("wds") as wds, fleet.space("its") as its:
        await install(hub, what=Duty.HUB, samples=True)
        await install(wds, what=Duty.WDS)
        await install(its, what=Duty.ITS)
    for worker in fleet.workers:
        async with fleet.space(worker) as space:
            await install(space, what=Duty.WORKER)


async def eventually(
    read: Callable[[], Awaitable[T]],
    holds: Callable[[T], bool],
    *,
    within: float,
    what: str,
    every: float = 0.2,
) -> T:
    """Read until it holds; fails with the last value seen."""
    deadline = time.monotonic() + within
    while True:
        value = await read()
        if holds(value):
            return value
        assert time.monotonic() < deadline, f"{what} not within {within:.0f}s; last seen: {value!r}"
        await asyncio.sleep(every)


async def quota_is_filled(hub: Space) -> None:
    """Until QuotaManager has given the sample queue some cpu."""

    async def cpu() -> str:
        queue = await hub.get(CLUSTER_QUEUES, "team-queue")
        return str(queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"])

    await eventually(cpu, lambda amount: amount != "0", within=60, what="nominal quota")
