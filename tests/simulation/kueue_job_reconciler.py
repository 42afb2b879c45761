"""Kueue's reconciler of batch Jobs: makes their Workloads, starts and stops them, notes their end.

pkg/controller/jobframework/reconciler.go.
"""

from kube_runtime.objects import Key, Obj, key_of
from tests.simulation.api_server import duplicate
from tests.simulation.kueue_writes import KueueWrites
from tests.simulation.workload_objects import (
    FINALIZER,
    QUEUE_LABEL,
    condition,
    finished,
    is_true,
    owner_of,
    workload_name,
)
from vocabulary.resources import JOBS, WORKLOADS


class JobReconciler(KueueWrites):
    """One look at one Job, at most one step."""

    def _job(self, key: Key) -> None:
        job = self.hub.find(JOBS, key)
        if job is None or QUEUE_LABEL not in (job["metadata"].get("labels") or {}):
            return
        if "deletionTimestamp" in job["metadata"]:
            for owned in self._workloads_by_name(job):
                self._drop_finalizer(owned)
            return
        workload = self._workload_of(job)
        status = job.get("status") or {}
        if workload is not None and is_true(workload, "Finished"):
            self._drop_finalizer(workload)
            return
        if workload is not None and "deletionTimestamp" in workload["metadata"]:
            if not self._stop_job(job, workload):
                self._drop_finalizer(workload)
            return
        outcome = finished(status)
        if outcome:
            if workload is not None:
                self._finish(workload, "Succeeded" if outcome == "Complete" else "Failed")
            return
        if workload is None:
            self._create_workload(job)
            return
        if is_true(workload, "Evicted"):
            self._handle_eviction(job, workload)
            return
        if job["spec"].get("suspend"):
            if is_true(workload, "Admitted"):
                self._start_job(job, workload)
            return
        if not is_true(workload, "Admitted"):
            self._stop_job(job, workload)

    def _handle_eviction(self, job: Obj, workload: Obj) -> None:
        if self._stop_job(job, workload):
            return
        if is_true(workload, "QuotaReserved") and not (job.get("status") or {}).get("active"):

            def release(obj: Obj) -> None:
                message = condition(obj, "Evicted").get("message", "")
                self._set(obj, "QuotaReserved", "False", "Pending", message)
                if condition(obj, "Admitted"):
                    self._set(obj, "Admitted", "False", "NoReservation", "The workload has no reservation")
                obj["status"].pop("admission", None)

            self.hub.change(WORKLOADS, key_of(workload), release)

    def _stop_job(self, job: Obj, workload: Obj) -> bool:
        """One step of stopping; whether there was one to do."""
        key = key_of(job)
        template = workload["spec"]["podSets"][0]["template"]
        if not job["spec"].get("suspend"):
            self.hub.change(JOBS, key, lambda obj: obj["spec"].update(suspend=True))
            return True
        if (job.get("status") or {}).get("startTime"):
            if finished(job["status"]):
                return True  # "startTime is required for finished job": it tries for ever
            self.hub.change(JOBS, key, lambda obj: obj["status"].pop("startTime"))
            return True
        if job["spec"]["template"] != template:
            if (job.get("status") or {}).get("active"):
                return True  # "field is immutable" while pods are active (Kubernetes 1.36): it tries again
            self.hub.change(JOBS, key, lambda obj: obj["spec"].update(template=duplicate(template)))
            return True
        return False

    def _start_job(self, job: Obj, workload: Obj) -> None:
        updates: dict[str, str] = {}
        for check in (workload.get("status") or {}).get("admissionChecks") or ():
            for update in check.get("podSetUpdates") or ():
                updates |= update.get("annotations") or {}
        present = (job["spec"]["template"].get("metadata") or {}).get("annotations") or {}
        if any(present.get(name, value) != value for name, value in updates.items()):
            self._finish(workload, "FailedToStart")
            return

        def start(obj: Obj) -> None:
            obj["spec"]["suspend"] = False
            metadata = obj["spec"]["template"].setdefault("metadata", {})
            metadata["annotations"] = (metadata.get("annotations") or {}) | updates

        self.hub.change(JOBS, key_of(job), start)

    def _create_workload(self, job: Obj) -> None:
        metadata = job["metadata"]
        if "deletionTimestamp" in metadata:
            return
        name = workload_name(metadata["name"], metadata["uid"])
        if self.hub.find(WORKLOADS, (metadata["namespace"], name)) is not None:
            return
        labels = metadata["labels"]
        self.hub.create(
            WORKLOADS,
            {
                "metadata": {
                    "name": name,
                    "namespace": metadata["namespace"],
                    "finalizers": [FINALIZER],
                    "labels": {"kueue.x-k8s.io/job-uid": metadata["uid"]},
                    "ownerReferences": [
                        {
                            "apiVersion": "batch/v1",
                            "kind": "Job",
                            "name": metadata["name"],
                            "uid": metadata["uid"],
                            "controller": True,
                            "blockOwnerDeletion": True,
                        }
                    ],
                },
                "spec": {
                    "queueName": labels[QUEUE_LABEL],
                    "active": True,
                    "priority": int(labels.get("sim/priority", 0)),
                    "podSets": [
                        {
                            "name": "main",
                            "count": job["spec"]["parallelism"],
                            "template": job["spec"]["template"],
                        }
                    ],
                },
            },
        )

    def _workload_of(self, job: Obj) -> Obj | None:
        """As ensureOneWorkload finds it: by the owner's name, so also one of an earlier job of that name.

        One that is not equivalent is deleted.
        """
        found = None
        for workload in self._workloads_by_name(job):
            if owner_of(workload)["uid"] == job["metadata"]["uid"]:
                return workload
            pod_set = workload["spec"]["podSets"][0]
            same = (pod_set["count"], pod_set["template"]["spec"]["containers"]) == (
                job["spec"]["parallelism"],
                job["spec"]["template"]["spec"]["containers"],
            )
            if same or "deletionTimestamp" in workload["metadata"]:
                found = workload
            else:
                self.hub.delete(WORKLOADS, key_of(workload))
        return found

    def _workloads_by_name(self, job: Obj) -> list[Obj]:
        namespace, name = key_of(job)
        return [
            workload
            for workload in self.hub.all(WORKLOADS)
            if workload["metadata"]["namespace"] == namespace and owner_of(workload)["name"] == name
        ]

    def _finish(self, workload: Obj, reason: str) -> None:
        self.hub.change(
            WORKLOADS, key_of(workload), lambda obj: self._set(obj, "Finished", "True", reason, "")
        )
