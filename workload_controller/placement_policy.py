"""PlacementPolicy: how the jobs of a ClusterQueue are placed (docs/placement.md).

A policy is named in ``spec.parameters`` of an AdmissionCheck of ours, and a ClusterQueue names its check.
That is how Kueue's own checks are configured (MultiKueueConfig, ProvisioningRequestConfig), and it is where
only administrators write; an annotation of the queue would be a second language for the same thing, without
a schema and without a place for a list of selectors.

What is wrong with it keeps its jobs waiting, with the remedy, and is said by the condition Active of its
check; the jobs of other checks go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from vocabulary.resources import PLACEMENT_POLICIES
from workload_controller.cluster_selection import ANY_CLUSTER, OPERATORS, ClusterSelector
from workload_controller.facts import Requirement


class Strategy(Enum):
    """Which of the clusters that a job fits is chosen."""

    SPREAD = "Spread"  # where most stays free
    PACK = "Pack"  # the fullest
    PREFER = "Prefer"  # the highest sum of preferences


class WhenNeverFits(Enum):
    """What happens to a job that fits no cluster even if empty."""

    REJECT = "Reject"
    WAIT = "Wait"


@dataclass(frozen=True, slots=True)
class Preference:
    """``weight`` points for clusters that match; 1000 is as much as a whole cluster that stays free."""

    weight: int
    selector: ClusterSelector


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    """``bad``: the field that cannot be read, with its value and what is allowed; "" when all can be."""

    name: str = ""
    strategy: Strategy = Strategy.SPREAD
    selector: ClusterSelector = ANY_CLUSTER
    placement: tuple[str, str] | None = None  # namespace and name of an OCM Placement
    preferences: tuple[Preference, ...] = ()
    when_never_fits: WhenNeverFits = WhenNeverFits.REJECT
    bad: str = ""


NO_POLICY = PlacementPolicy()


@dataclass(frozen=True, slots=True)
class Parameters:
    """``AdmissionCheck.spec.parameters``."""

    api_group: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class DecidedClusters:
    """A PlacementDecision of OCM; a Placement may have several, of 100 clusters each."""

    placement: tuple[str, str]  # namespace and name of the Placement
    clusters: frozenset[str]


NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Rules:
    """What a policy means for the clusters of now.

    ``problem`` keeps every job of the check waiting, "" when nothing does. ``outside``: cluster → why the
    policy leaves it out.
    """

    policy: PlacementPolicy = NO_POLICY
    problem: str = ""
    outside: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Known:
    """What policies are resolved with. ``policies`` and ``decisions`` are None while they cannot be read."""

    policies: Mapping[str, PlacementPolicy] | None
    decisions: Mapping[tuple[str, str], frozenset[str]] | None  # by Placement
    clusters: Mapping[str, Mapping[str, str]]  # labels by name


def rules_of(parameters: Parameters | None, known: Known) -> Rules:
    """What the parameters of a check mean now."""
    if parameters is None:
        return Rules()
    if (parameters.api_group, parameters.kind) != (PLACEMENT_POLICIES.group, PLACEMENT_POLICIES.kind):
        return Rules(
            problem=f"spec.parameters of the AdmissionCheck names a {parameters.kind} of "
            f"{parameters.api_group or 'the core group'}: give it a PlacementPolicy of "
            f"{PLACEMENT_POLICIES.group}, or none"
        )
    subject = f"PlacementPolicy {parameters.name}"
    if known.policies is None:
        return Rules(
            problem=f"{subject} cannot be read: the hub does not serve placementpolicies to us, "
            "kueue-ks install mends that"
        )
    policy = known.policies.get(parameters.name)
    if policy is None:
        there = ", ".join(sorted(known.policies)) or "none"
        remedy = f"create it, or name another one in the AdmissionCheck; there are: {there}"
        return Rules(problem=f"{subject} does not exist: {remedy}")
    problem, outside = _candidates(policy, known)
    return Rules(policy, f"{subject}: {problem}" if problem else "", outside)


def _candidates(policy: PlacementPolicy, known: Known) -> tuple[str, Mapping[str, str]]:
    """What is wrong, and which clusters are left out."""
    if policy.bad:
        return policy.bad, NOTHING
    if contradiction := policy.selector.contradiction():
        return f"spec.clusterSelector contradicts itself: {contradiction}", NOTHING
    problem, decided = _decided(policy, known)
    if problem:
        return problem, NOTHING
    outside = {}
    for name, labels in known.clusters.items():
        if unmet := policy.selector.unmet(labels):
            outside[name] = f"left out by PlacementPolicy {policy.name}: {unmet}"
        elif decided is not None and name not in decided:
            outside[name] = f"left out by PlacementPolicy {policy.name}: {_of(policy)} does not select it"
    if known.clusters and len(outside) == len(known.clusters):
        names = ", ".join(sorted(known.clusters))
        chosen = f" and {_of(policy)}" if decided is not None else ""
        text = f"spec.clusterSelector ({policy.selector}){chosen} leaves none of the clusters {names}: "
        return text + "label one of them, or change it", outside
    return "", outside


def _decided(policy: PlacementPolicy, known: Known) -> tuple[str, frozenset[str] | None]:
    """What is wrong with the Placement, and the clusters that OCM chose; None when none is asked for."""
    if policy.placement is None:
        return "", None
    if known.decisions is None:
        unread = "spec.placement: the ITS does not serve PlacementDecisions to us"
        return f"{unread}: install OCM's placement and our roles there, or take it out", None
    decided = known.decisions.get(policy.placement)
    if decided is None:
        return (
            f"spec.placement: {_of(policy)} has no PlacementDecision in the ITS: create it, or take it out",
            None,
        )
    return "", decided


def _of(policy: PlacementPolicy) -> str:
    namespace, name = policy.placement or ("", "")
    return f"Placement {namespace}/{name}"


def read_placement_policy(obj: dict[str, Any]) -> PlacementPolicy:
    """A PlacementPolicy; its schema refuses most of what is ``bad`` when it is written."""
    name, spec = obj["metadata"]["name"], obj.get("spec") or {}
    try:
        placement = spec.get("placement")
        return PlacementPolicy(
            name=name,
            strategy=Strategy(_one_of("spec.strategy", spec.get("strategy", "Spread"), Strategy)),
            selector=_read_selector("spec.clusterSelector", spec.get("clusterSelector")),
            placement=(placement["namespace"], placement["name"]) if placement else None,
            preferences=tuple(
                Preference(
                    int(p["weight"]),
                    _read_selector("spec.preferences[].clusterSelector", p["clusterSelector"]),
                )
                for p in spec.get("preferences") or ()
            ),
            when_never_fits=WhenNeverFits(
                _one_of("spec.whenNeverFits", spec.get("whenNeverFits", "Reject"), WhenNeverFits)
            ),
        )
    except ValueError as bad:
        return PlacementPolicy(name, bad=str(bad))
    except KeyError as missing:
        return PlacementPolicy(name, bad=f"spec lacks {missing}")


def read_decided_clusters(obj: dict[str, Any]) -> DecidedClusters | None:
    """A PlacementDecision; None without the label that names its Placement."""
    metadata = obj["metadata"]
    placement = (metadata.get("labels") or {}).get("cluster.open-cluster-management.io/placement")
    if not placement:
        return None
    decisions = (obj.get("status") or {}).get("decisions") or ()
    return DecidedClusters((metadata["namespace"], placement), frozenset(d["clusterName"] for d in decisions))


def _read_selector(where: str, selector: dict[str, Any] | None) -> ClusterSelector:
    given = selector or {}
    labels = [
        Requirement(key, "In", (value,)) for key, value in sorted((given.get("matchLabels") or {}).items())
    ]
    expressions = []
    for entry in given.get("matchExpressions") or ():
        operator, values = entry["operator"], tuple(entry.get("values") or ())
        if operator not in OPERATORS:
            msg = f"{where}: operator is {operator!r}: one of {', '.join(OPERATORS)}"
            raise ValueError(msg)
        if bool(values) != (operator in ("In", "NotIn")):
            msg = (
                f"{where}: {entry['key']} {operator} has values [{', '.join(values)}]: In and NotIn need some"
            )
            raise ValueError(msg)
        expressions.append(Requirement(entry["key"], operator, values))
    return ClusterSelector((*labels, *expressions))


def _one_of(where: str, value: object, allowed: type[Enum]) -> object:
    names = [each.value for each in allowed]
    if value not in names:
        msg = f"{where} is {value!r}: one of {', '.join(names)}"
        raise ValueError(msg)
    return value
