"""From a Prometheus' samples to reports of clusters: the same facts as a metrics agent's.

A node counts when everything that decides about it is known: amount, readiness, whether it is schedulable.
One that lacks some of it, or an amount that is no amount, is left out and named; the others go on. What a
whole cluster lacks makes its report unusable, because unknown is not nothing (I9): a kube-state-metrics that
shows no pods would make every node look empty.

Decisions only. Amounts are exact milli-units: a sample's text is read as the decimal number that it is, and
cut to a millionth first, which sums of binary fractions miss by less.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from quota_manager.facts import ReportFacts
from quota_manager.sources.queries import Wanted, sanitized
from quota_manager.sources.source import BadSample
from vocabulary.cluster_metrics import ClusterReport, NodeGroup, Taint

NAME: Final = "Prometheus"
LIMIT: Final = 2**63
"""In units; Kubernetes cannot write more (resource.Quantity)."""


class Sample(NamedTuple):
    """One series of an instant vector. ``value`` as the server wrote it, e.g. "NaN"."""

    labels: Mapping[str, str]
    value: str


Answers = Mapping[str, Sequence[Sample]]
"""By the field of ``Queries`` that was asked."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a Prometheus says of all clusters at one time."""

    reports: Mapping[str, ReportFacts]
    bad: tuple[BadSample, ...]


class Node(NamedTuple):
    """A node by its cluster."""

    cluster: str
    name: str


def read(answers: Answers, wanted: Wanted, cluster_label: str) -> Reading:
    """Fold the answers into reports, one for each cluster of which anything is known."""
    table = _Table(wanted, cluster_label)
    allocatable = table.amounts(answers["allocatable"], up=False)
    foreign = table.amounts(answers["foreign"], up=True)
    requested = table.amounts(answers["requested"], up=True)
    table.exclude(answers["conflicting"], "conflicting")
    table.exclude(answers["bad_requests"], "no_amount")
    unschedulable, ready = table.flags(answers["unschedulable"]), table.flags(answers["ready"])
    labels, taints = table.labels(answers["labels"]), table.taints(answers["taints"])
    scraped, pods = table.by_cluster(answers["scraped_at"]), table.by_cluster(answers["pods"])

    nodes: dict[str, list[NodeGroup]] = defaultdict(list)
    for node in sorted(allocatable):
        if node not in unschedulable or node not in ready:
            table.bad.append(BadSample(node.cluster, "incomplete", node.name, "without condition or spec"))
            continue
        nodes[node.cluster].append(
            NodeGroup(
                name=node.name,
                count=1,
                allocatable={
                    name: amount
                    for name, amount in allocatable[node].items()
                    if (node, name) not in table.unusable
                },
                requested=requested.get(node, {}),
                foreign=foreign.get(node, {}),
                labels=labels.get(node, {}),
                taints=tuple(sorted(taints.get(node, ()), key=lambda t: (t.key, t.value, t.effect))),
                unschedulable=unschedulable[node],
                ready=ready[node],
            )
        )
    unseen = sorted(wanted.labels - {label for known in labels.values() for label in known})
    known = {node.cluster for node in allocatable} | scraped.keys()
    reports = {}
    for cluster in sorted(known):
        problem = _problem(cluster, nodes, pods, scraped, unseen)
        report = None if problem else ClusterReport(scraped[cluster], 0, _grouped(nodes[cluster]), ())
        reports[cluster] = ReportFacts(cluster, report, problem, NAME)
    return Reading(reports, tuple(table.bad))


def _problem(
    cluster: str,
    nodes: Mapping[str, Sequence[NodeGroup]],
    pods: Mapping[str, float],
    scraped: Mapping[str, float],
    unseen: Sequence[str],
) -> str:
    if cluster not in scraped:
        return "Prometheus does not tell when it was scraped"
    if not nodes.get(cluster):
        return "Prometheus has no node that can be used: its condition, spec or amounts are missing"
    if not pods.get(cluster):
        return "Prometheus has no kube_pod_info, so what others use is not known"
    if unseen:
        return (
            f"Prometheus shows no node with label {', '.join(unseen)}, which flavors ask for; "
            "kube-state-metrics tells those of --metric-labels-allowlist=nodes=[…] only"
        )
    return ""


def _grouped(nodes: Iterable[NodeGroup]) -> tuple[NodeGroup, ...]:
    """Nodes that are alike as one entry, as agents report them."""
    groups: dict[str, NodeGroup] = {}
    for node in nodes:
        alike = repr([getattr(node, f.name) for f in fields(node) if f.name not in ("name", "count")])
        known = groups.get(alike)
        groups[alike] = node if known is None else _one_more(known)
    return tuple(groups.values())


def _one_more(group: NodeGroup) -> NodeGroup:
    values = {f.name: getattr(group, f.name) for f in fields(group)}
    return NodeGroup(**{**values, "count": group.count + 1})


class _Table:
    """Reads samples by their labels and keeps what cannot be read."""

    def __init__(self, wanted: Wanted, cluster_label: str) -> None:
        self._cluster = cluster_label
        self._resources, self._labels = _unique(wanted.resources), _unique(wanted.labels)
        self.bad: list[BadSample] = []
        self.unusable: set[tuple[Node, str]] = set()
        """Without its use, what a node has of a resource is not known either."""

    def amounts(self, samples: Iterable[Sample], *, up: bool) -> dict[Node, dict[str, int]]:
        """Milli-units of each node and resource."""
        table: dict[Node, dict[str, int]] = defaultdict(dict)
        for sample in samples:
            node, spelled = self._node(sample), sample.labels.get("resource", "")
            if node is None:
                continue
            resource = self._resources.get(spelled)
            bad, value = "", sample.value
            if resource is None:
                bad = "unknown_resource"
            elif (unit := sample.labels.get("unit", "")) != _unit(resource):
                bad, value = "unknown_unit", f"{value} {unit or 'without unit'}"
            elif resource in table[node]:
                bad = "duplicate"
            else:
                amount, bad = _milli(value, up=up)
                table[node][resource] = amount
            if bad:
                self._leave_out(node, spelled, bad, value)
        return table

    def exclude(self, samples: Iterable[Sample], reason: str) -> None:
        """Amounts that are bad by the answer itself."""
        for sample in samples:
            if (node := self._node(sample)) is not None:
                self._leave_out(node, sample.labels.get("resource", ""), reason, sample.value)

    def flags(self, samples: Iterable[Sample]) -> dict[Node, bool]:
        """Of each node; one whose flag is neither 0 nor 1 has none."""
        flags = {}
        for sample in samples:
            node = self._node(sample)
            if node is None:
                continue
            if sample.value not in ("0", "1"):
                self.bad.append(BadSample(node.cluster, "no_flag", node.name, sample.value))
                continue
            flags[node] = sample.value == "1"
        return flags

    def labels(self, samples: Iterable[Sample]) -> dict[Node, dict[str, str]]:
        """The wanted ones of each node, by their own names."""
        table = {}
        for sample in samples:
            if (node := self._node(sample)) is not None:
                spelled = {label: f"label_{key}" for key, label in self._labels.items()}
                table[node] = {
                    label: sample.labels[key] for label, key in spelled.items() if sample.labels.get(key)
                }
        return table

    def taints(self, samples: Iterable[Sample]) -> dict[Node, list[Taint]]:
        """Of each node."""
        table: dict[Node, list[Taint]] = defaultdict(list)
        for sample in samples:
            if (node := self._node(sample)) is not None:
                key, value, effect = (sample.labels.get(name, "") for name in ("key", "value", "effect"))
                table[node].append(Taint(key, value, effect))
        return table

    def by_cluster(self, samples: Iterable[Sample]) -> dict[str, float]:
        """One finite number for each cluster."""
        numbers = {}
        for sample in samples:
            cluster = sample.labels.get(self._cluster, "")
            number = _number(sample.value)
            if cluster and number is not None:
                numbers[cluster] = float(number)
        return numbers

    def _node(self, sample: Sample) -> Node | None:
        cluster, name = sample.labels.get(self._cluster, ""), sample.labels.get("node", "")
        if cluster and name:
            return Node(cluster, name)
        reason = "no_node" if cluster else "no_cluster"
        self.bad.append(BadSample(cluster, reason, name or sample.labels.get("resource", "?"), sample.value))
        return None

    def _leave_out(self, node: Node, spelled: str, reason: str, value: str) -> None:
        self.bad.append(BadSample(node.cluster, reason, f"{node.name} {spelled}", value))
        if spelled in self._resources:
            self.unusable.add((node, self._resources[spelled]))


def _milli(value: str, *, up: bool) -> tuple[int, str]:
    """The amount, and what is wrong with it if anything is."""
    number = _number(value)
    if number is None:
        return 0, "not_finite"
    if not 0 <= number <= LIMIT:
        return 0, "out_of_range"
    exact = round(number, 6) * 1000
    return math.ceil(exact) if up else math.floor(exact), ""


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _unique(names: Iterable[str]) -> dict[str, str]:
    """From kube-state-metrics' spelling to the name; two names with one spelling cannot be told apart."""
    spelled: dict[str, list[str]] = defaultdict(list)
    for name in names:
        spelled[sanitized(name)].append(name)
    return {spelling: found[0] for spelling, found in spelled.items() if len(found) == 1}


def _unit(resource: str) -> str:
    """kube-state-metrics' word for it."""
    if resource == "cpu":
        return "core"
    return (
        "byte"
        if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-")
        else "integer"
    )
