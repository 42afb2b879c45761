"""Labels, annotations and names that we own.

Everything below ``kueue.kubestellar.io/`` is ours: what a user sets under this prefix on a job is
dropped from its copy (docs/design.md, section 1) or refused where it would take part in a decision.
"""

from typing import Final

PREFIX: Final = "kueue.kubestellar.io/"

CONTROLLER_NAME: Final = "kubestellar.io/ks-kueue"
"""``AdmissionCheck.spec.controllerName``, ``Job.spec.managedBy`` and the field manager of our applies."""

# On everything that we make, in any space: without it we neither change nor delete an object (I6).
MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "kueue-kubestellar"

# On a copy, on the Job that a worker makes of it and on that Job's pods.
WORKLOAD_UID: Final = PREFIX + "workload-uid"  # label
CLUSTER: Final = PREFIX + "cluster"  # label; also in the check's podSetUpdates: the decision
ATTEMPT: Final = PREFIX + "attempt"  # annotation; also in the check's podSetUpdates: "1", "2", …
WAVE: Final = PREFIX + "wave"  # label on a copy, selected by exactly one BindingPolicy of that name
WITHDRAWN: Final = PREFIX + "withdrawn"  # label "true" on a leaving copy: its wave selects it no more
WAVE_SIZE: Final = PREFIX + "wave-size"  # annotation of a wave and of the copy that opens it: most copies

# On a copy only: the way back to the hub.
WORKLOAD: Final = PREFIX + "workload"  # annotation "namespace/name" of the Workload
JOB_UID: Final = PREFIX + "job-uid"  # annotation: uid of the hub job
PODS_LEAVING: Final = (
    PREFIX + "pods-leaving"
)  # finalizer: the copy stays until its pods have ended on the worker

# On a copy and the Job that a worker makes of it, when the job's policy for cluster loss is "leased".
# Annotations: after so many seconds without a heartbeat the agent there ends it, counted from its making at
# first (unix seconds of the hub's clock).
LEASE_SECONDS: Final = PREFIX + "lease-seconds"
LEASED_FROM: Final = PREFIX + "leased-from"

# The hub's heartbeat on a worker: a ConfigMap of this name and the cluster's, carried like anything else.
HEARTBEAT_PREFIX: Final = "hub-heartbeat-"
BEAT_AT: Final = "beatAtSeconds"  # its only data key: unix seconds of the hub's clock, "1766650000.000"
SYSTEM_NAMESPACE: Final = "kueue-kubestellar-system"  # of ours, in every space

# On a hub job, by its user; on a LocalQueue or ClusterQueue, by its administrator, for jobs that do not say.
ON_CLUSTER_LOSS: Final = PREFIX + "on-cluster-loss"  # annotation: atMostOnce | leased | atLeastOnce
ON_JOB_REMOVED: Final = PREFIX + "on-worker-job-removed"  # annotation: restart | reject

# On a hub job: MCAD's requeuing fields (AppWrapper v1beta1 schedulingSpec.requeuing), same names and units.
REQUEUING: Final = PREFIX + "requeuing."
TIME_IN_SECONDS: Final = REQUEUING + "timeInSeconds"
GROWTH_TYPE: Final = REQUEUING + "growthType"  # exponential | linear | none
MAX_TIME_IN_SECONDS: Final = REQUEUING + "maxTimeInSeconds"
MAX_NUM_REQUEUINGS: Final = REQUEUING + "maxNumRequeuings"

# On a ClusterQueue: the only clusters that its jobs may use. On a job: fewer of them. "w1,w2"
CLUSTERS: Final = PREFIX + "clusters"  # annotation

# In the check's podSetUpdates, where it outlives an eviction: the attempts that failed, see history.
HISTORY: Final = PREFIX + "attempts"

# On a hub job and its Workload while pods of it may run: neither goes, nor its quota, before they have ended.
PODS_MAY_RUN: Final = PREFIX + "pods-may-run"  # finalizer

# On a namespace that is carried to the workers, and on a copy, whose worker namespace must bear the same.
HUB_NAMESPACE_UID: Final = PREFIX + "hub-namespace-uid"  # annotation
CARRIED: Final = PREFIX + "carried"  # label "true": selected by every cluster's base policy

# On somebody else's Job or Namespace of a worker, by its administrator: the work agent may take it over for
# good, and will delete it when we withdraw (config/admission/worker-guard.yaml).
MAY_BE_ADOPTED: Final = PREFIX + "may-be-adopted"  # label "true"

# On a ClusterQueue or Cohort: QuotaManager writes its nominal quotas, all or those of some flavors.
MANAGE_QUOTA: Final = PREFIX + "manage-quota"  # annotation "true", or "h100, default/cpu"
QUOTA_WEIGHT: Final = PREFIX + "quota-weight"  # annotation: its part beside others that have the same flavor

# On them, by QuotaManager: what their quotas are made of, as JSON (quota_manager.breakdown).
QUOTA_BREAKDOWN: Final = PREFIX + "quota-breakdown"  # annotation

# On a ResourceFlavor: what is kept out of the quotas. "cpu=10%, memory=64Gi"
RESERVE: Final = PREFIX + "reserve"  # annotation

LENDING_LIMITS: Final = PREFIX + "lending-limits"  # annotation: the owner's limits while quota is below them

# On the BindingPolicy that carries a worker's own things for as long as it is registered.
BASE_POLICY: Final = PREFIX + "base-policy"  # label "true"

# On a hub namespace, "false": its queued jobs get no managedBy from our admission policy.
MANAGE_JOBS: Final = PREFIX + "manage-jobs"  # label

# Taints with effect NoSelect on a ManagedCluster, by kueue-ks cordon and drain; their value says who and why.
CORDONED: Final = PREFIX + "cordoned"
DRAINING: Final = PREFIX + "draining"

# ManagedCluster label whose value names the cluster; OCM sets none, KubeStellar's scripts set this one.
CLUSTER_NAME_LABEL: Final = "name"

# On the Lease of WorkloadController: the options that its leader decides with, as JSON.
OPTIONS: Final = PREFIX + "options"  # annotation

# Label on a ManifestWork: the Binding that it comes from (kubestellar pkg/transport).
ORIGIN_BINDING: Final = "transport.kubestellar.io/originOwnerReferenceBindingKey"

# Kueue's and Kubernetes' own words (kueue pkg/controller/constants, batch/v1).
QUEUE_NAME: Final = "kueue.x-k8s.io/queue-name"
KUEUE_JOB_UID: Final = "kueue.x-k8s.io/job-uid"

FOREIGN_PREFIXES: Final = (
    "kubestellar.io/",
    "open-cluster-management.io/",
    "kueue.x-k8s.io/",
    "kflex.kubestellar.org/",
)
"""Key prefixes (or their parent domains) that steer a controller: never copied from a user's object."""


def steers_a_controller(key: str) -> bool:
    """Whether a label or annotation key belongs to us, KubeStellar, OCM or Kueue."""
    domain = key.partition("/")[0] + "/" if "/" in key else ""
    return any(domain == prefix or domain.endswith("." + prefix) for prefix in FOREIGN_PREFIXES)
