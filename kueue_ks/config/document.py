"""``python -m kueue_ks.config.document > docs/settings.md`` makes that document of the settings classes."""

from typing import Final

from kueue_ks.config.effective import PREFIX, SETTINGS, choices, shown

HEAD: Final = """# Settings

Made from the programs' own settings classes by `python -m kueue_ks.config.document`; do not edit it by hand.

Each option is a flag of its program (`--stale-after 120`), an environment variable
(`KUEUE_KS_STALE_AFTER=120`) or an entry of a YAML file that `--config FILE` or `KUEUE_KS_CONFIG` names. A
flag wins over the environment, that over the file, that over the default. The file has one section for each
program, with the flags' names:

```yaml
workload-controller:
  placement-timeout: 300
  on-cluster-loss: leased
quota-manager:
  stale-after: 120
```

A flag, a section or an option of the file that nobody knows is an error, and the program does not start. An
environment variable that nobody knows cannot be told from another program's; `kueue-ks config` names it,
and ends with exit code 1.

`kueue-ks config` prints what the programs would run with here and now, and where each value comes from;
flags for a program follow behind two dashes: `kueue-ks config quota-manager -- --stale-after 60`. Options
are read once, when a program starts: to change one, change it and restart the program. Nothing is lost by
that, see [design.md](design.md).
"""


def markdown() -> str:
    """The whole document."""
    lines = [HEAD]
    for program, settings in SETTINGS.items():
        lines += [
            f"## {program}",
            "",
            "| option | variable | default | meaning and unit |",
            "|---|---|---|---|",
        ]
        for name, field in settings.model_fields.items():
            default = "must be given" if field.is_required() else shown(field.default)
            cell = f"`{default}`" if default not in {None, "must be given"} else (default or "-")
            words = choices(field)
            meaning = (field.description or "") + (f": {', '.join(words)}" if words else "")
            option = name.replace("_", "-")
            lines.append(f"| `--{option}` | `{PREFIX}{name.upper()}` | {cell} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(), end="")
