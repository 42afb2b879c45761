"""KubeStellar's status add-on on a worker: WorkStatuses in the ITS."""

from kube_runtime.objects import Obj
from tests.workload_controller.lifecycle_world.spaces import NAME, NAMESPACE, Spaces
from tests.workload_controller.lifecycle_world.worker_objects import Worker
from vocabulary.resources import MANIFEST_WORKS, WORK_STATUSES


class StatusAddon(Spaces):
    """What was seen is told later, or never."""

    def status_look(self, worker: Worker) -> None:
        if worker.job is not None and worker.job.status:
            worker.statuses[worker.job.work_uid] = dict(worker.job.status)

    def status_tell(self, worker: Worker) -> None:
        works = {w["metadata"]["uid"] for w in self.its.all(MANIFEST_WORKS)}
        for uid in [*worker.statuses] if worker.connected else ():
            status = worker.statuses.pop(uid)
            if uid in works:
                source = {"group": "batch", "kind": "Job", "namespace": NAMESPACE, "name": NAME}
                owner = {"kind": "ManifestWork", "uid": uid}
                self._tell(worker, f"job-{uid}", source, status, [owner])

    def _tell(self, worker: Worker, name: str, source: Obj, status: Obj, owners: list[Obj]) -> None:
        key = (worker.name, name)
        if self.its.find(WORK_STATUSES, key) is None:
            metadata = {"namespace": worker.name, "name": name, "ownerReferences": owners}
            self.its.create(WORK_STATUSES, {"metadata": metadata, "spec": {"sourceRef": source}})
        self.its.change(WORK_STATUSES, key, lambda obj: obj.update(status=status))
