"""A name for this process that others on the same machine can check.

``<hostname>_<boot id>-<pid namespace>_<pid>_<start time>``. Two processes with the same boot id
(/proc/sys/kernel/random/boot_id, its first eight digits) and pid namespace (the inode behind
/proc/self/ns/pid) share one table of processes, so one can see whether the other is gone. A pid
alone would not do: it is given anew, the start time (clock ticks since boot, field 22 of
/proc/<pid>/stat) tells the owners apart.

Where /proc does not tell, the identity is a random one that nobody can check.
"""

import os
import socket
import uuid
from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")


class _Stat(NamedTuple):
    """Of /proc/<pid>/stat, see proc_pid_stat(5)."""

    state: str
    threads: int
    start_time: str


def process_identity() -> str:
    """The identity of this process; the same at each call where /proc can be read."""
    hostname = socket.gethostname()
    machine, stat = _machine(), _stat(os.getpid())
    if machine is None or stat is None:
        return f"{hostname}_{uuid.uuid4()}"
    return f"{hostname}_{machine}_{os.getpid()}_{stat.start_time}"


def process_is_gone(identity: str) -> bool:
    """Whether the process of that identity has surely ended; False when it cannot be known from here."""
    parts = identity.rsplit("_", 3)
    if len(parts) != 4 or parts[1] != _machine():
        return False
    _, _, pid, start_time = parts
    if not (pid.isascii() and pid.isdigit() and int(pid) > 0):
        return False
    try:
        os.kill(int(pid), 0)  # /proc may hide the processes of other users, this does not
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    stat = _stat(int(pid))
    if stat is None:
        return False
    # A zombie runs nothing, unless only its main thread has ended.
    return stat.start_time != start_time or (stat.state == "Z" and stat.threads <= 1)


def _machine() -> str | None:
    try:
        if (_PROC / "self").readlink().name != str(os.getpid()):
            return None  # this /proc shows another pid namespace
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text()
        namespace = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return None
    return f"{boot_id[:8]}-{namespace.removeprefix('pid:[').removesuffix(']')}"


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[
        2
    ].split()  # the command before it may contain anything; field 3 is the first
    return _Stat(state=fields[0], threads=int(fields[17]), start_time=fields[19])
