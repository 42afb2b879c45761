"""A program of the fleet as an operating system process that never outlives its supervisor.

Each child has its own process group (Ctrl-C in the terminal is ours to translate) and asks the kernel to be
killed when its parent dies, so that even ``kill -9`` of the supervisor leaves nothing behind. The kernel
means the parent *thread*: start children from the main thread, as asyncio does.

``setpriv`` asks the kernel and the shell looks whether the parent still lives; both replace themselves by the
program (exec), so the process id is the program's. Not ``preexec_fn``: Python warns of it where there are
threads.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from local_fleet.errors import FleetError

_TIED = ("setpriv", "--pdeathsig", "KILL", "--", "sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"')


@dataclass(frozen=True, slots=True)
class Command:
    """What is run: program and arguments, variables on top of our environment, and where output goes."""

    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


async def spawn(command: Command) -> asyncio.subprocess.Process:
    """Start it. Raises FleetError when there is no such program."""
    for needed, remedy in (
        (_TIED[0], "Install util-linux."),
        (command.argv[0], "Build again: kueue-ks fleet build"),
    ):
        if not shutil.which(needed):
            msg = f"The program {needed} is missing. {remedy}"
            raise FleetError(msg)
    with command.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *_TIED,
            str(os.getpid()),
            *command.argv,
            env={**os.environ, **command.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process for ever: pids are reused, start times (clock ticks since boot) are not."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The living process ``pid``; None when it is gone or only a zombie."""
        try:
            # The name in parentheses may hold anything: fields are counted after the last ")".
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))  # state; starttime, man 5 proc

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessId.of(self.pid) == self

    def signal(self, number: int) -> None:
        """Send a signal if it is still this process (but for the moment between look and kill)."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, each cut to 400 characters; a few words when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode(errors="replace")
    except OSError:
        return "(no log)"
    kept = [line[:400] for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(kept) if kept else "(its log is empty)"
