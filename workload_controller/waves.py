"""Which BindingPolicy carries a copy, and how it looks.

A wave is one BindingPolicy for one cluster, selecting copies by a label. KubeStellar holds a new Binding back
for 2 s (``bindingQueueingDelay``), so copies that join a wave in its first moments travel with the first one;
after that they would only have it written again. What shared waves save and what they cost was measured
(docs/waves.md): by default each attempt has a wave of its own, which nobody else can join.

A copy is in a wave by its label from its creation on and never changes it: the ITS compares the two
(``kueue-ks-carried-once``). Out of a wave that goes on it gets by one more label, which the policy does not
select.

``createOnly`` always: OCM would otherwise PUT the whole Job and fail on its immutable selector (kubestellar
#3960). No singleton status: we read WorkStatus ourselves, and each status write into the WDS would make
KubeStellar rewrite Binding and ManifestWork (docs/design.md, section 1).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES
from workload_controller.facts import BindingFacts, CopyFacts, Mates, PolicyFacts

JOIN_WINDOW = 1.5  # seconds since the creationTimestamp, which is cut to whole ones: 0.5 to 1.5 in truth

SHAREABLE_BYTES = 65_536
"""A bigger job travels alone: one that KubeStellar's transport cannot wrap (--max-size-wrapped, 512,000
bytes) keeps everything else in its Binding from being carried, and from being withdrawn."""


@dataclass(frozen=True, slots=True)
class Berth:
    """The wave of a new copy: one that it ``joins``, or with "" one that it opens for ``size`` copies."""

    joins: str = ""
    size: int = 1


ALONE = Berth()

_CLUSTER_PART = (
    40  # with prefix and hash below 63 characters: the name becomes a label value on ManifestWorks
)


def wave_of(workload_uid: str, cluster: str, attempt: int) -> str:
    """The wave that an attempt opens: label-safe, at most 63 characters, different for every attempt."""
    digest = hashlib.sha256(f"{workload_uid}/{cluster}/{attempt}".encode()).hexdigest()[:16]
    return f"wave-{cluster[:_CLUSTER_PART].rstrip('-')}-{digest}"


def opens(copy: CopyFacts) -> bool:
    """Whether the copy's wave is the one that it opened itself."""
    return copy.wave == wave_of(copy.workload_uid, copy.cluster, copy.attempt)


def berth(
    spec: Mapping[str, Any], shared: Iterable[tuple[PolicyFacts, Mates]], now: float, size: int
) -> Berth:
    """Where a new copy of a job with that ``spec`` travels: in the fullest wave that is open, or in its own.

    ``shared``: the waves of its cluster that were opened for several, each with the copies in it; ``size`` is
    our setting, and a wave keeps that of its opening.
    """
    if size == 1 or len(json.dumps(spec)) > SHAREABLE_BYTES:
        return ALONE
    room = [(mates.total, policy.name) for policy, mates in shared if _is_open(policy, mates, now)]
    return Berth(joins=max(room)[1]) if room else Berth(size=size)


def _is_open(policy: PolicyFacts, mates: Mates, now: float) -> bool:
    """Nobody leaves it: its last one would take the policy away, and a joiner keep a tombstone carried."""
    young = not policy.deleting and now - policy.created_at < JOIN_WINDOW
    return young and 0 < mates.staying == mates.total < policy.size


def lists(binding: BindingFacts, copy: CopyFacts) -> bool:
    """Whether KubeStellar carries the copy by this Binding of its wave."""
    return f"{copy.namespace}/{copy.name}" in binding.jobs


def has_left(copy: CopyFacts, binding: BindingFacts) -> bool:
    """Whether the wave goes on without the copy: it makes no ManifestWork of it any more.

    Only a withdrawn one: it has been listed before, so KubeStellar has left it out on purpose.
    """
    return copy.withdrawn and binding.settled and not lists(binding, copy)


def policy(copy: CopyFacts) -> dict[str, Any]:
    """The BindingPolicy (control.kubestellar.io/v1alpha1) that carries this copy to its cluster."""
    shared = copy.wave_size > 1
    clause: dict[str, Any] = {
        "apiGroup": "batch",
        "resources": ["jobs"],
        "objectSelectors": [{"matchLabels": {keys.WAVE: copy.wave}}],
        "createOnly": True,
    }
    if shared:
        leaving = {"key": keys.WITHDRAWN, "operator": "DoesNotExist"}
        clause["objectSelectors"][0]["matchExpressions"] = [leaving]
    else:
        clause["namespaces"] = [copy.namespace]
    size = {keys.WAVE_SIZE: str(copy.wave_size)} if shared else {}
    return {
        "apiVersion": BINDING_POLICIES.api_version,
        "kind": BINDING_POLICIES.kind,
        "metadata": {
            "name": copy.wave,
            "labels": {
                keys.MANAGED_BY_LABEL: keys.MANAGED_BY,
                keys.WORKLOAD_UID: copy.workload_uid,
                keys.CLUSTER: copy.cluster,
            },
            "annotations": {keys.WORKLOAD: f"{copy.workload_namespace}/{copy.workload_name}", **size},
        },
        "spec": {
            "clusterSelectors": [{"matchLabels": {keys.CLUSTER_NAME_LABEL: copy.cluster}}],
            "downsync": [clause],
        },
    }
