"""What is wrong outside of single Workloads: pods, heartbeats, namespaces, finalizers, the leader itself."""

from collections.abc import Callable, Iterator

from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, CONFIG_MAPS, NAMESPACES
from workload_controller.audit.facts import BeatFacts, Rest, Stray
from workload_controller.audit.finding import ByController, Decide, Delete, DropFinalizer, Finding, Look, Ref
from workload_controller.audit.refs import job_ref, pods_ref, workload_ref
from workload_controller.clock_text import duration, utc_clock
from workload_controller.heartbeat import name_of

LATE = 0.5
"""Part of a lease: beats are written every quarter of it, so one at least has been missed."""


def suspicions(rest: Rest, *, whole: bool = True) -> Iterator[Finding]:
    """Everything that should not be, at this instant. ``whole`` as in ``workloads``."""
    for rule in _RULES:
        if whole or rule not in _ABOUT_WHAT_IS_NOT_THERE:
            yield from rule(rest)


def _pods(rest: Rest) -> Iterator[Finding]:
    """Pods of ours where neither copy nor ManifestWork is for this cluster: nobody holds room for them."""
    for pods in rest.pods:
        if pods.staying <= 0 or (pods.cluster, pods.uid) in rest.places:
            continue
        w = rest.workloads.get(pods.uid)
        of = (
            f"Workload {w.namespace}/{w.name}"
            if w is not None
            else f"a Workload that is gone (uid {pods.uid})"
        )
        text = f"{pods.cluster} reports {pods.running} of {of} at {utc_clock(pods.observed_at)}"
        selector = f"{keys.WORKLOAD_UID}={pods.uid}"
        remedy = (
            f"they are their cluster's, where we delete nothing. On {pods.cluster}: "
            f"kubectl get jobs,pods -A -l {selector}; delete the Job there if nobody wants it"
        )
        objects = (pods_ref(pods), *([workload_ref(w)] if w is not None else []))
        yield Finding("PodsWithoutWork", objects, text, Decide(remedy), seen_at=pods.observed_at)


def _beats(rest: Rest) -> Iterator[Finding]:
    for beat in rest.beats:
        if beat.leases and not beat.lost:
            yield from _late(beat, rest.now)
        elif not beat.anything and (beat.beat_at is not None or beat.carried):
            yield from _left_over(beat)


def _late(beat: BeatFacts, now: float) -> Iterator[Finding]:
    heard, lease = max(beat.beat_at or 0.0, beat.leased_from), min(beat.leases)
    if now - heard < lease * LATE:
        return
    text = (
        f"the last heartbeat for {beat.cluster} is {duration(now - heard)} old; at {lease}s, "
        f"{utc_clock(heard + lease)}, {len(beat.leases)} leased jobs end there"
    )
    step = ByController("Beat", Look("beat", "", beat.cluster))
    yield Finding("HeartbeatLate", (_config_map(beat.cluster),), text, step, since=heard + lease * LATE)


def _left_over(beat: BeatFacts) -> Iterator[Finding]:
    """The controller ends it by itself, unless the ConfigMap cannot be read: then it takes it for none."""
    seen = bool(beat.beat_at) or beat.carried
    why = f"no leased copy or ManifestWork is for {beat.cluster}, so no lease runs"
    remedy = (
        ByController("End", Look("beat", "", beat.cluster))
        if seen
        else Delete(_config_map(beat.cluster), why)
    )
    names = [f"ConfigMap {name_of(beat.cluster)}"] * (beat.beat_at is not None) + [
        "its Binding"
    ] * beat.carried
    policy = Ref("wds", BINDING_POLICIES.kind, "", name_of(beat.cluster))
    objects = (_config_map(beat.cluster),) if beat.beat_at is not None else (policy,)
    text = f"{' and '.join(names)} is kept for {beat.cluster}, and 0 leased jobs are there"
    yield Finding("HeartbeatLeftOver", objects, text, remedy)


def _config_map(cluster: str) -> Ref:
    return Ref("wds", CONFIG_MAPS.kind, keys.SYSTEM_NAMESPACE, name_of(cluster))


def _namespaces(rest: Rest) -> Iterator[Finding]:
    for each in rest.twins:
        twin, hub = each.twin, each.hub
        belongs = hub is not None and not hub.deleting and twin.hub_uid == hub.uid
        if not twin.ours or twin.deleting or belongs or each.copies:
            continue
        now_there = f"has uid {hub.uid}" if hub is not None and not hub.deleting else "is gone"
        text = f"it was carried for the hub namespace with uid {twin.hub_uid}; that name {now_there}"
        step = ByController("Drop", Look("namespace", "", twin.name))
        yield Finding(
            "NamespaceLeftOver", (Ref("wds", NAMESPACES.kind, "", twin.name, twin.uid),), text, step
        )


def _finalizers(rest: Rest) -> Iterator[Finding]:
    for job in rest.held_jobs:
        text = "it is being deleted, and neither a Workload nor a copy of it is left"
        step = ByController("LetGo", Look("job", job.namespace, job.name))
        yield Finding("FinalizerLeftOver", (job_ref(job),), text, step)
    for stray in rest.strays:
        yield _stray(stray)


def _stray(stray: Stray) -> Finding:
    ref = Ref(stray.space, stray.kind, stray.namespace, stray.name, stray.uid)
    left = ", ".join(stray.needed_by)
    text = f"it bears {stray.finalizer}, and WorkloadController does not see it: {stray.why_unseen}"
    if stray.space != "hub":
        label = f"{keys.MANAGED_BY_LABEL}={keys.MANAGED_BY}"
        remedy = (
            "its pods may run, and the finalizer holds their room: kubectl label job -n "
            f"{stray.namespace} {stray.name} {label}, then it is withdrawn as others are"
        )
        return Finding("FinalizerLeftOver", (ref,), text, Decide(remedy))
    if stray.needed_by:
        return Finding(
            "FinalizerLeftOver",
            (ref,),
            f"{text}; left: {left}",
            Decide("wait until those are gone, they go first"),
        )
    safe = "no Workload, so no quota, and no copy of it is left"
    return Finding("FinalizerLeftOver", (ref,), text, DropFinalizer(ref, stray.finalizer, safe))


def _unreadable(rest: Rest) -> Iterator[Finding]:
    for each in rest.unreadable:
        ref = Ref(each.space, each.kind, each.namespace, each.name)
        text = "a field that we rely on is missing or malformed; the controller's log says which"
        remedy = "we cannot tell what it holds: mend it, or delete it when nothing of it runs"
        yield Finding("UnreadableObject", (ref,), text, Decide(remedy))


def _leader(rest: Rest) -> Iterator[Finding]:
    leader = rest.leader
    if leader is None or (leader.holder and rest.now - leader.renewed_at <= 2 * leader.duration):
        return
    ref = Ref("hub", "Lease", leader.namespace, leader.name)
    last = f"renewed {duration(rest.now - leader.renewed_at)} ago" if leader.renewed_at else "never held"
    text = f"{last}, by {leader.holder or 'nobody'}; it lasts {leader.duration:.0f}s"
    remedy = (
        "start WorkloadController (kueue-ks run); until then jobs neither start nor leave, running ones go on"
    )
    yield Finding("NobodyLeads", (ref,), text, Decide(remedy))


_RULES: tuple[Callable[[Rest], Iterator[Finding]], ...] = (
    _pods,
    _beats,
    _namespaces,
    _finalizers,
    _unreadable,
    _leader,
)
_ABOUT_WHAT_IS_NOT_THERE = (_pods, _beats, _namespaces, _finalizers)
