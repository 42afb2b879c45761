"""KubeStellar's status add-on on a worker: what its Jobs say, as WorkStatuses in the ITS."""

from kube_runtime.objects import Key
from tests.simulation.worker_cluster import Cluster
from tests.simulation.worker_objects import WorkerJob
from vocabulary.resources import MANIFEST_WORKS, WORK_STATUSES


class StatusAddon(Cluster):
    """Tells of each Job to each of its ManifestWorks."""

    def _tell_status(self, key: Key) -> None:
        if self.cut:
            return
        job = self.jobs.get(key)
        for status in tuple(self.its.all(WORK_STATUSES)):
            source, metadata = status["spec"]["sourceRef"], status["metadata"]
            if metadata["namespace"] != self.name or source["kind"] != "Job":
                continue
            if (source["namespace"], source["name"]) != key:
                continue
            if job is None or metadata["ownerReferences"][0]["uid"] not in job.owners:
                self.its.delete(WORK_STATUSES, (self.name, metadata["name"]))
        if job is None:
            return
        for uid in sorted(job.owners):
            self._tell(job, uid)

    def _tell(self, job: WorkerJob, work_uid: str) -> None:
        work = next((w for w in self.its.all(MANIFEST_WORKS) if w["metadata"]["uid"] == work_uid), None)
        if work is None:
            return
        name = f"batchv1-jobs-{job.key[1]}-{work_uid}"
        present = self.its.find(WORK_STATUSES, (self.name, name))
        if present is None:
            owner = {
                "apiVersion": MANIFEST_WORKS.api_version,
                "kind": "ManifestWork",
                "name": work["metadata"]["name"],
                "uid": work_uid,
                "controller": True,
            }
            source = {
                "group": "batch",
                "version": "v1",
                "resource": "jobs",
                "kind": "Job",
                "namespace": job.key[0],
                "name": job.key[1],
            }
            self.its.create(
                WORK_STATUSES,
                {
                    "metadata": {"namespace": self.name, "name": name, "ownerReferences": [owner]},
                    "spec": {"sourceRef": source},
                },
            )
            self._addon.poke(job.key)
        elif job.status and present.get("status") != job.status:
            self.its.change(WORK_STATUSES, (self.name, name), lambda obj: obj.update(status=job.status))
