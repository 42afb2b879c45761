"""A whole fleet: hub, control (WDS and ITS) and workers, with Kueue, KubeStellar and the agents."""

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import aiohttp

from kube_runtime.errors import KubeError
from kube_runtime.space import Space
from local_fleet import bootstrap, kubeconfigs, managed_clusters, pki, ports, state
from local_fleet.binaries import Binaries, provide
from local_fleet.component import Component, Spec
from local_fleet.components import kubestellar
from local_fleet.components.recipe import Site
from local_fleet.errors import ComponentFailed, FleetError
from local_fleet.layout import CONTROL, Layout, default_root, listeners
from local_fleet.pki import ADMIN
from local_fleet.progress import Progress, Silent, elapsed
from local_fleet.start_order import StartOrder
from local_fleet.tcp_proxy import TcpProxy

MAX_WORKERS = 32  # each is an API server of 300 MiB and six more processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a fleet is made of.

    ``frameworks``: Kueue's integrations. ``api_groups``: what KubeStellar carries. ``etcd_per_space``:
    faults of storage hit one API server at a time. ``heartbeat``: seconds between two beats of a worker's
    registration; five missed ones and its ManagedCluster is Unknown. ``proxied``: a TcpProxy in each link.
    ``binaries``: a folder with ready programs.
    """

    workers: int = 2
    frameworks: tuple[str, ...] = ("batch/job",)
    api_groups: tuple[str, ...] = kubestellar.API_GROUPS
    etcd_per_space: bool = False
    heartbeat: float = 5.0
    proxied: bool = False
    binaries: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            msg = f"A fleet has 1 to {MAX_WORKERS} workers, not {self.workers}."
            raise FleetError(msg)


class Fleet:
    """``async with Fleet(root) as fleet:`` is a running fleet; at the end nothing of it runs any more.

    ``root`` is emptied at the start (only when it was made by a fleet or is empty) and keeps logs and audit
    afterwards. Must be entered in the main thread: children die with the thread that started them
    (processes.py).
    """

    def __init__(
        self,
        root: Path | None = None,
        options: Options | None = None,
        *,
        progress: Progress | None = None,
        on_death: Callable[[Component], None] | None = None,
    ) -> None:
        self.root = (root or default_root("default")).absolute()
        self.options = options or Options()
        self.deaths: list[str] = []
        """One text per program that ended unasked, with the tail of its log."""
        self._progress: Progress = progress or Silent()
        self._on_death = on_death
        self._components: dict[str, Component] = {}
        self._spaces: dict[str, Space] = {}
        self._links: dict[str, TcpProxy] = {}
        self._beats: list[asyncio.Task[None]] = []
        self._stack = AsyncExitStack()
        self._lock: IO[str] | None = None
        self._site: Site | None = None
        self._phase = "starting"

    async def __aenter__(self) -> Self:
        try:
            await self._up()
        except BaseException as error:
            self._phase = "failed"
            await self._down(error=str(error))
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._phase = "down"
        await self._down()

    # What a running fleet offers.

    @property
    def site(self) -> Site:
        """Folders, ports, certificates and programs."""
        assert self._site is not None, "the fleet has not been started"
        return self._site

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of the workers: "w1", "w2" and so on."""
        return self.site.layout.workers

    @property
    def components(self) -> tuple[Component, ...]:
        """All programs, in start order."""
        return tuple(self._components.values())

    def component(self, name: str) -> Component:
        """A program: "kueue", "hub/kube-apiserver", "w1/work-agent". KeyError with the names there are."""
        try:
            return self._components[name]
        except KeyError:
            msg = f"no component {name!r}; there are {', '.join(self._components)}"
            raise KeyError(msg) from None

    def link(self, name: str) -> TcpProxy:
        """A proxy of a fleet with ``proxied``.

        "hub", "wds", "its": the ways of our programs; "w1": everything between that worker and the ITS.
        """
        return self._links[name]

    def kubeconfig(self, context: str, identity: str = ADMIN) -> Path:
        """The kubeconfig file of "hub", "wds", "its" or a worker for one of pki.IDENTITIES."""
        return self.site.layout.kubeconfig(context, None if identity == ADMIN else identity)

    def space(self, context: str, identity: str = ADMIN) -> Space:
        """A new connection without proxy; the caller closes it."""
        layout = self.site.layout
        return bootstrap.open_space(context, layout.url(layout.contexts[context]), self.site.pki, identity)

    def audit_log(self, context: str) -> Path:
        """The audit log (JSON lines) of the API server behind a context."""
        return self.site.layout.audit_log(self.site.layout.contexts[context])

    # Start.

    async def _up(self) -> None:
        began = time.monotonic()
        self._lock = state.claim(self.root)
        self._record()
        binaries = await asyncio.to_thread(provide, self._progress, named=self.options.binaries)
        await self._found(binaries)
        try:
            order = StartOrder(self.site, self._spaces, run=self._run, progress=self._progress)
            await order.bring_up(frameworks=self.options.frameworks, api_groups=self.options.api_groups)
            await self._start_beats()
        except* (ComponentFailed, FleetError) as errors:
            raise _first(errors) from None
        except* (KubeError, TimeoutError) as errors:
            cause = _first(errors)
            msg = f"The fleet could not be prepared: {cause!r}. Logs: {self.root / 'logs'}"
            raise FleetError(msg) from cause
        self._phase = "ready"
        self._record()
        self._progress.stage("fleet", f"ready in {elapsed(time.monotonic() - began)}")

    async def _found(self, binaries: Binaries) -> None:
        """Folders, ports, certificates, kubeconfigs, links: everything that the recipes refer to."""
        names = tuple(f"w{number}" for number in range(1, self.options.workers + 1))
        per_space, proxied = self.options.etcd_per_space, self.options.proxied
        chosen = self._stack.enter_context(
            ports.claimed(listeners(names, etcd_per_space=per_space, proxied=proxied))
        )
        layout = Layout(self.root, names, chosen, per_space, proxied)
        for folder in ("logs", "audit", "config"):
            (self.root / folder).mkdir()
        issued = await asyncio.to_thread(pki.issue, self.root / "pki")
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._site = Site(layout, issued, binaries, session)
        kubeconfigs.write_all(layout, issued)
        self._record()
        for link, space in layout.links.items():
            proxy = TcpProxy(layout.ports[space], port=layout.ports[f"link/{link}"])
            await proxy.start()
            self._stack.push_async_callback(proxy.stop)
            self._links[link] = proxy
        for space in layout.spaces:
            self._spaces[space] = bootstrap.open_space(space, layout.url(space), issued)
            self._stack.push_async_callback(self._spaces[space].close)

    async def _run(self, spec: Spec) -> None:
        """Start a program and wait until it is ready."""
        component = Component(spec, self._died)
        self._components[spec.name] = component
        began = time.monotonic()
        self._progress.stage(spec.name, "starting")
        await component.start()
        self._record()
        await component.wait_ready()
        self._progress.stage(spec.name, f"ready in {elapsed(time.monotonic() - began)}")
        self._record()

    async def _start_beats(self) -> None:
        layout, issued, period = self.site.layout, self.site.pki, self.options.heartbeat
        for name in layout.workers:
            its = bootstrap.open_space("its", layout.url_by_link(name), issued, "registration")
            self._stack.push_async_callback(its.close)
            worker = self._spaces[name]
            await managed_clusters.report(worker, its)  # a ready fleet has Available clusters
            beat = managed_clusters.report_forever(worker, its, period=period)
            self._beats.append(asyncio.create_task(beat))
        judge = managed_clusters.judge_forever(self._spaces[CONTROL], layout.workers, period=period)
        self._beats.append(asyncio.create_task(judge))

    # End.

    def _died(self, component: Component) -> None:
        text = f"ended with exit code {component.exit_code}. Its log ends:\n{component.log_tail()}"
        self.deaths.append(f"{component.name} {text}")
        self._progress.stage(component.name, text)
        self._record()
        if self._on_death:
            self._on_death(component)

    async def _down(self, error: str = "") -> None:
        for beat in self._beats:
            beat.cancel()
        await asyncio.gather(*self._beats, return_exceptions=True)
        servers = [
            c for c in self.components if c.name.startswith("etcd") or c.name.endswith("/kube-apiserver")
        ]
        await asyncio.gather(*(c.terminate() for c in self.components if c not in servers))
        # Their data is of no use any more, and an orderly end of an API server waits for all its watchers.
        await asyncio.gather(*(c.kill() for c in servers))
        await self._stack.aclose()
        if self._lock is None:
            return
        if self._site is not None:
            for name in self.site.layout.etcds:
                shutil.rmtree(self.root / name, ignore_errors=True)
        self._record(error)
        self._lock.close()
        self._lock = None

    def _record(self, error: str = "") -> None:
        """Write ``fleet.json``; cheap enough for every change."""
        layout = self._site.layout if self._site else None
        programs = self._site.binaries.programs if self._site else {}
        components = [
            state.ComponentState(c.name, c.state, c.identity, c.restarts, c.exit_code)
            for c in self.components
        ]
        document = state.FleetState(
            phase=self._phase,
            supervisor=state.myself(),
            workers=layout.workers if layout else (),
            ports=layout.ports if layout else {},
            components=components,
            programs={name: str(path) for name, path in programs.items()},
            error=error,
        )
        state.write(self.root, document)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception of a group: the others are its consequences or as good."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
