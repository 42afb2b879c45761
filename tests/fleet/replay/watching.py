"""What became of each replayed job, read on the hub while it happens: a TTL takes finished jobs away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kube_runtime.informer import Informer
from kube_runtime.objects import Key, Obj
from kube_runtime.space import Space
from tests.fleet.replay.translation import SERIAL
from vocabulary import keys
from vocabulary.resources import JOBS, WORKLOADS

_ENDS = {"Complete": "Succeeded", "Failed": "Failed"}


@dataclass(frozen=True, slots=True)
class JobSeen:
    serial: str
    uid: str
    end: str  # "" | Succeeded | Failed
    held: bool  # by our finalizer


@dataclass(frozen=True, slots=True)
class WorkloadSeen:
    serial: str
    name: str
    namespace: str
    uid: str
    job_name: str
    active: bool
    reserved: bool
    evicted: bool  # once at least


class Watching:
    """Jobs and Workloads of the replayed seeds."""

    def __init__(self, hub: Space) -> None:
        self.jobs = Informer(hub, JOBS, transform=_job, label_selector=SERIAL)
        self.workloads = Informer(hub, WORKLOADS, transform=_workload)
        self._ends: dict[str, str] = {}
        self.jobs.add_handler(lambda _key, _old, new: self._note(new))

    def _note(self, new: JobSeen | None) -> None:
        if new is not None and new.end:
            self._ends[new.serial] = new.end

    def workload_of(self, serial: str) -> WorkloadSeen | None:
        return next((w for w in self.workloads.items().values() if w.serial == serial), None)

    def taken(self, key: Key) -> bool:
        """Whether a job of this name, or the Workload of an earlier one, is still there."""
        return self.jobs.get(key) is not None or any(
            (w.namespace, w.job_name) == key for w in self.workloads.items().values()
        )

    def unsettled(self, serials: set[str]) -> dict[str, str]:
        """Of these jobs, those that have not come to their end, and why they have not."""
        workloads = {w.serial: w for w in self.workloads.items().values()}
        found = {}
        for job in self.jobs.items().values():
            if job.serial in serials and (why := _unsettled(job, workloads.get(job.serial))):
                found[job.serial] = why
        return found

    def outcome(self, serial: str, *, deleted: bool) -> str:
        """In the simulation's words; ``deleted``: its user did it."""
        if not any(job.serial == serial for job in self.jobs.items().values()):
            return "Deleted" if deleted else self._ends.get(serial, "Vanished")
        return self._ends.get(serial, "Rejected")


@asynccontextmanager
async def watching(hub: Space) -> AsyncIterator[Watching]:
    watch = Watching(hub)
    tasks = [asyncio.create_task(informer.run()) for informer in (watch.jobs, watch.workloads)]
    await asyncio.gather(watch.jobs.wait_synced(), watch.workloads.wait_synced())
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _unsettled(job: JobSeen, workload: WorkloadSeen | None) -> str:
    if job.end:
        return "finished and held by our finalizer" if job.held else ""
    if workload is None:
        return "without Workload"
    if not workload.active:
        return "rejected and holds quota" if workload.reserved else ""
    return f"{'with' if workload.reserved else 'without'} quota, evicted before: {workload.evicted}"


def _job(obj: Obj) -> JobSeen:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    ends = [_ENDS[c["type"]] for c in conditions if c["type"] in _ENDS and c["status"] == "True"]
    return JobSeen(
        serial=obj["metadata"]["labels"][SERIAL],
        uid=obj["metadata"]["uid"],
        end=ends[0] if ends else "",
        held=keys.PODS_MAY_RUN in obj["metadata"].get("finalizers", ()),
    )


def _workload(obj: Obj) -> WorkloadSeen | None:
    labels = obj["spec"]["podSets"][0]["template"].get("metadata", {}).get("labels", {})
    if SERIAL not in labels:
        return None
    conditions = {c["type"]: c["status"] for c in (obj.get("status") or {}).get("conditions") or ()}
    return WorkloadSeen(
        serial=labels[SERIAL],
        name=obj["metadata"]["name"],
        namespace=obj["metadata"]["namespace"],
        uid=obj["metadata"]["uid"],
        job_name=obj["metadata"]["ownerReferences"][0]["name"],
        active=obj["spec"].get("active", True),
        reserved=conditions.get("QuotaReserved") == "True",
        evicted="Evicted" in conditions,
    )
