"""Time: leases and graces run out, clusters are given up."""

from collections.abc import Callable, Iterator

from tests.workload_controller.lifecycle_servers import rfc3339
from tests.workload_controller.lifecycle_world.spaces import Spaces
from tests.workload_controller.lifecycle_world.statuses import terminal, unix
from tests.workload_controller.lifecycle_world.worker_objects import Pod, Worker, WorkerJob
from vocabulary.resources import MANAGED_CLUSTERS

LOST_AFTER = 900.0  # seconds, Timing.worker_lost_timeout
LEASE_LOOK = 10.0  # seconds between two looks of the metrics agent at its leases
KILL_LAG = 5.0  # beyond their grace, until a kubelet has ended them


class Deadlines(Spaces):
    """What somebody promised to do by a time."""

    def advance(self, seconds: float) -> None:
        """Time passes; what somebody promised to do by a time happens then at the latest."""
        until = self.clock.now + seconds
        while (due := min(self._deadlines(), default=(until, None), key=lambda d: d[0]))[0] < until:
            at, act = due
            self.clock.now = max(self.clock.now, at)
            assert act is not None
            act()
        self.clock.now = until

    def next_deadline(self) -> float | None:
        times = [at for at, _ in self._deadlines()]
        times += [w["status"]["requeueAt"] for w in self.workloads() if "requeueAt" in w["status"]]
        return min((at for at in times if at > self.clock.now), default=None)

    def _deadlines(self) -> Iterator[tuple[float, Callable[[], None]]]:
        for worker in self.workers.values():
            job = worker.job
            if job is not None and job.lease is not None and not job.suspended and not terminal(job.status):
                heard = max(worker.beat, job.created)
                yield heard + job.lease + LEASE_LOOK, lambda job=job: self._suspend(job)  # type: ignore[misc]
            lost = self._lost_since(worker)
            jobs = dict.fromkeys((job, *(pod.job for pod in worker.pods if pod.alive)))
            for job in jobs if lost is not None else ():
                if lost is not None and job is not None and not job.excused and job.on_loss == "atLeastOnce":
                    yield lost + LOST_AFTER, lambda job=job: _excuse(job)  # type: ignore[misc]
            for pod in worker.pods:
                if not pod.alive:
                    continue
                if pod.ending_by is not None:
                    yield pod.ending_by, lambda pod=pod: _kill(pod)  # type: ignore[misc]
                elif pod.job.terminate_by is not None:
                    yield pod.job.terminate_by, lambda pod=pod: self.tell_to_end(pod)  # type: ignore[misc]

    def tell_to_end(self, pod: Pod) -> None:
        grace = pod.job.manifest["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        pod.ending_by = self.clock.now + grace + KILL_LAG

    def _suspend(self, job: WorkerJob) -> None:
        job.suspended, job.terminate_by = True, self.clock.now
        job.status = {
            "startTime": job.status.get("startTime") or rfc3339(self.clock.now),
            "conditions": [{"type": "Suspended", "status": "True"}],
        }

    def _lost_since(self, worker: Worker) -> float | None:
        (entry,) = self.its.get(MANAGED_CLUSTERS, ("", worker.name))["status"]["conditions"]
        return None if entry["status"] == "True" else unix(entry["lastTransitionTime"])


def _kill(pod: Pod) -> None:
    pod.alive = pod.ready = False


def _excuse(job: WorkerJob) -> None:
    job.excused = True
