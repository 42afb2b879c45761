"""Tenants and workers who claim to be what they are not."""

import asyncio

import pytest

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.tenants.tenancy import QUEUE, Tenancy, example
from vocabulary import keys
from vocabulary.resources import JOBS, MANIFEST_WORKS, WORK_STATUSES, WORKLOADS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

FORGED_LABELS = {
    keys.WAVE: "wave-of-somebody-else",
    keys.CLUSTER: "nowhere",
    keys.WORKLOAD_UID: "0000",
    keys.CARRIED: "true",
    keys.MANAGED_BY_LABEL: "somebody-else",
    "kubestellar.io/cluster": "nowhere",
    "transport.kubestellar.io/originOwnerReferenceBindingKey": "nothing",
}
FORGED_ANNOTATIONS = {
    keys.ATTEMPT: "7",
    keys.WORKLOAD: "team-b/somebody-elses",
    keys.JOB_UID: "0000",
    keys.HUB_NAMESPACE_UID: "0000",
    keys.LEASE_SECONDS: "1",
    "work.open-cluster-management.io/nonsense": "x",
    "control.kubestellar.io/expand-templates": "true",
    "open-cluster-management.io/nonsense": "x",
}
FOREIGN_ON_PODS = {
    "kubestellar.io/cluster": "nowhere",
    "work.open-cluster-management.io/nonsense": "x",
    "kueue.x-k8s.io/nonsense": "x",
}


async def test_our_words_on_a_job_are_overwritten_or_dropped(tenancy: Tenancy) -> None:
    body = example("liar", runs="6s")
    body["metadata"]["labels"] |= FORGED_LABELS
    body["metadata"]["annotations"] = dict(FORGED_ANNOTATIONS)
    for field in ("labels", "annotations"):
        body["spec"]["template"]["metadata"].setdefault(field, {}).update(FOREIGN_ON_PODS)
    job = await tenancy.create_job(body)
    await tenancy.running(job)
    workload = await tenancy.workload_of(job)
    ((cluster, remote),) = (await tenancy.on_workers(JOBS, "liar", "team-a")).items()
    labels, annotations = remote["metadata"]["labels"], remote["metadata"]["annotations"]
    assert labels[keys.CLUSTER] == cluster
    assert labels[keys.WORKLOAD_UID] == workload["metadata"]["uid"]
    assert labels[keys.MANAGED_BY_LABEL] == keys.MANAGED_BY
    assert annotations[keys.ATTEMPT] == "1"
    assert annotations[keys.WORKLOAD] == f"team-a/{workload['metadata']['name']}"
    assert annotations[keys.JOB_UID] == job["metadata"]["uid"]
    assert keys.LEASE_SECONDS not in annotations
    template = remote["spec"]["template"]["metadata"]
    kept = {**labels, **annotations, **template["labels"], **template["annotations"]}
    assert not {"nowhere", "nothing", "x", "0000", "wave-of-somebody-else"} & set(kept.values())
    assert (await tenancy.condition(job, "Finished"))["reason"] == "Succeeded"
    await tenancy.nothing_left()


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize("key", [keys.CLUSTER, keys.ATTEMPT, keys.WORKLOAD_UID])
async def test_our_words_on_its_pods_are_refused(tenancy: Tenancy, field: str, key: str) -> None:
    """There they would take part: Kueue writes our decision into the same place."""
    body = example(f"liar-{field}-{key.rpartition('/')[2]}")
    body["spec"]["template"]["metadata"].setdefault(field, {})[key] = "w1"
    await refused(tenancy, await tenancy.create_job(body), f"Keys below {keys.PREFIX} are ours")


async def test_what_refers_to_another_namespace_is_refused(tenancy: Tenancy) -> None:
    body = example("reader")
    secret = {"secretName": "password", "secretNamespace": "team-b", "shareName": "s"}
    volume = {"name": "v", "csi": {"driver": "file.csi.azure.com", "volumeAttributes": secret}}
    body["spec"]["template"]["spec"]["volumes"] = [volume]
    await refused(
        tenancy, await tenancy.create_job(body), "A job may refer to its own namespace only: team-a"
    )


async def test_a_workload_that_names_somebody_elses_job(tenancy: Tenancy) -> None:
    """It waits for a Workload that its owner will make; Kueue leaves any other alone, and gives it quota."""
    body = example("victim")
    body["metadata"]["annotations"] = {"kueue.x-k8s.io/prebuilt-workload-name": "of-its-owner"}
    victim = await tenancy.create_job(body)
    forged = await tenancy.hub.create(WORKLOADS, workload_for(victim, "cheap"))

    async def conditions() -> str:
        return str((await tenancy.hub.get(WORKLOADS, "cheap", "team-a")).get("status", {}))

    await eventually(
        conditions, lambda s: "Kueue did not make it" in s, within=30, what="the forged Workload's refusal"
    )
    assert not await tenancy.wds.list(JOBS)
    assert not await tenancy.on_workers(JOBS, "victim", "team-a")
    status = (await tenancy.hub.get(JOBS, "victim", "team-a")).get("status", {})
    assert not status.get("active")
    await tenancy.hub.delete(WORKLOADS, "cheap", "team-a", uid=forged["metadata"]["uid"])
    await tenancy.delete_job(victim)


async def test_a_worker_that_reports_another_workers_job(tenancy: Tenancy) -> None:
    job = await tenancy.create_job(example("honest", runs="12s"))
    await tenancy.running(job)
    ((cluster, remote),) = (await tenancy.on_workers(JOBS, "honest", "team-a")).items()
    liar = next(worker for worker in tenancy.workers if worker != cluster)
    (work,) = [
        w
        for w in await tenancy.its.list(MANIFEST_WORKS)
        if w["spec"]["workload"]["manifests"][0]["metadata"]["name"] == "honest"
    ]
    now = remote["status"]["startTime"]
    done = {
        "startTime": now,
        "completionTime": now,
        "succeeded": 1,
        "conditions": [
            {"type": kind, "status": "True", "lastProbeTime": now, "lastTransitionTime": now}
            for kind in ("SuccessCriteriaMet", "Complete")
        ],
    }
    # Its own add-on would take the lies away, and so would the garbage collector the one with the owner.
    honest = [
        tenancy.fleet.component(name) for name in (f"{liar}/status-addon", "control/kube-controller-manager")
    ]
    for component in honest:
        component.stop()
    for number, owner in enumerate((None, work["metadata"])):
        made = await tenancy.its.create(WORK_STATUSES, report(f"lie-{number}", liar, remote, owner))
        await tenancy.its.update(WORK_STATUSES, {**made, "status": done}, subresource="status")
    await asyncio.sleep(3)  # a lie that is believed shows within some 100 ms
    status = (await tenancy.hub.get(JOBS, "honest", "team-a"))["status"]
    for component in honest:
        component.cont()
    assert not status.get("succeeded")
    assert status["active"] == 1
    assert (await tenancy.condition(job, "Finished"))["reason"] == "Succeeded"
    await tenancy.nothing_left()


async def refused(tenancy: Tenancy, job: Obj, words: str) -> None:
    """The check is Rejected with these words, and the job is on no worker."""
    await tenancy.until_told(job, words)
    await tenancy.condition(job, "Evicted")
    assert not await tenancy.on_workers(JOBS, job["metadata"]["name"], job["metadata"]["namespace"])
    await tenancy.delete_job(job)


def workload_for(job: Obj, name: str) -> Obj:
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
        "controller": True,
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "c", "resources": {"requests": {"cpu": "1m"}}}],
    }
    return {
        "apiVersion": WORKLOADS.api_version,
        "kind": WORKLOADS.kind,
        "metadata": {"name": name, "namespace": job["metadata"]["namespace"], "ownerReferences": [owner]},
        "spec": {
            "queueName": QUEUE,
            "podSets": [{"name": "main", "count": 1, "template": {"spec": pod}}],
        },
    }


def report(name: str, cluster: str, job: Obj, owner: Obj | None) -> Obj:
    """A WorkStatus as the status add-on would write it, of a cluster that has no such job."""
    metadata: Obj = {"name": name, "namespace": cluster}
    if owner is not None:
        metadata["labels"] = owner["labels"]
        metadata["ownerReferences"] = [
            {
                "apiVersion": MANIFEST_WORKS.api_version,
                "kind": MANIFEST_WORKS.kind,
                "name": owner["name"],
                "uid": owner["uid"],
            }
        ]
    source = {"group": "batch", "version": "v1", "kind": "Job", "resource": "jobs"}
    source |= {key: job["metadata"][key] for key in ("name", "namespace")}
    return {
        "apiVersion": WORK_STATUSES.api_version,
        "kind": WORK_STATUSES.kind,
        "metadata": metadata,
        "spec": {"sourceRef": source},
    }
