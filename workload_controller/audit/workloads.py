"""What is wrong with one Workload and all that bears its name.

Objects are compared with each other, by the invariants of docs/design.md, section 3; the controller's own
``next_action`` says only what it would do about it. A rule asks for what must never last, so each of them has
a normal transition that looks the same for a moment: ``settling`` waits that out.
"""

from collections.abc import Callable, Iterator

from workload_controller.attempt import own_work
from workload_controller.audit.due import due_step, overdue, remedy_for
from workload_controller.audit.facts import Subject
from workload_controller.audit.finding import Decide, Delete, Finding, Ref
from workload_controller.audit.refs import copy_ref, pods_ref, policy_ref, work_ref, workload_ref
from workload_controller.clock_text import duration, utc_clock
from workload_controller.facts import Decision
from workload_controller.kinds import batch_job
from workload_controller.lifecycle import decision_of
from workload_controller.situation import Timing

LEAVING_SLACK = 60.0
"""Seconds beyond a withdrawn job's grace and margin: a worker repeats its report at least that often, and
without one the end of the pods is waited for once more from the end of the ManifestWork on."""


def suspicions(subject: Subject, timing: Timing, *, whole: bool = True) -> Iterator[Finding]:
    """Everything about this Workload that should not be, at this instant.

    ``whole``: WDS and ITS were both read. Else what is not there is unknown, and only what is there counts.
    """
    rules = [rule for rule in _RULES if whole or rule not in _ABOUT_WHAT_IS_NOT_THERE]
    found = [finding for rule in rules for finding in rule(subject, timing)]
    yield from found
    if whole:
        yield from overdue(subject, found)


def _two_clusters(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    """I1. A report is evidence only of pods that nobody is ending."""
    live: dict[str, list[Ref]] = {}
    words: list[str] = []
    seen: list[float] = []
    for work in subject.live_works:
        live.setdefault(work.cluster, []).append(work_ref(work))
        words.append(f"{work.cluster} has ManifestWork {work.name} of attempt {work.attempt}")
    carried = set(live)
    for pods in subject.pods:
        if pods.staying > 0:
            live.setdefault(pods.cluster, [])
            words.append(f"{pods.cluster} reports {pods.running} at {utc_clock(pods.observed_at)}")
            if pods.cluster not in carried:  # else the ManifestWork is the better evidence
                live[pods.cluster].append(pods_ref(pods))
                seen.append(pods.observed_at)
    if len(live) < 2:
        return
    decision = decision_of(subject.situation, started=True)
    placed = f"it is placed on {decision.cluster}" if decision else "it is placed nowhere now"
    text = (
        f"none is safe, since what is ended loses its work: {placed}; keep that one, and of the other delete "
        "the BindingPolicy behind it, then its ManifestWork (kubectl delete manifestwork -n CLUSTER NAME)"
    )
    refs = tuple(sorted(ref for refs in live.values() for ref in refs))
    yield Finding(
        "TwoClusters",
        (*_owner(subject), *refs),
        f"{len(live)} clusters: {'; '.join(words)}",
        Decide(text),
        seen_at=min(seen, default=None),
    )


def _two_copies(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    """I1. One wave would carry both. The right one bears the job's name; the other was not made by us."""
    for uid in sorted(subject.uids):
        live = [copy for copy in subject.live_copies if copy.workload_uid == uid]
        if len(live) > 1:
            text = (
                "none is safe while it runs: set spec.active of its Workload to false, so that all of them "
                "leave, and to true again when they are gone"
            )
            names = ", ".join(f"{copy.namespace}/{copy.name} for {copy.cluster}" for copy in live)
            objects = (*_owner(subject), *map(copy_ref, live))
            yield Finding("TwoCopies", objects, f"{len(live)} copies of one Workload: {names}", Decide(text))


def _place_and_attempt(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    """A copy that is not as decided, or a ManifestWork that is not as its copy."""
    decision, w = decision_of(subject.situation, started=True), subject.situation.workload
    for copy in subject.live_copies:
        if decision is None or w is None or w.uid != copy.workload_uid:
            continue  # without a decision it is no question of where
        if code := _differs(Decision(copy.cluster, copy.attempt), decision):
            text = (
                f"the copy is for {copy.cluster}, attempt {copy.attempt}; the decision is "
                f"{decision.cluster}, attempt {decision.attempt}"
            )
            yield Finding(code, (copy_ref(copy), workload_ref(w)), text, remedy_for(subject))
    if len({work.cluster for work in subject.live_works}) > 1:
        return  # told as TwoClusters
    for work in subject.live_works:
        own = [copy for copy in subject.copies if copy.workload_uid == work.workload_uid]
        here = Decision(work.cluster, work.attempt)
        if not own or any(Decision(copy.cluster, copy.attempt) == here for copy in own):
            continue
        code = _differs(here, Decision(own[0].cluster, own[0].attempt))
        text = (
            f"ManifestWork {work.name} is in {work.cluster}, attempt {work.attempt}; its copy is for "
            f"{own[0].cluster}, attempt {own[0].attempt}"
        )
        yield Finding(code, (work_ref(work), copy_ref(own[0])), text, Decide(_OF_KUBESTELLAR))


def _differs(found: Decision, wanted: Decision) -> str:
    if found.cluster != wanted.cluster:
        return "WrongCluster"
    return "WrongAttempt" if found.attempt != wanted.attempt else ""


def _without_quota(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    """I2, and what runs for nobody."""
    w = subject.situation.workload
    for copy in subject.live_copies:
        if w is None or w.uid != copy.workload_uid:
            where = f"{copy.workload_namespace}/{copy.workload_name}"
            text = (
                f"attempt {copy.attempt} for {copy.cluster}; its Workload {where} with uid "
                f"{copy.workload_uid} is gone"
            )
            yield Finding("CopyWithoutWorkload", (copy_ref(copy),), text, remedy_for(subject))
    if w is None or (w.quota_reserved and w.active and not w.finished):
        return
    why = "is finished" if w.finished else "is deactivated" if not w.active else "has no quota reserved"
    carriers = [copy_ref(copy) for copy in subject.live_copies if copy.workload_uid == w.uid]
    carriers += [work_ref(work) for work in subject.live_works if work.workload_uid == w.uid]
    if carriers:
        text = f"Workload {w.namespace}/{w.name} {why}, and {len(carriers)} objects still carry its job"
        yield Finding("RunsWithoutQuota", (workload_ref(w), *carriers), text, remedy_for(subject))


def _work_without_copy(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    copied = {copy.workload_uid for copy in subject.copies}
    w = subject.situation.workload
    for work in subject.live_works:
        told = w is not None and w.uid == work.workload_uid and not (w.quota_reserved and w.active)
        if work.workload_uid not in copied and not told:
            text = (
                f"ManifestWork {work.name} carries attempt {work.attempt} of {work.workload_namespace}/"
                f"{work.workload_name} to {work.cluster}, and the WDS has no copy of it"
            )
            yield Finding("WorkWithoutCopy", (work_ref(work),), text, Decide(_OF_KUBESTELLAR))


_OF_KUBESTELLAR = (
    "the ManifestWork is KubeStellar's, so we do not delete it: its transport does so when the Binding goes. "
    "Does the transport run? Else delete it by hand in the ITS; that ends the job on the cluster"
)


def _foreign_binding(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    s = subject.situation
    for binding in s.foreign_bindings if s.copy is not None else ():
        assert s.copy is not None
        objects = (Ref("wds", "BindingPolicy", "", binding), copy_ref(s.copy))
        text = f"it selects the copy {s.copy.namespace}/{s.copy.name}, which is for {s.copy.cluster} only"
        remedy = f"it is not ours: change the selectors of BindingPolicy {binding} in the WDS, or delete it"
        yield Finding("ForeignBindingPolicy", objects, text, Decide(remedy))


def _leaving_too_long(subject: Subject, timing: Timing) -> Iterator[Finding]:
    s = subject.situation
    for copy in subject.copies:
        contact = s.contacts.get(copy.cluster)
        lost = contact is not None and contact.lost_since is not None
        if copy.leaving_since is None or lost:  # how long a lost cluster is waited for is its job's policy
            continue
        until = copy.leaving_since + copy.grace_seconds + timing.pods_end_margin + LEAVING_SLACK
        if s.now < until:
            continue
        pods = [p for p in subject.pods if (p.cluster, p.uid) == (copy.cluster, copy.workload_uid)]
        seen = (
            f"{pods[0].alive} pods seen at {utc_clock(pods[0].observed_at)}" if pods else "no pods reported"
        )
        left = [f"BindingPolicy {p.name}" for p in s.policies] + [f"Binding {copy.wave}"] * s.bound
        left += [f"ManifestWork {w.name} in {w.cluster}" for w in s.works]
        ago, due = duration(s.now - copy.leaving_since), duration(until - copy.leaving_since)
        text = (
            f"withdrawn from {copy.cluster} at {utc_clock(copy.leaving_since)}, {ago} ago, due within {due}; "
            f"left: {', '.join(left) or 'nothing'}; {seen}"
        )
        waits = Decide(
            f"none is safe: the tombstone holds room and quota until the pods have ended. Do KubeStellar's "
            f"controller-manager and transport run, and the work agent of {copy.cluster}?"
        )
        yield Finding(
            "LeavingTooLong", (copy_ref(copy),), text, remedy_for(subject, waits), since=copy.leaving_since
        )


def _work_leaving_too_long(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    """A deleted ManifestWork that outlives its copy: only a lost cluster may have one."""
    s = subject.situation
    copied = {copy.workload_uid for copy in subject.copies}
    for work in s.works:
        contact = s.contacts.get(work.cluster)
        lost = contact is not None and contact.lost_since is not None
        if work.deleting_since is None or work.workload_uid in copied or lost:
            continue
        if s.now < work.deleting_since + 2 * LEAVING_SLACK:
            continue
        text = (
            f"ManifestWork {work.name} is being deleted since {utc_clock(work.deleting_since)}, "
            f"{duration(s.now - work.deleting_since)} ago, and {work.cluster} has not confirmed it"
        )
        remedy = f"does the work agent of {work.cluster} run? Its finalizer goes when the job is gone there"
        yield Finding("LeavingTooLong", (work_ref(work),), text, Decide(remedy), since=work.deleting_since)


def _policy_without_copy(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    waves = {copy.wave for copy in subject.copies}
    gone = subject.situation.workload is None and not subject.copies
    for policy in subject.situation.policies:
        if policy.deleting or policy.name in waves:
            continue
        of = f"{policy.workload_namespace}/{policy.workload_name}"
        delete = Delete(policy_ref(policy), "its Workload and its copy are gone, so it carries nothing")
        text = f"it was made for Workload {of}, and no copy has its label"
        yield Finding(
            "PolicyWithoutCopy", (policy_ref(policy),), text, delete if gone else remedy_for(subject)
        )


def _quota_without_job(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    s, w = subject.situation, subject.situation.workload
    if w is None or s.check is None or s.job is not None or w.finished or not w.quota_reserved:
        return
    if subject.copies or s.works or due_step(subject):
        return  # still leaving
    owner = w.owner_name or "none, as after a deletion with --cascade=orphan"
    text = f"quota in ClusterQueue {w.cluster_queue} since {utc_clock(w.quota_reserved_at)}; its job: {owner}"
    remedy = (
        "the Workload is Kueue's, so we do not delete it. Nothing of it is left on any cluster: "
        f"kubectl delete workload -n {w.namespace} {w.name}"
    )
    yield Finding("QuotaWithoutJob", (workload_ref(w),), text, Decide(remedy), since=w.quota_reserved_at)


def _quota_without_pods(subject: Subject, _timing: Timing) -> Iterator[Finding]:
    s = subject.situation
    if (
        s.workload is None
        or s.copy is None
        or s.copy.leaving_since is not None
        or s.job is None
        or s.job.terminal
    ):
        return
    work, seen_at = own_work(s, s.copy), subject.reports.get(s.copy.cluster)
    ended = s.remote is not None and s.remote.terminal
    alive = sum(p.alive for p in subject.pods if p.cluster == s.copy.cluster)
    if work is None or work.deleting_since is not None or seen_at is None or ended or alive:
        return
    if batch_job.has_started(s.job, s.copy):
        cluster, wanted = s.copy.cluster, s.copy.pod_set.count
        text = f"all pods were ready on {cluster} once; at {utc_clock(seen_at)} it reports 0 of {wanted}"
        remedy = f"look at the Job on {cluster} (kubectl describe job); delete the hub job if it is of no use"
        objects = (workload_ref(s.workload), copy_ref(s.copy))
        yield Finding("QuotaWithoutPods", objects, text, Decide(remedy), seen_at=seen_at)


def _owner(subject: Subject) -> tuple[Ref, ...]:
    w = subject.situation.workload
    return (workload_ref(w),) if w is not None else ()


_RULES: tuple[Callable[[Subject, Timing], Iterator[Finding]], ...] = (
    _two_clusters,
    _two_copies,
    _place_and_attempt,
    _without_quota,
    _work_without_copy,
    _foreign_binding,
    _leaving_too_long,
    _work_leaving_too_long,
    _policy_without_copy,
    _quota_without_job,
    _quota_without_pods,
)
_ABOUT_WHAT_IS_NOT_THERE = (
    _work_without_copy,
    _leaving_too_long,
    _work_leaving_too_long,
    _policy_without_copy,
    _quota_without_job,
)
