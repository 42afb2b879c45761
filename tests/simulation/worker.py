"""A worker cluster: work agent, Job controller, pods, status add-on, metrics agent.

The agents call out to the ITS; while the link is cut they see and tell nothing, and the pods run on. What
the work agent does behind everybody's back is measured (docs/design.md, section 4): it makes a Job that was
deleted by hand anew at its next resync, and adopts a Job of the same name.
"""

from dataclasses import dataclass, field
from typing import Any

from kube_runtime.objects import Key, Obj
from tests.simulation.api_server import ApiServer, Event
from tests.simulation.kubestellar import WORK_FINALIZER
from tests.simulation.kueue import finished
from tests.simulation.world import Poked, World, rfc3339
from vocabulary.resources import MANAGED_CLUSTERS, MANIFEST_WORKS, WORK_STATUSES

UID_LABEL = "kueue.kubestellar.io/workload-uid"
SERIAL_LABEL = "sim/job"
RUN_SECONDS = "sim/run-seconds"
FAILS = "sim/fails"
START_SECONDS = "sim/start-seconds"
TROUBLE = "sim/trouble"  # "never": its image cannot be pulled; "refused": by the worker's admission
LEASE_SECONDS = "kueue.kubestellar.io/lease-seconds"
LEASED_FROM = "kueue.kubestellar.io/leased-from"
HEARTBEAT_PREFIX = "hub-heartbeat-"
JOB_CONTROLLER = "kubernetes.io/job-controller"
LEASE_LOOK = 5.0  # seconds between two looks of the metrics agent at its leases
REPORT_EVERY = 30.0  # seconds between two reports of the metrics agent without a change
REPORT_PAUSE = 2.0  # and at least, with one
LEASE_GRACE = 60.0  # seconds without a heartbeat until OCM calls a cluster Unknown


@dataclass
class Pod:
    """One pod of a worker Job, with its whole life for the oracle."""

    cluster: str
    serial: str
    job: Key
    job_uid: str
    workload_uid: str
    cpu: int
    grace: float
    created: float
    node: str = ""
    running_since: float | None = None
    ready: bool = False
    terminating_since: float | None = None
    ended: float | None = None
    succeeded: bool = False


@dataclass
class WorkerJob:
    """A Job on the worker. ``owners`` are uids of ManifestWorks; none: somebody else's own job."""

    key: Key
    uid: str
    manifest: Obj
    owners: set[str]
    serial: str
    created: float
    works: set[str] = field(default_factory=set)  # every ManifestWork that it ever belonged to
    status: Obj = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    suspended: bool = False
    deleted: float | None = None
    by_hand: bool = False


class Worker:
    """``nodes`` maps names to whole cores."""

    def __init__(self, world: World, its: ApiServer, name: str, nodes: dict[str, int]) -> None:
        self.world, self.its, self.name, self.nodes = world, its, name, nodes
        self.cut_until = 0.0
        self.cuts: list[tuple[float, float]] = []
        self.beat_at = 0.0  # unix seconds of the newest heartbeat that came here
        self._cut_since = 0.0
        self.jobs: dict[Key, WorkerJob] = {}
        self.all_jobs: list[WorkerJob] = []
        self.pods: list[Pod] = []
        self.foreign: dict[str, int] = {}  # node → cores of other people's pods
        self._uids = 0
        self._sequence = 0
        self._reported: Any = None
        self._reported_at = -REPORT_PAUSE
        self._works = Poked(world, self._work, 0.02, 0.2)
        self._job_controller = Poked(world, self._job, 0.01, 0.1)
        self._addon = Poked(world, self._tell_status, 0.02, 0.2)
        self._scheduler = Poked(world, lambda _key: self._bind_pods(), 0.01, 0.05)
        self._metrics = Poked(world, lambda _key: self._report(), 0.0, 0.5)
        its.on_commit(MANIFEST_WORKS, self._work_event)
        self._heart()
        self._metrics.poke("report")
        self._resync()
        self._keep_leases()

    # Link to the ITS.

    @property
    def cut(self) -> bool:
        return self.world.now < self.cut_until

    def cut_for(self, seconds: float) -> None:
        """The link to the ITS is down for so long."""
        self.world.note(f"{self.name} is cut off for {seconds:.0f} s")
        if not self.cut:
            self._cut_since = self.world.now
        self.cut_until = max(self.cut_until, self.world.now + seconds)
        self.cuts.append((self.world.now, self.cut_until))
        self.world.at(self.cut_until, self._back)

    def _back(self) -> None:
        if self.cut:
            return
        for work in self.its.all(MANIFEST_WORKS):
            if work["metadata"]["namespace"] == self.name:
                self._works.poke((self.name, work["metadata"]["name"]))
        for status in self.its.all(WORK_STATUSES):
            source = status["spec"]["sourceRef"]
            if status["metadata"]["namespace"] == self.name and source["kind"] == "Job":
                self._addon.poke((source["namespace"], source["name"]))
        for job in self.jobs.values():
            self._addon.poke(job.key)
        self._metrics.poke("report")

    def _heart(self) -> None:
        """OCM's registration agent, and the hub's judgement of it."""
        lost = self.cut and self.world.now > self._cut_since + LEASE_GRACE
        available = "Unknown" if lost else "True"

        def judge(obj: Obj) -> None:
            conditions = obj.setdefault("status", {}).setdefault("conditions", [])
            entry = next((c for c in conditions if c["type"] == "ManagedClusterConditionAvailable"), None)
            if entry is None:
                conditions.append(entry := {"type": "ManagedClusterConditionAvailable", "status": ""})
            if entry["status"] != available:
                entry["lastTransitionTime"] = rfc3339(self.world.wall)
                entry["status"] = available

        self.its.change(MANAGED_CLUSTERS, ("", self.name), judge)
        self.world.soon(9.0, 11.0, self._heart)

    # Work agent.

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

    def _keep_leases(self) -> None:
        """The metrics agent suspends leased jobs when the hub has not been heard for their lease."""
        for job in self.jobs.values():
            annotations = job.manifest["metadata"].get("annotations", {})
            lease = annotations.get(LEASE_SECONDS)
            heard = max(self.beat_at, float(annotations.get(LEASED_FROM, 0)))
            if lease and not job.suspended and self.world.wall > heard + float(lease):
                self.world.note(f"{self.name}: lease of {job.key[1]} is over ({job.serial})")
                job.suspended = True
                for pod in job.pods:
                    self._terminate(pod)
                self._job_controller.poke(job.key)
        self.world.soon(LEASE_LOOK, LEASE_LOOK + 1.0, self._keep_leases)

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

    # Job controller and kubelets.

    def _job(self, key: Key) -> None:
        job = self.jobs.get(key)
        if job is None or job.deleted is not None or finished(job.status):
            return
        if job.manifest["spec"].get("managedBy", JOB_CONTROLLER) != JOB_CONTROLLER:
            return
        if not job.pods and not job.suspended:
            self._create_pods(job)
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
        succeeded, failed = sum(p.succeeded for p in done), sum(not p.succeeded for p in done)
        if succeeded:
            status["succeeded"] = succeeded
        if failed:
            status["failed"] = failed
            for pod in alive:  # backoffLimit 0: the others are ended
                self._terminate(pod)
        now = rfc3339(self.world.wall)
        if job.suspended:
            status.pop("failed", None)
            status["conditions"] = [{"type": "Suspended", "status": "True", "lastTransitionTime": now}]
        elif not alive:
            del status["active"]
            if failed:
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

    def _create_pods(self, job: WorkerJob) -> None:
        spec = job.manifest["spec"]
        template = spec["template"]
        labels = template["metadata"].get("labels") or {}
        pod_spec = template["spec"]
        cpu = int(pod_spec["containers"][0]["resources"]["requests"]["cpu"])
        for _ in range(spec["parallelism"]):
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
                succeeded = annotations.get(FAILS) != "true"
                self._end(pod, succeeded=succeeded and pod.terminating_since is None)

        self.world.soon(float(start), float(start) + 1.0, run)

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

    # Status add-on.

    def _tell_status(self, key: Key) -> None:
        if self.cut:
            return
        job = self.jobs.get(key)
        for status in tuple(self.its.all(WORK_STATUSES)):
            source, metadata = status["spec"]["sourceRef"], status["metadata"]
            if metadata["namespace"] != self.name or source["kind"] != "Job":
                continue
            if (source["namespace"], source["name"]) != key:
                continue
            if job is None or metadata["ownerReferences"][0]["uid"] not in job.owners:
                self.its.delete(WORK_STATUSES, (self.name, metadata["name"]))
        if job is None:
            return
        for uid in sorted(job.owners):
            self._tell(job, uid)

    def _tell(self, job: WorkerJob, work_uid: str) -> None:
        work = next((w for w in self.its.all(MANIFEST_WORKS) if w["metadata"]["uid"] == work_uid), None)
        if work is None:
            return
        name = f"batchv1-jobs-{job.key[1]}-{work_uid}"
        present = self.its.find(WORK_STATUSES, (self.name, name))
        if present is None:
            owner = {
                "apiVersion": MANIFEST_WORKS.api_version,
                "kind": "ManifestWork",
                "name": work["metadata"]["name"],
                "uid": work_uid,
                "controller": True,
            }
            source = {
                "group": "batch",
                "version": "v1",
                "resource": "jobs",
                "kind": "Job",
                "namespace": job.key[0],
                "name": job.key[1],
            }
            self.its.create(
                WORK_STATUSES,
                {
                    "metadata": {"namespace": self.name, "name": name, "ownerReferences": [owner]},
                    "spec": {"sourceRef": source},
                },
            )
            self._addon.poke(job.key)
        elif job.status and present.get("status") != job.status:
            self.its.change(WORK_STATUSES, (self.name, name), lambda obj: obj.update(status=job.status))

    # Metrics agent.

    def _report(self) -> None:
        if self.cut:
            return
        left = self._reported_at + REPORT_PAUSE - self.world.now
        if left > 0:
            self._metrics.poke("report", after=left)
            return
        alive = [pod for pod in self.pods if pod.ended is None]
        seen = (self._node_entries(alive), self._workload_entries(alive))
        changed = seen != self._reported
        self._reported, self._reported_at = seen, self.world.now
        self._sequence += 1
        status = {
            "observedAtSeconds": f"{self.world.wall:.3f}",
            "sequence": self._sequence,
            "nodes": seen[0],
            "workloads": seen[1],
        }
        key = (self.name, "clustermetrics")
        if self.its.find(WORK_STATUSES, key) is None:
            source = {
                "group": "galaxy.kubestellar.io",
                "version": "v1alpha1",
                "resource": "clustermetrics",
                "kind": "ClusterMetrics",
                "name": self.name,
            }
            self.its.create(
                WORK_STATUSES,
                {"metadata": {"namespace": key[0], "name": key[1]}, "spec": {"sourceRef": source}},
            )
        self.its.change(WORK_STATUSES, key, lambda obj: obj.update(status=status))
        # A change is confirmed by one more report.
        self._metrics.poke("report", after=REPORT_PAUSE if changed else REPORT_EVERY)

    def _node_entries(self, alive: list[Pod]) -> list[Obj]:
        entries = []
        for node, total in self.nodes.items():
            ours = [pod for pod in alive if pod.node == node]
            foreign = self.foreign.get(node, 0)
            requested = {"cpu": str(foreign + sum(p.cpu for p in ours)), "pods": str(len(ours))}
            entries.append(
                {
                    "name": node,
                    "count": 1,
                    "allocatableResources": {"cpu": str(total), "pods": "110"},
                    "allocatedResourceRequests": requested,
                    "foreignResourceRequests": {"cpu": str(foreign), "pods": "0"},
                    "labels": {"node-class": "standard"},
                    "taints": [],
                    "unschedulable": False,
                    "ready": True,
                }
            )
        return entries

    def _workload_entries(self, alive: list[Pod]) -> list[Obj]:
        by_uid: dict[str, list[Pod]] = {}
        for pod in alive:
            by_uid.setdefault(pod.workload_uid, []).append(pod)
        return [
            {
                "uid": uid,
                "bound": sum(bool(p.node) for p in pods),
                "waiting": sum(not p.node for p in pods),
                "terminating": sum(p.terminating_since is not None for p in pods),
                "problem": self._problem(pods),
            }
            for uid, pods in sorted(by_uid.items())
        ]

    def _problem(self, pods: list[Pod]) -> str:
        never = any(self._annotations(pod).get(TROUBLE) == "never" for pod in pods)
        return 'ImagePullBackOff: Back-off pulling image "busybox"' if never else ""
