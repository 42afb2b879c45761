"""Kueue, as far as it takes part (pkg/controller/jobframework/reconciler.go, core/workload_controller.go)."""

import hashlib

from kube_runtime.objects import Key, Obj, key_of
from tests.workload_controller.lifecycle_servers import duplicate, rfc3339
from tests.workload_controller.lifecycle_world.spaces import NAME, NAMESPACE, Spaces
from tests.workload_controller.lifecycle_world.statuses import is_true, terminal, unix
from vocabulary.resources import JOBS, WORKLOADS


class Kueue(Spaces):
    """Its reconcilers and its scheduler."""

    def kueue(self) -> None:
        """One pass of its reconcilers and of its scheduler, at most one write for each object."""
        if self.job is not None:
            self._kueue_job(self.job)
        for workload in self.workloads():
            self._kueue_workload(workload)

    def _kueue_job(self, job: Obj) -> None:
        uid = job["metadata"]["uid"]
        digest = hashlib.sha1(f"Job\nbatch\n{NAME}\n{uid}".encode(), usedforsecurity=False).hexdigest()[:5]
        key = (NAMESPACE, f"job-{NAME}-{digest}")
        workload = self.hub.find(WORKLOADS, key)
        if "deletionTimestamp" in job["metadata"]:
            for owned in self.workloads():  # finalize: by the name of its owner
                self._drop_finalizer(WORKLOADS, owned)
        elif workload is None:
            if not terminal(job.get("status") or {}):
                self._create_workload(job, key[1])
        elif is_true(workload, "Finished"):
            self._drop_finalizer(WORKLOADS, workload)
        else:
            self._kueue_pair(job, workload)

    def _kueue_pair(self, job: Obj, workload: Obj) -> None:
        """A job and its Workload that is not finished."""
        key = key_of(workload)
        if "deletionTimestamp" in workload["metadata"]:
            if not self._stop(job, workload):
                self._drop_finalizer(WORKLOADS, workload)
        elif terminal(job.get("status") or {}):
            self._condition(key, "Finished", "True")
        elif is_true(workload, "Evicted"):
            if self._stop(job, workload) or not is_true(workload, "QuotaReserved"):
                return
            if not (job.get("status") or {}).get("active"):
                self._release(key)
        elif not job["spec"]["suspend"]:
            if not is_true(workload, "Admitted"):
                self._stop(job, workload)
        elif is_true(workload, "Admitted"):
            updates: dict[str, str] = {}
            for check in workload["status"]["admissionChecks"]:
                for update in check.get("podSetUpdates") or ():
                    updates |= update["annotations"]

            def start(obj: Obj) -> None:
                obj["spec"]["suspend"] = False
                obj["spec"]["template"]["metadata"]["annotations"] = updates

            self.hub.change(JOBS, key_of(job), start)

    def _stop(self, job: Obj, workload: Obj) -> bool:
        def stop(obj: Obj) -> None:
            obj["spec"]["suspend"] = True
            obj.get("status", {}).pop("startTime", None)
            obj["spec"]["template"] = duplicate(workload["spec"]["podSets"][0]["template"])

        version = job["metadata"]["resourceVersion"]
        return bool(self.hub.change(JOBS, key_of(job), stop)["metadata"]["resourceVersion"] != version)

    def _release(self, key: Key) -> None:
        self._condition(key, "QuotaReserved", "False")
        self._condition(key, "Admitted", "False")
        self.hub.change(WORKLOADS, key, lambda obj: obj["status"].pop("admission", None))

    def _create_workload(self, job: Obj, name: str) -> None:
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": NAME,
            "uid": job["metadata"]["uid"],
            "controller": True,
        }
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "ownerReferences": [owner],
            "finalizers": ["kueue.x-k8s.io/resource-in-use"],
        }
        pod_set = {"name": "main", "count": 1, "template": job["spec"]["template"]}
        spec = {"queueName": "default-queue", "active": True, "podSets": [pod_set]}
        self.hub.create(WORKLOADS, {"metadata": metadata, "spec": spec, "status": {}})

    def _kueue_workload(self, workload: Obj) -> None:
        key, status = key_of(workload), workload["status"]
        if "deletionTimestamp" in workload["metadata"]:
            owner = workload["metadata"]["ownerReferences"][0]["uid"]
            if self.job is None or self.job["metadata"]["uid"] != owner:
                self._drop_finalizer(WORKLOADS, workload)
        elif is_true(workload, "Finished") or self._note_requeue_at(workload):
            return
        elif not workload["spec"]["active"]:
            self.evict(key)
            self.hub.change(WORKLOADS, key, lambda obj: obj["status"].pop("requeueAt", None))
        elif status.get("requeueAt", 0.0) > self.clock.now:
            return  # not even an eviction
        elif "admissionChecks" not in status:
            entry = {"name": "kubestellar", "state": "Pending", "lastTransitionTime": rfc3339(self.clock.now)}
            self.hub.change(WORKLOADS, key, lambda obj: obj["status"].update(admissionChecks=[entry]))
        elif not is_true(workload, "QuotaReserved"):
            self._condition(key, "QuotaReserved", "True")
            self._condition(key, "Evicted", "False")
            self.hub.change(WORKLOADS, key, lambda obj: obj["status"].update(admission={}))
        elif not is_true(workload, "Evicted"):
            match status["admissionChecks"][0]["state"]:
                case "Rejected":
                    self.hub.change(WORKLOADS, key, lambda obj: obj["spec"].update(active=False))
                    self.evict(key)
                case "Retry":
                    self.evict(key)
                case "Ready" if not is_true(workload, "Admitted"):
                    self._condition(key, "Admitted", "True")
                    self.hub.change(WORKLOADS, key, lambda obj: obj["status"].update(ownsUpdates=True))

    def _note_requeue_at(self, workload: Obj) -> bool:
        """Of a check that is Retry with a delay, also of an evicted Workload."""
        status = workload["status"]
        wanted = max(
            (
                unix(check["lastTransitionTime"]) + check["requeueAfterSeconds"]
                for check in status.get("admissionChecks") or ()
                if check["state"] == "Retry" and "requeueAfterSeconds" in check
            ),
            default=0.0,
        )
        if wanted <= max(self.clock.now, status.get("requeueAt", 0.0)):
            return False
        self.hub.change(WORKLOADS, key_of(workload), lambda obj: obj["status"].update(requeueAt=wanted))
        return True

    def evict(self, key: Key) -> None:
        """Preemption, a stopped queue, deactivation, our own verdict."""
        workload = self.hub.find(WORKLOADS, key)
        if workload is None or is_true(workload, "Evicted") or is_true(workload, "Finished"):
            return

        def reset(obj: Obj) -> None:
            status = obj["status"]
            for check in status.get("admissionChecks") or ():
                if check["state"] == "Retry":
                    check["retryCount"] = check.get("retryCount", 0) + 1
                check |= {"state": "Pending", "message": "", "lastTransitionTime": rfc3339(self.clock.now)}
            status["schedulingStats"] = {
                "evictions": [{"count": 1 + sum(e["count"] for e in evictions(obj))}]
            }
            status.pop("ownsUpdates", None)

        self.hub.change(WORKLOADS, key, reset)
        self._condition(key, "Evicted", "True")

    def _condition(self, key: Key, kind: str, value: str) -> None:
        def write(obj: Obj) -> None:
            conditions = obj["status"].setdefault("conditions", [])
            entry = next((c for c in conditions if c["type"] == kind), None)
            if entry is None:
                conditions.append(entry := {"type": kind, "status": ""})
            if entry["status"] != value:
                entry |= {"status": value, "lastTransitionTime": rfc3339(self.clock.now)}

        self.hub.change(WORKLOADS, key, write)


def evictions(workload: Obj) -> list[Obj]:
    found: list[Obj] = (workload["status"].get("schedulingStats") or {}).get("evictions") or []
    return found
