"""What a user reads when a command fails: one sentence, why, and what to do.

Never a traceback for what can be expected.

The layout (``error:``, ``why:``, ``fix:`` on stderr) and the exit codes are the same for every command:
0 fine, 1 error, 2 usage, 3 findings, 4 deadline passed, 130 interrupted.
"""

from enum import IntEnum
from typing import TextIO

from kube_runtime.errors import ApiError, Forbidden, KubeError, Unreachable
from local_fleet.errors import FleetError


class Exit(IntEnum):
    """Exit codes; scripts rely on them."""

    FINE = 0
    ERROR = 1
    USAGE = 2
    FINDINGS = 3
    DEADLINE = 4
    INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class CommandError(Exception):
    """A command cannot do what was asked. ``why`` and ``fix`` may be empty."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", code: Exit = Exit.ERROR) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.code = code


EXPECTED = (CommandError, KubeError, FleetError)
"""What becomes a sentence. Anything else is a bug, and its traceback helps to find it."""


def quoted(output: str) -> str:
    """The end of a program's output as a ``why``."""
    lines = [line for line in output.splitlines() if line.strip()] or ["(it printed nothing)"]
    return "\n       ".join(["its output ends:", *lines])


def as_command_error(error: Exception) -> CommandError:
    """The same failure in the user's terms."""
    match error:
        case CommandError():
            return error
        case Forbidden():
            fix = "grant it by RBAC (kueue-ks install does so for our own programs), or use other credentials"
            return CommandError(f"not allowed: {error.request}", why=error.message, fix=fix)
        case ApiError():
            return CommandError(str(error))
        case Unreachable():
            return CommandError(
                str(error), fix="check that the API server runs and that the context is right"
            )
        case _:
            return CommandError(str(error))


def report(error: Exception, out: TextIO) -> int:
    """Print it; returns the exit code."""
    failure = as_command_error(error)
    lines = [f"error: {failure.what}"]
    lines += [f"  {name}: {text}" for name, text in (("why", failure.why), ("fix", failure.fix)) if text]
    print("\n".join(lines), file=out, flush=True)
    return int(failure.code)
