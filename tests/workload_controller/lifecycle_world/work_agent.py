"""OCM's work agent on a worker: ManifestWorks become Jobs."""

from kube_runtime.objects import Obj, key_of
from tests.workload_controller.lifecycle_servers import rfc3339
from tests.workload_controller.lifecycle_world.spaces import Spaces
from tests.workload_controller.lifecycle_world.worker_objects import Worker, WorkerJob
from vocabulary.resources import MANIFEST_WORKS, WORK_STATUSES

GC_LAG = 3.0  # until the pods of a deleted Job are told to end
RECREATED_AFTER = 240.0  # seconds, until the work agent makes a removed Job anew


class WorkAgent(Spaces):
    """Jobs come and go here, also by the hand of somebody else."""

    def agent(self, worker: Worker) -> None:
        for work in self.its.all(MANIFEST_WORKS) if worker.connected else ():
            if work["metadata"]["namespace"] != worker.name:
                continue
            uid, job = work["metadata"]["uid"], worker.job
            if "deletionTimestamp" in work["metadata"]:
                if job is not None and job.work_uid == uid:
                    self._delete_worker_job(worker, job)
                else:
                    self.its.change(
                        MANIFEST_WORKS, key_of(work), lambda o: o["metadata"].pop("finalizers", None)
                    )
            elif job is not None and job.work_uid == uid:
                self._applied(work, "True", "True")
            elif job is None and worker.refuses:
                self._applied(work, "False", "False")
            elif job is None and self.clock.now < worker.removed.get(uid, -1e9) + RECREATED_AFTER:
                self._applied(work, "True", "False")
            elif job is None:
                manifest = work["spec"]["workload"]["manifests"][0]
                worker.job = WorkerJob(
                    worker.name, f"job-{self.clock.tick()}", uid, manifest, created=self.clock.now
                )
                self._applied(work, "True", "True")

    def _applied(self, work: Obj, applied: str, available: str) -> None:
        def write(obj: Obj) -> None:
            before = {c["type"]: c for c in _manifest_conditions(obj)}
            conditions = []
            for kind, value in (("Applied", applied), ("Available", available)):
                entry = before.get(kind, {})
                since = entry.get("lastTransitionTime") if entry.get("status") == value else None
                conditions.append(
                    {
                        "type": kind,
                        "status": value,
                        "message": "admission webhook says no" if value == "False" else "",
                        "lastTransitionTime": since or rfc3339(self.clock.now),
                    }
                )
            obj["status"] = {"resourceStatus": {"manifests": [{"conditions": conditions}]}}

        self.its.change(MANIFEST_WORKS, key_of(work), write)

    def _delete_worker_job(self, worker: Worker, job: WorkerJob) -> None:
        worker.job = None
        worker.statuses.pop(job.work_uid, None)
        job.terminate_by = self.clock.now + GC_LAG

    def remove_by_hand(self, worker: Worker) -> None:
        """Somebody with rights on the worker deletes the Job."""
        job = worker.job
        if job is not None:
            worker.removed[job.work_uid] = self.clock.now
            self._delete_worker_job(worker, job)
            job.excused = True
            if worker.connected:
                for status in self.its.all(WORK_STATUSES):
                    owners = status["metadata"].get("ownerReferences") or ({"uid": ""},)
                    if owners[0]["uid"] == job.work_uid:
                        self.its.delete(WORK_STATUSES, key_of(status))


def _manifest_conditions(work: Obj) -> list[Obj]:
    manifests = ((work.get("status") or {}).get("resourceStatus") or {}).get("manifests") or [{}]
    conditions: list[Obj] = manifests[0].get("conditions") or []
    return conditions
