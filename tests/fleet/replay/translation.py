"""A simulated scenario in the words of the real fleet: one ClusterQueue per seed, all at the same time.

What the simulation imitates is made in earnest here, so that jobs come to the same end for the same reason:

* A core of the simulation is ``CORE`` here: all seeds share the fleet's nodes at the same time.
* A pod that fails is one whose Job has an ``activeDeadlineSeconds``: kwok ends no pod with an error.
* "never" (no image) is a volume that nobody provides: the pod is made and never gets a node.
* "refused" is a policy on the workers; "big" asks for memory that no node has, inside its queue's quota.
* "unmanaged" lives in a namespace where our policy sets no managedBy.
"""

from typing import Any, Final

from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from tests.fleet.jobs.stack import END_TIME, RUN_TIME
from tests.simulation.scenario import JobPlan, Scenario
from vocabulary import keys
from vocabulary.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, NAMESPACES

PACE: Final = 0.6  # of the simulation's time: 100 seeds end within the minutes that CI has
CORE: Final = 50  # milli-cpu
LONGEST_GRACE: Final = 8  # seconds
UNMANAGED: Final = "replay-unmanaged"
REFUSED: Final = "replay/refused"  # label of pods
SERIAL: Final = "replay/job"  # label of jobs and their pods: "seed.serial"
PRIORITIES: Final = Resource(
    "kueue.x-k8s.io", "v1beta2", "workloadpriorityclasses", "WorkloadPriorityClass", namespaced=False
)
_ADMISSION: Final = ("admissionregistration.k8s.io", "v1")
POLICIES: Final = Resource(
    *_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False
)
POLICY_BINDINGS: Final = Resource(
    *_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
QUICK: Final = (
    "--placement-timeout=20",
    "--retry-delay=2",
    "--retry-delay-max=5",
    "--exclusion=20",
    "--apply-timeout=5",
)
_PATIENCE: Final = {  # of jobs that can never start: two attempts
    keys.TIME_IN_SECONDS: "8",
    keys.GROWTH_TYPE: "none",
    keys.MAX_NUM_REQUEUINGS: "1",
}


def serial_of(seed: int, job: JobPlan) -> str:
    return f"{seed}.{job.serial}"


def namespace_of(job: JobPlan) -> str:
    return UNMANAGED if job.trouble == "unmanaged" else job.namespace


def name_of(seed: int, job: JobPlan) -> str:
    return f"s{seed}-{job.name}"


def job_object(seed: int, job: JobPlan) -> Obj:
    """The Job as its user writes it."""
    serial = {SERIAL: serial_of(seed, job)}
    grace = max(1, min(LONGEST_GRACE, round(job.grace * PACE)))
    runs = f"{job.seconds * PACE:.1f}s"
    requests = {"cpu": f"{job.cpu * CORE}m"}
    pod: Obj = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace,
        "containers": [{"name": "main", "image": "busybox:1.37", "resources": {"requests": requests}}],
    }
    spec: Obj = {"suspend": True, "parallelism": job.pods, "completions": job.pods, "backoffLimit": 0}
    labels, annotations = dict(serial), {RUN_TIME: runs, END_TIME: f"{grace}s"}
    patience: dict[str, str] = {}
    match job.trouble:
        case "never":
            patience = _PATIENCE
            claim = {"name": "absent", "persistentVolumeClaim": {"claimName": "nobody-provides-this"}}
            pod["volumes"] = [claim]
        case "refused":
            patience, labels[REFUSED] = _PATIENCE, "true"
        case "big":
            requests["memory"] = "1Ti"
        case "reserved":
            annotations[keys.CLUSTER] = "w1"
        case "" if job.fails:
            annotations[RUN_TIME] = "3600s"
            spec["activeDeadlineSeconds"] = max(1, round(job.seconds * PACE))
    if job.ttl:
        spec["ttlSecondsAfterFinished"] = 1
    spec["template"] = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}
    own = {keys.QUEUE_NAME: queue_of(seed)} | serial
    if job.priority:
        own["kueue.x-k8s.io/priority-class"] = f"replay-{job.priority}"
    loss = {keys.ON_CLUSTER_LOSS: job.on_loss} if job.on_loss else {}
    metadata = {"namespace": namespace_of(job), "name": name_of(seed, job)}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {**metadata, "labels": own, "annotations": loss | patience},
        "spec": spec,
    }


def queue_of(seed: int) -> str:
    return f"seed-{seed}"


def queues(plan: Scenario) -> list[tuple[Resource, Obj]]:
    """The seed's ClusterQueue, with the quota that its simulation has, and a LocalQueue where it has jobs."""
    name = queue_of(plan.seed)
    quotas: list[Obj] = [
        {"name": "cpu", "nominalQuota": f"{plan.nominal * CORE}m"},
        {"name": "memory", "nominalQuota": "100Ti"},
    ]
    groups = [{"coveredResources": ["cpu", "memory"], "flavors": [{"name": "standard", "resources": quotas}]}]
    spec = {
        "namespaceSelector": {},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "admissionChecksStrategy": {"admissionChecks": [{"name": "kubestellar"}]},
        "resourceGroups": groups,
    }
    places = sorted({namespace_of(job) for job in plan.jobs})
    local = [({"name": name, "namespace": place}, {"clusterQueue": name}) for place in places]
    return [
        (CLUSTER_QUEUES, _object(CLUSTER_QUEUES, {"name": name}, spec=spec)),
        *((LOCAL_QUEUES, _object(LOCAL_QUEUES, metadata, spec=to)) for metadata, to in local),
    ]


def furniture() -> list[tuple[Resource, Obj]]:
    """What all seeds share on the hub."""
    labels = {keys.MANAGE_JOBS: "false"}
    return [
        (NAMESPACES, _object(NAMESPACES, {"name": UNMANAGED, "labels": labels})),
        (PRIORITIES, _object(PRIORITIES, {"name": "replay-1"}, value=1)),
    ]


def refusal() -> list[tuple[Resource, Obj]]:
    """On each worker: Jobs whose pods have the label are denied."""
    rule = {"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}
    unmarked = f"!has({_LABELS}) || !('{REFUSED}' in {_LABELS})"
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": unmarked, "message": "this worker does not want it"}],
    }
    bound = {"policyName": "replay", "validationActions": ["Deny"]}
    return [
        (POLICIES, _object(POLICIES, {"name": "replay"}, spec=spec)),
        (POLICY_BINDINGS, _object(POLICY_BINDINGS, {"name": "replay"}, spec=bound)),
    ]


_LABELS: Final = "object.spec.template.metadata.labels"


def _object(resource: Resource, metadata: Obj, **rest: Any) -> Obj:
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **rest}
