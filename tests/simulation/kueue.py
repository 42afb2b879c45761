"""Kueue 0.19.2 as far as it takes part: queue, quota, checks, eviction, start and stop of batch Jobs.

Level-triggered as the original's reconcilers are (pkg/controller/jobframework/reconciler.go,
pkg/controller/core/workload_controller.go, pkg/workload/evict/evict.go), with the gate
FinishOrphanedWorkloads off. One ClusterQueue per run; first come first served within a priority; preemption
withinClusterQueue: LowerPriority.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kube_runtime.objects import Key, Obj
from tests.simulation.api_server import ApiServer, Event, duplicate
from tests.simulation.world import EPOCH, Poked, World, rfc3339
from vocabulary.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    WORKLOADS,
)

FINALIZER = "kueue.x-k8s.io/resource-in-use"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
CHECK = "kubestellar"
CLUSTER_QUEUE = "cq"
FLAVOR = "default-flavor"
MANAGER = "kueue-admission"


class Kueue:
    """``nominal`` is the ClusterQueue's cpu in whole cores."""

    def __init__(self, world: World, hub: ApiServer, nominal: int) -> None:
        self.world, self.hub, self.nominal = world, hub, nominal
        self._jobs = Poked(world, self._job, 0.002, 0.03)
        self._workloads = Poked(world, self._workload, 0.002, 0.03)
        self._scheduler = Poked(world, lambda _key: self._schedule(), 0.005, 0.05)
        hub.on_commit(JOBS, self._job_event)
        hub.on_commit(WORKLOADS, self._workload_event)
        hub.on_commit(ADMISSION_CHECKS, lambda _event: self._queue_changed())
        hub.on_commit(CLUSTER_QUEUES, lambda _event: self._queue_changed())

    def stop(self, seconds: float) -> None:
        """The component is down for so long."""
        for actor in (self._jobs, self._workloads, self._scheduler):
            actor.enabled = False

        def back() -> None:
            for actor in (self._jobs, self._workloads, self._scheduler):
                actor.enabled = True

        self.world.after(seconds, back)

    # Events.

    def _job_event(self, event: Event) -> None:
        self._jobs.poke(event.key)
        if event.kind == "DELETED":
            for workload in self.hub.all(WORKLOADS):
                if _owner(workload)["uid"] == event.new["metadata"]["uid"]:
                    self._workloads.poke(_key(workload))

    def _workload_event(self, event: Event) -> None:
        self._workloads.poke(event.key)
        self._jobs.poke((event.key[0], _owner(event.new)["name"]))
        self._scheduler.poke("all")

    def _queue_changed(self) -> None:
        self._scheduler.poke("all")
        for workload in self.hub.all(WORKLOADS):
            self._workloads.poke(_key(workload))

    # Job reconciler.

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

            self.hub.change(WORKLOADS, _key(workload), release)

    def _stop_job(self, job: Obj, workload: Obj) -> bool:
        """One step of stopping; whether there was one to do."""
        key = _key(job)
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

        self.hub.change(JOBS, _key(job), start)

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
            if _owner(workload)["uid"] == job["metadata"]["uid"]:
                return workload
            pod_set = workload["spec"]["podSets"][0]
            same = (pod_set["count"], pod_set["template"]["spec"]["containers"]) == (
                job["spec"]["parallelism"],
                job["spec"]["template"]["spec"]["containers"],
            )
            if same or "deletionTimestamp" in workload["metadata"]:
                found = workload
            else:
                self.hub.delete(WORKLOADS, _key(workload))
        return found

    def _workloads_by_name(self, job: Obj) -> list[Obj]:
        namespace, name = _key(job)
        return [
            workload
            for workload in self.hub.all(WORKLOADS)
            if workload["metadata"]["namespace"] == namespace and _owner(workload)["name"] == name
        ]

    def _drop_finalizer(self, workload: Obj) -> None:
        if FINALIZER in (workload["metadata"].get("finalizers") or ()):
            self.hub.change(
                WORKLOADS, _key(workload), lambda obj: obj["metadata"]["finalizers"].remove(FINALIZER)
            )

    def _finish(self, workload: Obj, reason: str) -> None:
        self.hub.change(WORKLOADS, _key(workload), lambda obj: self._set(obj, "Finished", "True", reason, ""))

    # Workload reconciler.

    def _workload(self, key: Key) -> None:
        workload = self.hub.find(WORKLOADS, key)
        if workload is None:
            return
        owner = _owner(workload)
        job = self.hub.find(JOBS, (key[0], owner["name"]))
        if "deletionTimestamp" in workload["metadata"]:
            if job is None or job["metadata"]["uid"] != owner["uid"]:
                self._drop_finalizer(workload)
            return
        if is_true(workload, "Finished"):
            return
        evicted = is_true(workload, "Evicted")
        if self._note_requeue_at(workload):
            return
        if not workload["spec"].get("active", True):
            self._deactivated(workload)
            return
        if self._backs_off(workload):
            return
        checks = (workload.get("status") or {}).get("admissionChecks") or []
        if not checks:
            self._sync_checks(key)
        elif is_true(workload, "QuotaReserved") and not evicted:
            self._evict_or_admit(key, workload, checks)

    def _deactivated(self, workload: Obj) -> None:
        if not is_true(workload, "Evicted"):
            self._evict(workload, "Deactivated", "The workload is deactivated")
        if "requeueState" in (workload.get("status") or {}):
            self.hub.change(WORKLOADS, _key(workload), lambda obj: obj["status"].pop("requeueState", None))

    def _sync_checks(self, key: Key) -> None:
        entry = {
            "name": CHECK,
            "state": "Pending",
            "message": "",
            "lastTransitionTime": rfc3339(self.world.wall),
        }
        self.hub.change(
            WORKLOADS, key, lambda obj: obj.setdefault("status", {}).update(admissionChecks=[entry])
        )

    def _evict_or_admit(self, key: Key, workload: Obj, checks: list[Obj]) -> None:
        states = {check["state"] for check in checks}
        if "Rejected" in states:
            self.hub.change(WORKLOADS, key, lambda obj: obj["spec"].update(active=False))
            self._evict(
                self.hub.get(WORKLOADS, key), "DeactivatedDueToAdmissionCheck", checks[0].get("message", "")
            )
        elif "Retry" in states:
            self._evict(workload, "AdmissionCheck", checks[0].get("message", ""))
        elif self._stopped():
            if self._stopped() == "HoldAndDrain" or not is_true(workload, "Admitted"):
                self._evict(workload, "ClusterQueueStopped", "The ClusterQueue is stopped")
        elif states == {"Ready"} and not is_true(workload, "Admitted"):
            self.hub.change(
                WORKLOADS, key, lambda obj: self._set(obj, "Admitted", "True", "Admitted", "is admitted")
            )
            # Its apply copies the checks, so it owns our podSetUpdates too, until its next eviction.
            self.hub.own(WORKLOADS, key, MANAGER, _pod_set_update_paths(self.hub.get(WORKLOADS, key)))

    def _note_requeue_at(self, workload: Obj) -> bool:
        """As NeedsRequeueAtUpdate: of a check that is Retry with a delay, also of an evicted Workload."""
        status = workload.get("status") or {}
        wanted = max(
            (
                _unix(check["lastTransitionTime"]) + check["requeueAfterSeconds"]
                for check in status.get("admissionChecks") or ()
                if check["state"] == "Retry" and "requeueAfterSeconds" in check
            ),
            default=0.0,
        )
        if wanted <= max(self.world.wall, _requeue_at(workload)):
            return False
        state = {"requeueAt": rfc3339(wanted)}
        self.hub.change(WORKLOADS, _key(workload), lambda obj: obj["status"].update(requeueState=state))
        return True

    def _backs_off(self, workload: Obj) -> bool:
        """Until requeueAt its reconciler does nothing else, not even evict."""
        left = _requeue_at(workload) - self.world.wall
        if left > 0:
            self._workloads.poke(_key(workload), after=left)
            return True
        if _requeue_at(workload) and not is_true(workload, "QuotaReserved"):
            self.hub.change(WORKLOADS, _key(workload), lambda obj: obj["status"].pop("requeueState"))
        return False

    def _evict(self, workload: Obj, reason: str, message: str) -> None:
        if is_true(workload, "Evicted"):
            return

        def evict(obj: Obj) -> None:
            status = obj.setdefault("status", {})
            for check in status.get("admissionChecks") or ():
                if check["state"] == "Retry":
                    check["retryCount"] = check.get("retryCount", 0) + 1
                was = check["state"]
                check["state"] = "Pending"
                check["message"] = f"Reset to Pending after eviction. Previously: {was}"
                check["lastTransitionTime"] = rfc3339(self.world.wall)
            self._set(obj, "Evicted", "True", reason, message)
            evictions = status.setdefault("schedulingStats", {}).setdefault("evictions", [])
            entry = next((e for e in evictions if e["reason"] == reason), None)
            if entry is None:
                evictions.append(entry := {"reason": reason, "underlyingCause": "", "count": 0})
            entry["count"] += 1

        self.hub.own(WORKLOADS, _key(workload), MANAGER, ())
        self.hub.change(WORKLOADS, _key(workload), evict)

    # Scheduler.

    def _schedule(self) -> None:
        if self._stopped() or not self._active():
            return
        workloads = [w for w in self.hub.all(WORKLOADS) if not is_true(w, "Finished")]
        used = sum(cores(w) for w in workloads if "admission" in (w.get("status") or {}))
        for workload in sorted(filter(self._waits, workloads), key=_order):
            if _requeue_at(workload) > self.world.wall:
                self._scheduler.poke("all", after=_requeue_at(workload) - self.world.wall)
                continue
            if used + cores(workload) <= self.nominal:
                self._reserve(workload)
                used += cores(workload)
            else:
                self._preempt(workload, workloads, used)

    def _preempt(self, workload: Obj, workloads: Iterable[Obj], used: int) -> None:
        lower = [
            w
            for w in workloads
            if "admission" in (w.get("status") or {})
            and not is_true(w, "Evicted")
            and "deletionTimestamp" not in w["metadata"]
            and w["spec"]["priority"] < workload["spec"]["priority"]
        ]
        leaving = sum(
            cores(w) for w in workloads if "admission" in (w.get("status") or {}) and is_true(w, "Evicted")
        )
        missing = used - leaving + cores(workload) - self.nominal
        if missing <= 0 or sum(map(cores, lower)) < missing:
            return
        for victim in sorted(lower, key=_order, reverse=True):
            if missing <= 0:
                return
            missing -= cores(victim)
            self._evict(victim, "Preempted", f"Preempted to accommodate {workload['metadata']['name']}")

    def _waits(self, workload: Obj) -> bool:
        status = workload.get("status") or {}
        return bool(
            workload["spec"].get("active", True)
            and "admission" not in status
            and status.get("admissionChecks")
            and "deletionTimestamp" not in workload["metadata"]
            and self._queue_exists(workload)
            # Requeued stays False with this reason, also when its user activates it again.
            and condition(workload, "Evicted").get("reason") != "DeactivatedDueToAdmissionCheck"
        )

    def _queue_exists(self, workload: Obj) -> bool:
        namespace = workload["metadata"]["namespace"]
        return self.hub.find(LOCAL_QUEUES, (namespace, workload["spec"]["queueName"])) is not None

    def _reserve(self, workload: Obj) -> None:
        def reserve(obj: Obj) -> None:
            self._set(obj, "QuotaReserved", "True", "QuotaReserved", "Quota reserved")
            if condition(obj, "Evicted"):
                self._set(obj, "Evicted", "False", "QuotaReserved", "Previously evicted")
            obj["status"].pop("requeueState", None)
            pod_set = obj["spec"]["podSets"][0]
            obj["status"]["admission"] = {
                "clusterQueue": CLUSTER_QUEUE,
                "podSetAssignments": [
                    {
                        "name": pod_set["name"],
                        "count": pod_set["count"],
                        "flavors": {"cpu": FLAVOR},
                        "resourceUsage": {"cpu": str(cores(obj))},
                    }
                ],
            }

        self.hub.change(WORKLOADS, _key(workload), reserve)

    def _stopped(self) -> str:
        queue = self.hub.find(CLUSTER_QUEUES, ("", CLUSTER_QUEUE))
        policy: str = (queue or {"spec": {}})["spec"].get("stopPolicy", "None")
        return "" if policy == "None" else policy

    def _active(self) -> bool:
        check = self.hub.find(ADMISSION_CHECKS, ("", CHECK))
        return check is not None and is_true(check, "Active")

    def _set(self, obj: Obj, kind: str, status: str, reason: str, message: str) -> None:
        conditions = obj.setdefault("status", {}).setdefault("conditions", [])
        entry = next((c for c in conditions if c["type"] == kind), None)
        if entry is None:
            conditions.append(entry := {"type": kind, "status": ""})
        if entry["status"] != status:
            entry["lastTransitionTime"] = rfc3339(self.world.wall)
        entry |= {"status": status, "reason": reason, "message": message}


def workload_name(job: str, uid: str) -> str:
    digest = hashlib.sha1(f"Job\nbatch\n{job}\n{uid}".encode()).hexdigest()[:5]
    return f"job-{job}-{digest}"


def condition(obj: Obj, kind: str) -> Obj:
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry["type"] == kind:
            return entry  # type: ignore[no-any-return]
    return {}


def is_true(obj: Obj, kind: str) -> bool:
    return condition(obj, kind).get("status") == "True"


def finished(status: Obj) -> str:
    """Complete, Failed or ""."""
    for entry in status.get("conditions") or ():
        if entry["type"] in ("Complete", "Failed") and entry["status"] == "True":
            return str(entry["type"])
    return ""


def cores(workload: Obj) -> int:
    total = 0
    for pod_set in workload["spec"]["podSets"]:
        request = pod_set["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]
        total += int(request) * int(pod_set["count"])
    return total


def _order(workload: Obj) -> tuple[int, str, str]:
    """As workload.Ordering: who was evicted for an admission check is as young as that eviction."""
    metadata, evicted = workload["metadata"], condition(workload, "Evicted")
    by_check = evicted.get("status") == "True" and evicted.get("reason") == "AdmissionCheck"
    queued = evicted["lastTransitionTime"] if by_check else metadata["creationTimestamp"]
    return (-workload["spec"]["priority"], queued, metadata["name"])


def _owner(workload: Obj) -> Any:
    return workload["metadata"]["ownerReferences"][0]


def _key(obj: Obj) -> Key:
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _requeue_at(workload: Obj) -> float:
    """Unix time, 0 when there is none."""
    at = ((workload.get("status") or {}).get("requeueState") or {}).get("requeueAt")
    return _unix(at) if at else 0.0


def _unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _pod_set_update_paths(workload: Obj) -> set[tuple[Any, ...]]:
    paths: set[tuple[Any, ...]] = set()
    for check in workload["status"].get("admissionChecks") or ():
        root = ("status", "admissionChecks", ("name", check["name"]), "podSetUpdates")
        for update in check.get("podSetUpdates") or ():
            entry = (*root, ("name", update["name"]))
            paths.add((*entry, "name"))
            paths |= {(*entry, "annotations", name) for name in update.get("annotations") or {}}
    return paths


__all__ = ["CHECK", "CLUSTER_QUEUE", "EPOCH", "FLAVOR", "QUEUE_LABEL", "Kueue"]
