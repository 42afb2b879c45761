"""The garbage collector of each space."""

from kube_runtime.objects import key_of
from tests.workload_controller.lifecycle_world.spaces import Spaces
from vocabulary.resources import BINDING_POLICIES, BINDINGS, JOBS, MANIFEST_WORKS, WORK_STATUSES, WORKLOADS


class GarbageCollector(Spaces):
    """Objects go after their owners."""

    def collect_garbage(self) -> None:
        jobs = {
            job["metadata"]["uid"]
            for job in self.hub.all(JOBS)
            if "foregroundDeletion" not in (job["metadata"].get("finalizers") or ())
        }
        for workload in self.workloads():
            if workload["metadata"]["ownerReferences"][0]["uid"] not in jobs:
                self.hub.delete(WORKLOADS, key_of(workload))
        job = self.job
        if job is not None and "deletionTimestamp" in job["metadata"]:
            uid = job["metadata"]["uid"]
            if all(w["metadata"]["ownerReferences"][0]["uid"] != uid for w in self.workloads()):
                self._drop_finalizer(JOBS, job)
        policies = {policy["metadata"]["uid"] for policy in self.wds.all(BINDING_POLICIES)}
        for binding in self.wds.all(BINDINGS):
            if binding["metadata"].get("owner", "") not in {"", *policies}:
                self.wds.delete(BINDINGS, key_of(binding))
        works = {work["metadata"]["uid"] for work in self.its.all(MANIFEST_WORKS)}
        for status in self.its.all(WORK_STATUSES):
            owners = status["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] not in works for owner in owners):
                self.its.delete(WORK_STATUSES, key_of(status))
