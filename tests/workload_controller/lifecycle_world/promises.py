"""The promises of docs/design.md section 3, on the true objects."""

from kube_runtime.objects import key_of
from tests.workload_controller.lifecycle_world.spaces import Spaces
from tests.workload_controller.lifecycle_world.statuses import is_true, terminal
from vocabulary.resources import BINDING_POLICIES, BINDINGS, JOBS, MANIFEST_WORKS


class Promises(Spaces):
    """What must hold at any time, and what must be so at the end."""

    def check(self) -> None:
        alive = [
            pod
            for worker in self.workers.values()
            for pod in worker.pods
            if pod.alive and not pod.job.excused
        ]
        reserved = {
            w["metadata"]["uid"]
            for w in self.workloads()
            if is_true(w, "QuotaReserved")
            and not is_true(w, "Finished")
            and (w["spec"]["active"] or w["metadata"]["uid"] in self.deactivated_by_user)
        }
        places: dict[str, set[str]] = {}
        for pod in alive:
            places.setdefault(pod.job.hub_uid, set()).add(f"{pod.job.uid} on {pod.job.cluster}")
            assert pod.job.workload_uid in reserved, (
                f"I2: the quota is released, and a pod lives on {pod.job.cluster}"
            )
        for uid, jobs in places.items():
            assert len(jobs) < 2, f"I1: job {uid} runs twice: {sorted(jobs)}"
        for job in self.hub.all(JOBS):
            if terminal(job.get("status") or {}):
                self.finished.add(job["metadata"]["uid"])
        for server, resource, key, version in self.foreign:
            found = server.find(resource, key)
            assert found is not None, f"I6: {resource.plural} {key} of somebody else is gone"
            assert found["metadata"]["resourceVersion"] == version, f"I6: {resource.plural} {key} was changed"

    def left_over(self) -> list[str]:
        """What must not be there when all is over."""
        own = {key for _, _, key, _ in self.foreign}
        found = [
            f"{resource.plural} {key_of(obj)}"
            for server, resource in (
                (self.wds, JOBS),
                (self.wds, BINDING_POLICIES),
                (self.wds, BINDINGS),
                (self.its, MANIFEST_WORKS),
            )
            for obj in server.all(resource)
            if key_of(obj) not in own
        ]
        found += [f"a pod on {w.name}" for w in self.workers.values() for pod in w.pods if pod.alive]
        for workload in self.workloads():
            over = is_true(workload, "Finished") or not workload["spec"]["active"]
            if not over or "deletionTimestamp" in workload["metadata"]:
                found.append(f"{workload['metadata']['name']} is not over")
            elif is_true(workload, "QuotaReserved") and not is_true(workload, "Finished"):
                found.append(f"{workload['metadata']['name']} holds quota")
        return found
