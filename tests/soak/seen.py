"""What the hub shows of the soak's jobs, kept up to date by watches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from tests.soak.events import SERIAL
from vocabulary import keys
from vocabulary.resources import JOBS, WORKLOADS


@dataclass(frozen=True, slots=True)
class JobSeen:
    namespace: str
    name: str
    uid: str
    ended: bool
    leaving: bool
    held: bool  # by our finalizer


@dataclass(frozen=True, slots=True)
class WorkloadSeen:
    namespace: str
    name: str
    uid: str
    job_uid: str
    active: bool
    reserved: bool
    leaving: bool
    says: str


class Seen:
    """Jobs and Workloads."""

    def __init__(self, hub: Space) -> None:
        self._jobs = Informer(hub, JOBS, transform=_job, label_selector=SERIAL)
        self._workloads = Informer(hub, WORKLOADS, transform=_workload)

    def jobs(self) -> list[JobSeen]:
        """In the order of their names, so that luck means the same in each run."""
        return [job for _, job in sorted(self._jobs.items().items())]

    def unfinished(self) -> list[JobSeen]:
        return [job for job in self.jobs() if not job.ended and not job.leaving]

    def workloads(self) -> list[WorkloadSeen]:
        """Of unfinished jobs."""
        jobs = {job.uid for job in self.unfinished()}
        found = sorted(self._workloads.items().items())
        return [w for _, w in found if w.job_uid in jobs and not w.leaving]

    def unsettled(self) -> dict[str, str]:
        """Jobs that have not ended, been rejected or been deactivated, and what is known of them."""
        workloads = {w.job_uid: w for w in self._workloads.items().values()}
        reasons = {job.name: why_unsettled(job, workloads.get(job.uid)) for job in self.jobs()}
        return {name: why for name, why in reasons.items() if why}

    async def run(self) -> None:
        await asyncio.gather(self._jobs.run(), self._workloads.run())

    async def wait_synced(self) -> None:
        await asyncio.gather(self._jobs.wait_synced(), self._workloads.wait_synced())


@asynccontextmanager
async def seeing(hub: Space) -> AsyncIterator[Seen]:
    seen = Seen(hub)
    running = asyncio.create_task(seen.run())
    await seen.wait_synced()
    try:
        yield seen
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def why_unsettled(job: JobSeen, workload: WorkloadSeen | None) -> str:
    if job.leaving:
        return f"is being deleted; {workload.says if workload else 'no Workload'}"
    if job.ended:
        return "is finished and has our finalizer" if job.held else ""
    if workload is None:
        return "has no Workload"
    return "" if not workload.active and not workload.reserved else workload.says


def _job(obj: Obj) -> JobSeen:
    metadata = obj["metadata"]
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return JobSeen(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        ended=any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions),
        leaving="deletionTimestamp" in metadata,
        held=keys.PODS_MAY_RUN in metadata.get("finalizers", ()),
    )


def _workload(obj: Obj) -> WorkloadSeen:
    metadata, status = obj["metadata"], obj.get("status") or {}
    true = [c["type"] for c in status.get("conditions") or () if c["status"] == "True"]
    checks = [f"{c['state']}: {c.get('message', '')}" for c in status.get("admissionChecks") or ()]
    return WorkloadSeen(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        job_uid=(metadata.get("labels") or {}).get(keys.KUEUE_JOB_UID, ""),
        active=obj["spec"].get("active", True),
        reserved="QuotaReserved" in true,
        leaving="deletionTimestamp" in metadata,
        says=f"Workload {metadata['name']} is {', '.join(true) or 'new'}; {'; '.join(checks)}",
    )
