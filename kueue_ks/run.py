"""``kueue-ks run``: both controllers as child processes, for development and small installations.

Each output line is passed through behind the program's name. If one ends unasked, the other is ended too:
half a system would admit jobs into quotas that nobody corrects, or keep quotas for jobs that nobody
carries. Children die with us whatever happens (``local_fleet.processes``).
"""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

import kueue_ks
from kueue_ks.errors import CommandError, Exit, quoted
from kueue_ks.flags import (
    HubContext,
    HubKubeconfig,
    ItsContext,
    ItsKubeconfig,
    WdsContext,
    WdsKubeconfig,
)
from local_fleet.component import Component, Spec
from local_fleet.errors import FleetError
from local_fleet.processes import Command

TAIL: Final = 12  # lines of a dead program's output in the error
GRACE: Final = 10.0  # seconds between SIGTERM and SIGKILL: the lease is released and writes in flight end

CYAN, MAGENTA, RESET = "\x1b[36m", "\x1b[35m", "\x1b[0m"


class Which(StrEnum):
    """What ``--only`` takes."""

    WORKLOAD = "workload"
    QUOTA = "quota"


@dataclass(frozen=True, slots=True)
class Program:
    """A child: ``name`` stands before its lines, in ``colour`` where colours are shown."""

    name: str
    argv: tuple[str, ...]
    colour: str = ""


def run_command(  # noqa: PLR0913  these are the flags
    *,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    wds_name: Annotated[
        str | None, typer.Option(help="KubeFlex ControlPlane of the WDS, when there are several.")
    ] = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
    its_name: Annotated[
        str | None, typer.Option(help="KubeFlex ControlPlane of the ITS, when there are several.")
    ] = None,
    only: Annotated[Which | None, typer.Option(help="One of the two controllers.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of options: docs/settings.md.")] = None,
) -> None:
    """Run both controllers here, against the hub of the current kube context.

    WDS and ITS are found through KubeFlex's ControlPlane objects on the hub unless they are given.
    """
    options = {name: value for name, value in locals().items() if name != "only"}
    raise typer.Exit(asyncio.run(run(controllers(flags(options), only), sys.stdout)))


def controllers(arguments: Sequence[str], only: Which | None = None) -> list[Program]:
    """Our two controllers with the same arguments, or the one that was asked for."""
    modules = {
        Which.WORKLOAD: ("workload_controller", CYAN),
        Which.QUOTA: ("quota_manager", MAGENTA),
    }
    return [
        Program(which.value, (sys.executable, "-m", module, *arguments), colour)
        for which, (module, colour) in modules.items()
        if only in (None, which)
    ]


def import_path() -> dict[str, str]:
    """Environment in which ``-m`` finds our packages, whatever the working directory."""
    here = str(Path(kueue_ks.__file__).parent.parent)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))}


def flags(options: Mapping[str, object]) -> list[str]:
    """``{"hub_context": "kind"}`` as ``["--hub-context", "kind"]``; what is None was not given."""
    return [
        part
        for name, value in options.items()
        if value is not None
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]


async def run(programs: Sequence[Program], out: TextIO) -> int:
    """Run until SIGTERM (0) or SIGINT (130). Raises CommandError when one ends by itself or cannot start."""
    children = [_Child(program, out, width=max(len(p.name) for p in programs)) for program in programs]
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[signal.Signals] = loop.create_future()

    def ask(number: signal.Signals) -> None:
        if not asked.done():
            asked.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number)
    try:
        for child in children:
            await child.start()
        ends: list[asyncio.Future[Any]] = [asyncio.ensure_future(child.ended.wait()) for child in children]
        await asyncio.wait([asked, *ends], return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        dead = [child for child in children if child.ended.is_set()]
    except FleetError as failed:
        raise CommandError(str(failed)) from failed
    finally:
        await asyncio.gather(*(child.end() for child in children))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    if asked.done():
        return int(Exit.INTERRUPTED) if asked.result() is signal.SIGINT else int(Exit.FINE)
    raise _death(dead[0])


def how_ended(name: str, exit_code: int) -> str:
    """In words; a negative exit code is the signal that ended it."""
    if exit_code < 0:
        return f"{name} was ended by {signal.Signals(-exit_code).name}"
    return f"{name} ended with exit code {exit_code}"


class _Child:
    """One program whose output goes through us."""

    def __init__(self, program: Program, out: TextIO, *, width: int) -> None:
        self.program = program
        self.ended = asyncio.Event()
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._out = out
        coloured = program.colour and out.isatty() and "NO_COLOR" not in os.environ
        name = f"{program.name:<{width}} |"
        self._prefix = f"{program.colour}{name}{RESET} " if coloured else f"{name} "
        self._component: Component | None = None
        self._pump: asyncio.Task[None] | None = None

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal, None while it runs."""
        return self._component.exit_code if self._component else None

    async def start(self) -> None:
        """Start it. Raises ComponentFailed."""
        read, write = os.pipe()
        try:
            # Component writes output to a file; this one is our pipe.
            command = Command(self.program.argv, Path(f"/dev/fd/{write}"), import_path())
            spec = Spec(self.program.name, command, _no_probe, grace=GRACE)
            self._component = Component(spec, on_death=lambda _: self.ended.set())
            await self._component.start()
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)  # so that the pipe ends with the child
        self._pump = asyncio.create_task(self._pass_on(read))

    async def end(self) -> None:
        """SIGTERM, then SIGKILL; returns when it is gone and its last line is out."""
        if self._component is not None:
            await self._component.terminate()
        if self._pump is not None:
            await self._pump

    async def _pass_on(self, descriptor: int) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        pipe = os.fdopen(descriptor, "rb")
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        rest = b""
        try:
            while chunk := await reader.read(64 * 1024):  # readline would fail on a line beyond its limit
                *lines, rest = (rest + chunk).split(b"\n")
                self._print(lines)
            self._print([rest] if rest else [])
        finally:
            transport.close()

    def _print(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace")
            self.tail.append(text)
            print(f"{self._prefix}{text}", file=self._out)
        self._out.flush()


async def _no_probe() -> str:
    return ""


def _death(child: _Child) -> CommandError:
    return CommandError(
        f"{how_ended(child.program.name, child.exit_code or 0)}, so the rest was ended too",
        why=quoted("\n".join(child.tail)),
        fix="correct what it says and start again; running jobs are not touched meanwhile",
    )
