"""Kueue's reconciler of Workloads: checks, admission, eviction, back-off.

pkg/controller/core/workload_controller.go, pkg/workload/evict/evict.go.
"""

from typing import Any

from kube_runtime.objects import Key, Obj, key_of
from tests.simulation.kueue_writes import KueueWrites
from tests.simulation.workload_objects import CHECK, MANAGER, is_true, owner_of, requeue_at, unix
from tests.simulation.world import rfc3339
from vocabulary.resources import JOBS, WORKLOADS


class WorkloadReconciler(KueueWrites):
    """One look at one Workload."""

    def _workload(self, key: Key) -> None:
        workload = self.hub.find(WORKLOADS, key)
        if workload is None:
            return
        owner = owner_of(workload)
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
            self.hub.change(WORKLOADS, key_of(workload), lambda obj: obj["status"].pop("requeueState", None))

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
                unix(check["lastTransitionTime"]) + check["requeueAfterSeconds"]
                for check in status.get("admissionChecks") or ()
                if check["state"] == "Retry" and "requeueAfterSeconds" in check
            ),
            default=0.0,
        )
        if wanted <= max(self.world.wall, requeue_at(workload)):
            return False
        state = {"requeueAt": rfc3339(wanted)}
        self.hub.change(WORKLOADS, key_of(workload), lambda obj: obj["status"].update(requeueState=state))
        return True

    def _backs_off(self, workload: Obj) -> bool:
        """Until requeueAt its reconciler does nothing else, not even evict."""
        left = requeue_at(workload) - self.world.wall
        if left > 0:
            self._workloads.poke(key_of(workload), after=left)
            return True
        if requeue_at(workload) and not is_true(workload, "QuotaReserved"):
            self.hub.change(WORKLOADS, key_of(workload), lambda obj: obj["status"].pop("requeueState"))
        return False


def _pod_set_update_paths(workload: Obj) -> set[tuple[Any, ...]]:
    paths: set[tuple[Any, ...]] = set()
    for check in workload["status"].get("admissionChecks") or ():
        root = ("status", "admissionChecks", ("name", check["name"]), "podSetUpdates")
        for update in check.get("podSetUpdates") or ():
            entry = (*root, ("name", update["name"]))
            paths.add((*entry, "name"))
            paths |= {(*entry, "annotations", name) for name in update.get("annotations") or {}}
    return paths
