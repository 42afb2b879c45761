"""Whether our AdmissionCheck is Active: Kueue reserves quota only for queues whose checks are.

It is active while at least one cluster can take jobs. The text names every cluster that cannot, and why.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport
from workload_controller.facts import ClusterFacts, ManagedClusterFacts
from workload_controller.placement_policy import Parameters, Rules
from workload_controller.reading import seconds

NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class AdmissionCheckFacts:
    """An AdmissionCheck of ours, with its condition Active as it stands ("" when absent)."""

    name: str
    uid: str
    generation: int
    active: str
    reason: str
    message: str
    observed_generation: int
    since: float
    parameters: Parameters | None = None


@dataclass(frozen=True, slots=True)
class ActiveCondition:
    """What the condition should say; ``since`` moves only when the status changes."""

    active: bool
    reason: str
    message: str
    since: float


def read_admission_check(obj: dict[str, Any]) -> AdmissionCheckFacts | None:
    """An AdmissionCheck; None when another controller's."""
    if obj["spec"].get("controllerName") != keys.CONTROLLER_NAME:
        return None
    conditions = (obj.get("status") or {}).get("conditions") or ()
    active: dict[str, Any] = next((c for c in conditions if c["type"] == "Active"), {})
    return AdmissionCheckFacts(
        name=obj["metadata"]["name"],
        uid=obj["metadata"]["uid"],
        generation=obj["metadata"].get("generation", 0),
        active=active.get("status", ""),
        reason=active.get("reason", ""),
        message=active.get("message", ""),
        observed_generation=active.get("observedGeneration", 0),
        since=seconds(active.get("lastTransitionTime")),
        parameters=_read_parameters(obj["spec"].get("parameters")),
    )


def _read_parameters(given: dict[str, Any] | None) -> Parameters | None:
    return Parameters(given.get("apiGroup", ""), given["kind"], given["name"]) if given else None


def wanted_condition(
    check: AdmissionCheckFacts, clusters: Iterable[ClusterFacts], now: float, rules: Rules = NO_RULES
) -> ActiveCondition | None:
    """The condition to write, None when it stands already. ``rules`` are those of its placement policy."""
    known = sorted(clusters, key=lambda c: c.name)
    why_not = {c.name: c.refusal or rules.outside.get(c.name, "") for c in known}
    usable = [name for name, why in why_not.items() if not why]
    refusals = "; ".join(f"{name}: {why}" for name, why in why_not.items() if why)
    if rules.problem:
        usable, reason, message = [], "BadPlacementPolicy", rules.problem
    elif usable:
        reason = "ClustersUsable"
        message = f"{len(usable)} of {len(known)} clusters usable: {', '.join(usable)}"
        message += f". Not usable: {refusals}" if refusals else ""
    else:
        reason = "NoUsableCluster"
        message = refusals or "0 ManagedClusters in the ITS: register a worker with OCM"
    status = "True" if usable else "False"
    if (check.active, check.reason, check.message, check.observed_generation) == (
        status,
        reason,
        message,
        check.generation,
    ):
        return None
    since = check.since if check.active == status and check.since else now
    return ActiveCondition(bool(usable), reason, message, since)


def judged(
    clusters: Collection[ManagedClusterFacts],
    reports: Mapping[str, ClusterReport],
    *,
    now: float,
    stale_after: float,
    settle: float,
) -> list[ClusterFacts]:
    """Every cluster with its newest report, by name, and whether it can be used."""
    shared = sharing(clusters)
    return [
        judge(
            cluster,
            reports.get(cluster.name),
            shared[cluster.name_label],
            now=now,
            stale_after=stale_after,
            settle=settle,
        )
        for cluster in clusters
    ]


def sharing(clusters: Iterable[ManagedClusterFacts]) -> dict[str, int]:
    """How many clusters have each label."""
    shared: dict[str, int] = {}
    for cluster in clusters:
        shared[cluster.name_label] = shared.get(cluster.name_label, 0) + 1
    return shared


def judge(
    cluster: ManagedClusterFacts,
    report: ClusterReport | None,
    sharing_label: int,
    *,
    now: float,
    stale_after: float,
    settle: float,
) -> ClusterFacts:
    """One cluster; ``sharing_label``: how many have its label, itself included."""
    age = None if report is None else now - report.observed_at
    settles_for = settling(cluster, now, settle)
    why = refusal_of(
        cluster,
        sharing_label=sharing_label,
        report_age=age,
        stale_after=stale_after,
        settles_for=settles_for,
    )
    known = not unheard(cluster, age, stale_after, settles_for)
    return ClusterFacts(cluster.name, why, report, fresh=known)


def stands_until(
    cluster: ManagedClusterFacts,
    report: ClusterReport | None,
    *,
    now: float,
    stale_after: float,
    settle: float,
) -> float:
    """Until when ``judge`` says the same of the same objects; ``now`` where that changes by the second."""
    if settling(cluster, now, settle) > 0:
        return now
    if report is None:
        return math.inf
    age = now - report.observed_at
    if age < -stale_after:
        return now
    return math.inf if age > stale_after else report.observed_at + stale_after


def refusal_of(
    cluster: ManagedClusterFacts,
    *,
    sharing_label: int,
    report_age: float | None,
    stale_after: float,
    settles_for: float,
) -> str:
    """Why a cluster cannot take jobs now, "" when it can. ``report_age`` is None without a report.

    ``settles_for``: seconds until a cluster that was lost is used again (``settling``).

    A cluster is chosen in a BindingPolicy by its label, so the label must name this cluster and no other:
    otherwise KubeStellar would carry a job to two places (I1).
    """
    label = keys.CLUSTER_NAME_LABEL
    if cluster.deleting:
        return "its ManagedCluster is being deleted"
    if not cluster.accepted:
        return "hubAcceptsClient is false: accept it with clusteradm accept"
    if cluster.name_label != cluster.name:
        found = repr(cluster.name_label) if cluster.name_label else "missing"
        return f"label {label} is {found}: kubectl label managedcluster {cluster.name} {label}={cluster.name}"
    if sharing_label > 1:
        return f"{sharing_label} ManagedClusters share the label {label}={cluster.name}: make it unique"
    if cluster.cordon is not None:
        return f"it {cluster.cordon} (kueue-ks uncordon {cluster.name})"
    if cluster.tainted:
        return f"it has the NoSelect taint {cluster.tainted[0]}"
    return unheard(cluster, report_age, stale_after, settles_for)


def unheard(
    cluster: ManagedClusterFacts, report_age: float | None, stale_after: float, settles_for: float
) -> str:
    """Since it, or its agent, has not been heard of lately: why what it has is not known. "" when it is."""
    if cluster.available != "True":
        return f"ManagedClusterConditionAvailable is {cluster.available}"
    if settles_for > 0:
        return f"it came back a moment ago, used again in {settles_for:.0f}s if it stays"
    if report_age is None:
        return "its metrics agent has not reported yet, see whether it runs there"
    if report_age > stale_after:
        return f"its last report is older than {stale_after:.0f}s, see whether its metrics agent runs"
    if report_age < -stale_after:
        return f"its last report is dated more than {stale_after:.0f}s ahead: check its clock"
    return ""


NEWBORN = 60.0
"""Seconds; a cluster that became Available so soon after its registration was never lost."""


def settling(cluster: ManagedClusterFacts, now: float, settle: float) -> float:
    """Seconds that a returned cluster still has to stay before it is used: one that flaps gets no jobs."""
    if cluster.available != "True" or cluster.available_since - cluster.created_at < NEWBORN:
        return 0.0
    return max(0.0, cluster.available_since + settle - now)
