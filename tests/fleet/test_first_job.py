"""Jobs on the real stack: admitted by Kueue, carried by KubeStellar, run on a worker, reported on the hub.

After each test the judge reads the audit logs of all API servers; it knows nothing of our code.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from tests import judge
from tests.fleet.programs import Programs, eventually, install_everywhere, quota_is_filled, running_programs
from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, JOBS, MANIFEST_WORKS, PODS, WORK_STATUSES, WORKLOADS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

EXAMPLES = Path(__file__).parents[2] / "examples"
OURS = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
RUN_TIME = "pod-complete.stage.kwok.x-k8s.io/delay"
END_TIME = "pod-delete.stage.kwok.x-k8s.io/delay"
ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
ADMISSION_BINDINGS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)


class Stack:
    """A fleet with everything installed and both controllers running."""

    def __init__(self, fleet: Fleet, programs: Programs, hub: Space, wds: Space, its: Space) -> None:
        self.fleet, self.programs, self.hub, self.wds, self.its = fleet, programs, hub, wds, its

    async def submit(self, example: str = "batch-job.yaml", *, runs: str = "2s", **changes: Any) -> Obj:
        """Create an example's job with a shorter simulated run."""
        job = yaml.safe_load((EXAMPLES / example).read_text())
        annotations = job["spec"]["template"]["metadata"].setdefault("annotations", {})
        annotations |= {RUN_TIME: runs, **changes.pop("pod_annotations", {})}
        annotations.pop("pod-complete.stage.kwok.x-k8s.io/jitter-delay", None)
        job["spec"] |= changes
        return await self.hub.create(JOBS, job)

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

    async def running(self, job: Obj) -> Obj:
        """Wait until the hub job shows a ready pod, and a start time that only a worker can have given."""
        read = lambda: self.hub.get(JOBS, job["metadata"]["name"], job["metadata"]["namespace"])  # noqa: E731
        return await eventually(
            read,
            lambda j: bool(j["status"].get("ready")) and "startTime" in j["status"],
            within=30,
            what="a running pod",
        )

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
        violations = judge.check(judge.read(self.fleet.root / "audit"))
        assert not violations, "\n".join(map(str, violations))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("first-job")
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


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def judged(stack: Stack) -> AsyncIterator[None]:
    yield
    stack.judged()


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.yaml")))
async def test_every_example_finishes(stack: Stack, example: str) -> None:
    job = await stack.submit(example)
    finished = await stack.condition(job, "Finished")
    assert finished["reason"] == "Succeeded"
    workload = await stack.workload_of(job)
    check = workload["status"]["admissionChecks"][0]
    assert check["state"] == "Ready"
    assert check["podSetUpdates"][0]["annotations"][keys.CLUSTER] in check["message"]
    assert not await stack.hub.list(PODS)


async def test_ten_in_a_row_leave_nothing_behind(stack: Stack) -> None:
    jobs = [await stack.submit() for _ in range(10)]
    for job in jobs:
        await stack.condition(job, "Finished")
    await stack.nothing_left()


@pytest.mark.parametrize("seed", range(3))
async def test_kill_nine_at_any_moment_changes_nothing(stack: Stack, seed: int) -> None:
    moment = random.Random(seed).uniform(0.0, 6.0)
    jobs = [await stack.submit() for _ in range(5)]
    await asyncio.sleep(moment)  # the moment of the crash is what is tested
    await stack.programs.kill()
    await stack.programs.start()
    for job in jobs:
        assert (await stack.condition(job, "Finished"))["reason"] == "Succeeded"
    await stack.nothing_left()


async def test_an_evicted_job_keeps_its_quota_until_its_pods_have_ended(stack: Stack) -> None:
    """Pods take 6 s to end; Kueue may release the quota only then (I2)."""
    job = await stack.submit(runs="600s", pod_annotations={END_TIME: "6s"})
    await stack.running(job)
    workload = await stack.workload_of(job)
    patch = {"metadata": {"uid": workload["metadata"]["uid"]}, "spec": {"active": False}}
    await stack.hub.patch(WORKLOADS, patch, name=workload["metadata"]["name"], namespace="team-a")

    async def reserved() -> bool:
        conditions = (await stack.workload_of(job))["status"]["conditions"]
        return any(c["type"] == "QuotaReserved" and c["status"] == "True" for c in conditions)

    await asyncio.sleep(3)  # half of the pods' end
    assert await reserved(), "the quota was released while pods were ending"
    await eventually(reserved, lambda held: not held, within=60, what="the quota's release")
    await stack.nothing_left()


async def test_an_evicted_job_runs_again(stack: Stack) -> None:
    job = await stack.submit(runs="8s")
    await stack.running(job)
    workload = await stack.workload_of(job)
    for active in (False, True):
        patch = {"metadata": {"uid": workload["metadata"]["uid"]}, "spec": {"active": active}}
        await stack.hub.patch(WORKLOADS, patch, name=workload["metadata"]["name"], namespace="team-a")
        if not active:
            await stack.condition(job, "Evicted")
    assert (await stack.condition(job, "Finished", within=120))["reason"] == "Succeeded"
    check = (await stack.workload_of(job))["status"]["admissionChecks"][0]
    assert check["podSetUpdates"][0]["annotations"][keys.ATTEMPT] == "2"
    await stack.nothing_left()


async def test_a_deleted_job_is_withdrawn(stack: Stack) -> None:
    job = await stack.submit(runs="600s")
    await stack.running(job)
    await stack.hub.delete(JOBS, job["metadata"]["name"], "team-a", uid=job["metadata"]["uid"])
    await stack.nothing_left()


async def test_what_the_wds_refuses_is_rejected_in_its_own_words(stack: Stack) -> None:
    name = "no-forbidden-jobs"
    policy = {
        "apiVersion": ADMISSION_POLICIES.api_version,
        "kind": ADMISSION_POLICIES.kind,
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["batch"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["jobs"],
                    }
                ]
            },
            "validations": [
                {"expression": "object.spec.backoffLimit != 77", "message": "77 is not for this department"}
            ],
        },
    }
    binding = {
        "apiVersion": ADMISSION_BINDINGS.api_version,
        "kind": ADMISSION_BINDINGS.kind,
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    made = [
        await stack.wds.create(ADMISSION_POLICIES, policy),
        await stack.wds.create(ADMISSION_BINDINGS, binding),
    ]

    async def denied() -> bool:
        probe = yaml.safe_load((EXAMPLES / "batch-job.yaml").read_text())
        probe["metadata"] = {"name": "probe", "namespace": "team-a"}
        probe["spec"]["backoffLimit"] = 77
        try:
            await stack.wds.create(JOBS, probe, dry_run=True)
        except Exception as refused:  # noqa: BLE001  its class differs between policies
            return "77 is not" in str(refused)
        return False

    await eventually(denied, bool, within=20, what="the policy's effect")
    job = await stack.submit(backoffLimit=77)

    async def rejected() -> Obj:
        return (await stack.workload_of(job)).get("status", {})

    await eventually(
        rejected,
        lambda s: "77 is not for this department" in json.dumps(s.get("conditions", ())),
        within=30,
        what="a Rejected check with the words of the WDS",
    )
    await stack.condition(job, "Evicted")
    await stack.nothing_left()
    for resource, obj in zip((ADMISSION_POLICIES, ADMISSION_BINDINGS), made, strict=True):
        await stack.wds.delete(resource, name, uid=obj["metadata"]["uid"])


async def test_a_job_that_the_hub_would_run_itself_is_refused(stack: Stack) -> None:
    job = await stack.submit(managedBy="kubernetes.io/job-controller")

    async def status() -> Obj:
        return (await stack.workload_of(job)).get("status", {})

    await eventually(
        status,
        lambda s: "The hub itself would run it" in json.dumps(s.get("conditions", ())),
        within=30,
        what="the refusal",
    )
    assert not await stack.hub.list(PODS)


async def test_the_burst_is_spread_and_overbooks_nothing(stack: Stack) -> None:
    jobs = [await stack.submit("parallel-job.yaml") for _ in range(12)]
    placed = set()
    for job in jobs:
        await stack.condition(job, "Finished", within=120)
        check = (await stack.workload_of(job))["status"]["admissionChecks"][0]
        placed.add(check["podSetUpdates"][0]["annotations"][keys.CLUSTER])
    assert placed == {"w1", "w2"}
