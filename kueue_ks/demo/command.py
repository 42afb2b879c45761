"""``kueue-ks demo``: the whole system on this machine, real control planes, simulated nodes, in a minute."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kueue_ks.demo import background
from kueue_ks.demo.jobs import demo_jobs
from kueue_ks.demo.lines import missing, summary
from kueue_ks.demo.screen import Screen
from kueue_ks.demo.stand import Stand
from kueue_ks.demo.story import Story
from kueue_ks.demo.watch import Watch
from kueue_ks.errors import CommandError, Exit, report
from kueue_ks.install.manifests import manifest_root
from local_fleet.binaries import provide
from local_fleet.layout import default_root
from local_fleet.progress import Lines, Progress, for_stream
from local_fleet.state import SUPERVISOR_LOG

DEADLINE: Final = 180.0  # seconds from the first step to the last job's end; about three times what it takes
ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo_command(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave fleet and controllers running in the background.")
    ] = False,
    workers: Annotated[int, typer.Option(help="How many worker clusters.", min=1, max=32)] = 2,
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="The fleet's folder.", show_default="below the user's state folder"),
    ] = None,
    lines: Annotated[
        bool, typer.Option("--plain", help="One line per change instead of a live view.")
    ] = False,
    deadline: Annotated[
        float, typer.Option(help="Seconds in which all jobs must have finished.", min=1)
    ] = DEADLINE,
) -> None:
    """Start a fleet on this machine, run the examples on its workers, and show what happens.

    The first time, Kubernetes, Kueue and KubeStellar are compiled (about 12 minutes on 2 cores).
    """
    root = (folder or default_root("default" if keep else "demo")).absolute()
    if keep and not background.in_background():
        arguments = ["--keep", f"--workers={workers}", f"--dir={root}", f"--deadline={deadline}"]
        raise typer.Exit(background.start_and_wait([*arguments, *(["--plain"] if lines else [])]))
    screen = Screen(sys.stdout, lines_only=lines)
    progress: Progress = Lines(sys.stderr) if screen.lines_only else for_stream(sys.stderr)
    try:
        provide(progress)  # here and not in the event loop: Ctrl-C must end the compiler
        stand = Stand(root, workers=workers, progress=progress)
        code = asyncio.run(_until_signalled(_demo(stand, screen, keep=keep, deadline=deadline)))
    finally:
        progress.close()
    raise typer.Exit(code)


async def _until_signalled(work: Coroutine[Any, Any, int]) -> int:
    """The work's exit code; 130 when a signal ended it. A second signal does not disturb the clean-up."""
    task = asyncio.create_task(work)
    asked = False

    def ask() -> None:
        nonlocal asked
        if not asked:
            asked = True
            task.cancel()

    for number in ENDING:
        asyncio.get_running_loop().add_signal_handler(number, ask)
    try:
        return await task
    except asyncio.CancelledError:
        if not asked:
            raise
        return int(Exit.INTERRUPTED)


async def _demo(stand: Stand, screen: Screen, *, keep: bool, deadline: float) -> int:
    """The show; with ``keep`` everything stays until a signal, also when the show was a failure."""
    async with stand:
        code = await _show(stand, screen, deadline)
        if keep:
            _say_what_next(stand, screen)
            background.show_is_over(code, stand.root / SUPERVISOR_LOG)
            while True:
                await stand.died.wait()
                stand.died.clear()
                report(stand.deaths[-1], sys.stderr)
    screen.say(f"\nEverything is stopped. To look around in it yourself: {_program()} demo --keep")
    return code


async def _show(stand: Stand, screen: Screen, deadline: float) -> int:
    """Play, and say what came of it. Raises CommandError when one of our own programs ends meanwhile."""
    watch = stand.watch()
    watch.add_listener(screen.show)
    story = Story(watch, demo_jobs(len(stand.workers)))
    stand.progress.close()
    with screen:
        in_time = await _play(stand, watch, story, deadline)
        await watch.count_hub_pods()
    problems = [] if in_time else [f"not done after {deadline:.0f}s, in step {watch.state.step}"]
    problems += missing(watch.state, len(story.jobs))
    if not story.act.complete:
        problems.append("the quota did not follow the cordon of a node")
    for line in ("", *summary(watch.state), *([str(story.act)] if story.act.node else [])):
        screen.say(line)
    if not problems:
        return int(Exit.FINE)
    what = "the demo did not succeed"
    fix = f"look into the logs in {stand.root / 'logs'}"
    return report(CommandError(what, why="\n       ".join(problems), fix=fix), sys.stderr)


async def _play(stand: Stand, watch: Watch, story: Story, deadline: float) -> bool:
    """Whether the story came to its end in time."""
    following = asyncio.create_task(watch.run())
    playing = asyncio.create_task(story.play(deadline))
    dying = asyncio.create_task(stand.died.wait())
    tasks: list[asyncio.Task[Any]] = [following, playing, dying]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        stand.fail_if_died()
        if following.done():  # it ends by an error only
            following.result()
        await playing
    except TimeoutError:
        return False
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return True


def _say_what_next(stand: Stand, screen: Screen) -> None:
    program = _program()
    example = _near(Path(str(manifest_root())) / "examples" / "batch-job.yaml")
    folder = f" --dir {stand.root}" if stand.root != default_root("default").absolute() else ""
    kubectl = "kubectl" if shutil.which("kubectl") else f"{program} fleet exec{folder} hub -- kubectl"
    for line in (
        "\nFleet and controllers go on running. What to do next:",
        f"  export KUBECONFIG={stand.kubeconfig}",
        f"  {kubectl} create -f {example}",
        f"  {program} explain job/NAME -n team-a",
        f"  {program} fleet down{folder}",
    ):
        screen.say(line)


def _program() -> str:
    """How this program can be called again from here."""
    called = Path(sys.argv[0])
    if shutil.which("kueue-ks"):
        return "kueue-ks"
    return str(_near(called)) if called.name == "kueue-ks" else "python -m kueue_ks.main"


def _near(path: Path) -> Path:
    """Relative to the working directory when it is below it."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
