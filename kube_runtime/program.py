"""What every program begins with: its settings from flags and environment, its log, its shell."""

import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp

from kube_runtime import shell, telemetry


class ProgramSettings(BaseSettings):
    """Options of all programs."""

    log_level: str = Field("info", description="debug, info, warning or error")
    log_json: bool = Field(default=False, description="JSON lines instead of text")


S = TypeVar("S", bound=ProgramSettings)


def start(settings_type: type[S], program: Callable[[S], Awaitable[None]], *, name: str) -> int:
    """Run a program with the settings of this process; returns its exit code.

    0 after a signal, 1 when the program cannot run, 2 for wrong settings, each told with its flag.
    """
    try:
        settings = CliApp.run(settings_type)
    except ValidationError as wrong:
        for error in wrong.errors():
            flag = "-".join(str(part) for part in error["loc"]).replace("_", "-")
            sys.stderr.write(f"error: --{flag}: {error['msg']}\n")
        return 2
    telemetry.configure_logging(json=settings.log_json, level=settings.log_level)
    return shell.run(lambda: program(settings), name=name)
