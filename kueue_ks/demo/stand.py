"""The demo's machinery: a local fleet, our manifests in it, both controllers with their own identities.

``async with Stand(...)`` is all of it; at its end nothing runs any more. Controllers are processes like
the fleet's own programs: logs beside theirs, and the kernel ends them with us.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from kube_runtime.space import Space
from kueue_ks.demo.watch import Watch
from kueue_ks.errors import CommandError, quoted
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import install
from kueue_ks.run import how_ended, import_path
from local_fleet import Fleet, Options
from local_fleet.component import Component, Spec
from local_fleet.errors import FleetError
from local_fleet.processes import Command
from local_fleet.progress import Progress, elapsed

SHRINK_AFTER: Final = 3  # seconds; the default of 15 spares real quotas short dips, and the demo its audience

CONTROLLERS: Final = {
    "workload-controller": ("workload_controller",),
    "quota-manager": ("quota_manager", "--shrink-after", str(SHRINK_AFTER)),
}


class Stand:
    """A running demo system.

    ``died`` is set when a program of it has ended unasked; ``deaths`` tells which and why.
    """

    def __init__(self, root: Path, *, workers: int, progress: Progress) -> None:
        self.root = root
        self.died = asyncio.Event()
        self.deaths: list[CommandError] = []
        self.progress = progress
        self._options = Options(workers=workers)
        self._stack = AsyncExitStack()
        self._watching = False

    async def __aenter__(self) -> Self:
        try:
            await self._up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching = False
        await self._stack.aclose()

    @property
    def workers(self) -> tuple[str, ...]:
        """Their names."""
        return self._fleet.workers

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, with a context for every space."""
        return self._fleet.kubeconfig("all")

    def watch(self) -> Watch:
        """A watch on the whole stand, with connections of its own that end with the stand."""
        return Watch(
            self._space("hub"), self._space("its"), {name: self._space(name) for name in self._fleet.workers}
        )

    def fail_if_died(self) -> None:
        """Raises the first death, if there was one."""
        if self.deaths:
            raise self.deaths[0]

    async def _up(self) -> None:
        fleet = Fleet(self.root, self._options, progress=self.progress, on_death=self._died)
        self._fleet = await self._stack.enter_async_context(fleet)
        self.progress.stage("manifests", "installing")
        began = asyncio.get_running_loop().time()
        await self._install()
        took = asyncio.get_running_loop().time() - began
        self.progress.stage("manifests", f"installed in {elapsed(took)}")
        # Their rights are there only now.
        agents = [c for c in fleet.components if c.name.endswith("/metrics-agent")]
        await asyncio.gather(*(agent.restart() for agent in agents))
        self._watching = True
        for name, (module, *arguments) in CONTROLLERS.items():
            await self._start(name, module, arguments)

    async def _install(self) -> None:
        duties = {"hub": Duty.HUB, "wds": Duty.WDS, "its": Duty.ITS}
        duties |= dict.fromkeys(self._fleet.workers, Duty.WORKER)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            for context, duty in duties.items():
                space = await stack.enter_async_context(self._fleet.space(context))
                group.create_task(install(space, what=duty, samples=duty is Duty.HUB))

    async def _start(self, name: str, module: str, arguments: list[str]) -> None:
        argv = [sys.executable, "-m", module, *arguments]
        for context in ("hub", "wds", "its"):
            argv += [f"--{context}-kubeconfig", str(self._fleet.kubeconfig(context, name))]
            argv += [f"--{context}-context", context]  # said, so that no environment variable says another
        command = Command(argv, self._fleet.site.layout.log(name), import_path())
        component = Component(Spec(name, command, _no_probe), on_death=self._died)
        self.progress.stage(name, "starting")
        try:
            await component.start()
        except FleetError as failed:
            raise CommandError(str(failed)) from failed
        self._stack.push_async_callback(component.terminate)

    def _space(self, context: str) -> Space:
        space = self._fleet.space(context)
        self._stack.push_async_callback(space.close)
        return space

    def _died(self, component: Component) -> None:
        if self._watching:
            what = how_ended(component.name, component.exit_code or 0)
            fix = f"look into the logs in {self.root / 'logs'}"
            self.deaths.append(CommandError(what, why=quoted(component.log_tail()), fix=fix))
            self.died.set()


async def _no_probe() -> str:
    return ""
