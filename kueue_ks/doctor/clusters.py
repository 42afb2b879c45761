"""The workers as the ITS knows them, their reports, and what guards ITS and workers."""

from collections.abc import Iterator, Mapping
from typing import Final

from kueue_ks.amounts import age
from kueue_ks.doctor.facts import Facts, SpaceFacts
from kueue_ks.doctor.finding import Check, Finding, Level
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import GUARD_KIND, GUARDS
from kueue_ks.install.manifests import load
from quota_manager.facts import ReportFacts, newest, report_facts
from workload_controller.admission_check import refusal_of
from workload_controller.facts import ManagedClusterFacts
from workload_controller.reading import read_managed_cluster

_AGENT: Final = "on the worker: is the metrics agent running, and is its metrics-name the cluster's name?"


def clusters(facts: Facts) -> Iterator[Finding]:
    """Each ManagedCluster accepted, available and labelled, by the controllers' own rule; then its report."""
    its = facts.of(Duty.ITS)
    if "clusters" not in its.lists:
        yield Finding(Check.CLUSTERS, Level.UNKNOWN, "its", "ManagedClusters were not read")
        return
    known = [read_managed_cluster(obj) for obj in its.lists["clusters"]]
    if not known:
        remedy = "clusteradm join on the worker, clusteradm accept on the ITS"
        yield Finding(Check.CLUSTERS, Level.FAIL, "its", "0 ManagedClusters", remedy)
    for cluster in known:
        yield _cluster(cluster, sharing=sum(other.name_label == cluster.name_label for other in known))
    reports = _reports(its)
    for cluster in known:
        if reports is None:
            yield Finding(Check.REPORTS, Level.UNKNOWN, cluster.name, "WorkStatuses were not read")
        else:
            yield _report(cluster.name, reports.get(cluster.name), facts)


def _cluster(cluster: ManagedClusterFacts, *, sharing: int) -> Finding:
    why = refusal_of(cluster, sharing_label=sharing, report_age=0.0, stale_after=1.0, settles_for=0.0)
    if not why:
        return Finding(Check.CLUSTERS, Level.OK, cluster.name, "accepted, available, labelled")
    if cluster.deleting or cluster.cordon is not None or cluster.tainted:
        return Finding(Check.CLUSTERS, Level.WARN, cluster.name, f"takes no new jobs: {why}", _remedy(why))
    return Finding(Check.CLUSTERS, Level.FAIL, cluster.name, why, _remedy(why))


def _remedy(why: str) -> str:
    if ": " in why:  # the rule names it
        return why.partition(": ")[2]
    if "Available" in why:
        return "on the worker: kubectl -n open-cluster-management-agent get pods; can it reach the ITS?"
    return "nothing, when somebody wanted it so"


def _reports(its: SpaceFacts) -> Mapping[str, ReportFacts] | None:
    if "statuses" not in its.lists:
        return None
    found: dict[str, ReportFacts] = {}
    for report in filter(None, map(report_facts, its.lists["statuses"])):
        before = found.get(report.cluster)
        found[report.cluster] = report if before is None else newest(before, report)
    return found


def _report(name: str, found: ReportFacts | None, facts: Facts) -> Finding:
    limit = facts.stale_after
    if found is None:
        return Finding(Check.REPORTS, Level.FAIL, name, "no report has come from it", _AGENT)
    if found.report is None:
        return Finding(Check.REPORTS, Level.FAIL, name, f"its report cannot be used: {found.problem}", _AGENT)
    old = facts.now - found.report.observed_at
    if old > limit:
        message = f"its last report is {age(old)} old, limit {limit:.0f}s: it takes no jobs"
        return Finding(Check.REPORTS, Level.FAIL, name, message, _AGENT)
    if old < -limit:
        message = f"its last report is dated {age(-old)} ahead: its clock is wrong"
        return Finding(Check.REPORTS, Level.FAIL, name, message, "synchronise the worker's clock (NTP)")
    nodes = sum(group.count for group in found.report.nodes)
    message = f"reported {age(max(0.0, old))} ago: {nodes} nodes (limit {limit:.0f}s)"
    return Finding(Check.REPORTS, Level.OK, name, message)


def guards(facts: Facts) -> Iterator[Finding]:
    """The policies that keep copies to their cluster, and our jobs apart from others' objects there."""
    for space in (facts.of(Duty.ITS), *facts.workers):
        yield _guard(space)
    seen = {space.name for space in facts.workers}
    names = sorted(o["metadata"]["name"] for o in facts.of(Duty.ITS).lists.get("clusters", ()))
    if names and not seen:
        message = f"the guards of {', '.join(names)} cannot be seen from here"
        remedy = "add --worker-context for each, with --worker-kubeconfig where it is in another file"
        yield Finding(Check.GUARDS, Level.UNKNOWN, "workers", message, remedy)


def _guard(space: SpaceFacts) -> Finding:
    wanted = [o["metadata"]["name"] for o in load(GUARDS[space.duty]) if o["kind"] == GUARD_KIND]
    if "guards" not in space.lists:
        why = space.unread.get("guards") or space.problem
        if why:
            return Finding(Check.GUARDS, Level.UNKNOWN, space.name, f"its guards were not read: {why}")
        message = f"serves no {GUARD_KIND} v1, so {', '.join(wanted)} cannot guard it"
        remedy = "upgrade it to Kubernetes 1.30 or newer, then kueue-ks install"
        return Finding(Check.GUARDS, Level.WARN, space.name, message, remedy)
    there = {obj["metadata"]["name"] for obj in space.lists["guards"]}
    bound = {obj["spec"].get("policyName") for obj in space.lists.get("guard_bindings", ())}
    missing = [name for name in wanted if name not in there]
    loose = [name for name in wanted if name in there and name not in bound]
    if missing or loose:
        said = [f"{name} is missing" for name in missing] + [f"{name} is not bound" for name in loose]
        flag = f"--{space.duty.value}-context"
        return Finding(Check.GUARDS, Level.FAIL, space.name, "; ".join(said), f"kueue-ks install {flag} …")
    return Finding(Check.GUARDS, Level.OK, space.name, f"{', '.join(wanted)} installed and bound")
