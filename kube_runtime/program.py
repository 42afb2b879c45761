"""What every program begins with: its settings from flags, environment and file, its log, its shell."""

import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, PydanticBaseSettingsSource

from kube_runtime import shell, telemetry
from kube_runtime.settings_file import BadSettingsFile, SettingsFile


class ProgramSettings(BaseSettings):
    """Options of all programs. Flags win over the environment, that over the file, that over defaults."""

    sections: ClassVar[tuple[str, ...]] = ()
    """What sections the settings file may have; those of all programs that share it."""

    config: Path | None = Field(None, description="YAML file of options, one section per program")
    log_level: str = Field("info", description="debug, info, warning or error")
    log_json: bool = Field(default=False, description="JSON lines instead of text")

    @classmethod
    def section(cls) -> str:
        """The name of the program, as its section in the file is called."""
        return (cls.model_config.get("cli_prog_name") or "").replace("_", "-")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  not used
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  not used
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The first one that knows an option says it."""
        file = SettingsFile(settings_cls, section=cls.section(), sections=cls.sections or (cls.section(),))
        return init_settings, env_settings, file


def collect_rarely() -> None:
    """Look for reference cycles 70 times less often than Python does by default.

    Stores hold a million small objects and no cycles: each full look at them keeps everything waiting for
    milliseconds, in the middle of a decision (``tests.bench decisions``: p99 7.4 ms, with this 4.9 ms).
    """
    gc.set_threshold(50_000, 50, 50)


S = TypeVar("S", bound=ProgramSettings)


def start(settings_type: type[S], program: Callable[[S], Awaitable[None]], *, name: str) -> int:
    """Run a program with the settings of this process; returns its exit code.

    0 after a signal, 1 when the program cannot run, 2 for wrong settings, each told with its flag.
    """
    try:
        settings = CliApp.run(settings_type)
    except BadSettingsFile as bad:
        sys.stderr.write(f"error: --config: {bad}\n")
        return 2
    except ValidationError as wrong:
        for error in wrong.errors():
            flag = "-".join(str(part) for part in error["loc"]).replace("_", "-")
            sys.stderr.write(f"error: --{flag}: {error['msg']}\n")
        return 2
    collect_rarely()
    telemetry.configure_logging(json=settings.log_json, level=settings.log_level)
    return shell.run(lambda: program(settings), name=name)
