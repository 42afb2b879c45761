"""What a cluster needs in the WDS before it can report and run jobs, and when it is taken away.

For each accepted ManagedCluster two objects of ours:

- an empty ClusterMetrics named after the cluster. KubeStellar carries it there, the cluster's agent fills
  its status, and the status comes back as a WorkStatus, of which only the one of that name counts
  (``facts.report_facts``).
- one permanent BindingPolicy, the *base policy*. It carries that ClusterMetrics and every namespace
  labelled ``kueue.kubestellar.io/carried=true``. Namespaces are carried here and not by the waves of
  jobs, because deleting the policy that carries a namespace deletes the namespace on the worker, with all
  that runs in it. For the same reason a base policy is deleted only when its ManagedCluster is gone, not
  when it is cordoned, unavailable or labelled wrongly.

The ClusterMetrics is ``createOnly``: its status belongs to the agent. The namespaces are updated, so that a
Pod Security label that changes on the hub reaches the worker, and comes back there when somebody changes it
(the work agent looks every 4 to 6 minutes). A label that the hub takes away stays on the worker: the agent
merges (library-go ApplyNamespaceImproved). That an update would also write our mark over somebody else's
namespace of the name is what config/admission/worker-guard.yaml denies on the worker; where an API server
is too old for it, such a namespace is taken over. Singleton status return is not asked for: it would write
each report into the WDS too, and each such write rewrites the Binding.

A policy selects its cluster by the label ``name``, which is a convention of KubeStellar's scripts that
OCM does not know: a cluster without its own name there, or one whose name another cluster carries too, is
refused with the remedy.

Decisions only; ``actions`` writes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from kube_runtime.objects import Obj, uid_of
from quota_manager.facts import ClusterFacts
from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, CLUSTER_METRICS, NAMESPACES

LONGEST_NAME: Final = 63
"""A policy's name becomes a label value on its ManifestWorks."""

_NAME_PREFIX: Final = "kueue-ks-base-"
_HASH_LENGTH: Final = 8  # 32 bits; clusters with such long names are few


@dataclass(frozen=True, slots=True)
class Ours:
    """An object of ours in the WDS. ``as_wanted``: nobody has changed what we rely on."""

    name: str
    cluster: str
    uid: str
    as_wanted: bool
    deleting: bool


@dataclass(frozen=True, slots=True)
class Create:
    """Make this object; ``kind`` is ClusterMetrics or BindingPolicy."""

    kind: str
    body: Obj


@dataclass(frozen=True, slots=True)
class Repair:
    """Give the base policy its spec back."""

    policy: Ours


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the object that was seen. Only after the ManagedCluster has been asked for and was not found."""

    kind: str
    ours: Ours


@dataclass(frozen=True, slots=True)
class Refuse:
    """The cluster cannot be used as it is. ``reason`` is public: an event reason."""

    reason: str
    cluster: str
    remedy: str

    NAME_LABEL_MISSING: ClassVar[str] = "NameLabelMissing"
    NAME_LABEL_DIFFERS: ClassVar[str] = "NameLabelDiffers"
    NAME_LABEL_SHARED: ClassVar[str] = "NameLabelShared"
    NAME_TAKEN: ClassVar[str] = "NameTaken"

    def __str__(self) -> str:
        return f"ManagedCluster {self.cluster} gets no jobs: {self.remedy}"


Step: TypeAlias = Create | Repair | Remove | Refuse


def next_steps(
    name: str,
    cluster: ClusterFacts | None,
    *,
    namesakes: Sequence[str],
    known_clusters: int,
    metrics: Ours | None,
    policy: Ours | None,
) -> tuple[Step, ...]:
    """What this cluster needs now, in order; nothing when all is well.

    ``cluster`` is None when it is gone, ``namesakes`` are all clusters whose label ``name`` is this
    cluster's name. With no ManagedCluster at all nothing is removed: more likely than the end of the
    fleet is an ITS that is empty because it is the wrong one or was made anew, and what remains selects
    nobody.
    """
    if cluster is None:
        return _farewell(metrics, policy) if known_clusters > 0 else ()
    if not cluster.accepted:
        return ()
    if (refusal := _refusal(name, cluster, namesakes)) is not None:
        return (refusal,)
    steps: list[Step] = []
    if metrics is None:
        steps.append(Create(CLUSTER_METRICS.kind, metrics_body(name)))
    if policy is None:
        steps.append(Create(BINDING_POLICIES.kind, policy_body(name)))
    elif not policy.as_wanted and not policy.deleting:
        steps.append(Repair(policy))
    return tuple(steps)


def _farewell(metrics: Ours | None, policy: Ours | None) -> tuple[Step, ...]:
    """The policy first: without it nothing asks for the other any more."""
    kinds = ((BINDING_POLICIES.kind, policy), (CLUSTER_METRICS.kind, metrics))
    return tuple(Remove(kind, ours) for kind, ours in kinds if ours is not None and not ours.deleting)


def _refusal(name: str, cluster: ClusterFacts, namesakes: Sequence[str]) -> Refuse | None:
    label = f"{keys.CLUSTER_NAME_LABEL}={name}"
    repair = f"kubectl label managedcluster {name} --overwrite {label}"
    others = [other for other in sorted(namesakes) if other != name]
    if cluster.label is None:
        return Refuse(Refuse.NAME_LABEL_MISSING, name, f"it has no label {label}. Set it: {repair}")
    if cluster.label != name:
        remedy = f"its label {keys.CLUSTER_NAME_LABEL} is {cluster.label!r}, not its name. Set it: {repair}"
        return Refuse(Refuse.NAME_LABEL_DIFFERS, name, remedy)
    if others:
        remedy = (
            f"its label {label} is carried by {', '.join(others)} too. Give each cluster its own name there"
        )
        return Refuse(Refuse.NAME_LABEL_SHARED, name, remedy)
    return None


def base_policy_name(cluster: str) -> str:
    """The base policy's name: at most 63 characters, valid as object name and label value, one per cluster.

    Names cut to make room for a hash have exactly 63 characters and the others fewer, so the two never
    meet.
    """
    name = _NAME_PREFIX + cluster
    if len(name) < LONGEST_NAME:
        return name
    digest = hashlib.sha256(cluster.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{name[: LONGEST_NAME - _HASH_LENGTH - 1]}-{digest}"


def metrics_body(cluster: str) -> Obj:
    """The empty ClusterMetrics of a cluster."""
    return {
        "apiVersion": CLUSTER_METRICS.api_version,
        "kind": CLUSTER_METRICS.kind,
        "metadata": {"name": cluster, "labels": _labels(cluster)},
    }


def policy_body(cluster: str) -> Obj:
    """The base policy of a cluster."""
    return {
        "apiVersion": BINDING_POLICIES.api_version,
        "kind": BINDING_POLICIES.kind,
        "metadata": {
            "name": base_policy_name(cluster),
            "labels": {**_labels(cluster), keys.BASE_POLICY: "true"},
        },
        "spec": policy_spec(cluster),
    }


def policy_spec(cluster: str) -> dict[str, Any]:
    """See the module; clauses without namespaces and namespaceSelectors match cluster-scoped objects."""
    return {
        "clusterSelectors": [{"matchLabels": {keys.CLUSTER_NAME_LABEL: cluster}}],
        "downsync": [
            {
                "apiGroup": CLUSTER_METRICS.group,
                "resources": [CLUSTER_METRICS.plural],
                "objectNames": [cluster],
                "createOnly": True,
            },
            {
                "apiGroup": NAMESPACES.group,
                "resources": [NAMESPACES.plural],
                "objectSelectors": [{"matchLabels": {keys.CARRIED: "true"}}],
            },
        ],
    }


def read_metrics(obj: Obj) -> Ours:
    """Read a ClusterMetrics of ours."""
    return _ours(obj, cluster=obj["metadata"]["name"], as_wanted=True)


def read_policy(obj: Obj) -> Ours:
    """Read a base policy; the CRD has no defaults, so an untouched spec is exactly what we wrote."""
    cluster = obj["metadata"]["labels"].get(keys.CLUSTER, "")
    return _ours(obj, cluster=cluster, as_wanted=obj.get("spec") == policy_spec(cluster))


def is_ours(obj: Obj) -> bool:
    """Whether we made this object (I6)."""
    return (obj["metadata"].get("labels") or {}).get(keys.MANAGED_BY_LABEL) == keys.MANAGED_BY


def _ours(obj: Obj, *, cluster: str, as_wanted: bool) -> Ours:
    metadata = obj["metadata"]
    return Ours(metadata["name"], cluster, uid_of(obj), as_wanted, "deletionTimestamp" in metadata)


def _labels(cluster: str) -> dict[str, str]:
    return {keys.MANAGED_BY_LABEL: keys.MANAGED_BY, keys.CLUSTER: cluster}
