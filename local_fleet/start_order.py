"""The start order: what waits for what.

etcd; all API servers at once; in each of them its kinds, then its controllers; Kueue when the hub has its
kinds; KubeStellar when hub and control are prepared; the agents of a worker when control and worker are.
Each step waits for a readiness test of the step before.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any

from kube_runtime.space import Space
from local_fleet import bootstrap
from local_fleet.component import Spec
from local_fleet.components import control_plane, kubestellar, kueue, worker
from local_fleet.components.recipe import Site
from local_fleet.layout import CONTROL, HUB
from local_fleet.progress import Progress, elapsed


class StartOrder:
    """Brings one fleet up. ``run`` starts a program and returns when it is ready."""

    def __init__(
        self,
        site: Site,
        spaces: Mapping[str, Space],
        *,
        run: Callable[[Spec], Coroutine[Any, Any, None]],
        progress: Progress,
    ) -> None:
        self._site = site
        self._spaces = spaces
        self._run = run
        self._progress = progress
        self._prepared = {space: asyncio.Event() for space in site.layout.spaces}

    async def bring_up(self, *, frameworks: Sequence[str], api_groups: Sequence[str]) -> None:
        """Start everything. Raises an ExceptionGroup of FleetErrors, KubeErrors and TimeoutErrors."""
        layout = self._site.layout
        await self._run_all([control_plane.etcd(self._site, name) for name in layout.etcds])
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hub(frameworks))
            group.create_task(self._control(api_groups))
            for index, name in enumerate(layout.workers):
                group.create_task(self._worker(name, index))

    async def _hub(self, frameworks: Sequence[str]) -> None:
        site, hub = self._site, self._spaces[HUB]
        await self._run(control_plane.api_server(site, HUB))
        await self._prepare(hub, bootstrap.prepare_hub(hub, site.layout, site.binaries))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run(control_plane.controller_manager(site, HUB)))
            group.create_task(self._run(kueue.kueue(site, frameworks)))
        await bootstrap.install_webhooks(hub, site.layout, site.pki, site.binaries, frameworks)

    async def _control(self, api_groups: Sequence[str]) -> None:
        site, control = self._site, self._spaces[CONTROL]
        await self._run(control_plane.api_server(site, CONTROL))
        await self._prepare(control, bootstrap.prepare_control(control, site.layout, site.binaries))
        await self._prepared[HUB].wait()
        await self._run_all(
            [
                control_plane.controller_manager(site, CONTROL),
                kubestellar.controller_manager(site, api_groups),
                kubestellar.transport(site),
            ]
        )

    async def _worker(self, name: str, index: int) -> None:
        site, space = self._site, self._spaces[name]
        await self._run(control_plane.api_server(site, name))
        await self._prepare(space, bootstrap.prepare_worker(space, index, site.binaries))
        await self._run_all(
            [
                worker.kwok(site, name),
                control_plane.controller_manager(site, name),
                control_plane.scheduler(site, name),
            ]
        )
        await self._prepared[CONTROL].wait()
        agents = (worker.work_agent, worker.status_addon, worker.metrics_agent)
        await self._run_all([agent(site, name) for agent in agents])
        await bootstrap.nodes_ready(space)

    async def _prepare(self, space: Space, work: Awaitable[None]) -> None:
        self._progress.stage(f"{space.name}/objects", "writing")
        began = time.monotonic()
        await work
        self._progress.stage(f"{space.name}/objects", f"written in {elapsed(time.monotonic() - began)}")
        self._prepared[space.name].set()

    async def _run_all(self, specs: Sequence[Spec]) -> None:
        async with asyncio.TaskGroup() as group:
            for spec in specs:
                group.create_task(self._run(spec))
