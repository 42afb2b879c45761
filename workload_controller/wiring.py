"""The program's pieces put together on given spaces: for the program itself, and for its simulation."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from kube_runtime.events import EventRecorder
from kube_runtime.space import Space
from kube_runtime.work_queue import WorkQueue, run_workers
from workload_controller.actions import Writer
from workload_controller.audit.patrol import Patrol
from workload_controller.concerns import Concerns, Request
from workload_controller.controller import Controller
from workload_controller.settings import Settings
from workload_controller.stores import Stores
from workload_controller.view import View

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs: the informers of ``stores`` always, ``lead`` and ``patrol`` while this process leads.

    The simulation leaves ``patrol`` out: what it asks for anew would hide that an event was lost.
    """

    stores: Stores
    queue: WorkQueue[Request]
    patrol: Patrol
    _concerns: Concerns
    _controller: Controller
    _workers: int

    async def lead(self) -> None:
        """Reconcile until cancelled."""
        await self.stores.wait_synced()
        self._concerns.enqueue_all()  # what was decided by another leader meanwhile is looked at again
        workloads, copies = len(self.stores.workloads.items()), len(self.stores.copies.items())
        log.info("reconciling", workloads=workloads, copies=copies)
        await run_workers(self.queue, self._controller.reconcile, self._workers)


def assemble(
    settings: Settings,
    hub: Space,
    wds: Space,
    its: Space,
    *,
    queue: WorkQueue[Request],
    events: EventRecorder,
    may_write: Callable[[], bool],
    clock: Callable[[], float],
) -> Parts:
    """Build everything between the spaces and the queue. ``clock`` gives unix seconds."""
    stores = Stores(hub, wds, its)
    timing = settings.timing
    view = View(stores, stale_after=settings.stale_after, timing=timing, defaults=settings.defaults)
    writer = Writer(hub, wds, its, may_write=may_write, clock=clock)
    controller = Controller(
        stores, view, writer, events, timing=timing, clock=clock, wave_size=settings.wave_size
    )
    patrol = Patrol(stores, view, queue.add, timing=timing, stale_after=settings.stale_after, clock=clock)
    return Parts(stores, queue, patrol, Concerns(stores, queue.add), controller, settings.workers)
