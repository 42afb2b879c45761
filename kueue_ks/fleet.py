"""``kueue-ks fleet``: the real control planes as local processes, simulated nodes."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from local_fleet import FleetError, Options
from local_fleet import state as states
from local_fleet.binaries import provide
from local_fleet.layout import CONTEXT_SPACE, Layout, default_root
from local_fleet.progress import for_stream
from local_fleet.supervisor import detach, serve

INTERRUPTED = 130  # as shells say it: 128 + SIGINT

fleet_app = typer.Typer(help=__doc__, no_args_is_help=True)

Root = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="The fleet's folder.",
        show_default="below the user's state folder",
        envvar="KUEUE_KS_FLEET_DIR",
    ),
]
BinariesFolder = Annotated[
    Path | None,
    typer.Option(
        "--binaries", help="A folder with ready programs; what is missing or does not fit is compiled."
    ),
]


@fleet_app.command()
def up(
    *,
    root: Root = None,
    workers: Annotated[int, typer.Option(help="How many worker clusters.", min=1, max=32)] = 2,
    background: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the fleet is ready.")
    ] = False,
    proxied: Annotated[
        bool, typer.Option("--proxied", help="Put a proxy into each link, for faults.")
    ] = False,
    etcd_per_space: Annotated[
        bool, typer.Option("--etcd-per-space", help="One etcd for each API server.")
    ] = False,
    binaries: BinariesFolder = None,
) -> None:
    """Start a fleet; compiles the programs on first use (about 12 minutes on 2 cores)."""
    folder = _root(root)
    progress = for_stream(sys.stderr)
    with _explained():
        try:
            options = Options(
                workers=workers, etcd_per_space=etcd_per_space, binaries=binaries, proxied=proxied
            )
            provide(progress, named=binaries)  # here and not in the event loop: Ctrl-C must end the compiler
            if background:
                detach(folder, options, progress)
                progress.close()
                _introduce(folder, stop=f"kueue-ks fleet down{_dir_flag(root)}")
            else:
                running = serve(
                    folder, options, progress, on_ready=lambda f: _introduce(f.root, stop="Ctrl-C")
                )
                if not asyncio.run(running):
                    raise typer.Exit(INTERRUPTED)
        finally:
            progress.close()


@fleet_app.command()
def down(root: Root = None) -> None:
    """Stop the fleet and everything that it started."""
    folder = _root(root)
    with _explained():
        if states.end(folder):
            typer.echo(f"fleet in {folder} stopped")
        else:
            typer.echo(f"no fleet runs in {folder}", err=True)


@fleet_app.command()
def status(root: Root = None) -> None:
    """Show the fleet's programs."""
    folder = _root(root)
    with _explained():
        state = _running(folder)
        workers = ", ".join(state.workers)
        typer.echo(f"fleet {state.phase} in {folder}, supervisor {state.supervisor.pid}, workers {workers}")
        rows = [("NAME", "STATE", "PID", "RESTARTS")]
        for each in state.components:
            alive = each.process is not None and each.process.alive()
            shown = each.state if alive else f"ended ({each.exit_code})"
            rows.append(
                (each.name, shown, str(each.process.pid) if each.process else "-", str(each.restarts))
            )
        widths = [max(len(row[column]) for row in rows) + 3 for column in range(4)]
        for row in rows:
            typer.echo("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if any(c.process is None or not c.process.alive() for c in state.components):
            raise typer.Exit(1)


@fleet_app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A program as `fleet status` names it, or `supervisor`.")],
    *,
    root: Root = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing new lines.")] = False,
) -> None:
    """Show the log of one program."""
    folder = _root(root)
    with _explained():
        log = folder / states.SUPERVISOR_LOG if name == "supervisor" else Layout(folder, (), {}).log(name)
        if not log.exists():
            state = states.read(folder)
            known = ", ".join(c.name for c in state.components) if state else "none"
            msg = f"There is no program {name!r} in the fleet of {folder}. There are: {known}."
            raise FleetError(msg)
        if follow:
            os.execvp("tail", ["tail", "-n", "+1", "-f", str(log)])  # noqa: S606, S607  as the user would
        with log.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)


@fleet_app.command()
def kubeconfig(
    context: Annotated[str, typer.Argument(help="hub, wds, its, a worker (w1), or all.")] = "all",
    root: Root = None,
    identity: Annotated[str, typer.Option("--as", help="admin, or a program's identity.")] = "admin",
) -> None:
    """Print the path of a kubeconfig file: export KUBECONFIG=$(kueue-ks fleet kubeconfig)."""
    with _explained():
        typer.echo(_kubeconfig(_root(root), context, identity))


@fleet_app.command("exec", context_settings={"ignore_unknown_options": True})
def run_in(
    context: Annotated[str, typer.Argument(help="hub, wds, its, a worker (w1), or all.")],
    command: Annotated[list[str], typer.Argument(help="What to run, after `--`.")],
    root: Root = None,
) -> None:
    """Run a command with KUBECONFIG set and the fleet's kubectl first in PATH."""
    with _explained():
        folder = _root(root)
        path = _kubeconfig(folder, context, "admin")
        kubectl = Path(_running(folder).programs["kubectl"])
        environment = {
            **os.environ,
            "KUBECONFIG": str(path),
            "PATH": os.pathsep.join((str(kubectl.parent), os.environ.get("PATH", ""))),
        }
        found = shutil.which(command[0], path=environment["PATH"])
        if found is None:
            msg = f"There is no command {command[0]!r} on PATH."
            raise FleetError(msg)
        result = subprocess.run([found, *command[1:]], env=environment, check=False)  # noqa: S603  the user's own
        raise typer.Exit(result.returncode)


@fleet_app.command()
def build(binaries: BinariesFolder = None) -> None:
    """Compile what a fleet needs, without starting one."""
    progress = for_stream(sys.stderr)
    with _explained():
        try:
            found = provide(progress, named=binaries)
        finally:
            progress.close()
    for name, path in found.programs.items():
        typer.echo(f"{name}\t{path}")


def _root(given: Path | None) -> Path:
    return (given or default_root("default")).absolute()


def _dir_flag(root: Path | None) -> str:
    return f" --dir {root}" if root else ""


def _running(folder: Path) -> states.FleetState:
    state = states.read(folder)
    if state is None or not state.running:
        msg = f"No fleet runs in {folder}. Start one: kueue-ks fleet up --detach"
        raise FleetError(msg)
    return state


def _kubeconfig(folder: Path, context: str, identity: str) -> Path:
    state = _running(folder)
    path = Layout(folder, state.workers, state.ports).kubeconfig(
        context, None if identity == "admin" else identity
    )
    if not path.exists():
        known = ", ".join((*CONTEXT_SPACE, *state.workers, "all"))
        msg = f"This fleet has no context {context!r} for {identity!r}. Contexts are {known}."
        raise FleetError(msg)
    return path


def _introduce(folder: Path, *, stop: str) -> None:
    typer.echo("The fleet is ready. Contexts hub, wds, its and the workers are in")
    typer.echo(f"  {folder / 'kubeconfigs' / 'all.yaml'}")
    typer.echo(f"  kueue-ks fleet exec hub -- kubectl get clusterqueues     stop: {stop}")


@contextmanager
def _explained() -> Iterator[None]:
    """A FleetError is a message, not a traceback; Ctrl-C is the shell's 130."""
    try:
        yield
    except FleetError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
