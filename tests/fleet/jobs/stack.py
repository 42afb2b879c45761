"""A fleet with everything installed and both controllers running, and what tests do with it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from kube_runtime.events import EVENTS
from kube_runtime.objects import Obj
from kube_runtime.resources import LEASES, Resource
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from tests import judge
from tests.fleet.jobs.programs import (
    Programs,
    eventually,
    install_everywhere,
    quota_is_filled,
    running_programs,
)
from tests.judge.history import PodLife
from tests.judge.rules import Rules
from vocabulary import keys
from vocabulary.resources import (
    BINDING_POLICIES,
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    MANIFEST_WORKS,
    WORK_STATUSES,
    WORKLOADS,
)

EXAMPLES = Path(__file__).parents[3] / "examples"
OURS = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
RUN_TIME = "pod-complete.stage.kwok.x-k8s.io/delay"
END_TIME = "pod-delete.stage.kwok.x-k8s.io/delay"


class Stack:
    """A fleet with everything installed and both controllers running."""

    def __init__(self, fleet: Fleet, programs: Programs, hub: Space, wds: Space, its: Space) -> None:
        self.fleet, self.programs, self.hub, self.wds, self.its = fleet, programs, hub, wds, its
        self.rules = Rules()  # the judge's

    async def submit(self, example: str = "batch-job.yaml", *, runs: str = "2s", **changes: Any) -> Obj:
        """Create an example's job with a shorter simulated run."""
        job = yaml.safe_load((EXAMPLES / example).read_text())
        annotations = job["spec"]["template"]["metadata"].setdefault("annotations", {})
        annotations |= {RUN_TIME: runs, **changes.pop("pod_annotations", {})}
        annotations.pop("pod-complete.stage.kwok.x-k8s.io/jitter-delay", None)
        if requests := changes.pop("requests", {}):
            job["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": requests}
        if grace := changes.pop("grace", 0):
            job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = grace
        if name := changes.pop("name", ""):
            job["metadata"]["name"] = name
            del job["metadata"]["generateName"]
        job["metadata"]["namespace"] = changes.pop("namespace", job["metadata"]["namespace"])
        job["metadata"]["labels"] |= changes.pop("labels", {})
        job["metadata"]["annotations"] = changes.pop("annotations", {})
        job["spec"] |= changes
        return await self.hub.create(JOBS, job)

    async def make_queue(self, name: str, *, cpu: int) -> dict[str, str]:
        """A ClusterQueue with so much quota for good, and its LocalQueue; returns the label for its jobs."""
        await self.hub.create(CLUSTER_QUEUES, cluster_queue(name, cpu))
        local = {
            "apiVersion": LOCAL_QUEUES.api_version,
            "kind": LOCAL_QUEUES.kind,
            "metadata": {"name": name, "namespace": "team-a"},
            "spec": {"clusterQueue": name},
        }
        await self.hub.create(LOCAL_QUEUES, local)
        return {keys.QUEUE_NAME: name}

    async def workload_of(self, job: Obj) -> Obj:
        """The job's Workload, once Kueue has made it."""

        async def find() -> list[Obj]:
            selector = f"{keys.KUEUE_JOB_UID}={job['metadata']['uid']}"
            return await self.hub.list(WORKLOADS, job["metadata"]["namespace"], label_selector=selector)

        return (await eventually(find, bool, within=20, what="a Workload"))[0]

    async def condition(self, job: Obj, kind: str, *, within: float = 60) -> Obj:
        """Wait until the Workload's condition is True."""

        async def read() -> Obj:
            workload = await self.workload_of(job)
            return {c["type"]: c for c in workload.get("status", {}).get("conditions", ())}

        conditions = await eventually(
            read,
            lambda c: c.get(kind, {}).get("status") == "True",
            within=within,
            what=f"{kind} of {job['metadata']}",
        )
        found: Obj = conditions[kind]
        return found

    async def change(self, resource: Resource, name: str, namespace: str | None, spec: Obj) -> None:
        """Merge into an object's spec, as ``kubectl patch`` does."""
        found = await self.hub.get(resource, name, namespace)
        body = {"metadata": {"uid": found["metadata"]["uid"]}, "spec": spec}
        await self.hub.patch(resource, body, name=name, namespace=namespace)

    async def reserved(self, job: Obj) -> bool:
        """Whether its Workload holds quota now."""
        conditions = (await self.workload_of(job))["status"]["conditions"]
        return any(c["type"] == "QuotaReserved" and c["status"] == "True" for c in conditions)

    async def placed(self, job: Obj) -> tuple[str, int]:
        """Cluster and attempt of the decision in force."""
        check = (await self.workload_of(job))["status"]["admissionChecks"][0]
        annotations = check["podSetUpdates"][0]["annotations"]
        return annotations[keys.CLUSTER], int(annotations[keys.ATTEMPT])

    async def events(self, job: Obj) -> dict[str, str]:
        """What the job's events say, by reason; the newest text of each."""
        found = await self.hub.list(EVENTS, job["metadata"]["namespace"])
        own = [e for e in found if e["involvedObject"].get("uid") == job["metadata"]["uid"]]
        return {e["reason"]: e["message"] for e in sorted(own, key=lambda e: str(e["lastTimestamp"]))}

    async def history(self) -> judge.History:
        """What the API servers' audit logs say until now."""
        return await asyncio.to_thread(judge.read, self.fleet.root / "audit")

    async def pods(self, workload: Obj) -> list[PodLife]:
        """All pods that any worker ever had for this Workload, in the order of their creation."""
        uid = workload["metadata"]["uid"]
        pods = [pod for pod in (await self.history()).pods if pod.workload == uid]
        return sorted(pods, key=lambda pod: pod.appeared.earliest)

    async def running(self, job: Obj) -> Obj:
        """Wait until the hub job shows a ready pod, and a start time that only a worker can have given."""
        read = lambda: self.hub.get(JOBS, job["metadata"]["name"], job["metadata"]["namespace"])  # noqa: E731
        return await eventually(
            read,
            lambda j: bool(j["status"].get("ready")) and "startTime" in j["status"],
            within=30,
            what="a running pod",
        )

    async def gone(self, job: Obj) -> None:
        """Wait until the hub has the job no more."""

        async def names() -> list[str]:
            return [j["metadata"]["uid"] for j in await self.hub.list(JOBS, job["metadata"]["namespace"])]

        await eventually(
            names, lambda found: job["metadata"]["uid"] not in found, within=60, what="the job's end"
        )

    async def restart(self, *options: str) -> None:
        """End both controllers in order and start them again; returns when both lead.

        One that gets a SIGTERM before it has come so far ends by it, and not with 0.
        """
        await self.programs.stop()
        await self.programs.start("quota-manager")
        await self.programs.start("workload-controller", options=options)

        async def holders() -> list[str]:
            names = ("quota-manager", "workload-controller")
            leases = [await self.hub.get(LEASES, name, keys.SYSTEM_NAMESPACE) for name in names]
            return [lease["spec"].get("holderIdentity") or "" for lease in leases]

        await eventually(holders, all, within=20, what="both leaders")

    async def nothing_left(self) -> None:
        """No copy, no wave, no work or status of a job, anywhere."""

        async def leftovers() -> list[str]:
            copies = await self.wds.list(JOBS)
            waves = await self.wds.list(BINDING_POLICIES, label_selector=f"{OURS},{keys.WORKLOAD_UID}")
            works = [w for w in await self.its.list(MANIFEST_WORKS) if '"Job"' in json.dumps(w["spec"])]
            statuses = [
                s for s in await self.its.list(WORK_STATUSES) if s["spec"]["sourceRef"]["kind"] == "Job"
            ]
            return [o["metadata"]["name"] for o in (*copies, *waves, *works, *statuses)]

        await eventually(leftovers, lambda found: not found, within=60, what="nothing left over")

    def judged(self) -> None:
        """The audit logs show no violation so far."""
        assert not self.fleet.deaths
        assert not self.programs.dead(), self.programs.log_tails()
        violations = judge.check(judge.read(self.fleet.root / "audit"), self.rules)
        assert not violations, "\n".join(map(str, violations))


@asynccontextmanager
async def running_stack(folder: Path) -> AsyncIterator[Stack]:
    """With two workers and quotas that are filled; the logs are in ``folder``."""
    async with Fleet(folder / "fleet", Options(workers=2)) as fleet:
        await install_everywhere(fleet)
        async with (
            running_programs(fleet, folder) as programs,
            fleet.space("hub") as hub,
            fleet.space("wds") as wds,
            fleet.space("its") as its,
        ):
            await quota_is_filled(hub)
            yield Stack(fleet, programs, hub, wds, its)


def cluster_queue(name: str, cpu: int) -> Obj:
    """A queue that preempts, without QuotaManager: its one quota is ``cpu`` of the flavor standard."""
    quota = {"name": "standard", "resources": [{"name": "cpu", "nominalQuota": cpu}]}
    return {
        "apiVersion": CLUSTER_QUEUES.api_version,
        "kind": CLUSTER_QUEUES.kind,
        "metadata": {"name": name},
        "spec": {
            "namespaceSelector": {},
            "preemption": {"withinClusterQueue": "LowerPriority"},
            "admissionChecksStrategy": {"admissionChecks": [{"name": "kubestellar"}]},
            "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [quota]}],
        },
    }
