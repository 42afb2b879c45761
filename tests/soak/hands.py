"""Makes the events happen to a fleet.

An event that finds nothing to happen to is counted apart: its rate is no part of what is promised.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from kube_runtime.errors import AlreadyExists, Conflict, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from tests.fleet.jobs.programs import MODULES
from tests.fleet.jobs.stack import Stack
from tests.soak.events import QUEUES, Event, Kind, job
from tests.soak.seen import Seen
from vocabulary.resources import CLUSTER_QUEUES, JOBS, WORKLOADS

CONTROLLERS: Final = tuple(MODULES)
MOST_JOBS: Final = 100  # unfinished ones; beyond, creations wait until some have ended
MEETS_ANOTHER: Final = (NotFound, Conflict, AlreadyExists)  # the subject went or changed meanwhile

T = TypeVar("T")


class Nothing(Exception):
    """There is no subject for this event now."""


class Hands:
    """``happened`` and ``found_nothing`` by kind; ``ends`` counts controllers that ended unasked."""

    def __init__(self, stack: Stack, seen: Seen, workers: dict[str, Space], seed: int) -> None:
        self._stack, self._hub, self._seen, self._workers = stack, stack.hub, seen, workers
        self._seed = seed
        self.happened: Counter[Kind] = Counter()
        self.found_nothing: Counter[Kind] = Counter()
        self.ends: Counter[str] = Counter()
        self._busy: set[str] = set()  # programs, links and queues that something happens to

    async def play(self, events: Iterable[Event]) -> float:
        """All of them at their times; returns the seconds that it took when the last one is over."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._keep_running())
            async with asyncio.TaskGroup() as deeds:
                for event in events:
                    await asyncio.sleep(max(0.0, began + event.at - time.monotonic()))
                    deeds.create_task(self._happen(event))
            watching.cancel()
        return time.monotonic() - began

    async def _happen(self, event: Event) -> None:
        try:
            with suppress(*MEETS_ANOTHER):
                await self._deed(event)
            self.happened[event.kind] += 1
        except Nothing:
            self.found_nothing[event.kind] += 1

    async def _deed(self, event: Event) -> None:
        match event.kind:
            case Kind.CREATE:
                if len(self._seen.unfinished()) >= MOST_JOBS:
                    raise Nothing
                await self._hub.create(JOBS, job(self._seed, event.number))
            case Kind.DELETE:
                one = _pick(self._seen.unfinished(), event)
                how = ("Background", "Foreground")[event.number % 2]
                await self._hub.delete(JOBS, one.name, one.namespace, uid=one.uid, propagation=how)
            case Kind.SUSPEND:
                one = _pick(self._seen.unfinished(), event)
                await self._change(JOBS, one.name, one.namespace, one.uid, {"suspend": True})
            case Kind.DELETE_WORKLOAD:
                workload = _pick(self._seen.workloads(), event)
                await self._hub.delete(WORKLOADS, workload.name, workload.namespace, uid=workload.uid)
            case Kind.DEACTIVATE:
                await self._deactivate(event)
            case Kind.REMOVE:
                await self._remove(event)
            case _:
                await self._trouble(event)

    async def _trouble(self, event: Event) -> None:
        """What lasts, and happens to one thing at a time."""
        match event.kind:
            case Kind.DRAIN:
                subject = _pick(QUEUES, event)
            case Kind.CUT_WORKER:
                subject = _pick(sorted(self._workers), event)
            case Kind.CUT_CONTROLLER:
                subject = _pick(("hub", "wds", "its"), event)
            case _:  # WorkloadController three times of four
                subject = CONTROLLERS[event.number % 4 == 0]
        if subject in self._busy:
            raise Nothing
        self._busy.add(subject)
        try:
            await self._strike(event, subject)
        finally:
            self._busy.discard(subject)

    async def _strike(self, event: Event, subject: str) -> None:
        programs = self._stack.programs
        match event.kind:
            case Kind.DRAIN:
                await self._stack.change(CLUSTER_QUEUES, subject, None, {"stopPolicy": "HoldAndDrain"})
                await asyncio.sleep(event.seconds)
                await self._stack.change(CLUSTER_QUEUES, subject, None, {"stopPolicy": "None"})
            case Kind.KILL:
                await programs.kill(subject)
                await asyncio.sleep(event.seconds)
                await programs.start(subject)
            case Kind.FREEZE:
                # One that has lost its Lease ends by itself and is started again (``run``): perhaps just now.
                with suppress(ProcessLookupError, KeyError):
                    programs.send(subject, signal.SIGSTOP)
                    await asyncio.sleep(event.seconds)
                    programs.send(subject, signal.SIGCONT)
            case _:
                link = self._stack.fleet.link(subject)
                await link.cut()
                await asyncio.sleep(event.seconds)
                await link.heal()

    async def _deactivate(self, event: Event) -> None:
        workload = _pick([w for w in self._seen.workloads() if w.active], event)
        where = (WORKLOADS, workload.name, workload.namespace, workload.uid)
        await self._change(*where, {"active": False})
        await asyncio.sleep(event.seconds)
        await self._change(*where, {"active": True})

    async def _remove(self, event: Event) -> None:
        found = [
            (space, job["metadata"])
            for space in self._workers.values()
            for job in await space.list(JOBS)
            if _runs(job)
        ]
        space, one = _pick(found, event)
        await space.delete(JOBS, one["name"], one["namespace"], uid=one["uid"])

    async def _change(self, resource: Resource, name: str, namespace: str, uid: str, spec: Obj) -> None:
        body = {"metadata": {"uid": uid}, "spec": spec}
        await self._hub.patch(resource, body, name=name, namespace=namespace)

    async def _keep_running(self) -> None:
        """Start a controller again that ended by itself, as a Deployment would."""
        programs = self._stack.programs
        while True:
            for name in programs.dead():
                if name not in self._busy:
                    self.ends[f"{name} ended by itself with {await programs.ended(name, within=1)}"] += 1
                    await programs.start(name)
            await asyncio.sleep(0.5)


def _pick(subjects: Sequence[T], event: Event) -> T:
    if not subjects:
        raise Nothing
    return subjects[int(event.luck * len(subjects))]


def _runs(job: Obj) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return "deletionTimestamp" not in job["metadata"] and not any(c["status"] == "True" for c in conditions)
