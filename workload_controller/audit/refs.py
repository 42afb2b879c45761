"""How findings name objects."""

from vocabulary.resources import JOBS, MANIFEST_WORKS, WORKLOADS
from workload_controller.audit.facts import PodsSeen
from workload_controller.audit.finding import Ref
from workload_controller.facts import CopyFacts, JobFacts, PolicyFacts, WorkFacts, WorkloadFacts

PODS = "Pods of Workload"
"""Not an object: what a report counts for a Workload's uid."""


def workload_ref(w: WorkloadFacts) -> Ref:
    """A Workload on the hub."""
    return Ref("hub", WORKLOADS.kind, w.namespace, w.name, w.uid)


def job_ref(job: JobFacts) -> Ref:
    """A job on the hub."""
    return Ref("hub", JOBS.kind, job.namespace, job.name, job.uid)


def copy_ref(copy: CopyFacts) -> Ref:
    """A copy in the WDS."""
    return Ref("wds", JOBS.kind, copy.namespace, copy.name, copy.uid)


def policy_ref(policy: PolicyFacts) -> Ref:
    """A BindingPolicy of ours."""
    return Ref("wds", "BindingPolicy", "", policy.name, policy.uid)


def work_ref(work: WorkFacts) -> Ref:
    """A ManifestWork; its namespace is the cluster's name."""
    return Ref("its", MANIFEST_WORKS.kind, work.cluster, work.name, work.uid)


def pods_ref(pods: PodsSeen) -> Ref:
    """Pods on a worker, which the report knows by the uid of their Workload."""
    return Ref(pods.cluster, PODS, "", pods.uid, pods.uid)
