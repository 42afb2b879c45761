"""What we know of clusters, flavors and queues, in the units of the decision.

Each function reads one object at its informer's edge. Amounts are integer milli-units.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from kube_runtime.objects import Obj
from kube_runtime.quantity import parse_milli_down
from quota_manager.wishes import BadWish, Reserve, read_reserve, read_scope, read_weight
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport, Taint
from vocabulary.report_reading import BadReport, parse_report
from vocabulary.resources import CLUSTER_METRICS, CLUSTER_QUEUES, COHORTS

AVAILABLE_CONDITION: Final = "ManagedClusterConditionAvailable"
NOT_WRITTEN: Final = "its metrics agent has not written yet"
"""``ReportFacts.problem`` of an object that was carried there and came back empty."""

AUTOMATIC_TAINTS: Final = frozenset(
    {
        "cluster.open-cluster-management.io/unavailable",
        "cluster.open-cluster-management.io/unreachable",
    }
)
"""Set by OCM itself when the Available condition goes: a silence, not somebody's will."""


class Cell(NamedTuple):
    """One nominalQuota: a resource in a flavor."""

    flavor: str
    resource: str


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """A ManagedCluster: two things that somebody wants, and ``available``, which OCM has observed."""

    name: str
    uid: str
    accepted: bool  # spec.hubAcceptsClient
    cordoned: bool  # tainted NoSelect, not by OCM itself
    available: bool
    label: str | None  # the label that selects it in BindingPolicies
    allocatable: Mapping[str, Any] = field(
        default_factory=dict
    )  # status, as written: sources.allocatable reads it

    @property
    def enrolled(self) -> bool:
        """Whether it is meant to run jobs."""
        return self.accepted and not self.cordoned


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a source says of a cluster. ``problem`` says why ``report`` is None."""

    cluster: str
    report: ClusterReport | None
    problem: str
    source: str = "ClusterMetrics"  # a WorkStatus that carries its status; see ``sources``


@dataclass(frozen=True, slots=True)
class Toleration:
    """``ResourceFlavor.spec.tolerations[]``; "" where the field is absent."""

    key: str
    operator: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class Flavor:
    """A ResourceFlavor: which nodes it means."""

    name: str
    node_labels: Mapping[str, str]
    node_taints: tuple[Taint, ...]
    tolerations: tuple[Toleration, ...]
    reserve: Mapping[str, Reserve] = field(default_factory=dict)  # by resource
    problem: str = ""  # why the reserve is not known: then its quotas stay


@dataclass(frozen=True, slots=True)
class FlavorGroup:
    """``ClusterQueue.spec.resourceGroups[]``: resources and the flavors that are tried for them, in order."""

    resources: tuple[str, ...]
    flavors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A ClusterQueue or Cohort. ``quotas`` are those that it has now, ``ours`` those that we may write."""

    name: str
    uid: str
    managed: bool
    generation: int
    groups: tuple[FlavorGroup, ...]
    quotas: Mapping[Cell, int]
    ours: frozenset[Cell]
    weight: int = 1
    problem: str = ""  # what of its annotations cannot be read: then its quotas stay
    kind: str = CLUSTER_QUEUES.kind
    breakdown: str = ""  # as we wrote it last, or somebody else

    @property
    def key(self) -> str:
        """Its name; a Cohort's is set apart by what no name contains."""
        return self.name if self.kind == CLUSTER_QUEUES.kind else f"{self.kind.lower()}/{self.name}"


def cluster_facts(cluster: Obj) -> ClusterFacts:
    """Read a ManagedCluster."""
    metadata, spec, status = cluster["metadata"], cluster.get("spec") or {}, cluster.get("status") or {}
    return ClusterFacts(
        name=metadata["name"],
        uid=metadata["uid"],
        accepted=bool(spec.get("hubAcceptsClient")),
        cordoned=any(
            taint.get("effect") == "NoSelect" and taint.get("key") not in AUTOMATIC_TAINTS
            for taint in spec.get("taints") or ()
        ),
        available=any(
            c["type"] == AVAILABLE_CONDITION and c["status"] == "True" for c in status.get("conditions") or ()
        ),
        label=(metadata.get("labels") or {}).get(keys.CLUSTER_NAME_LABEL),
        allocatable=dict(status.get("allocatable") or {}),
    )


def report_facts(work_status: Obj) -> ReportFacts | None:
    """Read a WorkStatus; None unless it is the report of the cluster in whose namespace it lies.

    ClusterMetrics objects are named after their cluster. One of another name is not ours, or came to a
    cluster that shares its label with another: believing it would count one cluster twice.
    """
    cluster = work_status["metadata"]["namespace"]
    source = (work_status.get("spec") or {}).get("sourceRef") or {}
    about = (source.get("group"), source.get("kind"), source.get("name"))
    if about != (CLUSTER_METRICS.group, CLUSTER_METRICS.kind, cluster):
        return None
    status = work_status.get("status") or {}
    if not status:
        return ReportFacts(cluster, None, NOT_WRITTEN)
    try:
        return ReportFacts(cluster, parse_report(status), "")
    except BadReport as bad:
        return ReportFacts(cluster, None, str(bad))


def newest(one: ReportFacts, other: ReportFacts) -> ReportFacts:
    """Of two of one cluster the newer: an object that was made anew has two for a moment."""
    return max(one, other, key=_age_key)


def _age_key(facts: ReportFacts) -> tuple[float, int]:
    return (-1.0, -1) if facts.report is None else (facts.report.observed_at, facts.report.sequence)


def flavor_facts(flavor: Obj) -> Flavor:
    """Read a ResourceFlavor."""
    spec = flavor.get("spec") or {}
    reserve, problem = {}, ""
    try:
        reserve = dict(read_reserve(flavor["metadata"].get("annotations") or {}))
    except BadWish as bad:
        problem = f"ResourceFlavor {flavor['metadata']['name']}: {bad}"
    return Flavor(
        name=flavor["metadata"]["name"],
        node_labels=dict(spec.get("nodeLabels") or {}),
        node_taints=tuple(
            Taint(t["key"], t.get("value", ""), t["effect"]) for t in spec.get("nodeTaints") or ()
        ),
        tolerations=tuple(
            Toleration(
                t.get("key", ""), t.get("operator") or "Equal", t.get("value", ""), t.get("effect") or ""
            )
            for t in spec.get("tolerations") or ()
        ),
        reserve=reserve,
        problem=problem,
    )


def is_managed(queue: Obj) -> bool:
    """Whether its owner has put nominal quotas into our hands."""
    return read_scope(queue["metadata"].get("annotations") or {}) is not None


def cohort_facts(cohort: Obj) -> QueueFacts:
    """Read a Cohort: its quotas have the form of a ClusterQueue's."""
    return replace(queue_facts(cohort), kind=COHORTS.kind)


def queue_facts(queue: Obj) -> QueueFacts:
    """Read a ClusterQueue, not its status: each admission changes it, and no quota follows from that."""
    groups = (queue.get("spec") or {}).get("resourceGroups") or ()
    annotations = queue["metadata"].get("annotations") or {}
    quotas = dict(_quotas(groups))
    weight, problem = 1, ""
    try:
        weight = read_weight(annotations)
        ours = _ours(annotations, quotas)
    except BadWish as bad:
        ours, problem = frozenset(quotas), str(bad)
    return QueueFacts(
        name=queue["metadata"]["name"],
        uid=queue["metadata"]["uid"],
        managed=is_managed(queue) and "deletionTimestamp" not in queue["metadata"],
        generation=int(queue["metadata"].get("generation", 0)),
        groups=tuple(
            FlavorGroup(
                tuple(group["coveredResources"]), tuple(flavor["name"] for flavor in group["flavors"])
            )
            for group in groups
        ),
        quotas=quotas,
        ours=ours,
        weight=weight,
        problem=problem,
        breakdown=str(annotations.get(keys.QUOTA_BREAKDOWN, "")),
    )


def _ours(annotations: Mapping[str, str], quotas: Mapping[Cell, int]) -> frozenset[Cell]:
    """The cells that the owner has named; each name must mean one, since a typing error would mean none."""
    found: set[Cell] = set()
    for flavor, resource in read_scope(annotations) or ():
        meant = {c for c in quotas if flavor in ("", c.flavor) and resource in ("", c.resource)}
        if not meant and flavor:
            named = ", ".join(sorted({cell.flavor for cell in quotas}))
            allowed = f'"true", or FLAVOR or FLAVOR/RESOURCE of its own ({named})'
            raise BadWish(keys.MANAGE_QUOTA, annotations[keys.MANAGE_QUOTA], allowed)
        found |= meant
    return frozenset(found)


def _quotas(groups: Iterable[Mapping[str, Any]]) -> list[tuple[Cell, int]]:
    return [
        (Cell(flavor["name"], resource["name"]), parse_milli_down(resource["nominalQuota"]))
        for group in groups
        for flavor in group["flavors"]
        for resource in flavor["resources"]
    ]
