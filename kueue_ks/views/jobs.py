"""Every job that Kueue knows and that has not ended: where it is, why, and its place in the queue. Pure.

Phase, reasons and deadlines are those of ``explain``, made for each job from the same objects, so that a row
and its explanation never differ. Of what happens between admission and the end ``explain`` says more: here
neither policies nor ManifestWorks are read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from kube_runtime.objects import Obj
from kube_runtime.quantity import format_milli
from kueue_ks.explain.explanation import Explanation, Phase
from kueue_ks.explain.facts import Found, condition
from kueue_ks.explain.fold import RESET_BY_KUEUE, explain
from kueue_ks.views.facts import Facts, rfc3339
from kueue_ks.views.order import place_of, positions
from vocabulary import keys
from vocabulary.reasons import action_of
from workload_controller.facts import WorkloadFacts

ENDED: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED})
HELD_UP: Final = (
    Phase.WAITING_FOR_CLUSTER,
    Phase.WAITING_FOR_QUOTA,
    Phase.NOT_QUEUED,
    Phase.LEAVING,
    Phase.REFUSED,
    Phase.STOPPED,
)
"""Phases of jobs that do not run, in the order in which they are shown."""
ON_CLUSTER: Final = (Phase.STARTING, Phase.RUNNING)
_ORDER: Final = (*HELD_UP, *ON_CLUSTER)
_NOT_LOOKED_AT: Final = {"wds": "not read for a list", "its": "not read for a list"}


@dataclass(frozen=True, slots=True)
class Job:
    """One row. Amounts are for all pods together; "" is nothing, None not known."""

    namespace: str
    name: str
    kind: str
    workload: str
    queue: str
    cluster_queue: str
    priority: int
    phase: Phase
    since: str
    until: str  # when it is looked at again at the latest, "" when news will tell
    position: int | None  # in Kueue's queue, from 1
    pods: int
    ready: int | None
    asks: Mapping[str, str]
    reason: str
    action: str  # who acts on the reason: "wait", "change", "admin"; "" for none or one that is not known
    kueue: str  # why it has no quota, or lost it, in Kueue's words
    ours: str  # our check's words
    cluster: str
    attempt: int


@dataclass(frozen=True, slots=True)
class _Parts:
    """The objects of one job; the Job or the Workload may be missing, not both."""

    job: Obj | None
    raw: Obj | None = None
    workload: WorkloadFacts | None = None
    copy: Obj | None = None


def jobs_of(facts: Facts) -> tuple[Job, ...] | None:
    """All of them, in a total order: what does not run first, by queue and position; rows never jump.

    None when Workloads were not read.
    """
    if facts.workloads is None:
        return None
    queue_of = _queues(facts)
    fair = _fair_queues(facts)
    rows: list[tuple[str, Job]] = []
    waiting = []
    for parts in _parts(facts):
        row = _readable_row(parts, facts, queue_of)
        if row is None or row.phase in ENDED:
            continue
        uid = parts.workload.uid if parts.workload else ""
        rows.append((uid, row))
        if parts.raw and row.phase is Phase.WAITING_FOR_QUOTA and row.cluster_queue not in {"", *fair}:
            waiting.append((row.cluster_queue, place_of(parts.raw)))
    numbers = {} if facts.seen.namespace else positions(waiting)
    return tuple(sorted((replace(row, position=numbers.get(uid)) for uid, row in rows), key=row_order))


def row_order(job: Job) -> tuple[int, str, int, str, str]:
    """By phase, then ClusterQueue and position, then name."""
    return (_ORDER.index(job.phase), job.cluster_queue, job.position or 0, job.namespace, job.name)


def _parts(facts: Facts) -> Iterator[_Parts]:
    jobs = {job["metadata"]["uid"]: job for job in facts.seen.jobs or ()}
    copies = {(c["metadata"].get("labels") or {}).get(keys.WORKLOAD_UID): c for c in facts.seen.copies or ()}
    known = set()
    for raw, workload in facts.workloads or ():
        known.add(workload.owner_uid)
        if not workload.finished:
            yield _Parts(jobs.get(workload.owner_uid), raw, workload, copies.get(workload.uid))
    for uid, job in jobs.items():
        if uid not in known:
            yield _Parts(job)


def _readable_row(parts: _Parts, facts: Facts, queue_of: Mapping[tuple[str, str], str]) -> Job | None:
    """A Job or copy that cannot be read does not hide the Workload; the other jobs are shown in any case."""
    try:
        return _row(parts, facts, queue_of)
    except (AttributeError, KeyError, TypeError, ValueError):
        return _row(replace(parts, job=None, copy=None), facts, queue_of) if parts.workload else None


def _row(parts: _Parts, facts: Facts, queue_of: Mapping[tuple[str, str], str]) -> Job:
    found = Found(
        now=facts.seen.now,
        job=parts.job or _stand_in(parts),
        workload=parts.raw,
        checks=facts.seen.checks or (),
        copy=parts.copy,
        unread=_NOT_LOOKED_AT,
    )
    told = explain(found, timing=facts.options.timing)
    workload = parts.workload
    status = (parts.job or {}).get("status") or {}
    phase = told.phase
    reason = _reason(told, phase, parts.raw)
    labels = (parts.copy or {"metadata": {}})["metadata"].get("labels") or {}
    pod_sets = workload.pod_sets if workload else ()
    return Job(
        namespace=told.namespace,
        name=told.name,
        kind=workload.owner_kind.rpartition(" ")[2] if workload else "Job",
        workload=told.workload,
        queue=told.queue,
        cluster_queue=told.cluster_queue or queue_of.get((told.namespace, told.queue), ""),
        priority=((parts.raw or {}).get("spec") or {}).get("priority") or 0,
        phase=phase,
        since=told.since,
        until=_until(told, workload, facts.seen.now),
        position=None,
        pods=sum(p.count for p in pod_sets),
        ready=None if parts.job is None else status.get("ready") or 0,
        asks=_asks(workload),
        reason=reason,
        action=action_of(reason),
        kueue=_kueue(phase, parts.raw),
        ours=_ours(told, _kueue(phase, parts.raw)),
        cluster=(told.check.cluster if told.check else "") or labels.get(keys.CLUSTER, ""),
        attempt=workload.attempt if workload else 0,
    )


def _stand_in(parts: _Parts) -> Obj:
    """A Job as its Workload describes it, where there is none, or of a kind that is not read."""
    assert parts.raw is not None
    assert parts.workload is not None
    workload = parts.workload
    return {
        "metadata": {
            "namespace": workload.namespace,
            "name": workload.owner_name or workload.name,
            "uid": workload.owner_uid,
            "creationTimestamp": parts.raw["metadata"].get("creationTimestamp", ""),
            "labels": {keys.QUEUE_NAME: workload.queue},
            "finalizers": [keys.PODS_MAY_RUN],
        },
        "spec": {"managedBy": keys.CONTROLLER_NAME, "template": {"spec": {}}},
    }


def _until(told: Explanation, workload: WorkloadFacts | None, now: float) -> str:
    if told.waits_for and told.waits_for.until:
        return told.waits_for.until
    backs_off = workload is not None and told.phase is Phase.WAITING_FOR_QUOTA and workload.requeue_at > now
    return rfc3339(workload.requeue_at) if workload is not None and backs_off else ""


def _asks(workload: WorkloadFacts | None) -> dict[str, str]:
    total: dict[str, int] = {}
    for pod_set in workload.pod_sets if workload else ():
        for resource, amount in pod_set.requests.items():
            total[resource] = total.get(resource, 0) + amount * pod_set.count
    return {r: format_milli(total[r], r) for r in sorted(total) if r != "pods" and total[r]}


def _reason(told: Explanation, phase: Phase, raw: Obj | None) -> str:
    if phase is Phase.LEAVING:
        return str(condition(raw, "Evicted").get("reason") or "Deleted")
    return told.waits_for.reason if told.waits_for else ""


def _kueue(phase: Phase, raw: Obj | None) -> str:
    kind = "QuotaReserved" if phase is Phase.WAITING_FOR_QUOTA else "Evicted"
    said = condition(raw, kind)
    wanted = "False" if kind == "QuotaReserved" else "True"
    return str(said.get("message", "")) if said.get("status") == wanted and phase not in ON_CLUSTER else ""


def _ours(told: Explanation, kueue: str) -> str:
    """What our check said last, else what explain says, where Kueue says nothing.

    Of many alike, Kueue tells only the first why it waits (handleInadmissibleHash).
    """
    message = told.check.message if told.check else ""
    if message and not message.startswith(RESET_BY_KUEUE):  # that would be Kueue's own text in our check
        return message
    return told.waits_for.message if told.waits_for and not kueue else ""


def _queues(facts: Facts) -> dict[tuple[str, str], str]:
    """LocalQueue → ClusterQueue."""
    return {
        (q["metadata"]["namespace"], q["metadata"]["name"]): q["spec"].get("clusterQueue", "")
        for q in facts.seen.local_queues or ()
    }


def _fair_queues(facts: Facts) -> set[str]:
    """ClusterQueues whose order depends on what LocalQueues have used, which no object tells."""
    return {q["metadata"]["name"] for q in facts.seen.cluster_queues or () if q["spec"].get("admissionScope")}
