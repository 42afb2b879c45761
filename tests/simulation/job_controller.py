"""Jobs of a worker: its Job controller, scheduler, kubelets and TTL controller."""

from abc import ABC, abstractmethod

from kube_runtime.objects import Key, Obj
from tests.simulation.worker_cluster import Cluster
from tests.simulation.worker_objects import (
    BREAKS_ON,
    FAILS,
    RUN_SECONDS,
    SERIAL_LABEL,
    START_SECONDS,
    TROUBLE,
    UID_LABEL,
    Pod,
    WorkerJob,
)
from tests.simulation.workload_objects import finished
from tests.simulation.world import rfc3339
from vocabulary.resources import MANIFEST_WORKS

JOB_CONTROLLER = "kubernetes.io/job-controller"


class JobController(Cluster, ABC):
    """Jobs are created and deleted here, and their pods live their lives."""

    @abstractmethod
    def _missing(self, job: WorkerJob) -> None:
        """What the work agent makes of a Job that is not there any more."""

    def create_job(self, manifest: Obj, owners: set[str]) -> WorkerJob:
        self._uids += 1
        metadata = manifest["metadata"]
        labels = manifest["spec"]["template"]["metadata"].get("labels") or {}
        job = WorkerJob(
            key=(metadata["namespace"], metadata["name"]),
            uid=f"{self.name}-job-{self._uids}",
            manifest=manifest,
            owners=owners,
            works=set(owners),
            serial=labels.get(SERIAL_LABEL, ""),
            created=self.world.now,
        )
        self.world.note(f"{self.name}: Job {job.key[1]} created ({job.serial})")
        self.jobs[job.key] = job
        self.all_jobs.append(job)
        self._job_controller.poke(job.key)
        return job

    def delete_job(self, job: WorkerJob, *, by_hand: bool = False) -> None:
        """Background propagation: the Job goes at once, its pods get their grace."""
        if job.deleted is not None:
            return
        self.world.note(
            f"{self.name}: Job {job.key[1]} deleted ({job.serial}){' by hand' if by_hand else ''}"
        )
        job.deleted, job.by_hand = self.world.now, by_hand
        if self.jobs.get(job.key) is job:
            del self.jobs[job.key]
        for pod in job.pods:
            self._terminate(pod)
        self._addon.poke(job.key)
        if by_hand:
            self.world.soon(5.0, 30.0, lambda: self._missing(job))

    def _job(self, key: Key) -> None:
        job = self.jobs.get(key)
        if job is None or job.deleted is not None or finished(job.status):
            return
        if job.manifest["spec"].get("managedBy", JOB_CONTROLLER) != JOB_CONTROLLER:
            return
        if not job.pods and not job.suspended:
            self._create_pods(job)
        failed = sum(p.ended is not None and not p.succeeded for p in job.pods)
        may_replace = failed <= job.manifest["spec"].get("backoffLimit", 0) and not job.suspended
        if may_replace and len(job.pods) < job.manifest["spec"]["parallelism"] + failed:
            self._create_pods(job, 1)
        pods = job.pods
        alive = [p for p in pods if p.ended is None]
        done = [p for p in pods if p.ended is not None]
        status: Obj = {
            "startTime": job.status.get("startTime") or rfc3339(self.world.wall),
            "active": sum(p.terminating_since is None for p in alive),
            "ready": sum(p.ready and p.terminating_since is None for p in alive),
            "terminating": sum(p.terminating_since is not None for p in alive),
            "uncountedTerminatedPods": {},
        }
        succeeded = sum(p.succeeded for p in done)
        if succeeded:
            status["succeeded"] = succeeded
        if failed:
            status["failed"] = failed
            if not may_replace:
                for pod in alive:
                    self._terminate(pod)
        now = rfc3339(self.world.wall)
        if job.suspended:
            status.pop("failed", None)
            status["conditions"] = [{"type": "Suspended", "status": "True", "lastTransitionTime": now}]
        elif not alive:
            del status["active"]
            if not may_replace:
                kinds = ("FailureTarget", "Failed")
            else:
                kinds, status["completionTime"] = ("SuccessCriteriaMet", "Complete"), now
            status["conditions"] = [
                {"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds
            ]
        if finished(status) and "ttlSecondsAfterFinished" in job.manifest["spec"]:
            self.world.after(
                float(job.manifest["spec"]["ttlSecondsAfterFinished"]), lambda: self._ttl_over(job)
            )
        if status != job.status:
            job.status = status
            self._addon.poke(key)

    def _ttl_over(self, job: WorkerJob) -> None:
        """The TTL controller deletes it; the work agent makes it anew at its next look."""
        self.delete_job(job)
        for work in self.its.all(MANIFEST_WORKS):
            if work["metadata"]["uid"] in job.owners:
                self._works.poke((self.name, work["metadata"]["name"]), after=5.0)

    def _create_pods(self, job: WorkerJob, count: int | None = None) -> None:
        spec = job.manifest["spec"]
        template = spec["template"]
        labels = template["metadata"].get("labels") or {}
        pod_spec = template["spec"]
        cpu = int(pod_spec["containers"][0]["resources"]["requests"]["cpu"])
        for _ in range(count or spec["parallelism"]):
            pod = Pod(
                cluster=self.name,
                serial=labels.get(SERIAL_LABEL, ""),
                job=job.key,
                job_uid=job.uid,
                workload_uid=labels.get(UID_LABEL, ""),
                cpu=cpu,
                grace=float(pod_spec.get("terminationGracePeriodSeconds", 30)),
                created=self.world.now,
            )
            job.pods.append(pod)
            self.pods.append(pod)
        self._scheduler.poke("all")
        self._metrics.poke("report")

    def _bind_pods(self) -> None:
        free = {name: total - self.foreign.get(name, 0) for name, total in self.nodes.items()}
        waiting = []
        for pod in self.pods:
            if pod.ended is None:
                if pod.node:
                    free[pod.node] -= pod.cpu
                elif pod.terminating_since is None:
                    waiting.append(pod)
        for pod in waiting:
            node = max(sorted(free), key=lambda name: free[name])
            if free[node] >= pod.cpu:
                free[node] -= pod.cpu
                pod.node = node
                self._start(pod)
        if waiting:
            self._metrics.poke("report")

    def _start(self, pod: Pod) -> None:
        annotations = self._annotations(pod)
        start = annotations.get(START_SECONDS, "1")
        if annotations.get(TROUBLE) == "never":
            return

        def run() -> None:
            if pod.ended is not None or pod.terminating_since is not None:
                return
            pod.running_since, pod.ready = self.world.now, True
            self._job_controller.poke(pod.job)
            self.world.after(float(annotations.get(RUN_SECONDS, "10")), end)

        def end() -> None:
            if pod.ended is None:
                breaks = annotations.get(BREAKS_ON) == self.name and self._is_first(pod)
                succeeded = annotations.get(FAILS) != "true" and not breaks
                self._end(pod, succeeded=succeeded and pod.terminating_since is None)

        self.world.soon(float(start), float(start) + 1.0, run)

    def _is_first(self, pod: Pod) -> bool:
        return next(p for p in self.pods if p.job_uid == pod.job_uid) is pod

    def _annotations(self, pod: Pod) -> dict[str, str]:
        job = next(j for j in reversed(self.all_jobs) if j.uid == pod.job_uid)
        return job.manifest["spec"]["template"]["metadata"].get("annotations") or {}

    def _terminate(self, pod: Pod) -> None:
        """The pod's main process ignores SIGTERM and uses its whole grace, when it runs."""
        if pod.ended is not None or pod.terminating_since is not None:
            return
        pod.terminating_since = self.world.now
        self._metrics.poke("report")
        wait = pod.grace if pod.running_since is not None else min(1.0, pod.grace)
        self.world.after(wait, lambda: self._end(pod, succeeded=False))

    def _end(self, pod: Pod, *, succeeded: bool) -> None:
        if pod.ended is not None:
            return
        pod.ended, pod.ready, pod.succeeded = self.world.now, False, succeeded
        self._job_controller.poke(pod.job)
        self._scheduler.poke("all")
        self._metrics.poke("report")
