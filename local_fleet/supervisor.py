"""A fleet in the background, and the same in the foreground.

``detach`` starts ``python -m local_fleet.supervisor`` in a session of its own and waits until fleet.json
says ready or failed, showing the lines of its log meanwhile. The supervisor ends by SIGTERM, SIGINT or
SIGHUP, and everything with it.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from local_fleet import state
from local_fleet.errors import FleetError, FleetRuns
from local_fleet.fleet import Fleet, Options
from local_fleet.processes import ProcessId, tail
from local_fleet.progress import Lines, Progress

_POLL = 0.05  # seconds between two looks at fleet.json
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def serve(
    root: Path, options: Options, progress: Progress, *, on_ready: Callable[[Fleet], None]
) -> bool:
    """Run a fleet until a signal asks for its end; False when that came before it was ready.

    Raises FleetError when it cannot be started.
    """
    task = asyncio.current_task()
    assert task is not None
    asked, ready = asyncio.Event(), asyncio.Event()

    def ask() -> None:
        if not asked.is_set() and not ready.is_set():
            task.cancel()  # still starting: broken off, and taken down like any failed start
        asked.set()

    for number in _ENDING:
        asyncio.get_running_loop().add_signal_handler(number, ask)
    try:
        async with Fleet(root, options, progress=progress) as fleet:
            progress.close()
            ready.set()
            on_ready(fleet)
            await asked.wait()
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
    return ready.is_set()


def detach(root: Path, options: Options, progress: Progress) -> state.FleetState:
    """Start a fleet in the background; returns when it is ready. Raises FleetError with the reason otherwise.

    Ctrl-C meanwhile ends the fleet.
    """
    earlier = state.read(root)
    if earlier and earlier.running:
        raise FleetRuns(root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = root / state.SUPERVISOR_LOG
    log.unlink(missing_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "local_fleet.supervisor", str(root), _to_json(options)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    try:
        return _until_ready(root, child, progress)
    except BaseException:
        with suppress(ProcessLookupError):
            child.terminate()
        child.wait()
        raise


def _until_ready(root: Path, child: "subprocess.Popen[bytes]", progress: Progress) -> state.FleetState:
    me = ProcessId.of(child.pid)
    lines = _Follower(root / state.SUPERVISOR_LOG, progress)
    while child.poll() is None:
        lines.show_new()
        now = state.read(root)
        if now and now.supervisor == me and now.phase == "ready":
            lines.show_new()
            return now
        time.sleep(_POLL)
    now = state.read(root)
    raise FleetError(
        (now.error if now else "") or f"The fleet did not start:\n{tail(root / state.SUPERVISOR_LOG)}"
    )


class _Follower:
    """Shows lines of the supervisor's log ("12.0s  kueue: ready") as they come."""

    def __init__(self, log: Path, progress: Progress) -> None:
        self._file = log.open()
        self._progress = progress
        self._rest = ""

    def show_new(self) -> None:
        *complete, self._rest = (self._rest + self._file.read()).split("\n")
        for line in complete:
            name, _, text = line.strip().partition("  ")[2].partition(": ")
            if text:
                self._progress.stage(name, text)


def _to_json(options: Options) -> str:
    return json.dumps({**asdict(options), "binaries": str(options.binaries or "")})


def _from_json(text: str) -> Options:
    document = json.loads(text)
    named = document.pop("binaries")
    tuples = {key: tuple(value) for key, value in document.items() if isinstance(value, list)}
    return Options(**{**document, **tuples, "binaries": Path(named) if named else None})


def main() -> int:
    """``python -m local_fleet.supervisor ROOT OPTIONS``: the detached process."""
    parser = argparse.ArgumentParser(
        prog="local_fleet.supervisor", description="Runs a local fleet until it is asked to end."
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("options", type=_from_json, help="local_fleet.Options as JSON")
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.root, arguments.options, Lines(sys.stderr), on_ready=lambda _: None))
    except FleetError as error:
        print(error, file=sys.stderr)  # noqa: T201 - its log is its only voice
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
