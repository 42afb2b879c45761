"""The judge of a run: reads what servers and workers did, and knows nothing of our code.

Our public words (labels, finalizer, lease) are spelled here again on purpose. The user's own label on each
pod tells which job it belongs to, whatever anybody else writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from tests.simulation.api_server import ApiServer, Event, Write
from tests.simulation.meddling import OUR_FINALIZER, meddles, ours
from tests.simulation.permission import Permission
from tests.simulation.scenario import LOST_AFTER, JobPlan, Scenario
from tests.simulation.worker import LEASE_GRACE, SERIAL_LABEL, Pod, Worker, WorkerJob
from tests.simulation.workload_objects import cores, finished, is_true, owner_of
from tests.simulation.world import World
from vocabulary.resources import (
    BINDING_POLICIES,
    BINDINGS,
    CONFIG_MAPS,
    JOBS,
    MANIFEST_WORKS,
    WORK_STATUSES,
    WORKLOADS,
)

LOST = LEASE_GRACE + LOST_AFTER - 2.0  # from the cut until a cluster counts as lost; times are whole seconds
LONGEST_RESERVATION = 400.0  # seconds; the deadline is 120, and faults may keep us from acting for a while
RESULT_SEEN = 3.0  # seconds; a result that was told so long has been seen by us
CLUSTER_LABEL = "kueue.kubestellar.io/cluster"
RETURN_UNSEEN = 1.0  # seconds after its return in which a cluster cannot have confirmed a withdrawal yet
WRITE_SLEEPS = 61.0  # seconds that a write is on its way at most (network)
AGENT_AT_ONCE = 60.0  # seconds after a deletion by hand in which nobody but the work agent can have acted


@dataclass(frozen=True)
class Violation:
    """A broken promise: ``rule`` is I1…I8 or "result"."""

    rule: str
    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.at:.2f}: {self.text}"


@dataclass
class Seen:
    """Of one job, by the user's serial."""

    evictions: int = 0
    workloads: set[str] = field(default_factory=set)
    terminal: str = ""
    reserved_at: float | None = None  # since when it has quota and is not admitted


class Oracle:
    """Watches while the run goes on, and looks once more at its end."""

    def __init__(
        self, world: World, plan: Scenario, servers: Mapping[str, ApiServer], workers: Mapping[str, Worker]
    ) -> None:
        self.world, self.plan, self.servers, self.workers = world, plan, servers, workers
        self.hub, self.wds, self.its = servers["hub"], servers["wds"], servers["its"]
        self.violations: list[Violation] = []
        self._seen: dict[str, Seen] = {}
        self.disturbed_until = 0.0  # a fault may keep somebody from seeing or acting until then
        self.blind_until = 0.0  # and us
        self._stopped_at: dict[str, float] = {}  # uid of a job → last change of its deleted Workload
        self._results: dict[str, float] = {}  # uid of a WorkStatus → since when it tells a result
        self._given_up_jobs: set[str] = set()  # worker Jobs whose copy was let go on a lost cluster
        sleepy = any(fault.kind == "sleep" and fault.target == "wds" for fault in plan.faults)
        self._letting_go = RETURN_UNSEEN + (WRITE_SLEEPS if sleepy else 0.0)
        self._judged_writes = dict.fromkeys(servers, 0)
        self._pods_judged = dict.fromkeys(workers, 0)
        self._permission = Permission(world, self.hub, workers, self._violate, lambda: self.disturbed_until)
        self.hub.on_commit(WORKLOADS, self._workload)
        self.hub.on_commit(JOBS, self._job)
        self.wds.on_commit(JOBS, self._copy)
        self.its.on_commit(WORK_STATUSES, self._work_status)

    def seen(self, serial: str) -> Seen:
        return self._seen.setdefault(serial, Seen())

    def _violate(self, rule: str, text: str) -> None:
        self.violations.append(Violation(rule, self.world.now, text))
        self.world.note(f"VIOLATION {rule}: {text}")

    def sends(self, identity: str, resource: Resource) -> None:
        """I7: nobody writes while another one holds the Lease."""
        if resource.plural in ("leases", "events"):
            return
        lease = next(iter(self.hub.all(LEASES)), None)
        holder = ((lease or {}).get("spec") or {}).get("holderIdentity") or ""
        if holder != identity:
            self._violate("I7", f"{identity} sends a write to {resource}, the Lease is held by {holder!r}")

    def unexpected(self, text: str) -> None:
        """The program met an exception that it did not expect."""
        self._violate("bug", text)

    # While it runs.

    def _workload(self, event: Event) -> None:
        old, new = event.old, event.new
        serial = _serial(new["spec"]["podSets"][0]["template"])
        seen = self.seen(serial)
        seen.workloads.add(new["metadata"]["uid"])
        if old is not None and is_true(new, "Evicted") and not is_true(old, "Evicted"):
            seen.evictions += 1
        if "deletionTimestamp" in new["metadata"]:
            self._stopped_at[owner_of(new)["uid"]] = self.world.now
        self._mind_reservation(serial, event)
        self._mind_deactivation(serial, event)
        held = old is not None and "admission" in (old.get("status") or {}) and not is_true(old, "Finished")
        holds = event.kind != "DELETED" and "admission" in (new.get("status") or {})
        if held and (not holds or is_true(new, "Finished")):
            alive = [pod for pod in self.alive(serial) if not self._given_up(pod)]
            if alive:
                how = (
                    "finished"
                    if is_true(new, "Finished")
                    else "gone"
                    if event.kind == "DELETED"
                    else "given back"
                )
                where = ", ".join(sorted({pod.cluster for pod in alive}))
                self._violate(
                    "I2", f"quota of {serial} is {how} while {len(alive)} pods are alive on {where}"
                )

    def _mind_deactivation(self, serial: str, event: Event) -> None:
        """I2: Kueue forgets a deactivated Workload at once; only a user may do that to a running job."""
        old, new = event.old or {"spec": {}}, event.new
        ours = bool(self.hub.writes) and self.hub.writes[-1].new is new
        deactivated = ours and old["spec"].get("active", True) and not new["spec"].get("active", True)
        rejected = "Rejected" in _check_states(new) and "Rejected" not in _check_states(old)
        alive = [pod for pod in self.alive(serial) if not self._given_up(pod)]
        if alive and (deactivated or rejected):
            how = "deactivated" if deactivated else "rejected"
            self._violate("I2", f"{serial} is {how} while {len(alive)} pods are alive")

    def _mind_reservation(self, serial: str, event: Event) -> None:
        """I5: quota that nothing is made of goes back after a deadline."""
        seen, new = self.seen(serial), event.new
        waits = event.kind != "DELETED" and is_true(new, "QuotaReserved") and not is_true(new, "Admitted")
        if waits and seen.reserved_at is None:
            seen.reserved_at = self.world.now
        if not waits:
            self._judge_reservation(serial)
            seen.reserved_at = None

    def _judge_reservation(self, serial: str) -> None:
        since = self.seen(serial).reserved_at
        if since is not None and self.world.now - since > LONGEST_RESERVATION:
            self._violate(
                "I5", f"{serial} held quota for {self.world.now - since:.0f} s and was not admitted"
            )

    def _work_status(self, event: Event) -> None:
        """A result that was told is never thrown away."""
        source = event.new["spec"]["sourceRef"]
        if source["kind"] != "Job" or not finished(event.new.get("status") or {}):
            return
        key = (source["namespace"], source["name"])
        owner = event.new["metadata"]["ownerReferences"][0]["uid"]
        if event.kind != "DELETED":
            self._results.setdefault(event.new["metadata"]["uid"], self.world.now)
            return
        told_at = self._results[event.new["metadata"]["uid"]]
        told_for = self.world.now - told_at
        job = self.hub.find(JOBS, key)
        if job is None or "deletionTimestamp" in job["metadata"] or told_for < RESULT_SEEN:
            return
        if self.world.now - self._stopped_at.get(job["metadata"]["uid"], -RESULT_SEEN) < RESULT_SEEN:
            return  # the result waited: Kueue had to stop the job first (``lifecycle.may_finish``)
        if told_at < self.blind_until + RESULT_SEEN:  # we may have been dead or blind
            return
        serial = _serial(job["spec"]["template"])
        worker = self.workers[event.key[0]]
        mine = any(j.serial == serial and owner in j.works for j in worker.all_jobs)
        if mine and not finished(job.get("status") or {}):
            self._violate(
                "result", f"the result of {serial} was told for {told_for:.1f} s and is thrown away"
            )

    def _job(self, event: Event) -> None:
        serial = _serial(event.new["spec"]["template"])
        seen = self.seen(serial)
        terminal = finished(event.new.get("status") or {})
        if terminal and not seen.terminal:
            seen.terminal = terminal
            job = self._plan_of(serial)
            if (terminal == "Failed") != job.fails and not self._ended_by_deletion(serial):
                self._violate("result", f"{serial} is {terminal} on the hub, fails={job.fails} on the worker")
            if not self._ran_to(serial, terminal):
                self._violate("result", f"{serial} is {terminal} on the hub and never was on a worker")

    def _ran_to(self, serial: str, terminal: str) -> bool:
        jobs = (j for w in self.workers.values() for j in w.all_jobs if j.serial == serial)
        return any(finished(j.status) == terminal for j in jobs)

    def _ended_by_deletion(self, serial: str) -> bool:
        return any(
            pod.terminating_since is not None
            for w in self.workers.values()
            for pod in w.pods
            if pod.serial == serial
        )

    def alive(self, serial: str) -> list[Pod]:
        return [p for w in self.workers.values() for p in w.pods if p.serial == serial and p.ended is None]

    def _copy(self, event: Event) -> None:
        """A copy that goes while its pods live gives them up: right only while their cluster is lost."""
        if event.kind != "DELETED" or not ours(event.new):
            return
        serial = _serial(event.new["spec"]["template"])
        if self._plan_of(serial).on_loss != "atLeastOnce":
            return
        worker = self.workers[event.new["metadata"]["labels"][CLUSTER_LABEL]]
        for began, ended in _silences(worker):
            if began + LOST <= self.world.now <= ended + self._letting_go:
                here = [pod for pod in self.alive(serial) if pod.cluster == worker.name]
                self._given_up_jobs |= {pod.job_uid for pod in here if pod.created < ended}

    def _given_up(self, pod: Pod) -> bool:
        """Whether it was left on a lost cluster, under a policy that lets the job run a second time."""
        return pod.job_uid in self._given_up_jobs

    def after_instant(self) -> None:
        """Pods and writes that are new since the last look."""
        for worker in self.workers.values():
            for pod in worker.pods[self._pods_judged[worker.name] :]:
                self._pod_created(worker, pod)
            self._pods_judged[worker.name] = len(worker.pods)
        for name, server in self.servers.items():
            for write in server.writes[self._judged_writes[name] :]:
                self._judge_write(write)
            self._judged_writes[name] = len(server.writes)

    def _pod_created(self, worker: Worker, pod: Pod) -> None:
        self._permission.pod_created(pod)
        for other in self.workers.values():
            for rival in other.pods:
                alive = rival.ended is None and rival.job == pod.job
                alive = alive and not self._given_up(rival) and not self._made_again(rival, pod)
                if alive and (rival.cluster, rival.job_uid) != (pod.cluster, pod.job_uid):
                    beside = f"beside {rival.serial}'s on {rival.cluster}"
                    text = f"{pod.serial} starts a pod on {pod.cluster} {beside}"
                    self._violate("I1", text)
                    break
        terminal = self.seen(pod.serial).terminal
        if self._plan_of(pod.serial).trouble in ("unmanaged", "reserved"):
            self._violate("I1", f"{pod.serial} is {self._plan_of(pod.serial).trouble} and starts a pod")
        if terminal:
            self._violate("I3", f"{pod.serial} starts a pod on {pod.cluster} and is {terminal} on the hub")
        made_again = {j.uid for j in worker.all_jobs if j.by_hand}
        placed = sum(p.cpu for p in worker.pods if p.ended is None and p.job_uid not in made_again)
        if placed > sum(worker.nodes.values()):
            self._violate("I4", f"{placed} cpu are placed on {worker.name} of {sum(worker.nodes.values())}")

    def _made_again(self, rival: Pod, pod: Pod) -> bool:
        """The rival's Job was deleted by hand, and the work agent made the pod's Job in its place at once."""
        worker = self.workers[pod.cluster]
        jobs = {j.uid: j for j in worker.all_jobs}
        old, new = jobs.get(rival.job_uid), jobs[pod.job_uid]
        return old is not None and old.by_hand and new.created <= _unknown_until(worker, old.deleted or 0.0)

    def _judge_write(self, write: Write) -> None:
        if write.plural in ("leases", "events", "configmaps"):
            return
        fault = meddles(write, self.hub)
        if fault:
            self._violate(
                "I6", f"{write.author} {write.verb} {write.server} {write.plural} {write.key}: {fault}"
            )

    # At the end.

    def unsettled(self) -> list[str]:
        """What has not come to its end yet."""
        found = []
        for job in self.plan.jobs:
            why = self._job_unsettled(job.serial, (job.namespace, job.name))
            if why:
                found.append(why)
        found += [f"{o['metadata']['name']} is left in the WDS" for o in self.wds.all(JOBS) if ours(o)]
        for resource in (BINDING_POLICIES, BINDINGS):
            found += [
                f"{resource.kind} {o['metadata']['name']} is left"
                for o in self.wds.all(resource)
                if not o["metadata"]["name"].startswith("foreign")
            ]
        found += [f"{o['metadata']['name']} is left in the WDS" for o in self.wds.all(CONFIG_MAPS)]
        found += [f"ManifestWork {o['metadata']['name']} is left" for o in self.its.all(MANIFEST_WORKS)]
        found += [
            f"WorkStatus {o['metadata']['name']} is left"
            for o in self.its.all(WORK_STATUSES)
            if o["spec"]["sourceRef"]["kind"] == "Job"
        ]
        for worker in self.workers.values():
            found += [f"Job {j.key[1]} is left on {worker.name}" for j in worker.jobs.values() if j.owners]
            found += [f"a pod of {p.serial} lives on {worker.name}" for p in worker.pods if p.ended is None]
        return found

    def _job_unsettled(self, serial: str, key: tuple[str, str]) -> str:
        workloads = [
            w for w in self.hub.all(WORKLOADS) if _serial(w["spec"]["podSets"][0]["template"]) == serial
        ]
        job = self.hub.find(JOBS, key)
        mine = job is not None and _serial(job["spec"]["template"]) == serial
        if not mine:
            return f"{serial} is deleted and its Workload is left" if workloads else ""
        assert job is not None
        if not workloads:  # Kueue makes none for a finished job
            return "" if finished(job.get("status") or {}) else f"{serial} has no Workload"
        workload = workloads[0]
        if is_true(workload, "Finished"):
            for obj in (workload, job):
                if any(f.startswith(OUR_FINALIZER) for f in obj["metadata"].get("finalizers") or ()):
                    return f"the finished {obj['kind']} of {serial} has our finalizer"
            return "" if finished(job.get("status") or {}) else f"{serial} is finished without a result"
        if not workload["spec"].get("active", True) and "admission" not in workload["status"]:
            return ""
        if self._plan_of(serial).trouble == "big":  # it tries for ever, and gives its quota back each time
            fits_quota = cores(workload) <= self.plan.nominal
            if self.seen(serial).evictions or not fits_quota:
                return ""
        return f"{serial} is neither finished nor rejected: {_where(workload)}"

    def close(self) -> None:
        """The world had time to settle: whatever has not is a promise broken."""
        for why in self.unsettled():
            self._violate("I5", why)
        for job in self.plan.jobs:
            self._count_starts(job.serial)
            self._judge_reservation(job.serial)
            self._judge_end(job)

    def _judge_end(self, job: JobPlan) -> None:
        """A job with nothing wrong is not rejected; one that can never run is not said to have succeeded."""
        ended = self.outcome(job.serial)
        if job.trouble and ended in ("Succeeded", "Failed"):
            self._violate("result", f"{job.serial} is {job.trouble} and {ended}")
        disturbed = any(
            f.kind in ("cut_worker", "down") or (f.kind == "component" and f.target != "kueue")
            for f in self.plan.faults
        )
        meddled = any(a.subject == job.serial for a in self.plan.actions)
        if ended == "Rejected" and not (job.trouble or disturbed or meddled):
            self._violate("I5", f"nothing is wrong with {job.serial}, and it is rejected")

    def _count_starts(self, serial: str) -> None:
        """Run once: one worker Job per attempt; by hand deleted ones are made again by the agent."""
        seen = self.seen(serial)
        jobs = {w.name: [j for j in w.all_jobs if j.serial == serial] for w in self.workers.values()}
        started = sum(map(len, jobs.values()))
        made_again = sum(_made_again_at_once(w, jobs[w.name]) for w in self.workers.values())
        allowed = max(1, len(seen.workloads)) + seen.evictions + made_again
        if started > allowed:
            self._violate("I3", f"{serial} was started {started} times in {allowed} attempts")

    def outcome(self, serial: str) -> str:
        """How a job ended, in the words of ``run.Outcome``."""
        plan = self._plan_of(serial)
        job = self.hub.find(JOBS, (plan.namespace, plan.name))
        terminal = self.seen(serial).terminal
        if job is None or _serial(job["spec"]["template"]) != serial:
            return "Deleted"
        if terminal:
            return "Succeeded" if terminal == "Complete" else "Failed"
        return "Rejected" if not self.alive(serial) else "Unsettled"

    def _plan_of(self, serial: str) -> JobPlan:
        return next(job for job in self.plan.jobs if job.serial == serial)


LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")


def _made_again_at_once(worker: Worker, jobs: list[WorkerJob]) -> int:
    """Jobs deleted by hand that the work agent made again before anybody could know."""
    deleted = [j.deleted for j in jobs if j.by_hand and j.deleted is not None]
    return sum(any(at <= j.created <= _unknown_until(worker, at) for j in jobs) for at in deleted)


def _silences(worker: Worker) -> list[tuple[float, float]]:
    """The cuts of a worker's link, those that touch as one."""
    silences: list[tuple[float, float]] = []
    for began, ended in worker.cuts:
        if silences and began <= silences[-1][1]:
            silences[-1] = (silences[-1][0], max(silences[-1][1], ended))
        else:
            silences.append((began, ended))
    return silences


def _unknown_until(worker: Worker, deleted: float) -> float:
    """Until when nobody but the work agent can have acted on a deletion by hand: a cut keeps the news."""
    until = deleted + AGENT_AT_ONCE
    for began, ended in worker.cuts:
        if began < until and ended > deleted:
            until = max(until, ended + AGENT_AT_ONCE)
    return until


def _check_states(workload: Obj) -> set[str]:
    return {check["state"] for check in (workload.get("status") or {}).get("admissionChecks") or ()}


def _serial(template: Obj) -> str:
    return str(((template.get("metadata") or {}).get("labels") or {}).get(SERIAL_LABEL, ""))


def _where(workload: Obj) -> str:
    conditions = [c["type"] for c in workload["status"].get("conditions") or () if c["status"] == "True"]
    checks = [
        f"{c['state']}: {c.get('message', '')}" for c in workload["status"].get("admissionChecks") or ()
    ]
    return f"{','.join(conditions)}; {'; '.join(checks)}"
