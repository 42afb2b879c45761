"""How raw objects become facts. The only place that knows the paths of fields we read.

Used as the informers' transforms: an object that cannot be read raises ValueError, is skipped and counted
there.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from kube_runtime.objects import Obj
from vocabulary import keys
from vocabulary.cordon import read_cordon, without_cordon
from vocabulary.pod_requests import pod_requests
from workload_controller.facts import (
    NO_HISTORY,
    BindingFacts,
    Check,
    CheckState,
    CopyFacts,
    Decision,
    Flavor,
    JobFacts,
    LossPolicy,
    ManagedClusterFacts,
    PodSet,
    PolicyFacts,
    QueueFacts,
    RemoteStatus,
    Requirement,
    Toleration,
    WorkFacts,
    WorkloadFacts,
)
from workload_controller.history import parse_history

IN_USE = "kueue.x-k8s.io/resource-in-use"  # Kueue's finalizer on Workloads
DEFAULT_GRACE_SECONDS = 30  # PodSpec.terminationGracePeriodSeconds
TERMINAL_CONDITIONS = ("Complete", "Failed")  # batch/v1 JobConditionType


def seconds(timestamp: str | None) -> float:
    """RFC3339 → unix seconds; 0 when there is none."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def _since(timestamp: str | None) -> float | None:
    return seconds(timestamp) if timestamp else None


def read_workload(obj: Obj) -> WorkloadFacts:
    """A ``kueue.x-k8s.io/v1beta2`` Workload."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    conditions = _by_type(status.get("conditions"))
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), None)
    admission = status.get("admission") or {}
    evictions = (status.get("schedulingStats") or {}).get("evictions") or ()
    return WorkloadFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        owner_kind=f"{owner['apiVersion']} {owner['kind']}" if owner else "",
        owner_name=owner["name"] if owner else "",
        owner_uid=owner["uid"] if owner else "",
        quota_reserved=_is_true(conditions, "QuotaReserved"),
        quota_reserved_at=seconds(conditions.get("QuotaReserved", {}).get("lastTransitionTime")),
        admitted=_is_true(conditions, "Admitted"),
        admitted_at=seconds(conditions.get("Admitted", {}).get("lastTransitionTime")),
        evicted=_is_true(conditions, "Evicted"),
        requeue_at=seconds((status.get("requeueState") or {}).get("requeueAt")),
        finished=_is_true(conditions, "Finished"),
        active=spec.get("active", True),
        deleting="deletionTimestamp" in metadata,
        queue=spec.get("queueName", ""),
        cluster_queue=admission.get("clusterQueue", ""),
        held=keys.PODS_MAY_RUN in (metadata.get("finalizers") or ()),
        in_use=IN_USE in (metadata.get("finalizers") or ()),
        evictions=sum(e.get("count", 0) for e in evictions),
        checks=tuple(_read_check(c) for c in status.get("admissionChecks") or ()),
        pod_sets=_read_pod_sets(spec.get("podSets") or (), admission, status.get("reclaimablePods") or ()),
        resource_version=metadata["resourceVersion"],
    )


def read_job(obj: Obj) -> JobFacts:
    """A hub ``batch/v1`` Job."""
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    metadata.pop("managedFields", None)
    template = spec["template"].get("metadata") or {}
    user_keys = (template.get("labels") or {}).keys() | (template.get("annotations") or {}).keys()
    return JobFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        suspended=bool(spec.get("suspend", False)),
        managed_by=spec.get("managedBy", ""),
        terminal=is_terminal(status),
        active=status.get("active") or 0,
        parallelism=_pods_of_job(spec),
        reserved_keys=tuple(sorted(key for key in user_keys if key.startswith(keys.PREFIX))),
        wishes=wishes(obj),
        held=keys.PODS_MAY_RUN in (metadata.get("finalizers") or ()),
        deleting="deletionTimestamp" in metadata,
        raw=obj,
    )


def wishes(obj: Obj) -> dict[str, str]:
    """The annotations below our prefix: what somebody asks of us."""
    annotations = obj["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith(keys.PREFIX)}


def read_queue(obj: Obj) -> QueueFacts:
    """A LocalQueue or ClusterQueue."""
    metadata = obj["metadata"]
    return QueueFacts(metadata.get("namespace", ""), metadata["name"], wishes(obj))


def read_binding(obj: Obj) -> BindingFacts:
    """A Binding; KubeStellar gives it the name of its policy and none of the policy's labels."""
    scope = (obj["spec"].get("workload") or {}).get("namespaceScope") or ()
    generation = obj["metadata"].get("generation")
    observed = (obj.get("status") or {}).get("observedGeneration")
    return BindingFacts(
        name=obj["metadata"]["name"],
        jobs=tuple(
            f"{o.get('namespace', '')}/{o['name']}"
            for o in scope
            if (o.get("group"), o.get("resource")) == ("batch", "jobs")
        ),
        settled=generation is not None and generation == observed,
    )


def read_beat(obj: Obj) -> float:
    """A heartbeat ConfigMap of the WDS: unix seconds of its beat, 0 when it has none that can be read."""
    return _unix_seconds((obj.get("data") or {}).get(keys.BEAT_AT))


def read_copy(obj: Obj) -> CopyFacts:
    """A Job in the WDS that carries our labels."""
    metadata = obj["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    namespace, _, name = annotations[keys.WORKLOAD].partition("/")
    template = obj["spec"]["template"]["spec"]
    return CopyFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        workload_namespace=namespace,
        workload_name=name,
        workload_uid=labels[keys.WORKLOAD_UID],
        job_uid=annotations.get(keys.JOB_UID, ""),
        cluster=labels[keys.CLUSTER],
        attempt=int(annotations[keys.ATTEMPT]),
        wave=labels.get(keys.WAVE, ""),
        leaving_since=_since(metadata.get("deletionTimestamp")),
        grace_seconds=template.get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS),
        on_loss=_on_loss(annotations),
        lease_seconds=_lease_seconds(annotations),
        leased_from=_unix_seconds(annotations.get(keys.LEASED_FROM)),
        pod_set=_read_pod_template("main", _pods_of_job(obj["spec"]), template),
        wave_size=_wave_size(annotations),
        withdrawn=keys.WITHDRAWN in labels,
    )


def read_policy(obj: Obj) -> PolicyFacts:
    """A BindingPolicy with our label and the way back to its Workload."""
    metadata = obj["metadata"]
    namespace, _, name = (metadata.get("annotations") or {})[keys.WORKLOAD].partition("/")
    return PolicyFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        workload_namespace=namespace,
        workload_name=name,
        deleting="deletionTimestamp" in metadata,
        cluster=(metadata.get("labels") or {}).get(keys.CLUSTER, ""),
        size=_wave_size(metadata.get("annotations") or {}),
        created_at=seconds(metadata.get("creationTimestamp")),
    )


def may_carry(work: Obj, workload_uid: str) -> bool:
    """Whether a ManifestWork of a wave carries the copy of that Workload, or what cannot be read."""
    manifests = ((work.get("spec") or {}).get("workload") or {}).get("manifests") or [{}]
    labels = [(manifest.get("metadata") or {}).get("labels") or {} for manifest in manifests]
    return any(each.get(keys.WORKLOAD_UID, workload_uid) == workload_uid for each in labels)


def read_work(obj: Obj) -> WorkFacts | None:
    """A ManifestWork; None when it carries something else than a copy of ours."""
    metadata = obj["metadata"]
    manifests = obj["spec"].get("workload", {}).get("manifests") or [{}]
    carried = manifests[0].get("metadata") or {}
    annotations = carried.get("annotations") or {}
    if keys.WORKLOAD not in annotations:
        return None
    namespace, _, name = annotations[keys.WORKLOAD].partition("/")
    conditions = _first_manifest_conditions(obj.get("status") or {})
    applied, available = conditions.get("Applied", {}), conditions.get("Available", {})
    refused = applied.get("status") == "False"
    missing = applied.get("status") == "True" and available.get("status") == "False"
    return WorkFacts(
        cluster=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        workload_namespace=namespace,
        workload_name=name,
        workload_uid=(carried.get("labels") or {}).get(keys.WORKLOAD_UID, ""),
        attempt=int(annotations.get(keys.ATTEMPT, 0)),
        deleting_since=_since(metadata.get("deletionTimestamp")),
        apply_error=applied.get("message", "") if refused else "",
        apply_error_since=seconds(applied.get("lastTransitionTime")),
        missing_since=seconds(available.get("lastTransitionTime")) if missing else None,
        on_loss=_on_loss(annotations),
        lease_seconds=_lease_seconds(annotations),
        leased_from=_unix_seconds(annotations.get(keys.LEASED_FROM)),
    )


def read_remote_status(obj: Obj) -> RemoteStatus | None:
    """A WorkStatus; None when it reports something else than a batch/v1 Job."""
    metadata, source = obj["metadata"], (obj.get("spec") or {}).get("sourceRef") or {}
    if (source.get("group"), source.get("kind")) != ("batch", "Job"):
        return None
    status = obj.get("status") or {}
    owners = metadata.get("ownerReferences") or ()
    owner: Obj = next((o for o in owners if o["kind"] == "ManifestWork"), {})
    return RemoteStatus(
        cluster=metadata["namespace"],
        namespace=source.get("namespace", ""),
        name=source["name"],
        work_uid=owner.get("uid", ""),
        status=status,
        terminal=is_terminal(status),
    )


def read_managed_cluster(obj: Obj) -> ManagedClusterFacts:
    """A ManagedCluster of the ITS."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    conditions = _by_type((obj.get("status") or {}).get("conditions"))
    available = conditions.get("ManagedClusterConditionAvailable", {})
    taints = spec.get("taints") or ()
    return ManagedClusterFacts(
        name=metadata["name"],
        accepted=bool(spec.get("hubAcceptsClient", False)),
        available=available.get("status", "Unknown"),
        available_since=seconds(available.get("lastTransitionTime")),
        created_at=seconds(metadata.get("creationTimestamp")),
        tainted=tuple(t["key"] for t in without_cordon(taints) if t.get("effect") == "NoSelect"),
        name_label=(metadata.get("labels") or {}).get(keys.CLUSTER_NAME_LABEL, ""),
        deleting="deletionTimestamp" in metadata,
        cordon=read_cordon(taints),
        labels=metadata.get("labels") or {},
    )


def read_flavor(obj: Obj) -> Flavor:
    """A ResourceFlavor."""
    spec = obj.get("spec") or {}
    return Flavor(
        name=obj["metadata"]["name"],
        node_labels=spec.get("nodeLabels") or {},
        tolerations=_read_tolerations(spec.get("tolerations")),
    )


def is_terminal(status: Mapping[str, Any]) -> bool:
    """Whether a Job status says Complete or Failed."""
    conditions = _by_type(status.get("conditions"))
    return any(_is_true(conditions, kind) for kind in TERMINAL_CONDITIONS)


def _by_type(conditions: Sequence[Obj] | None) -> dict[str, Obj]:
    return {c["type"]: c for c in conditions or ()}


def _is_true(conditions: Mapping[str, Obj], kind: str) -> bool:
    return conditions.get(kind, {}).get("status") == "True"


def _read_check(entry: Obj) -> Check:
    decision, history = None, NO_HISTORY
    for update in entry.get("podSetUpdates") or ():
        annotations = update.get("annotations") or {}
        if keys.CLUSTER in annotations and keys.ATTEMPT in annotations:
            decision = Decision(annotations[keys.CLUSTER], int(annotations[keys.ATTEMPT]))
        if keys.HISTORY in annotations:
            history = parse_history(annotations[keys.HISTORY])
    return Check(
        name=entry["name"],
        state=CheckState(entry["state"]),
        message=entry.get("message", ""),
        since=seconds(entry.get("lastTransitionTime")),
        retries=entry.get("retryCount") or 0,
        decision=decision,
        history=history,
    )


def _read_pod_sets(pod_sets: Sequence[Obj], admission: Obj, reclaimable: Sequence[Obj]) -> tuple[PodSet, ...]:
    assigned = {a["name"]: a for a in admission.get("podSetAssignments") or ()}
    returned = {r["name"]: r.get("count", 0) for r in reclaimable}
    result = []
    for pod_set in pod_sets:
        name = pod_set["name"]
        assignment = assigned.get(name, {})
        count = assignment.get("count", pod_set.get("count", 1)) - returned.get(name, 0)
        flavors = frozenset((assignment.get("flavors") or {}).values())
        result.append(_read_pod_template(name, count, pod_set["template"]["spec"], flavors))
    return tuple(result)


def _read_pod_template(name: str, count: int, spec: Obj, flavors: frozenset[str] = frozenset()) -> PodSet:
    return PodSet(
        name=name,
        count=count,
        requests=pod_requests(spec),
        node_selector=spec.get("nodeSelector") or {},
        tolerations=_read_tolerations(spec.get("tolerations")),
        affinity=_read_affinity(spec.get("affinity") or {}),
        flavors=flavors,
    )


def _read_tolerations(tolerations: Sequence[Obj] | None) -> tuple[Toleration, ...]:
    return tuple(
        Toleration(t.get("key", ""), t.get("operator", "Equal"), t.get("value", ""), t.get("effect", ""))
        for t in tolerations or ()
    )


def _read_affinity(affinity: Obj) -> tuple[tuple[Requirement, ...], ...]:
    required = (affinity.get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    ) or {}
    return tuple(
        tuple(
            Requirement(e["key"], e["operator"], tuple(e.get("values") or ()))
            for e in term.get("matchExpressions") or ()
        )
        for term in required.get("nodeSelectorTerms") or ()
    )


def _pods_of_job(spec: Obj) -> int:
    """Pods that run at once, as Kueue counts them (job_controller.go PodSets)."""
    parallelism: int = spec.get("parallelism", 1)
    completions: int | None = spec.get("completions")
    return parallelism if completions is None else min(parallelism, completions)


def _first_manifest_conditions(status: Obj) -> dict[str, Obj]:
    """Conditions of the only manifest (ManifestWork status.resourceStatus): KubeStellar wraps one each."""
    for manifest in (status.get("resourceStatus") or {}).get("manifests") or ():
        return _by_type(manifest.get("conditions"))
    return {}


def _on_loss(annotations: Mapping[str, str]) -> LossPolicy:
    """The policy of a copy; the strictest one for what we did not write."""
    try:
        return LossPolicy(annotations.get(keys.ON_CLUSTER_LOSS, LossPolicy.AT_MOST_ONCE.value))
    except ValueError:
        return LossPolicy.AT_MOST_ONCE


def _unix_seconds(value: str | None) -> float:
    """A time in one of our annotations, 0 when it cannot be read."""
    try:
        at = float(value or 0)
    except ValueError:
        return 0.0
    return at if math.isfinite(at) else 0.0  # nan compares with nothing, and no lease would be waited for


def _lease_seconds(annotations: Mapping[str, str]) -> int | None:
    value = annotations.get(keys.LEASE_SECONDS, "")
    return int(value) if value.isascii() and value.isdigit() else None


def _wave_size(annotations: Mapping[str, str]) -> int:
    """Of a wave that may be shared; what was not made so is one copy's own."""
    value = annotations.get(keys.WAVE_SIZE, "")
    return int(value) if value.isascii() and value.isdigit() else 1
