"""API resources that our programs read or write, in the versions that we speak."""

from typing import Final

from kube_runtime.resources import Resource

NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")
PODS: Final = Resource("", "v1", "pods", "Pod")
EVENTS: Final = Resource("", "v1", "events", "Event")
JOBS: Final = Resource("batch", "v1", "jobs", "Job")

# Kueue: v1beta2 only; v1beta1 is not served from 0.20 on (kueue #14558).
_KUEUE = ("kueue.x-k8s.io", "v1beta2")
WORKLOADS: Final = Resource(*_KUEUE, "workloads", "Workload")
LOCAL_QUEUES: Final = Resource(*_KUEUE, "localqueues", "LocalQueue")
CLUSTER_QUEUES: Final = Resource(*_KUEUE, "clusterqueues", "ClusterQueue", namespaced=False)
COHORTS: Final = Resource(*_KUEUE, "cohorts", "Cohort", namespaced=False)
RESOURCE_FLAVORS: Final = Resource(*_KUEUE, "resourceflavors", "ResourceFlavor", namespaced=False)
ADMISSION_CHECKS: Final = Resource(*_KUEUE, "admissionchecks", "AdmissionCheck", namespaced=False)

# Kueue from 0.20 on, alpha; written where it is served.
CAPACITY_PROVIDERS: Final = Resource(
    "kueue.x-k8s.io", "v1alpha1", "capacityproviders", "CapacityProvider", namespaced=False
)

# KubeStellar, in the WDS; WorkStatus in the ITS.
_KUBESTELLAR = ("control.kubestellar.io", "v1alpha1")
BINDING_POLICIES: Final = Resource(*_KUBESTELLAR, "bindingpolicies", "BindingPolicy", namespaced=False)
BINDINGS: Final = Resource(*_KUBESTELLAR, "bindings", "Binding", namespaced=False)
WORK_STATUSES: Final = Resource(*_KUBESTELLAR, "workstatuses", "WorkStatus")

# Open Cluster Management, in the ITS.
MANAGED_CLUSTERS: Final = Resource(
    "cluster.open-cluster-management.io", "v1", "managedclusters", "ManagedCluster", namespaced=False
)
MANIFEST_WORKS: Final = Resource("work.open-cluster-management.io", "v1", "manifestworks", "ManifestWork")
APPLIED_MANIFEST_WORKS: Final = Resource(
    "work.open-cluster-management.io", "v1", "appliedmanifestworks", "AppliedManifestWork", namespaced=False
)

# Read where it is served: OCM's placement controller is an option.
PLACEMENT_DECISIONS: Final = Resource(
    "cluster.open-cluster-management.io", "v1beta1", "placementdecisions", "PlacementDecision"
)

# Ours, on the hub.
PLACEMENT_POLICIES: Final = Resource(
    "kueue.kubestellar.io", "v1alpha1", "placementpolicies", "PlacementPolicy", namespaced=False
)

# Ours, on every worker; its empty original lives in the WDS.
CLUSTER_METRICS: Final = Resource(
    "galaxy.kubestellar.io", "v1alpha1", "clustermetrics", "ClusterMetrics", namespaced=False
)
