"""Attempts that do not start: told in the worker's words, tried elsewhere, in the end given up (I5)."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import yaml

from kube_runtime.errors import KubeError
from kube_runtime.objects import Obj
from tests.fleet.failures.trouble import IMPATIENT, Trouble, uid
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import EXAMPLES, RUN_TIME
from tests.fleet.jobs.test_first_job import ADMISSION_BINDINGS, ADMISSION_POLICIES
from vocabulary import keys
from vocabulary.resources import JOBS, LOCAL_QUEUES, NAMESPACES, PODS, WORKLOADS
from workload_controller.reading import seconds

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

PATIENCE = {keys.TIME_IN_SECONDS: "7", keys.GROWTH_TYPE: "none"}  # beyond transport and two reports
GRACE = 1  # seconds; withdrawn pods get them when the agent says nothing of their end
OTHER = {"w1": "w2", "w2": "w1"}


async def submit_with(trouble: Trouble, pod_spec: dict[str, Any], **annotations: str) -> Obj:
    """The plainest job, with more in its pod's spec."""
    job = yaml.safe_load((EXAMPLES / "batch-job.yaml").read_text())
    job["metadata"]["annotations"] = PATIENCE | annotations
    job["spec"]["template"]["metadata"]["annotations"] = {RUN_TIME: "2s"}
    job["spec"]["template"]["spec"] |= {"terminationGracePeriodSeconds": GRACE} | pod_spec
    return await trouble.hub.create(JOBS, job)


GATED = {"schedulingGates": [{"name": "example.com/nobody-opens-it"}]}
NO_FRIEND = {
    "affinity": {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {"matchLabels": {"app": "nowhere"}},
                    "topologyKey": "kubernetes.io/hostname",
                }
            ]
        }
    }
}


async def test_pods_that_never_get_ready_are_tried_elsewhere_and_then_given_up(trouble: Trouble) -> None:
    job = await submit_with(trouble, GATED, **{keys.MAX_NUM_REQUEUINGS: "1"})
    first = await trouble.hears(job, "PodsNotReady on ")
    cluster = first.partition("PodsNotReady on ")[2][:2]
    assert "SchedulingGated: Scheduling is blocked due to non-empty scheduling gates" in first
    assert "Requeuing 1 of 1: it queues again when its pods have ended" in first
    assert f"{cluster} is left out for 20s" in first
    evicted = await trouble.condition(job, "Evicted")
    assert evicted["reason"] == "AdmissionCheck"
    last = await trouble.hears(job, "RequeuingLimitExceeded: ")
    assert "At most 1 requeuings are allowed" in last
    for attempt, where in ((1, cluster), (2, OTHER[cluster])):
        assert f"attempt {attempt} on {where}: PodsNotReady: SchedulingGated" in last
    await trouble.given_up(job)
    workload = await trouble.workload_of(job)
    assert f"set spec.active of Workload {workload['metadata']['name']} to true" in last
    await trouble.reads(job, "Rejected: batch/v1 Job ")
    await trouble.nothing_left()
    assert [(p.cluster, p.attempt) for p in await trouble.pods(workload)] == [
        (cluster, "1"),
        (OTHER[cluster], "2"),
    ]
    await trouble.ended(job)


async def test_the_attempts_are_remembered_beyond_a_crash(trouble: Trouble) -> None:
    """Killed while the job waits for its second try: delay and limit count from where they were (I8)."""
    job = await submit_with(trouble, GATED, **{keys.MAX_NUM_REQUEUINGS: "2"})
    await trouble.hears(job, "Requeuing 1 of 2")
    await trouble.programs.kill("workload-controller")
    await trouble.programs.start("workload-controller", options=IMPATIENT)
    await trouble.hears(job, "Requeuing 2 of 2")
    last = await trouble.hears(job, "At most 2 requeuings are allowed", within=60)
    assert all(f"attempt {number} on w" in last for number in (1, 2, 3))
    await trouble.ended(job)


async def test_nobody_holds_the_quota_of_a_failed_attempt_until_its_next_try(trouble: Trouble) -> None:
    """Kueue alone would keep it for the whole delay; and without the delay it would reserve it at once."""
    await trouble.programs.kill("workload-controller")
    await trouble.programs.start("workload-controller", options=(*IMPATIENT, "--retry-delay=15"))
    try:
        job = await submit_with(trouble, GATED, **{keys.MAX_NUM_REQUEUINGS: "1"})
        await trouble.hears(job, "Requeuing 1 of 1")
        evicted = seconds((await trouble.condition(job, "Evicted"))["lastTransitionTime"])
        workload = await eventually(
            lambda: trouble.workload_of(job),
            lambda workload: reservation(workload)["status"] == "False",
            within=10,
            what="released quota",
        )
        released = seconds(reservation(workload)["lastTransitionTime"])
        again = seconds(workload["status"]["requeueState"]["requeueAt"])
        (check,) = workload["status"]["admissionChecks"]
        assert check["state"] == "Pending"
        assert "it queues again at " in check["message"]
        second = await trouble.hears(job, "(attempt 2)")
        assert second.startswith("Placed: ")
        reserved_at = reservation(await trouble.workload_of(job))["lastTransitionTime"]
        assert released - evicted <= GRACE + 6  # withdrawn, their grace and its margin
        assert again - evicted >= 13
        assert 0 <= seconds(reserved_at) - again <= 3
        await trouble.given_up(job)
        await trouble.ended(job)
    finally:
        await trouble.programs.kill("workload-controller")
        await trouble.programs.start("workload-controller", options=IMPATIENT)


def reservation(workload: Obj) -> Obj:
    """Its condition QuotaReserved."""
    found: Obj = {c["type"]: c for c in workload["status"]["conditions"]}["QuotaReserved"]
    return found


async def test_what_the_workers_scheduler_says_is_told(trouble: Trouble) -> None:
    """Our placement counts room; what stands against it there only the worker's scheduler knows."""
    job = await submit_with(trouble, NO_FRIEND)
    told = await trouble.hears(job, "PodsNotReady on ")
    assert "Unschedulable: 0/" in told
    assert "didn't match pod affinity rules" in told
    await trouble.ended(job)


async def test_an_image_that_cannot_be_pulled_is_told(trouble: Trouble) -> None:
    """The only cluster that the job may use is tried again."""
    kubelets = trouble.fleet.component("w1/kwok")
    kubelets.stop()
    try:
        job = await trouble.submit(grace=GRACE, annotations=PATIENCE | {keys.CLUSTERS: "w1"})
        workload = await trouble.workload_of(job)

        async def bound() -> list[Obj]:
            found = await trouble.workers["w1"].list(
                PODS, "team-a", label_selector=f"{keys.WORKLOAD_UID}={uid(workload)}"
            )
            return [pod for pod in found if pod["spec"].get("nodeName")]

        (pod,) = await eventually(bound, bool, within=20, what="a bound pod")
        await trouble.workers["w1"].patch(
            PODS, pull_failure(pod), name=pod["metadata"]["name"], namespace="team-a", subresource="status"
        )
        told = await trouble.hears(job, "PodsNotReady on w1")
        assert 'ErrImagePull: failed to resolve reference "x": not found' in told
    finally:
        kubelets.cont()
    assert (await trouble.condition(job, "Finished"))["reason"] == "Succeeded"
    assert await trouble.placed(job) == ("w1", 2)
    await trouble.nothing_left()


def pull_failure(pod: Obj) -> Obj:
    """What kubelet 1.36 writes; the simulated one pulls nothing."""
    message = 'Back-off pulling image "x": ErrImagePull: failed to resolve reference "x": not found'
    container = {"name": "main", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": message}}
    return {
        "metadata": {"uid": uid(pod)},
        "status": {"containerStatuses": [{**container, "state": waiting}]},
    }


class Denied(NamedTuple):
    reason: str
    resource: str
    where: str  # the annotation's bearer: "job" or "pod"
    told: str


DENIALS = [
    Denied("the worker refuses the Job", "jobs", "job", "ApplyFailed on "),
    Denied("the worker refuses its pods", "pods", "pod", "PodsNotReady on "),
]
WORDS = "first attempts are not for this cluster"
DENY = "tests.example.com/first-attempt"


@pytest_asyncio.fixture(loop_scope="package", params=DENIALS, ids=lambda case: case.reason)
async def denied(trouble: Trouble, request: pytest.FixtureRequest) -> AsyncIterator[Denied]:
    """Both workers refuse what bears the annotation, in a job's first attempt only."""
    case: Denied = request.param
    name = f"deny-{case.resource}"
    group = {"jobs": "batch", "pods": ""}[case.resource]
    rule = {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": [case.resource],
    }
    bears = f"has(object.metadata.annotations) && '{DENY}' in object.metadata.annotations"
    first = f"object.metadata.annotations[?'{keys.ATTEMPT}'].orValue('1') == '1'"
    policy = {
        "apiVersion": ADMISSION_POLICIES.api_version,
        "kind": ADMISSION_POLICIES.kind,
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": f"!({bears} && {first})", "message": WORDS}],
        },
    }
    binding = {
        "apiVersion": ADMISSION_BINDINGS.api_version,
        "kind": ADMISSION_BINDINGS.kind,
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
    made = []
    for worker in trouble.workers.values():
        for resource, body in ((ADMISSION_POLICIES, policy), (ADMISSION_BINDINGS, binding)):
            made.append((worker, resource, await worker.create(resource, body)))
        probe: Obj = {"metadata": {"name": "probe", "namespace": "default", "annotations": {DENY: ""}}}
        template = yaml.safe_load((EXAMPLES / "batch-job.yaml").read_text())["spec"]["template"]["spec"]
        kind = JOBS if case.resource == "jobs" else PODS
        probe |= {"apiVersion": kind.api_version, "kind": kind.kind}
        probe["spec"] = {"template": {"spec": template}} if case.resource == "jobs" else template

        async def refuses() -> bool:
            try:
                await worker.create(kind, probe, dry_run=True)  # noqa: B023 - used within its turn
            except KubeError as refused:
                return WORDS in str(refused)
            return False

        await eventually(refuses, bool, within=20, what="the policy's effect")
    yield case
    for worker, resource, obj in made:
        await worker.delete(resource, name, uid=uid(obj))


async def test_what_a_worker_refuses_runs_elsewhere(trouble: Trouble, denied: Denied) -> None:
    where = "annotations" if denied.where == "job" else "pod_annotations"
    changes: dict[str, Any] = {"grace": GRACE, "annotations": dict(PATIENCE), "pod_annotations": {}}
    changes[where] |= {DENY: "no"}
    job = await trouble.submit(**changes)
    told = await trouble.hears(job, f"{denied.told}w")
    cluster = told.partition(denied.told)[2][:2]
    assert WORDS in told
    assert (await trouble.condition(job, "Finished"))["reason"] == "Succeeded"
    assert await trouble.placed(job) == (OTHER[cluster], 2)
    assert len(await trouble.pods(await trouble.workload_of(job))) == 1
    await trouble.nothing_left()


async def test_a_namespace_that_cannot_be_carried_gives_the_quota_back_again_and_again(
    trouble: Trouble,
) -> None:
    name = "not-ours"
    made = {"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind, "metadata": {"name": name}}
    foreign = await trouble.wds.create(NAMESPACES, made)
    await trouble.hub.create(NAMESPACES, made)
    queue = {
        "apiVersion": LOCAL_QUEUES.api_version,
        "kind": LOCAL_QUEUES.kind,
        "metadata": {"name": "default-queue", "namespace": name},
        "spec": {"clusterQueue": "team-queue"},
    }
    await trouble.hub.create(LOCAL_QUEUES, queue)
    job = await trouble.submit(namespace=name)
    told = await trouble.hears(job, "No cluster could take it for 12s")
    assert "is not ours" in told
    assert "The quota goes back" in told

    async def tries() -> int:
        (check,) = (await trouble.workload_of(job))["status"]["admissionChecks"]
        return check.get("retryCount") or 0

    await eventually(tries, bool, within=30, what="a count of the tries")
    await trouble.wds.delete(NAMESPACES, name, uid=uid(foreign))
    assert (await trouble.condition(job, "Finished"))["reason"] == "Succeeded"
    await trouble.nothing_left()


class Slip(NamedTuple):
    key: str
    value: str
    remedy: str


SLIPS = [
    Slip(keys.ON_CLUSTER_LOSS, "sometimes", "one of atMostOnce, leased, atLeastOnce"),
    Slip(keys.ON_JOB_REMOVED, "ignore", "one of restart, reject"),
    Slip(keys.TIME_IN_SECONDS, "0", "seconds, at least 1"),
    Slip(keys.GROWTH_TYPE, "quadratic", "one of exponential, linear, none"),
    Slip(keys.MAX_TIME_IN_SECONDS, "5m", "a whole number from 0 to"),
    Slip(keys.MAX_NUM_REQUEUINGS, "-1", "a whole number from 0 to"),
    Slip(keys.CLUSTERS, " , ", "the names of clusters, at least one, separated by commas"),
]


async def test_a_wish_that_cannot_be_read_rejects_the_job_with_its_remedy(trouble: Trouble) -> None:
    jobs = [(await trouble.submit(annotations={slip.key: slip.value}), slip) for slip in SLIPS]
    for job, slip in jobs:
        told = await trouble.hears(job, "BadAnnotation: ")  # Kueue tells the same in an event of its own
        assert f"annotation {slip.key}" in told
        assert repr(slip.value) in told
        assert slip.remedy in told
        await trouble.given_up(job)
        await trouble.reads(job, "Rejected: batch/v1 Job ")
        await trouble.ended(job)


async def test_a_rejected_job_runs_once_it_is_mended_and_activated(trouble: Trouble) -> None:
    """Kueue would not queue it again if it had deactivated it for our check's state Rejected."""
    job = await trouble.submit(annotations={keys.MAX_NUM_REQUEUINGS: "many"})
    await trouble.given_up(job)
    metadata = job["metadata"]
    mended = {"metadata": {"uid": metadata["uid"], "annotations": {keys.MAX_NUM_REQUEUINGS: "2"}}}
    await trouble.hub.patch(JOBS, mended, name=metadata["name"], namespace=metadata["namespace"])
    workload = (await trouble.workload_of(job))["metadata"]
    await trouble.change(WORKLOADS, workload["name"], workload["namespace"], {"active": True})
    assert (await trouble.condition(job, "Finished"))["reason"] == "Succeeded"
    await trouble.nothing_left()


async def test_a_cluster_that_does_not_exist_is_answered_with_what_is_allowed(trouble: Trouble) -> None:
    job = await trouble.submit(annotations={keys.CLUSTERS: "w1-typo"})
    await trouble.reads(job, "not allowed for it (allowed: w1-typo, which is not registered)")
    assert not await trouble.wds.list(JOBS)
    await trouble.ended(job)
