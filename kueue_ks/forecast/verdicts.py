"""The placement's verdict on every cluster as rows: the same numbers and words, in columns. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kube_runtime.quantity import format_milli
from kueue_ks.views.clusters import resource_order
from kueue_ks.views.facts import rfc3339
from vocabulary.reasons import action_of
from workload_controller.facts import ClusterFacts, Held, PodSet
from workload_controller.placement import free_room
from workload_controller.verdicts import Fits, Placement, Short, TooLarge, Verdict


@dataclass(frozen=True, slots=True)
class ClusterVerdict:
    """One row. ``reason`` is the verdict's public code, ``action`` who acts on it, ``why`` its sentence.

    ``free`` and ``asked`` are quantities of ``resource``, the one that is scarcest there; None is not known.
    """

    cluster: str
    reason: str
    action: str
    why: str
    resource: str
    free: str | None
    asked: str | None
    facts_at: str | None  # when its agent observed what it reports
    chosen: bool


def verdict_rows(
    placement: Placement, clusters: Sequence[ClusterFacts], held: Sequence[Held], pod_sets: Sequence[PodSet]
) -> tuple[ClusterVerdict, ...]:
    """In order of the clusters' names."""
    by_name = {c.name: c for c in clusters}
    asked = total(pod_sets)
    return tuple(_row(v, by_name[v.cluster], held, asked, placement.choice) for v in placement.verdicts)


def total(pod_sets: Iterable[PodSet]) -> dict[str, int]:
    """What all pods ask together, in milli-units."""
    asked: dict[str, int] = {}
    for pod_set in pod_sets:
        for resource, amount in pod_set.requests.items():
            if amount > 0 and pod_set.count > 0:
                asked[resource] = asked.get(resource, 0) + amount * pod_set.count
    return asked


def best(placement: Placement) -> tuple[str, ...]:
    """The clusters that are equally good: of them the uid decides, which a job to come does not have yet."""
    fitting = [v for v in placement.verdicts if isinstance(v, Fits)]
    top = max(((v.score.rank, v.free) for v in fitting), default=None)
    return tuple(v.cluster for v in fitting if (v.score.rank, v.free) == top)


def _row(
    verdict: Verdict,
    cluster: ClusterFacts,
    held: Sequence[Held],
    asked: Mapping[str, int],
    choice: str | None,
) -> ClusterVerdict:
    resource, there, wanted = _scarcest(verdict, cluster, held, asked)
    return ClusterVerdict(
        cluster=verdict.cluster,
        reason=verdict.reason,
        action=action_of(verdict.reason),
        why=str(verdict).removeprefix(f"{verdict.cluster}: "),
        resource=resource,
        free=None if there is None else format_milli(max(0, there), resource),
        asked=None if wanted is None else format_milli(wanted, resource),
        facts_at=rfc3339(cluster.report.observed_at) if cluster.report else None,
        chosen=verdict.cluster == choice,
    )


def _scarcest(
    verdict: Verdict, cluster: ClusterFacts, held: Sequence[Held], asked: Mapping[str, int]
) -> tuple[str, int | None, int | None]:
    if isinstance(verdict, Short | TooLarge):
        return verdict.lack.resource, verdict.lack.there, verdict.lack.asked
    resources = sorted((r for r in asked if r != "pods"), key=resource_order)
    if not resources:
        return "", None, None
    if not cluster.fresh:
        return resources[0], None, asked[resources[0]]
    free = free_room(cluster, held)
    scarce = min(resources, key=lambda r: free.get(r, 0) / asked[r])
    return scarce, free.get(scarce, 0), asked[scarce]
