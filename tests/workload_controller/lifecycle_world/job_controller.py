"""Jobs of a worker: its Job controller and its kubelets."""

from kube_runtime.objects import Obj
from tests.workload_controller.lifecycle_servers import rfc3339
from tests.workload_controller.lifecycle_world.spaces import Spaces
from tests.workload_controller.lifecycle_world.statuses import terminal
from tests.workload_controller.lifecycle_world.worker_objects import Pod, Worker


class JobController(Spaces):
    """Pods start, get ready and end here."""

    def job_controller(self, worker: Worker) -> None:
        job = worker.job
        if job is None or terminal(job.status) or job.suspended:
            return
        failed = sum(pod.outcome == "Failed" for pod in job.pods)
        alive = [pod for pod in job.pods if pod.alive]
        if not alive and failed < 2 and not any(pod.outcome == "Succeeded" for pod in job.pods):
            assert job.hub_uid not in self.finished, f"I3: a pod of the finished job starts on {worker.name}"
            job.pods.append(Pod(job))
            worker.pods.append(job.pods[-1])
            alive = job.pods[-1:]
        status: Obj = {"startTime": job.status.get("startTime") or rfc3339(self.clock.now)}
        if alive:
            status |= {"active": 1, "ready": sum(pod.ready for pod in alive)}
        if failed:
            status["failed"] = failed
        if not alive:
            kinds = ("FailureTarget", "Failed") if failed > 1 else ("SuccessCriteriaMet", "Complete")
            if failed < 2:
                status |= {"succeeded": 1, "completionTime": rfc3339(self.clock.now)}
            status["conditions"] = [{"type": kind, "status": "True"} for kind in kinds]
        job.status = status

    def pods_get_ready(self, worker: Worker) -> None:
        for pod in worker.pods:
            pod.ready |= pod.alive and pod.ending_by is None

    def pods_end(self, worker: Worker, outcome: str) -> None:
        """Running pods succeed or fail, those told to end do so before their grace is over."""
        for pod in worker.pods:
            if pod.alive:
                pod.outcome = "" if pod.ending_by is not None else outcome
                pod.alive = pod.ready = False
