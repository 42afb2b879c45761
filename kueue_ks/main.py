"""The command line's root: mounts one file per command, and turns failures into sentences."""

import platform
import sys
from importlib import metadata

import typer

from kueue_ks.demo.command import demo_command
from kueue_ks.errors import EXPECTED, report
from kueue_ks.explain.command import explain_command
from kueue_ks.fleet import fleet_app
from kueue_ks.install.command import install_command, uninstall_command
from kueue_ks.run import run_command

app = typer.Typer(
    name="kueue-ks",
    help="Batch and AI jobs on many Kubernetes clusters from one queue.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals can hold tokens
)
app.command("demo")(demo_command)
app.command("run")(run_command)
app.command("explain")(explain_command)
app.command("install")(install_command)
app.command("uninstall")(uninstall_command)
app.add_typer(fleet_app, name="fleet")


@app.command()
def version() -> None:
    """Print the versions of this program, of Python and of the system."""
    print(f"kueue-kubestellar {metadata.version('kueue-kubestellar')}")
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")


@app.callback()
def _root() -> None:
    """Keep sub-commands sub-commands, also while there is only one."""


def main() -> None:
    """Entry point of the console scripts."""
    try:
        app()
    except EXPECTED as failed:
        sys.exit(report(failed, sys.stderr))


if __name__ == "__main__":
    main()
