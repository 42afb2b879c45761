"""The questions to a Prometheus, in kube-state-metrics' words (v2 names).

Pods are many, so the server adds up their requests; nodes come one by one. Where two kube-state-metrics
watch one cluster, each series is there twice: the value that is safe counts (greatest use, least readiness),
and amounts that differ are asked for, to be left out.

Kept safe where kube-state-metrics shows less than it could: without its pod labels
(``--metric-labels-allowlist=pods=[kueue.kubestellar.io/workload-uid]``) our own pods are not known as ours,
and all requests count as foreign; a pod whose phase is not shown counts as running.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from vocabulary import keys


def sanitized(name: str) -> str:
    """A label or resource name as kube-state-metrics spells it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the managed queues ask about: resources, and the node labels that their flavors go by."""

    resources: frozenset[str]
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Queries:
    """PromQL, one for each kind of fact; "" where there is nothing to ask."""

    allocatable: str
    conflicting: str
    unschedulable: str
    ready: str
    taints: str
    labels: str
    foreign: str
    requested: str
    bad_requests: str
    pods: str
    scraped_at: str


def queries(wanted: Wanted, cluster: str) -> Queries:
    """``cluster`` is the label that tells the clusters apart."""
    node = f"max by ({cluster}, node, resource, unit) (kube_node_status_allocatable{_of(wanted.resources)})"
    labels = ", ".join(sorted(f"label_{sanitized(label)}" for label in wanted.labels))
    ours = f'kube_pod_labels{{label_{sanitized(keys.WORKLOAD_UID)}!=""}}'
    requests = _requests(wanted.resources, cluster)
    not_ours = f"unless on ({cluster}, namespace, pod) {ours}"
    return Queries(
        allocatable=node,
        conflicting=f"({node}) != ({node.replace('max by', 'min by')})",
        unschedulable=f"max by ({cluster}, node) (kube_node_spec_unschedulable)",
        ready=f'min by ({cluster}, node) (kube_node_status_condition{{condition="Ready",status="true"}})',
        taints=f"max by ({cluster}, node, key, value, effect) (kube_node_spec_taint) > 0",
        labels=f"group by ({cluster}, node, {labels}) (kube_node_labels)" if labels else "",
        foreign=_per_node(f"({requests}) {not_ours}", cluster),
        requested=_per_node(requests, cluster),
        bad_requests=_bad(wanted.resources, cluster),
        pods=f"count by ({cluster}) (kube_pod_info)",
        scraped_at=f"min by ({cluster}) (timestamp(kube_node_status_allocatable))",
    )


def _requests(resources: Collection[str], cluster: str) -> str:
    """Per pod on a node, as the kube-scheduler adds up: containers together, or a greater init container.

    kube-state-metrics does not tell sidecars from init containers, so a pod with both is asked too little by
    the less of the two; nor is a pod's overhead in these metrics.
    """
    pod = f"by ({cluster}, namespace, pod, node, resource, unit)"
    container = f"by ({cluster}, namespace, pod, node, resource, unit, container)"
    of = _of(resources, 'node!=""')
    together = f"sum {pod} (max {container} (kube_pod_container_resource_requests{of}))"
    first = f"max {pod} (kube_pod_init_container_resource_requests{of})"
    both = [(together, "containers"), (first, "init")]
    amounts = " or ".join(f'label_replace({of}, "of", "{name}", "", "")' for of, name in both)
    if "pods" in resources:
        counted = f'group by ({cluster}, namespace, pod, node) (kube_pod_info{{node!=""}})'
        named = (
            f'label_replace(label_replace({counted}, "resource", "pods", "", ""), "unit", "integer", "", "")'
        )
        amounts = f"{amounts} or {named}"
    ended = 'kube_pod_status_phase{phase=~"Succeeded|Failed"} == 1'
    return f"max {pod} ({amounts}) unless on ({cluster}, namespace, pod) ({ended})"


def _per_node(requests: str, cluster: str) -> str:
    return f"sum by ({cluster}, node, resource, unit) ({requests})"


def _bad(resources: Collection[str], cluster: str) -> str:
    """Requests that are no amount: a sum would hide them."""
    metrics = ("kube_pod_container_resource_requests", "kube_pod_init_container_resource_requests")
    of = _of(resources, 'node!=""')
    series = [metric + of for metric in metrics]
    bad = " or ".join(f"({s} < 0) or ({s} != {s})" for s in series)
    return f"min by ({cluster}, node, resource) ({bad})"


def _of(resources: Collection[str], *more: str) -> str:
    names = "|".join(sorted(sanitized(resource) for resource in resources))
    return "{" + ",".join([f'resource=~"{names}"', *more]) + "}"
