"""``kueue-ks config``: what each program would run with here, and where each option comes from."""

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from kueue_ks.config.effective import ProgramConfig

OUTPUTS: Final = ("text", "json")


def _output(value: str) -> str:
    if value not in OUTPUTS:
        msg = f"it is one of {', '.join(OUTPUTS)}"
        raise typer.BadParameter(msg)
    return value


def config_command(
    program: Annotated[str, typer.Argument(help="One program; all three without it.")] = "",
    flags: Annotated[
        list[str] | None, typer.Argument(help="Flags of that program, behind --.", metavar="[-- FLAGS]...")
    ] = None,
    *,
    config: Annotated[
        str, typer.Option("--config", envvar="KUEUE_KS_CONFIG", help="YAML file of options.")
    ] = "",
    output: Annotated[
        str,
        typer.Option("--output", "-o", callback=_output, metavar="|".join(OUTPUTS), help="How to print it."),
    ] = "text",
) -> None:
    """Print the effective options of WorkloadController, QuotaManager and the metrics agent.

    Each with its value, where that comes from (default, file, environment, flag), and its meaning.

    Exit code 2 when a program would not start with them, 1 for a variable that nobody knows.
    """
    import json  # noqa: PLC0415  --help does not wait for what follows

    from kube_runtime.settings_file import BadSettingsFile  # noqa: PLC0415
    from kueue_ks.config.effective import SETTINGS, effective, unknown_variables  # noqa: PLC0415
    from kueue_ks.errors import CommandError, Exit  # noqa: PLC0415
    from kueue_ks.reports import API_VERSION, plain  # noqa: PLC0415

    if program and program not in SETTINGS:
        msg = f"{program!r} is no program"
        raise CommandError(msg, fix=f"give one of {', '.join(SETTINGS)}", code=Exit.USAGE)
    given = [*(["--config", config] if config else []), *(flags or [])]
    try:
        found = [effective(name, given) for name in ([program] if program else SETTINGS)]
    except BadSettingsFile as bad:
        raise CommandError(str(bad), fix="see docs/settings.md", code=Exit.USAGE) from bad
    if output == "json":
        document = {"apiVersion": API_VERSION, "kind": "Configuration", "programs": plain(tuple(found))}
        json.dump(document, sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print("\n".join(line for each in found for line in text(each)))
    problems = [f"{each.program}: {problem}" for each in found for problem in each.problems]
    if not program:  # the agent's name is given on each worker, and not here
        problems = [problem for problem in problems if not problem.endswith("Field required")]
    strangers = unknown_variables()
    for problem in (*problems, *(f"nothing reads the variable {name}" for name in strangers)):
        print(f"error: {problem}", file=sys.stderr)
    if problems:
        raise typer.Exit(Exit.USAGE)
    raise typer.Exit(Exit.ERROR if strangers else Exit.FINE)


def text(found: "ProgramConfig") -> list[str]:
    """Lines: name, value, origin, meaning."""
    rows = [(f"--{o.name}", o.value or "-", o.origin.value, o.meaning) for o in found.options]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]
    return [found.program, *lines, ""]
