"""Raw objects → the facts that the controllers' own readers make of them, once for all views.

An object that cannot be read is left out, as an informer would, and named.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from kube_runtime.objects import Obj
from kueue_ks.views.seen import Objects, Seen
from quota_manager.facts import ReportFacts, newest, report_facts
from vocabulary import keys
from workload_controller import reading
from workload_controller.facts import CopyFacts, Flavor, Held, ManagedClusterFacts, WorkloadFacts
from workload_controller.ledger import held_room
from workload_controller.published import LEASE, Options, read_options

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facts:
    """None where ``seen`` has None. Workloads and clusters come with their objects."""

    seen: Seen
    workloads: Sequence[tuple[Obj, WorkloadFacts]] | None
    copies: Sequence[CopyFacts] | None
    flavors: Mapping[str, Flavor] | None
    clusters: Sequence[tuple[Obj, ManagedClusterFacts]] | None
    reports: Mapping[str, ReportFacts] | None
    our_checks: frozenset[str]
    unread: Mapping[str, str]
    options: Options = field(default_factory=Options)  # the controller's, which its deadlines follow from

    @property
    def ledger(self) -> list[Held] | None:
        """What the controller's ledger says; None unless all of it was read.

        Half a ledger would show room that is not there.
        """
        parts = (self.workloads, self.copies, self.flavors)
        if None in parts or self.seen.namespace:
            return None
        return held_room((w for _, w in self.workloads or ()), self.copies or (), self.flavors or {})


def facts_of(seen: Seen) -> Facts:
    """Read everything once."""
    unread = dict(seen.unread)
    workloads = _read("hub workloads", seen.workloads, reading.read_workload, unread)
    copies = _read("wds jobs", seen.copies, reading.read_copy, unread)
    flavors = _read("hub resourceflavors", seen.flavors, reading.read_flavor, unread)
    clusters = _read("its managedclusters", seen.clusters, reading.read_managed_cluster, unread)
    statuses = _read("its workstatuses", seen.statuses, report_facts, unread)
    return Facts(
        seen=seen,
        workloads=workloads,
        copies=None if copies is None else [copy for _, copy in copies],
        flavors=None if flavors is None else {flavor.name: flavor for _, flavor in flavors},
        clusters=clusters,
        reports=None if statuses is None else _newest(report for _, report in statuses),
        our_checks=frozenset(
            check["metadata"]["name"]
            for check in seen.checks or ()
            if check["spec"].get("controllerName") == keys.CONTROLLER_NAME
        ),
        unread=unread,
        options=options_of(seen),
    )


def options_of(seen: Seen) -> Options:
    """The options on the controller's Lease; the defaults where it cannot be read."""
    for lease in seen.leases or ():
        if lease["metadata"]["name"] == LEASE:
            return read_options(lease["metadata"].get("annotations") or {})
    return Options()


def rfc3339(unix_seconds: float) -> str:
    """As the API writes times."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(
    what: str, objects: Objects, read: Callable[[Obj], T], unread: dict[str, str]
) -> list[tuple[Obj, T]] | None:
    if objects is None:
        return None
    found = []
    for obj in objects:
        try:
            found.append((obj, read(obj)))
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as bad:
            metadata = obj["metadata"]
            name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
            unread[what] = f"{name} cannot be read: {type(bad).__name__}: {bad}"
    return found


def _newest(reports: Iterable[ReportFacts | None]) -> dict[str, ReportFacts]:
    found: dict[str, ReportFacts] = {}
    for report in reports:
        if report is not None:
            known = found.get(report.cluster)
            found[report.cluster] = report if known is None else newest(known, report)
    return found
