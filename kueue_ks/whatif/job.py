"""What would become of a job that is created now: quota, the verdict on every cluster, the choice. Pure.

The Workload that Kueue would make is put beside the real ones, holding quota and waiting for our check; then
the controller's own code is asked.
"""

from dataclasses import replace
from typing import Any

from kube_runtime.objects import Obj
from kueue_ks.errors import CommandError, Exit
from kueue_ks.forecast.quota import UNSEEN, Assignment, Quotas
from kueue_ks.forecast.verdicts import best, verdict_rows
from kueue_ks.forecast.world import World, check_of
from kueue_ks.views.facts import Facts, rfc3339
from kueue_ks.views.seen import Seen
from kueue_ks.whatif.report import JobForecast, WhatIf
from vocabulary import keys
from workload_controller import reading
from workload_controller.facts import WorkloadFacts
from workload_controller.lifecycle import next_action
from workload_controller.refusals import workload_names
from workload_controller.steps import Place, Reject

UID = "what-if"
TIED = "which of them: a hash of the uid that the job will get"


def submit(seen: Seen, facts: Facts, given: Obj, namespace: str) -> WhatIf:
    """``given`` is the Job as its user wrote it, ``namespace`` where to create it if it does not say."""
    job = _as_created(given, namespace)
    queue = (job["metadata"].get("labels") or {}).get(keys.QUEUE_NAME, "")
    head = _cluster_queue(seen, job["metadata"]["namespace"], queue)
    check = check_of(seen, head)
    try:
        workload = _workload(job, queue, head, check)
    except (AttributeError, KeyError, TypeError, ValueError) as bad:
        what = f"the job cannot be read: {type(bad).__name__}: {bad}"
        raise CommandError(what, fix="kubectl create --dry-run=server -f says more", code=Exit.USAGE) from bad
    world = World(
        replace(seen, jobs=[*(seen.jobs or ()), job], workloads=[*(seen.workloads or ()), workload])
    )
    own = next((w for w in world.workloads if w.uid == UID), None)
    if own is None:
        what = "the job cannot be read"
        raise CommandError(what, fix="check its resources: amounts as Kubernetes writes them")
    quota = Quotas(seen.cluster_queues or (), world.view.known_flavors()).assign(head, own.pod_sets)
    forecast = _forecast(world, own, quota, queue, head, check)
    tied = (TIED,) if len(forecast.clusters) > 1 else ()
    return WhatIf(
        at=rfc3339(world.now),
        verb="job",
        cluster="",
        job=forecast,
        unknown=(*tied, *_ahead(seen, head), UNSEEN),
        options_known=world.options.known,
        unread=facts.unread,
    )


def _forecast(
    world: World, own: WorkloadFacts, quota: Assignment, queue: str, head: str, check: str
) -> JobForecast:
    found = JobForecast(own.namespace, own.owner_name, queue, head, "", "", (), quota.needs, ())
    flavors = frozenset((quota.flavors or {}).values()) or frozenset(n.flavor for n in quota.needs)
    pod_sets = tuple(replace(p, flavors=flavors) for p in own.pod_sets)
    situation = world.situation(own)
    situation = replace(situation, workload=replace(own, pod_sets=pod_sets))
    if not check:
        return replace(found, outcome="Never", why=f"ClusterQueue {head} has no AdmissionCheck of ours")
    action = next_action(situation, world.options.timing)
    if isinstance(action, Reject):
        return replace(found, outcome="Never", why=str(action.refusal))
    choice = world.choose(situation) if isinstance(action, Place) else None
    if choice is None:
        return replace(found, outcome="WaitsForCluster", why="our check has no say in it")
    if choice.placement is None:
        return replace(found, outcome="WaitsForCluster", why=choice.obstacle)
    found = replace(found, verdicts=verdict_rows(choice.placement, world.clusters, world.held, pod_sets))
    if choice.never is not None:
        return replace(found, outcome="Never", why=str(choice.never))
    if quota.problem or quota.flavors is None:
        outcome = "Never" if quota.problem else "WaitsForQuota"
        return replace(found, outcome=outcome, why=quota.why, clusters=best(choice.placement))
    if choice.placement.choice is None:
        return replace(found, outcome="WaitsForCluster", why=str(choice.placement))
    return replace(found, outcome="Placed", clusters=best(choice.placement))


def _ahead(seen: Seen, head: str) -> tuple[str, ...]:
    queue = next((q for q in seen.cluster_queues or () if q["metadata"]["name"] == head), {})
    waiting = (queue.get("status") or {}).get("pendingWorkloads") or 0
    return (f"{waiting} jobs wait in {head} already and may come first",) if waiting else ()


def _as_created(given: Obj, namespace: str) -> Obj:
    if (given.get("apiVersion"), given.get("kind")) != ("batch/v1", "Job"):
        what = f"it is a {given.get('kind') or 'nameless thing'}, not a batch/v1 Job"
        raise CommandError(what, fix="give the file of one Job", code=Exit.USAGE)
    metadata: dict[str, Any] = dict(given.get("metadata") or {})
    name = metadata.get("name") or f"{metadata.get('generateName', 'job-')}…"
    metadata |= {
        "name": name,
        "namespace": namespace or metadata.get("namespace", "default"),
        "uid": f"{UID}-job",
        "resourceVersion": "0",
    }
    spec = {"managedBy": keys.CONTROLLER_NAME, **given["spec"], "suspend": True}
    return {**given, "metadata": metadata, "spec": spec}


def _cluster_queue(seen: Seen, namespace: str, queue: str) -> str:
    if not queue:
        what = f"the job has no label {keys.QUEUE_NAME}"
        raise CommandError(what, why="Kueue leaves it alone", fix="name its LocalQueue there")
    names = []
    for each in seen.local_queues or ():
        if each["metadata"]["namespace"] == namespace:
            names.append(each["metadata"]["name"])
            if each["metadata"]["name"] == queue:
                return str(each["spec"].get("clusterQueue", ""))
    there = ", ".join(sorted(names)) or "none"
    what = f"no LocalQueue {queue!r} in namespace {namespace}"
    raise CommandError(what, why=f"there are: {there}", fix="name another queue, or its namespace with -n")


def _workload(job: Obj, queue: str, head: str, check: str) -> Obj:
    """As Kueue would have it once quota is reserved."""
    metadata, spec = job["metadata"], job["spec"]
    pods = min(spec.get("parallelism", 1), spec.get("completions", spec.get("parallelism", 1)))
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    reserved = {"type": "QuotaReserved", "status": "True"}
    return {
        "metadata": {
            "namespace": metadata["namespace"],
            "name": next(workload_names(reading.read_job(job))),
            "uid": UID,
            "resourceVersion": "0",
            "ownerReferences": [owner],
        },
        "spec": {
            "queueName": queue,
            "podSets": [{"name": "main", "count": pods, "template": spec["template"]}],
        },
        "status": {
            "conditions": [reserved],
            "admission": {"clusterQueue": head, "podSetAssignments": [{"name": "main", "count": pods}]},
            "admissionChecks": [{"name": check, "state": "Pending"}] if check else [],
        },
    }
