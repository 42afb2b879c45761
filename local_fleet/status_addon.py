"""Stand-in for the agent of KubeStellar's OCM status add-on: status of applied objects, worker to ITS.

    python -m local_fleet.status_addon --worker-kubeconfig F --its-kubeconfig F --cluster-name w1

The original is not to be had as a Go module. Like it, one agent per worker watches AppliedManifestWorks
there, has one informer per applied resource type, and keeps one WorkStatus per applied object in the
ITS namespace of the cluster: created with the object, its ``status`` replaced as a whole at each change,
deleted with the object or when no AppliedManifestWork names it any more.

Level-triggered: events only name an object, the reconcile compares what is on both sides. Nothing is
remembered that a restart would miss. An informer, once started, stays: the next job of its kind finds it
warm.
"""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from aiohttp import web

from kube_runtime.connections import ConnectionFailed, ConnectionSettings, connect
from kube_runtime.errors import NotFound
from kube_runtime.informer import Informer
from kube_runtime.objects import Key
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kube_runtime.work_queue import WorkQueue, run_workers
from local_fleet.work_statuses import (
    AppliedWork,
    ObjectRef,
    Report,
    WorkerObject,
    new_report,
    read_applied_work,
    read_report,
    read_worker_object,
    references,
    report_name,
    source,
    status_details,
)
from vocabulary.resources import APPLIED_MANIFEST_WORKS, MANIFEST_WORKS, WORK_STATUSES

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

WORKERS: Final = 16  # requests under way; a burst of 100 jobs is two writes each of some 5 ms
MANIFEST_WORK_GONE: Final = 5.0  # seconds; a new ManifestWork of the name sends no event to the worker


class StatusAddon:
    """The agent of one worker. ``clock`` gives unix seconds."""

    def __init__(
        self, worker: Space, its: Space, cluster: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._worker, self._its, self._cluster, self._clock = worker, its, cluster, clock
        self._queue: WorkQueue[ObjectRef] = WorkQueue(longest_retry=5.0)
        self._works = Informer(
            worker, APPLIED_MANIFEST_WORKS, transform=read_applied_work, indexes={"object": references}
        )
        self._reports = Informer(
            its, WORK_STATUSES, namespace=cluster, transform=read_report, indexes={"object": source}
        )
        self._types: dict[tuple[str, str, str], Informer[WorkerObject]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._works.add_handler(self._work_changed)
        self._reports.add_handler(self._report_changed)

    @property
    def ready(self) -> bool:
        """Whether both sides are known; the types of objects follow as they are met."""
        return self._works.synced and self._reports.synced

    async def run(self) -> None:
        """Report for ever; cancel to stop."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._works.run())
            tasks.create_task(self._reports.run())
            # A report is superfluous only once all works are known.
            await self._works.wait_synced()
            await self._reports.wait_synced()
            await run_workers(self._queue, self.reconcile, WORKERS)

    async def reconcile(self, ref: ObjectRef) -> float | None:
        """Make the WorkStatuses of one object those that its works ask for."""
        works = self._works.by_index("object", str(ref))
        existing = {report.name: report for report in self._reports.by_index("object", str(ref))}
        again = None
        if works:
            informer = self._types.get(ref.type) or await self._start_type(ref)
            if not informer.synced:
                return None  # it brings all its objects back here when it is
            found = informer.get((ref.namespace, ref.name))
            for work in works:
                if found and work.lists(ref, found.uid):
                    name = report_name(work.uid, ref, informer.resource.kind)
                    delay = await self._report(work, ref, found, name, existing.pop(name, None))
                    again = delay or again
        for superfluous in existing.values():
            await self._delete(superfluous)
        return again

    async def _report(
        self, work: AppliedWork, ref: ObjectRef, found: WorkerObject, name: str, report: Report | None
    ) -> float | None:
        """At most three writes, mostly one; the seconds until another try when there is no owner."""
        if report is None:
            try:
                owner = await self._its.get(MANIFEST_WORKS, work.manifest_work, self._cluster)
            except NotFound:
                return MANIFEST_WORK_GONE  # withdrawn; the worker follows soon
            kind = self._types[ref.type].resource.kind
            body = new_report(name, ref, kind, owner, status_details(found.generation, self._clock()))
            answer = await self._its.create(WORK_STATUSES, body)
            self._reports.observe(answer)
            report = read_report(answer)
        if report.generation != found.generation:
            patch = {
                "metadata": {"resourceVersion": report.version},
                "statusDetails": status_details(found.generation, self._clock()),
            }
            answer = await self._its.patch(WORK_STATUSES, patch, name=name, namespace=self._cluster)
            self._reports.observe(answer)
            report = read_report(answer)
        if found.status is not None and report.status != found.status:
            body = {
                "apiVersion": WORK_STATUSES.api_version,
                "kind": WORK_STATUSES.kind,
                "metadata": {"name": name, "namespace": self._cluster, "resourceVersion": report.version},
                "status": found.status,
            }
            self._reports.observe(await self._its.update(WORK_STATUSES, body, subresource="status"))
        return None

    async def _delete(self, report: Report) -> None:
        """404: the ITS' garbage collector was first, it deletes with the ManifestWork."""
        with suppress(NotFound):
            await self._its.delete(WORK_STATUSES, report.name, self._cluster, uid=report.uid)
        self._reports.observe_deleted((self._cluster, report.name), report.uid)

    async def _start_type(self, ref: ObjectRef) -> Informer[WorkerObject]:
        """The informer of a type that is met for the first time. NotFound: the worker does not serve it."""
        served = await self._worker.get_path(Resource(ref.group, ref.version, "", "").path().rstrip("/"))
        entry = next((one for one in served["resources"] if one["name"] == ref.plural), None)
        if entry is None:
            raise NotFound(
                404, "NotFound", f"{self._worker.name} serves no {ref.plural} of {ref.group}/{ref.version}"
            )
        if ref.type in self._types:  # another worker was faster
            return self._types[ref.type]
        resource = Resource(
            ref.group, ref.version, ref.plural, entry["kind"], namespaced=bool(entry["namespaced"])
        )
        informer = Informer(self._worker, resource, transform=read_worker_object)
        informer.add_handler(partial(self._object_changed, resource))
        self._types[ref.type] = informer
        assert self._tasks is not None  # only workers come here, and run() starts them
        self._tasks.create_task(informer.run())
        self._tasks.create_task(self._reconcile_type(informer, ref.type))
        log.info("watching", cluster=self._cluster, kind=str(resource))
        return informer

    async def _reconcile_type(self, informer: Informer[WorkerObject], type_: tuple[str, str, str]) -> None:
        """Look at all objects of a type that has become known: some may have gone while nobody watched."""
        await informer.wait_synced()
        for ref in [ref for work in self._works.items().values() for ref in work.objects]:
            if ref.type == type_:
                self._queue.add(ref)

    def _work_changed(self, _key: Key, old: AppliedWork | None, new: AppliedWork | None) -> None:
        for work in (old, new):
            for ref in work.objects if work else ():
                self._queue.add(ref)

    def _report_changed(self, _key: Key, old: Report | None, new: Report | None) -> None:
        for report in (old, new):
            if report:
                self._queue.add(report.ref)

    def _object_changed(
        self, resource: Resource, key: Key, _old: WorkerObject | None, _new: WorkerObject | None
    ) -> None:
        ref = ObjectRef(resource.group, resource.version, resource.plural, *key)
        if self._works.by_index("object", str(ref)):  # else it is none of ours
            self._queue.add(ref)


@asynccontextmanager
async def health(addon: StatusAddon, port: int | None) -> AsyncIterator[None]:
    """``/healthz`` (the loop runs) and ``/readyz`` (both sides known) on the loopback, when asked for."""
    if port is None:
        yield
        return

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ok") if addon.ready else web.Response(status=503, text="not synced")

    app = web.Application()
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()


async def serve(options: argparse.Namespace) -> None:
    """Connect to both sides and report until SIGTERM or SIGINT."""
    worker = await connect(options.cluster_name, ConnectionSettings(kubeconfig=options.worker_kubeconfig))
    async with worker, await connect("its", ConnectionSettings(kubeconfig=options.its_kubeconfig)) as its:
        addon = StatusAddon(worker, its, options.cluster_name)
        task = asyncio.create_task(addon.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        async with health(addon, options.health_port):
            with suppress(asyncio.CancelledError):
                await task


def main(arguments: list[str] | None = None) -> int:
    """Run the add-on; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local_fleet.status_addon", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--worker-kubeconfig", type=Path, required=True, metavar="FILE")
    parser.add_argument("--its-kubeconfig", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--cluster-name", required=True, help="the worker's name, which is its namespace in the ITS"
    )
    parser.add_argument(
        "--health-port", type=int, help="serve /healthz and /readyz on this port of 127.0.0.1"
    )
    try:
        asyncio.run(serve(parser.parse_args(arguments)))
    except ConnectionFailed as failed:
        log.error("cannot start", error=str(failed))  # noqa: TRY400 - the sentence says it all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
