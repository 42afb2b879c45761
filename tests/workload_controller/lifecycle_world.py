"""The world around one job and its re-creations, for the lifecycle machine: everybody but us.

Kueue, KubeStellar, the garbage collector, work agents, Job controllers, kubelets, status add-ons, metrics
agents and users, each as steps that the machine takes in any order. They behave as docs/design.md sections 2
and 4 say (Kueue with its gate FinishOrphanedWorkloads off). Nothing here imports a decision of ours; what the
objects look like is spelled by hand, so that a wrong word of ours is seen.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from kube_runtime.objects import Key, Obj, key_of
from kube_runtime.resources import Resource
from tests.workload_controller.lifecycle_servers import Clock, Network, Server, duplicate, rfc3339
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    CONFIG_MAPS,
    JOBS,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
    WORK_STATUSES,
    WORKLOADS,
)

NAMESPACE, NAME = "default", "train"
OURS = "kueue.kubestellar.io/"
LOST_AFTER = 900.0  # seconds, Timing.worker_lost_timeout
LEASE_LOOK = 10.0  # seconds between two looks of the metrics agent at its leases
GC_LAG = 3.0  # until the pods of a deleted Job are told to end
KILL_LAG = 5.0  # beyond their grace, until a kubelet has ended them
RECREATED_AFTER = 240.0  # seconds, until the work agent makes a removed Job anew


@dataclass(eq=False)
class Pod:
    """One pod, from its start on."""

    job: "WorkerJob"
    ready: bool = False
    alive: bool = True
    outcome: str = ""
    ending_by: float | None = None


@dataclass(eq=False)
class WorkerJob:
    """A Job on a worker, made from the manifest of one ManifestWork.

    ``excused`` where a second run is allowed: its cluster was lost under atLeastOnce, or a hand removed it.
    """

    cluster: str
    uid: str
    work_uid: str
    manifest: Obj
    created: float
    status: Obj = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    suspended: bool = False
    excused: bool = False
    terminate_by: float | None = None  # deleted or suspended: until then the pods are told

    @property
    def hub_uid(self) -> str:
        return str(self.manifest["metadata"]["annotations"][OURS + "job-uid"])

    @property
    def workload_uid(self) -> str:
        return str(self.manifest["metadata"]["labels"][OURS + "workload-uid"])

    @property
    def on_loss(self) -> str:
        return str(self.manifest["metadata"]["annotations"][OURS + "on-cluster-loss"])

    @property
    def lease(self) -> float | None:
        seconds = self.manifest["metadata"]["annotations"].get(OURS + "lease-seconds")
        return float(seconds) if seconds else None


@dataclass
class Worker:
    """``skew`` is by how many seconds its clock runs ahead."""

    name: str
    skew: float
    connected: bool = True
    refuses: bool = False
    beat: float = 0.0
    job: WorkerJob | None = None
    pods: list[Pod] = field(default_factory=list)
    removed: dict[str, float] = field(default_factory=dict)  # work uid → when its Job was deleted by hand
    report: Obj | None = None  # seen, not told yet
    statuses: dict[str, Obj] = field(default_factory=dict)  # work uid → status, seen, not told yet


class World:
    """All servers and everybody who acts on them."""

    def __init__(self) -> None:
        self.clock, self.network = Clock(), Network()
        self.servers = {name: Server(name, self.clock) for name in ("hub", "wds", "its")}
        self.hub, self.wds, self.its = self.servers.values()
        self.workers = {w.name: w for w in (Worker("w1", 2.0), Worker("w2", -1.0))}
        self.deactivated_by_user: set[str] = set()  # uids of Workloads
        self.finished: set[str] = set()  # uids of hub jobs whose result is known to us or on the hub
        self.foreign: list[tuple[Server, Resource, Key, str]] = []
        self._sequence = 0
        self.hub.create(
            ADMISSION_CHECKS,
            {
                "metadata": {"name": "kubestellar", "generation": 1},
                "spec": {"controllerName": "kubestellar.io/ks-kueue"},
            },
        )
        for worker in self.workers.values():
            self._register(worker.name)
            self.report_look(worker)
            self.report_tell(worker)

    def _register(self, name: str) -> None:
        available = {
            "type": "ManagedClusterConditionAvailable",
            "status": "True",
            "lastTransitionTime": rfc3339(self.clock.now - 5000),
        }
        metadata = {
            "name": name,
            "labels": {"name": name},
            "creationTimestamp": rfc3339(self.clock.now - 5000),
        }
        body = {
            "metadata": metadata,
            "spec": {"hubAcceptsClient": True},
            "status": {"conditions": [available]},
        }
        self.its.create(MANAGED_CLUSTERS, body)

    # The user.

    @property
    def job(self) -> Obj | None:
        return self.hub.find(JOBS, (NAMESPACE, NAME))

    def create_job(self, on_loss: str, grace: int) -> None:
        template = {
            "metadata": {},
            "spec": {
                "terminationGracePeriodSeconds": grace,
                "containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}],
            },
        }
        self.hub.create(
            JOBS,
            {
                "metadata": {
                    "name": NAME,
                    "namespace": NAMESPACE,
                    "labels": {"kueue.x-k8s.io/queue-name": "default-queue"},
                    "annotations": {OURS + "on-cluster-loss": on_loss},
                },
                "spec": {
                    "parallelism": 1,
                    "completions": 1,
                    "suspend": True,
                    "managedBy": "kubestellar.io/ks-kueue",
                    "template": template,
                },
            },
        )

    def delete_job(self, *, foreground: bool) -> None:
        if foreground:
            self.hub.change(
                JOBS,
                (NAMESPACE, NAME),
                lambda o: o["metadata"].setdefault("finalizers", []).append("foregroundDeletion"),
            )
        self.hub.delete(JOBS, (NAMESPACE, NAME))

    def workloads(self) -> list[Obj]:
        return self.hub.all(WORKLOADS)

    # Kueue, as far as it takes part (pkg/controller/jobframework/reconciler.go, core/workload_controller.go).

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

    def set_active(self, key: Key, *, active: bool) -> None:
        """A user's word on ``spec.active``; Kueue counts a deactivated Workload no more, at once."""
        workload = self.hub.change(WORKLOADS, key, lambda obj: obj["spec"].update(active=active))
        if not active:
            self.deactivated_by_user.add(workload["metadata"]["uid"])

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

    def _drop_finalizer(self, resource: Resource, obj: Obj) -> None:
        server = self.hub if resource in (WORKLOADS, JOBS) else self.wds
        kept = [f for f in obj["metadata"].get("finalizers") or () if f.startswith(OURS)]
        server.change(resource, key_of(obj), lambda o: o["metadata"].update(finalizers=kept))

    # The garbage collector of each space.

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

    # KubeStellar: policy → Binding → ManifestWork.

    def bind(self) -> None:
        for policy in self.wds.all(BINDING_POLICIES):
            key, metadata = key_of(policy), policy["metadata"]
            if "deletionTimestamp" in metadata:
                self._drop_finalizer(BINDING_POLICIES, policy)
                continue
            self.wds.change(
                BINDING_POLICIES, key, lambda obj: obj["metadata"].update(finalizers=["kubestellar"])
            )
            clause = policy["spec"]["downsync"][0]
            if "objectSelectors" not in clause:
                continue
            wanted = clause["objectSelectors"][0]["matchLabels"].items()
            scope = [
                {
                    "group": "batch",
                    "resource": "jobs",
                    "namespace": NAMESPACE,
                    "name": job["metadata"]["name"],
                }
                for job in self.wds.all(JOBS)
                if wanted <= (job["metadata"].get("labels") or {}).items()
            ]
            cluster = policy["spec"]["clusterSelectors"][0]["matchLabels"]["name"]
            spec = {"workload": {"namespaceScope": scope}, "destinations": [cluster]}
            if self.wds.find(BINDINGS, key) is None:
                body = {"name": key[1], "owner": metadata["uid"], "finalizers": ["transport"]}
                self.wds.create(BINDINGS, {"metadata": body, "spec": spec})
            else:
                self.wds.change(BINDINGS, key, lambda obj, spec=spec: obj.update(spec=spec))  # type: ignore[misc]

    def transport(self) -> None:
        wanted: dict[Key, Obj] = {}
        for binding in self.wds.all(BINDINGS):
            if "deletionTimestamp" not in binding["metadata"]:
                wanted |= dict(self._works(binding))
        for work in self.its.all(MANIFEST_WORKS):
            if key_of(work) not in wanted:
                self.its.delete(MANIFEST_WORKS, key_of(work))
        for key, work in wanted.items():
            if self.its.find(MANIFEST_WORKS, key) is None:
                self.its.create(MANIFEST_WORKS, work)
        for binding in self.wds.all(BINDINGS):
            if "deletionTimestamp" in binding["metadata"]:
                self._drop_finalizer(BINDINGS, binding)

    def _works(self, binding: Obj) -> Iterator[tuple[Key, Obj]]:
        if binding["metadata"]["name"] == "foreign":
            return  # the guard of the ITS refuses what it would carry
        for reference in binding["spec"]["workload"]["namespaceScope"]:
            job = self.wds.find(JOBS, (NAMESPACE, reference["name"]))
            for cluster in binding["spec"]["destinations"] if job is not None else ():
                assert job is not None
                name = f"{binding['metadata']['uid']}-{job['metadata']['uid']}"
                kept = {word: duplicate(job["metadata"][word]) for word in ("name", "labels", "annotations")}
                manifest = {"metadata": {"namespace": NAMESPACE, **kept}, "spec": duplicate(job["spec"])}
                origin = {keys.ORIGIN_BINDING: binding["metadata"]["name"]}
                metadata = {"namespace": cluster, "name": name, "labels": origin, "finalizers": ["agent"]}
                spec = {"workload": {"manifests": [manifest]}}
                yield (cluster, name), {"metadata": metadata, "spec": spec}

    # A worker: work agent, Job controller, kubelets.

    def agent(self, worker: Worker) -> None:
        for work in self.its.all(MANIFEST_WORKS) if worker.connected else ():
            if work["metadata"]["namespace"] != worker.name:
                continue
            uid, job = work["metadata"]["uid"], worker.job
            if "deletionTimestamp" in work["metadata"]:
                if job is not None and job.work_uid == uid:
                    self._delete_worker_job(worker, job)
                else:
                    self.its.change(
                        MANIFEST_WORKS, key_of(work), lambda o: o["metadata"].pop("finalizers", None)
                    )
            elif job is not None and job.work_uid == uid:
                self._applied(work, "True", "True")
            elif job is None and worker.refuses:
                self._applied(work, "False", "False")
            elif job is None and self.clock.now < worker.removed.get(uid, -1e9) + RECREATED_AFTER:
                self._applied(work, "True", "False")
            elif job is None:
                manifest = work["spec"]["workload"]["manifests"][0]
                worker.job = WorkerJob(
                    worker.name, f"job-{self.clock.tick()}", uid, manifest, created=self.clock.now
                )
                self._applied(work, "True", "True")

    def _applied(self, work: Obj, applied: str, available: str) -> None:
        def write(obj: Obj) -> None:
            before = {c["type"]: c for c in _manifest_conditions(obj)}
            conditions = []
            for kind, value in (("Applied", applied), ("Available", available)):
                entry = before.get(kind, {})
                since = entry.get("lastTransitionTime") if entry.get("status") == value else None
                conditions.append(
                    {
                        "type": kind,
                        "status": value,
                        "message": "admission webhook says no" if value == "False" else "",
                        "lastTransitionTime": since or rfc3339(self.clock.now),
                    }
                )
            obj["status"] = {"resourceStatus": {"manifests": [{"conditions": conditions}]}}

        self.its.change(MANIFEST_WORKS, key_of(work), write)

    def _delete_worker_job(self, worker: Worker, job: WorkerJob) -> None:
        worker.job = None
        worker.statuses.pop(job.work_uid, None)
        job.terminate_by = self.clock.now + GC_LAG

    def remove_by_hand(self, worker: Worker) -> None:
        """Somebody with rights on the worker deletes the Job."""
        job = worker.job
        if job is not None:
            worker.removed[job.work_uid] = self.clock.now
            self._delete_worker_job(worker, job)
            job.excused = True
            if worker.connected:
                for status in self.its.all(WORK_STATUSES):
                    owners = status["metadata"].get("ownerReferences") or ({"uid": ""},)
                    if owners[0]["uid"] == job.work_uid:
                        self.its.delete(WORK_STATUSES, key_of(status))

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

    # What workers tell the ITS.

    def status_look(self, worker: Worker) -> None:
        if worker.job is not None and worker.job.status:
            worker.statuses[worker.job.work_uid] = dict(worker.job.status)

    def status_tell(self, worker: Worker) -> None:
        works = {w["metadata"]["uid"] for w in self.its.all(MANIFEST_WORKS)}
        for uid in [*worker.statuses] if worker.connected else ():
            status = worker.statuses.pop(uid)
            if uid in works:
                source = {"group": "batch", "kind": "Job", "namespace": NAMESPACE, "name": NAME}
                owner = {"kind": "ManifestWork", "uid": uid}
                self._tell(worker, f"job-{uid}", source, status, [owner])

    def report_look(self, worker: Worker) -> None:
        counts: dict[str, int] = {}
        for pod in worker.pods:
            if pod.alive:
                counts[pod.job.workload_uid] = counts.get(pod.job.workload_uid, 0) + 1
        self._sequence += 1
        node = {
            "name": "n1",
            "count": 1,
            "allocatableResources": {"cpu": "8", "pods": "110"},
            "allocatedResourceRequests": {},
            "foreignResourceRequests": {},
            "ready": True,
        }
        worker.report = {
            "observedAtSeconds": f"{self.clock.now + worker.skew:.3f}",
            "sequence": self._sequence,
            "nodes": [node],
            "workloads": [{"uid": uid, "bound": count} for uid, count in counts.items()],
        }

    def report_tell(self, worker: Worker) -> None:
        if worker.connected and worker.report is not None:
            source = {"group": "galaxy.kubestellar.io", "kind": "ClusterMetrics", "name": worker.name}
            self._tell(worker, "clustermetrics", source, worker.report, [])
            worker.report = None

    def _tell(self, worker: Worker, name: str, source: Obj, status: Obj, owners: list[Obj]) -> None:
        key = (worker.name, name)
        if self.its.find(WORK_STATUSES, key) is None:
            metadata = {"namespace": worker.name, "name": name, "ownerReferences": owners}
            self.its.create(WORK_STATUSES, {"metadata": metadata, "spec": {"sourceRef": source}})
        self.its.change(WORK_STATUSES, key, lambda obj: obj.update(status=status))

    # The link of a worker, and its heartbeat.

    def carry_beat(self, worker: Worker) -> None:
        beat = self.wds.find(CONFIG_MAPS, ("kueue-kubestellar-system", f"hub-heartbeat-{worker.name}"))
        if beat is not None and worker.connected:
            worker.beat = float(beat["data"]["beatAtSeconds"])

    def judge_link(self, worker: Worker) -> None:
        """The ITS says what it knows of a cluster."""
        status = "True" if worker.connected else "Unknown"

        def write(obj: Obj) -> None:
            (entry,) = obj["status"]["conditions"]
            if entry["status"] != status:
                entry |= {"status": status, "lastTransitionTime": rfc3339(self.clock.now)}

        self.its.change(MANAGED_CLUSTERS, ("", worker.name), write)

    def taint(self, cluster: str, key: str) -> None:
        """Our taint of that key on the cluster, "" for none."""
        taints = [{"key": key, "value": "by ana", "effect": "NoSelect"}] if key else []
        self.its.change(MANAGED_CLUSTERS, ("", cluster), lambda obj: obj["spec"].update(taints=taints))

    # Time.

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

    # The promises of docs/design.md section 3, on the true objects.

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


def _kill(pod: Pod) -> None:
    pod.alive = pod.ready = False


def _excuse(job: WorkerJob) -> None:
    job.excused = True


def _manifest_conditions(work: Obj) -> list[Obj]:
    manifests = ((work.get("status") or {}).get("resourceStatus") or {}).get("manifests") or [{}]
    conditions: list[Obj] = manifests[0].get("conditions") or []
    return conditions


def evictions(workload: Obj) -> list[Obj]:
    found: list[Obj] = (workload["status"].get("schedulingStats") or {}).get("evictions") or []
    return found


def is_true(workload: Obj, kind: str) -> bool:
    conditions = workload["status"].get("conditions") or ()
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def terminal(status: Obj) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in status.get("conditions") or ())


def unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
