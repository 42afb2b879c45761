"""The command line's root: mounts one file per command, and turns failures into sentences.

Only the command that is asked for is imported: all of them together take a second of processor time, most
of it the Kubernetes client and the fleet, which ``--help`` and ``version`` do not need.
"""

import importlib
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Final, NamedTuple

import typer

from kueue_ks import client_parts


class Command(NamedTuple):
    """Where a command is, and what the list of commands says about it."""

    module: str
    attribute: str
    help: str
    group: bool = False


COMMANDS: Final = {
    "demo": Command(
        "kueue_ks.demo.command", "demo_command", "A fleet, a queue and jobs on this machine, live."
    ),
    "run": Command("kueue_ks.run", "run_command", "Both controllers against the hub of the kube context."),
    "explain": Command(
        "kueue_ks.explain.command", "explain_command", "Where a job is, why, and what it waits for."
    ),
    "whatif": Command(
        "kueue_ks.whatif.command", "whatif_command", "What a job, a cordon or a drain would lead to."
    ),
    "clusters": Command(
        "kueue_ks.views.command",
        "clusters_command",
        "Whether each cluster takes jobs, and who has what of it.",
    ),
    "queue": Command(
        "kueue_ks.views.command",
        "queue_command",
        "Quotas, what waits in which order and why, what runs where.",
    ),
    "quota": Command(
        "kueue_ks.quota.command", "quota_command", "What the quotas are made of, and what would change."
    ),
    "top": Command("kueue_ks.views.command", "top_command", "Clusters, queues and jobs on one screen, live."),
    "cordon": Command("kueue_ks.cordon.command", "cordon_command", "Give a cluster no new jobs."),
    "uncordon": Command("kueue_ks.cordon.command", "uncordon_command", "Give it jobs again."),
    "drain": Command("kueue_ks.cordon.command", "drain_command", "Cordon it, and move its jobs to others."),
    "audit": Command("kueue_ks.audit.command", "audit_command", "What should not be, and what mends it."),
    "install": Command(
        "kueue_ks.install.command", "install_command", "CRDs, admission policy and RBAC for the hub."
    ),
    "uninstall": Command("kueue_ks.install.command", "uninstall_command", "Take them out again."),
    "doctor": Command("kueue_ks.doctor.command", "doctor_command", "Whether all is there and as it must be."),
    "config": Command("kueue_ks.config.command", "config_command", "What the programs run with, and why."),
    "fleet": Command("kueue_ks.fleet", "fleet_app", "Real control planes as local processes.", group=True),
}


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application with the command that the arguments name; the others are mere entries of the list."""
    app = typer.Typer(
        name="kueue-ks",
        help="Batch and AI jobs on many Kubernetes clusters from one queue.",
        no_args_is_help=True,
        pretty_exceptions_show_locals=False,  # locals can hold tokens
    )
    asked = next((argument for argument in arguments if not argument.startswith("-")), "")
    for name, command in COMMANDS.items():
        if name != asked:
            app.command(name, help=command.help)(_not_asked_for)
        elif command.group:
            app.add_typer(_load(command), name=name)
        else:
            app.command(name)(_load(command))
    app.command("version")(version)
    return app


def version() -> None:
    """Print the versions of this program, of Python and of the system."""
    print(f"kueue-kubestellar {metadata.version('kueue-kubestellar')}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")


def main() -> None:
    """Entry point of the console scripts."""
    if "run" not in sys.argv[1:2]:
        client_parts.put_off()
    try:
        build(sys.argv[1:])()
    except Exception as failed:
        from kueue_ks.errors import EXPECTED, report  # noqa: PLC0415  see the module's docstring

        if not isinstance(failed, EXPECTED):
            raise
        sys.exit(report(failed, sys.stderr))


def _load(command: Command) -> typer.Typer:
    loaded: typer.Typer = getattr(importlib.import_module(command.module), command.attribute)
    return loaded


def _not_asked_for() -> None:
    raise AssertionError("a command that was not named on the command line cannot be run")


if __name__ == "__main__":
    main()
