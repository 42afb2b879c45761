"""Which BindingPolicy carries a copy, and how it looks.

A wave is one BindingPolicy for one cluster, selecting copies by a label. For now every attempt opens a wave
of its own; joining copies into one wave changes ``wave_of`` and nothing else.

``createOnly`` always: OCM would otherwise PUT the whole Job and fail on its immutable selector (kubestellar
#3960). No singleton status: we read WorkStatus ourselves, and each status write into the WDS would make
KubeStellar rewrite Binding and ManifestWork (docs/design.md, section 1).
"""

import hashlib
from typing import Any

from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES
from workload_controller.facts import CopyFacts

_CLUSTER_PART = (
    40  # with prefix and hash below 63 characters: the name becomes a label value on ManifestWorks
)


def wave_of(workload_uid: str, cluster: str, attempt: int) -> str:
    """Name of the wave of one attempt: label-safe, at most 63 characters, different for every attempt."""
    digest = hashlib.sha256(f"{workload_uid}/{cluster}/{attempt}".encode()).hexdigest()[:16]
    return f"wave-{cluster[:_CLUSTER_PART].rstrip('-')}-{digest}"


def policy(copy: CopyFacts) -> dict[str, Any]:
    """The BindingPolicy (control.kubestellar.io/v1alpha1) that carries this copy to its cluster."""
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
            "annotations": {keys.WORKLOAD: f"{copy.workload_namespace}/{copy.workload_name}"},
        },
        "spec": {
            "clusterSelectors": [{"matchLabels": {keys.CLUSTER_NAME_LABEL: copy.cluster}}],
            "downsync": [
                {
                    "apiGroup": "batch",
                    "resources": ["jobs"],
                    "namespaces": [copy.namespace],
                    "objectSelectors": [{"matchLabels": {keys.WAVE: copy.wave}}],
                    "createOnly": True,
                }
            ],
        },
    }
