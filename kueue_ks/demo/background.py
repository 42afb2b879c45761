"""``demo --keep``: the demo in a process of its own that stays when the show is over.

A program that becomes a background process would lose its children, which are tied to it. So it is the
other way round: the command starts itself again in a session of its own, with the same terminal, and
waits for a byte on a pipe: the exit code of the show. Then the command ends, and the other process stays
as the fleet's supervisor, which ``kueue-ks fleet down`` ends.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kueue_ks.errors import Exit
from kueue_ks.run import import_path

PIPE: Final = "KUEUE_KS_DEMO_PIPE"  # environment variable with the number of the pipe's end


def in_background() -> bool:
    """Whether this process is the one that stays."""
    return PIPE in os.environ


def start_and_wait(arguments: Sequence[str]) -> int:
    """Run ``kueue-ks demo`` in the process that stays; returns the exit code of the show.

    Ctrl-C and SIGTERM are handed on, and that process then ends with all that it started.
    """
    read, write = os.pipe()
    with subprocess.Popen(  # noqa: S603 - this program itself
        [*_this_program(), "demo", *arguments],
        env={**os.environ, **import_path(), PIPE: str(write)},
        pass_fds=[write],
        start_new_session=True,
    ) as child:
        os.close(write)
        before = {
            n: signal.signal(n, lambda n, _: child.send_signal(n)) for n in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            code = os.read(read, 1)  # empty when it ended without a word; EINTR is retried (PEP 475)
        finally:
            os.close(read)
            for number, handler in before.items():
                signal.signal(number, handler)
        if code:
            child.returncode = code[0]  # it goes on: Popen shall not wait for it
            return code[0]
        ended = child.wait()
        return ended if ended >= 0 else int(Exit.ERROR)


def _this_program() -> list[str]:
    """As it was called, so that it can tell the user how to call it again."""
    script = Path(sys.argv[0])
    if script.is_file() and script.suffix != ".py":
        return [sys.executable, str(script)]
    return [sys.executable, "-m", "kueue_ks.main"]


def show_is_over(code: int, log: Path) -> None:
    """Tell the waiting command, and leave its terminal: from now on output goes to ``log``."""
    descriptor = int(os.environ.pop(PIPE))
    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("ab") as out, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.write(descriptor, bytes([code]))
    os.close(descriptor)
