"""Everybody of many scenarios, at work on one fleet at the same time."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress

from kube_runtime.errors import AlreadyExists, Conflict, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from tests.fleet.jobs.stack import Stack
from tests.fleet.replay import translation
from tests.fleet.replay.translation import PACE, job_object, name_of, namespace_of, queue_of, serial_of
from tests.fleet.replay.watching import Watching
from tests.simulation.scenario import Action, JobPlan, Scenario
from vocabulary.resources import CLUSTER_QUEUES, JOBS, WORKLOADS


class Players:
    """Users and administrators; ``serials`` are all jobs, ``deleted`` those that their users delete."""

    def __init__(self, stack: Stack, watch: Watching, plans: Iterable[Scenario]) -> None:
        self._stack, self._hub, self._watch = stack, stack.hub, watch
        self._plans = tuple(plans)
        self._began = 0.0
        jobs = [(plan, job) for plan in self._plans for job in plan.jobs]
        self.serials = {serial_of(plan.seed, job) for plan, job in jobs}
        self._created: dict[str, asyncio.Future[Obj]] = {serial: asyncio.Future() for serial in self.serials}
        self.big = {serial_of(plan.seed, job) for plan, job in jobs if job.trouble == "big"}
        self.deleted = {
            f"{plan.seed}.{action.subject}"
            for plan in self._plans
            for action in plan.actions
            if action.kind == "delete"
        }

    async def furnish(self) -> None:
        """Queues, and what a scenario finds in the world."""
        for resource, obj in translation.furniture():
            await self._hub.create(resource, obj)
        for worker in self._stack.fleet.workers:
            async with self._stack.fleet.space(worker) as space:
                for resource, obj in translation.refusal():
                    await space.create(resource, obj)
        for plan in self._plans:
            for resource, obj in translation.queues(plan):
                await self._hub.create(resource, obj)

    async def play(self) -> None:
        """Returns when everybody has done everything."""
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for plan in self._plans:
                by_serial = {job.serial: job for job in plan.jobs}
                for job in plan.jobs:
                    group.create_task(self._create(plan.seed, job))
                for action in plan.actions:
                    group.create_task(self._act(plan.seed, action, by_serial.get(action.subject)))

    async def clean_up(self) -> None:
        """Delete what is still there: unfinished jobs, and results without TTL."""
        for (namespace, name), job in tuple(self._watch.jobs.items().items()):  # the watch goes on
            with suppress(NotFound, Conflict):
                await self._hub.delete(JOBS, name, namespace, uid=job.uid)

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, self._began + at * PACE - time.monotonic()))

    async def _create(self, seed: int, job: JobPlan) -> None:
        await self._until(job.at)
        key = (namespace_of(job), name_of(seed, job))
        while True:
            if not self._watch.taken(key):
                with suppress(AlreadyExists):
                    made = await self._hub.create(JOBS, job_object(seed, job))
                    self._created[serial_of(seed, job)].set_result(made)
                    return
            await asyncio.sleep(1)

    async def _act(self, seed: int, action: Action, job: JobPlan | None) -> None:
        await self._until(action.at)
        if job is None:
            assert action.kind == "drain", action
            await self._stop_policy(seed, "HoldAndDrain")
            await asyncio.sleep(action.seconds * PACE)
            await self._stop_policy(seed, "None")
        else:  # a deed milliseconds after the creation finds the job in the simulation
            made = await self._created[serial_of(seed, job)]
            with suppress(NotFound, Conflict):  # its subject is gone
                await self._deed(action.kind, made, serial_of(seed, job))

    async def _stop_policy(self, seed: int, policy: str) -> None:
        await self._stack.change(CLUSTER_QUEUES, queue_of(seed), None, {"stopPolicy": policy})

    async def _deed(self, kind: str, job: Obj, serial: str) -> None:
        metadata = job["metadata"]
        name, namespace, uid = metadata["name"], metadata["namespace"], metadata["uid"]
        workload = self._watch.workload_of(serial)
        match kind:
            case "delete":
                await self._hub.delete(JOBS, name, namespace, uid=uid)
            case "suspend":
                await self._change(JOBS, name, namespace, uid, {"suspend": True})
            case "delete_worker_job":
                await self._remove_on_workers(name, namespace)
            case _ if workload is None:
                return
            case "deactivate" | "reactivate":
                active = {"active": kind == "reactivate"}
                await self._change(WORKLOADS, workload.name, namespace, workload.uid, active)
            case "delete_workload":
                await self._hub.delete(WORKLOADS, workload.name, namespace, uid=workload.uid)
            case _:
                raise AssertionError(kind)

    async def _change(self, resource: Resource, name: str, namespace: str, uid: str, spec: Obj) -> None:
        body = {"metadata": {"uid": uid}, "spec": spec}
        await self._hub.patch(resource, body, name=name, namespace=namespace)

    async def _remove_on_workers(self, name: str, namespace: str) -> None:
        for worker in self._stack.fleet.workers:
            async with self._stack.fleet.space(worker) as space:
                with suppress(NotFound, Conflict):
                    there = await space.get(JOBS, name, namespace)
                    conditions = {c["type"] for c in (there.get("status") or {}).get("conditions") or ()}
                    if not conditions & {"Complete", "Failed"}:
                        await space.delete(JOBS, name, namespace, uid=there["metadata"]["uid"])
