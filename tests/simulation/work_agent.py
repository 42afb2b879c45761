"""OCM's work agent on a worker: ManifestWorks become Jobs.

What it does behind everybody's back is measured (docs/design.md, section 4): it makes a Job that was deleted
by hand anew at its next resync, and adopts a Job of the same name.
"""

from kube_runtime.objects import Key, Obj
from tests.simulation.api_server import Event
from tests.simulation.job_controller import JobController
from tests.simulation.kubestellar import WORK_FINALIZER
from tests.simulation.worker_objects import TROUBLE, WorkerJob
from tests.simulation.world import rfc3339
from vocabulary.resources import MANIFEST_WORKS


class WorkAgent(JobController):
    """Carries the works of its cluster."""

    def _work_event(self, event: Event) -> None:
        if event.key[0] == self.name and event.kind != "DELETED":
            self._works.poke(event.key)

    def _resync(self) -> None:
        for work in self.its.all(MANIFEST_WORKS):
            if work["metadata"]["namespace"] == self.name:
                self._works.poke((self.name, work["metadata"]["name"]))
        self.world.soon(240.0, 360.0, self._resync)

    def _work(self, key: Key) -> None:
        if self.cut:
            return
        work = self.its.find(MANIFEST_WORKS, key)
        if work is None:
            return
        manifest = work["spec"]["workload"]["manifests"][0]
        if manifest["kind"] == "ConfigMap":
            self._heartbeat(key, work, manifest)
        else:
            self._job_work(key, work, manifest)

    def _job_work(self, key: Key, work: Obj, manifest: Obj) -> None:
        uid = work["metadata"]["uid"]
        place = (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
        job = self.jobs.get(place)
        if "deletionTimestamp" in work["metadata"]:
            if job is not None and uid in job.owners:
                job.owners.discard(uid)
                if not job.owners:
                    self.delete_job(job)
                self._works.poke(key)
                return
            self._drop_finalizer(key)
            return
        if job is None and manifest["spec"]["template"]["metadata"]["annotations"].get(TROUBLE) == "refused":
            self._conditions(key, applied="False", available="False", message="admission webhook denied it")
            return
        if job is None:
            job = self.create_job(manifest, {uid})
        elif uid not in job.owners:
            job.owners.add(uid)  # adopts whatever has the name
            job.works.add(uid)
        self._addon.poke(place)
        self._conditions(key, applied="True", available="True")

    def _heartbeat(self, key: Key, work: Obj, manifest: Obj) -> None:
        if "deletionTimestamp" in work["metadata"]:
            self._drop_finalizer(key)
        else:
            self.beat_at = float(manifest["data"]["beatAtSeconds"])

    def _drop_finalizer(self, key: Key) -> None:
        self.its.change(MANIFEST_WORKS, key, lambda obj: obj["metadata"]["finalizers"].remove(WORK_FINALIZER))

    def _conditions(self, key: Key, *, applied: str, available: str, message: str = "") -> None:
        """Of the ManifestWork and its first manifest, as the agent's status sync writes them."""

        def tell(obj: Obj) -> None:
            status = obj.setdefault("status", {})
            manifests = status.setdefault("resourceStatus", {}).setdefault("manifests", [])
            if not manifests:
                manifests.append({"resourceMeta": {"ordinal": 0}, "conditions": []})
            for conditions in (status.setdefault("conditions", []), manifests[0]["conditions"]):
                for kind, value in (("Applied", applied), ("Available", available)):
                    entry = next((c for c in conditions if c["type"] == kind), None)
                    if entry is None:
                        conditions.append(entry := {"type": kind, "status": ""})
                    if entry["status"] != value:
                        entry["lastTransitionTime"] = rfc3339(self.world.wall)
                    entry |= {"status": value, "message": message, "reason": kind}

        self.its.change(MANIFEST_WORKS, key, tell)

    def _missing(self, job: WorkerJob) -> None:
        """The agent's status sync finds that a Job is not there any more."""
        if self.cut or job.key in self.jobs:
            return
        for work in self.its.all(MANIFEST_WORKS):
            metadata = work["metadata"]
            if metadata["uid"] in job.owners and "deletionTimestamp" not in metadata:
                self._conditions((self.name, metadata["name"]), applied="True", available="False")
