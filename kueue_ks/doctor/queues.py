"""The way of a job on the hub: its queue leads to our AdmissionCheck, and the hub leaves it alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from kube_runtime.objects import Obj
from kueue_ks.doctor.facts import Facts, SpaceFacts
from kueue_ks.doctor.finding import Check, Finding, Level
from kueue_ks.install.checks import Duty
from vocabulary import keys
from workload_controller.admission_check import AdmissionCheckFacts, read_admission_check
from workload_controller.placement_policy import (
    Known,
    read_decided_clusters,
    read_placement_policy,
    rules_of,
)

POLICY: Final = "kueue-ks-managed-by"
NAMED: Final = 5  # objects that one line names


def admission_checks(facts: Facts) -> Iterator[Finding]:
    """One of ours exists and is Active, with parameters that mean something."""
    hub = facts.of(Duty.HUB)
    if "checks" not in hub.lists:
        yield Finding(Check.ADMISSION_CHECK, Level.UNKNOWN, "hub", "AdmissionChecks were not read")
        return
    ours = _ours(hub)
    if not ours:
        others = [f"{o['metadata']['name']} ({o['spec'].get('controllerName')})" for o in hub.lists["checks"]]
        message = f"no AdmissionCheck has controllerName {keys.CONTROLLER_NAME}; there are: "
        remedy = "kueue-ks install --samples makes one with queues; or write one (config/samples/queues.yaml)"
        message += ", ".join(others) or "none"
        yield Finding(Check.ADMISSION_CHECK, Level.FAIL, "hub", message, remedy)
    for check in ours:
        subject = f"AdmissionCheck {check.name}"
        if check.active == "True":
            yield Finding(Check.ADMISSION_CHECK, Level.OK, subject, f"Active: {check.message}")
        else:
            said = f"{check.reason}: {check.message}" if check.active else "nobody has judged it yet"
            remedy = "see the clusters below" if check.active else "start WorkloadController: kueue-ks run"
            message = f"is not Active, so Kueue holds all jobs of its queues ({said})"
            yield Finding(Check.ADMISSION_CHECK, Level.FAIL, subject, message, remedy)
        yield _parameters(check, facts)


def _parameters(check: AdmissionCheckFacts, facts: Facts) -> Finding:
    subject = f"AdmissionCheck {check.name}"
    problem = rules_of(check.parameters, _known(facts)).problem
    if problem:
        remedy = "correct spec.parameters, or the PlacementPolicy; its jobs wait until then"
        return Finding(Check.PARAMETERS, Level.FAIL, subject, problem, remedy)
    name = f"PlacementPolicy {check.parameters.name}" if check.parameters else "none: the defaults"
    return Finding(Check.PARAMETERS, Level.OK, subject, f"parameters: {name}")


def _known(facts: Facts) -> Known:
    policies, its = facts.of(Duty.HUB).lists.get("placement_policies"), facts.of(Duty.ITS).lists
    decided: dict[tuple[str, str], frozenset[str]] | None = None
    if "decisions" in its:
        decided = {}
        for found in filter(None, map(read_decided_clusters, its["decisions"])):
            decided[found.placement] = decided.get(found.placement, frozenset()) | found.clusters
    return Known(
        policies=None
        if policies is None
        else {o["metadata"]["name"]: read_placement_policy(o) for o in policies},
        decisions=decided,
        clusters={o["metadata"]["name"]: o["metadata"].get("labels") or {} for o in its.get("clusters", ())},
    )


def queues(facts: Facts) -> Iterator[Finding]:
    """A ClusterQueue has our check for all of its flavors and is Active, and a LocalQueue leads to it."""
    hub = facts.of(Duty.HUB)
    if "cluster_queues" not in hub.lists or "checks" not in hub.lists:
        yield Finding(Check.QUEUES, Level.UNKNOWN, "hub", "ClusterQueues or AdmissionChecks were not read")
        return
    names = {check.name for check in _ours(hub)}
    leading = [queue for queue in hub.lists["cluster_queues"] if names & _checks(queue).keys()]
    for queue in hub.lists["cluster_queues"]:
        yield from _cluster_queue(queue, names, hub.lists.get("local_queues"))
    if not leading:
        remedy = (
            "kueue-ks install --samples, or name our check in spec.admissionChecksStrategy of a ClusterQueue"
        )
        message = f"none of {len(hub.lists['cluster_queues'])} ClusterQueues leads to our AdmissionCheck"
        yield Finding(Check.QUEUES, Level.FAIL, "hub", message, remedy)


def _cluster_queue(queue: Obj, ours: set[str], local: Sequence[Obj] | None) -> Iterator[Finding]:
    name, subject = queue["metadata"]["name"], f"ClusterQueue {queue['metadata']['name']}"
    checks = _checks(queue)
    mine = {check: flavors for check, flavors in checks.items() if check in ours}
    if not mine:
        if (queue["metadata"].get("annotations") or {}).get(keys.MANAGE_QUOTA) == "true":
            message = f"its quota is ours to manage, but its checks are {', '.join(checks) or 'none'}: "
            message += "what it admits is carried nowhere"
            remedy = f"kubectl edit clusterqueue {name}: name our check in spec.admissionChecksStrategy"
            yield Finding(Check.QUEUES, Level.FAIL, subject, message, remedy)
        return
    flavors = [f["name"] for group in queue["spec"].get("resourceGroups") or () for f in group["flavors"]]
    bare = [f for f in flavors if not any(not only or f in only for only in mine.values())]
    active = next((c for c in _conditions(queue) if c["type"] == "Active"), {})
    leads = [o for o in local or () if o["spec"].get("clusterQueue") == name]
    if bare:
        message = f"flavor {', '.join(bare)} lacks our check (onFlavors): its jobs are carried nowhere"
        remedy = f"kubectl edit clusterqueue {name}: leave onFlavors out, or add the flavor"
        yield Finding(Check.QUEUES, Level.FAIL, subject, message, remedy)
    elif active.get("status") != "True":
        message = f"is not Active ({active.get('reason', 'no condition')}: {active.get('message', '')})"
        yield Finding(Check.QUEUES, Level.FAIL, subject, message, "correct what Kueue names, see its message")
    elif queue["spec"].get("stopPolicy", "None") != "None":
        message = f"is stopped (stopPolicy {queue['spec']['stopPolicy']})"
        yield Finding(Check.QUEUES, Level.WARN, subject, message, "kubectl kueue resume clusterqueue " + name)
    elif local is not None and not leads:
        remedy = "create a LocalQueue in the namespace of its users, with spec.clusterQueue " + name
        yield Finding(Check.QUEUES, Level.WARN, subject, "no LocalQueue leads to it", remedy)
    else:
        number = "LocalQueues were not read" if local is None else f"{len(leads)} LocalQueues lead to it"
        yield Finding(Check.QUEUES, Level.OK, subject, f"leads to our check, Active, {number}")


def managed_by(facts: Facts) -> Iterator[Finding]:
    """The policy that makes each queued Job ours: without it the hub's own Job controller starts it too."""
    hub = facts.of(Duty.HUB)
    if "policies_v1" not in hub.lists and "policies_v1beta1" not in hub.lists:
        yield from _no_policies(hub)
        return
    version = "v1" if "policies_v1" in hub.lists else "v1beta1"
    policy = _named(hub.lists[f"policies_{version}"], POLICY)
    bound = [o for o in hub.lists.get(f"bindings_{version}", ()) if o["spec"].get("policyName") == POLICY]
    subject = f"MutatingAdmissionPolicy {POLICY}"
    if policy is None:
        cure = "kueue-ks install" if version == "v1" else _BETA
        message = (
            f"is missing (the hub serves {version}): a queued Job without spec.managedBy runs on the hub too"
        )
        yield Finding(Check.MANAGED_BY, Level.FAIL, subject, message, cure)
    elif not bound:
        message = (
            "has no MutatingAdmissionPolicyBinding, so it does nothing: a queued Job runs on the hub too"
        )
        yield Finding(Check.MANAGED_BY, Level.FAIL, subject, message, "kueue-ks install")
    else:
        yield Finding(Check.MANAGED_BY, Level.OK, subject, f"served ({version}), installed and bound")


_BETA: Final = (
    "apply config/admission/managed-by.yaml with apiVersion admissionregistration.k8s.io/v1beta1, or write "
    f"spec.managedBy: {keys.CONTROLLER_NAME} into every queued Job"
)
_NONE: Final = (
    "upgrade the hub to Kubernetes 1.36, or switch the beta on (API server: --feature-gates="
    "MutatingAdmissionPolicy=true --runtime-config=admissionregistration.k8s.io/v1beta1=true), or write "
    f"spec.managedBy: {keys.CONTROLLER_NAME} into every queued Job"
)


def _no_policies(hub: SpaceFacts) -> Iterator[Finding]:
    why = hub.unread.get("policies_v1") or hub.unread.get("policies_v1beta1") or hub.problem
    if why:
        yield Finding(Check.MANAGED_BY, Level.UNKNOWN, "hub", f"admission policies were not read: {why}")
    else:
        message = "serves no MutatingAdmissionPolicy: a queued Job without spec.managedBy runs on the hub too"
        yield Finding(Check.MANAGED_BY, Level.FAIL, "hub", message, _NONE)


def jobs_on_hub(facts: Facts) -> Iterator[Finding]:
    """Queued Jobs that the hub itself will start, because nobody wrote spec.managedBy into them."""
    lists = facts.of(Duty.HUB).lists
    if not {"jobs", "local_queues", "cluster_queues", "checks"} <= lists.keys():
        yield Finding(Check.JOBS_ON_HUB, Level.UNKNOWN, "hub", "queued Jobs or their queues were not read")
        return
    names = {check.name for check in _ours(facts.of(Duty.HUB))}
    ours = {o["metadata"]["name"] for o in lists["cluster_queues"] if names & _checks(o).keys()}
    leading = {
        (o["metadata"]["namespace"], o["metadata"]["name"])
        for o in lists["local_queues"]
        if o["spec"].get("clusterQueue") in ours
    }
    queued = [
        job
        for job in lists["jobs"]
        if (job["metadata"]["namespace"], job["metadata"]["labels"][keys.QUEUE_NAME]) in leading
        and not any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in _conditions(job))
    ]
    bare = [job for job in queued if not job["spec"].get("managedBy")]
    if not bare:
        message = f"all {len(queued)} unfinished Jobs of our queues name their manager"
        yield Finding(Check.JOBS_ON_HUB, Level.OK, "hub", message)
        return
    listed = ", ".join(f"{j['metadata']['namespace']}/{j['metadata']['name']}" for j in bare[:NAMED])
    more = f" and {len(bare) - NAMED} more" if len(bare) > NAMED else ""
    message = (
        f"{len(bare)} Jobs of our queues have no spec.managedBy, the hub would start them: {listed}{more}"
    )
    remedy = "delete and create them anew once the policy is in place: managedBy cannot be changed later"
    yield Finding(Check.JOBS_ON_HUB, Level.FAIL, "hub", message, remedy)


def _ours(hub: SpaceFacts) -> list[AdmissionCheckFacts]:
    return [check for check in map(read_admission_check, hub.lists.get("checks", ())) if check is not None]


def _checks(queue: Obj) -> Mapping[str, Sequence[str]]:
    """Check → the flavors that it is for; none: all."""
    strategy = queue["spec"].get("admissionChecksStrategy") or {}
    return {c["name"]: c.get("onFlavors") or () for c in strategy.get("admissionChecks") or ()}


def _conditions(obj: Obj) -> Sequence[dict[str, Any]]:
    found: Sequence[dict[str, Any]] = (obj.get("status") or {}).get("conditions") or ()
    return found


def _named(objects: Sequence[Obj], name: str) -> Obj | None:
    return next((obj for obj in objects if obj["metadata"]["name"] == name), None)
