"""What each program would run with, asked of the program's own settings class and its sources."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import CliSettingsSource, EnvSettingsSource

from kube_runtime.program import ProgramSettings
from kube_runtime.settings_file import options_of
from metrics_agent.main import Settings as AgentSettings
from quota_manager.settings import Settings as QuotaSettings
from workload_controller.settings import Settings as WorkloadSettings

PREFIX: Final = "KUEUE_KS_"
SETTINGS: Final[Mapping[str, type[ProgramSettings]]] = {
    each.section(): each for each in (WorkloadSettings, QuotaSettings, AgentSettings)
}
OF_THE_COMMAND_LINE: Final = frozenset({"KUEUE_KS_FLEET_DIR", "KUEUE_KS_BINARIES", "KUEUE_KS_DEMO_PIPE"})
"""Variables that kueue-ks itself reads and no program."""


class Origin(StrEnum):
    """Where a value comes from. Public: part of the JSON."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"
    MISSING = "missing"  # it has no default and must be given


@dataclass(frozen=True, slots=True)
class Option:
    """One option of one program. ``value`` is None where there is none."""

    name: str
    value: str | None
    origin: Origin
    default: str | None
    variable: str
    meaning: str


@dataclass(frozen=True, slots=True)
class ProgramConfig:
    """All options of a program, and what is wrong with them."""

    program: str
    options: tuple[Option, ...]
    problems: tuple[str, ...]


def effective(program: str, flags: Sequence[str] = ()) -> ProgramConfig:
    """The options of a program with these flags, in this process's environment.

    Raises BadSettingsFile; SystemExit of the flag parser for a flag that does not exist.
    """
    settings = SETTINGS[program]
    said: dict[str, Any] = dict(CliSettingsSource(settings, cli_parse_args=list(flags))())
    env: dict[str, Any] = dict(EnvSettingsSource(settings)())
    file = said.get("config") or env.get("config")
    written = options_of(Path(file), program, settings.model_fields, settings.sections) if file else {}
    given = {**written, **env, **said}
    values, problems = _validated(settings, given)
    options = tuple(
        _option(name, field, values.get(name), _origin(name, field, said, env, written))
        for name, field in settings.model_fields.items()
    )
    return ProgramConfig(program, options, problems)


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Variables with our prefix that nothing reads: probably misspelt."""
    known = {PREFIX + name.upper() for settings in SETTINGS.values() for name in settings.model_fields}
    known |= OF_THE_COMMAND_LINE
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def shown(value: object) -> str | None:
    """As it would be written into a flag."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case Enum():
            return str(value.value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The words that an option takes, none where it takes any."""
    kinds: Iterable[Any] = get_args(field.annotation) or (field.annotation,)
    return tuple(str(each.value) for k in kinds if isinstance(k, type) and issubclass(k, Enum) for each in k)


def _validated(
    settings: type[ProgramSettings], given: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the class makes of them; the raw values where it refuses one."""
    try:
        model = settings.model_validate(dict(given))
    except ValidationError as wrong:
        problems = tuple(
            f"--{'-'.join(map(str, e['loc'])).replace('_', '-')}: {e['msg']}" for e in wrong.errors()
        )
        defaults = {n: f.default for n, f in settings.model_fields.items() if not f.is_required()}
        return {**defaults, **given}, problems
    return {name: getattr(model, name) for name in settings.model_fields}, ()


def _option(name: str, field: FieldInfo, value: object, origin: Origin) -> Option:
    default = None if field.is_required() else shown(field.default)
    return Option(
        name=name.replace("_", "-"),
        value=shown(value),
        origin=origin,
        default=default,
        variable=PREFIX + name.upper(),
        meaning=field.description or "",
    )


def _origin(
    name: str,
    field: FieldInfo,
    said: Mapping[str, Any],
    env: Mapping[str, Any],
    written: Mapping[str, Any],
) -> Origin:
    for source, origin in ((said, Origin.FLAG), (env, Origin.ENVIRONMENT), (written, Origin.FILE)):
        if name in source:
            return origin
    return Origin.MISSING if field.is_required() else Origin.DEFAULT
