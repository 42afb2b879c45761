"""A message of every reason, made by the code that writes it, for objects of well-known names.

What the controllers write around an API call is taken from their source: a placeholder stands for the name or
number that will be there.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import workload_controller.controller
from quota_manager import decision, facts, tell
from quota_manager.capacity import Overlap, Unmatched
from quota_manager.decision import Change
from quota_manager.facts import Cell
from quota_manager.left_out import not_counted
from quota_manager.onboarding import Refuse
from quota_manager.sources.choice import Switch
from quota_manager.sources.source import BadSample, describe
from quota_manager.trust import Silent, Trust
from tests.workload_controller import test_audit, test_audit_leftovers
from tests.workload_controller.builders import (
    JOB_UID,
    NAMESPACE,
    UID,
    amounts,
    check,
    cluster,
    copy,
    job,
    node_group,
    pod_set,
    policy,
    raw_job,
    ready,
    remote,
    work,
    workload,
)
from tests.workload_controller.situations import admitted, leaving, running
from vocabulary import keys
from vocabulary.cluster_metrics import NotCounted
from workload_controller.admission_check import AdmissionCheckFacts, wanted_condition
from workload_controller.audit import leftovers
from workload_controller.candidates import barred
from workload_controller.facts import (
    CheckState,
    ClusterFacts,
    Contact,
    FailedAttempt,
    History,
    JobFacts,
    LossPolicy,
    Mates,
    PodsReport,
    WorkloadFacts,
)
from workload_controller.lifecycle import next_action, without_room
from workload_controller.placement import place
from workload_controller.placement_policy import Rules
from workload_controller.refusals import refusal, refused_by_wds, workload_names
from workload_controller.retry import no_more_tries
from workload_controller.situation import Situation, Timing
from workload_controller.steps import GiveBack, KeepWaiting, Place, Wait
from workload_controller.wishes import BadWish, JobPolicy, bad_wish

Rendered = Iterator[tuple[str, str]]
TIMING = Timing()
LOST = {"w1": Contact(lost_since=100.0, beat_at=0.0)}
SINCE = "2026-01-01T00:00:00Z"
FAILED = FailedAttempt(1, "w1", "PodsNotReady", 100.0, "ErrImagePull: no such image")
EVICTED = workload(admitted=True, evicted=True, evictions=1)
PLACING = workload(checks=(check(),))


SITUATIONS: Final = (
    Situation(now=200.0, workload=workload(checks=(ready(),)), check=ready(), job=job()),  # other checks
    Situation(now=900.0, workload=workload(checks=(ready(),)), check=ready(), job=job()),
    admitted(job=job(suspended=True)),
    admitted(namespace_obstacle=f"namespace {NAMESPACE} is not in the WDS yet"),
    admitted(namesake=copy(workload_uid="earlier")),
    admitted(works=(work(),)),
    running(works=()),
    running(),
    running(now=700.0),
    running(works=(work(apply_error="exceeded quota: team", apply_error_since=190.0),)),
    running(pods=PodsReport(190.0, 1, "ErrImagePull: no such image")),
    running(
        remote=remote({"active": 1, "ready": 0, "startTime": SINCE}),
        job=job(active=1, raw=raw_job(active=1, startTime=SINCE)),
    ),
    running(contacts=LOST),
    running(now=2000.0, contacts=LOST),
    running(now=2000.0, contacts=LOST, copy=copy(on_loss=LossPolicy.AT_LEAST_ONCE)),
    running(now=200.0, contacts=LOST, copy=copy(on_loss=LossPolicy.AT_LEAST_ONCE)),
    running(draining="is being drained by ana"),
    running(works=(work(missing_since=199.0),)),
    running(works=(work(missing_since=100.0),)),
    running(
        remote=remote({"startTime": "2026-01-02T00:00:00Z"}),
        job=job(active=1, raw=raw_job(active=1, startTime=SINCE)),
    ),
    running(remote=remote({"conditions": [{"type": "Suspended", "status": "True"}]})),
    running(
        remote=remote({"conditions": [{"type": "Suspended", "status": "True"}]}), copy=copy(lease_seconds=600)
    ),
    Situation(
        now=200.0,
        workload=workload(admitted=True, deleting=True, held=False),
        check=ready(),
        job=job(deleting=True),
    ),
    leaving(works=(work(deleting_since=150.0),)),
    leaving(works=(work(),), policies=(policy(size=25),), mates=Mates(staying=1, total=1)),
    leaving(works_gone_at=190.0),
    leaving(works_gone_at=50.0, pods=PodsReport(190.0, 2)),
    running(
        workload=workload(admitted=True, deleting=True),
        job=job(),
        remote=remote(
            {"startTime": SINCE, "conditions": [{"type": "Failed", "status": "True"}]}, terminal=True
        ),
    ),
    admitted(workload=workload(admitted=True), check=check(CheckState.RETRY)),
    Situation(
        now=200.0,
        workload=EVICTED,
        check=check(
            CheckState.RETRY, history=History(1, (FailedAttempt(1, "w1", "PodsNotReady", 190.0, "no"),))
        ),
        job=job(active=1),
    ),
)
"""What ``next_action`` waits for or gives back."""


def _lifecycle() -> Rendered:
    for situation in SITUATIONS:
        match next_action(situation, TIMING):
            case Wait(reason=reason, message=text):
                yield reason, text
            case GiveBack(reason=reason, text=text):
                yield reason, text
    unplaced = Place(check(), until=700.0)
    for now in (200.0, 700.0):
        match without_room(unplaced, str(_placement()), now, TIMING):
            case KeepWaiting(text=text) as waits:
                yield waits.reason, text
            case GiveBack(reason=reason, text=text):
                yield reason, text


def _placement() -> Any:
    history = History(1, (FailedAttempt(1, "w5", "PodsNotReady", 100.0, "no"),))
    clusters = [
        cluster("w1", node_group()),
        cluster("w2", node_group(allocatable=amounts(cpu=1, pods=10))),
        cluster("w3", node_group(labels={})),
        ClusterFacts("w4", "its last report is older than 180s, see whether its metrics agent runs", None),
        cluster("w5", node_group()),
        cluster("w6", node_group(requested=amounts(cpu=16, pods=1))),
    ]
    wanted = [pod_set(3, node_selector={"node-class": "standard"})]
    excluded = barred(clusters, (), history, (), now=200.0, exclusion=900.0)
    return place(UID, wanted, clusters, (), {}, excluded)


def _verdicts() -> Rendered:
    for verdict in _placement().verdicts:
        yield verdict.reason, str(verdict)


def _job(**changes: Any) -> JobFacts:
    raw = raw_job()
    raw["spec"]["template"]["spec"] |= changes
    return job(raw=raw)


def _refusals() -> Rendered:
    other = [{"name": "v", "csi": {"volumeAttributes": {"secretNamespace": "alpha"}}}]
    own: WorkloadFacts = workload(name=_name_of_kueue())
    for w, of in (
        (workload(owner_kind="ray.io/v1 RayJob"), None),
        (workload(namespace="kube-system"), None),
        (workload(), job(managed_by="")),
        (workload(), job(reserved_keys=(keys.CLUSTER,))),
        (workload(name="mine"), job()),
        (own, _job(priorityClassName="system-node-critical")),
        (own, _job(volumes=other)),
    ):
        refused = refusal(w, of)
        assert refused is not None
        yield refused.reason, str(refused)
    wish = bad_wish(own, (BadWish("Job", keys.CLUSTERS, "", "the names of clusters"),))
    assert wish is not None
    yield wish.reason, str(wish)
    by_wds = refused_by_wds(own, "spec.podReplacementPolicy: Invalid value")
    yield by_wds.reason, str(by_wds)
    for history, asked in ((History(6, (FAILED,)), JobPolicy()),):
        end = no_more_tries(own, history, asked)
        assert end is not None
        yield end.reason, str(end)


def _name_of_kueue() -> str:
    return next(iter(workload_names(job(uid=JOB_UID))))


def _conditions() -> Rendered:
    ours = AdmissionCheckFacts("kubestellar", "uid", 1, "", "", "", 0, 0.0)
    for clusters in (
        [cluster("w1", node_group())],
        [ClusterFacts("w1", "it has the NoSelect taint a", None)],
    ):
        condition = wanted_condition(ours, clusters, 100.0)
        assert condition is not None
        yield condition.reason, condition.message
    bad = wanted_condition(ours, [], 100.0, Rules(problem="PlacementPolicy 'standard' does not exist"))
    assert bad is not None
    yield bad.reason, bad.message


def _quota() -> Rendered:
    yield "NominalQuotaChanged", str(Change(Cell("standard", "cpu"), 1000, 2000, (), {"w1": 2000}))
    silent = Silent("w1", "it has not reported for 180s")
    yield "ClusterSilent", str(silent)
    trust = Trust({}, (silent,), complete=False, next_change=None, heard={})
    yield "QuotaKept", decision._kept(trust, settled=False)
    bad = facts.flavor_facts(
        {"metadata": {"name": "standard", "annotations": {keys.RESERVE: "cpu=a lot"}}, "spec": {}}
    )
    yield "QuotaWishUnreadable", bad.problem
    yield "ReportNotWhole", not_counted("w1", [NotCounted("node n1: cpu", "-1 is negative")])
    yield "FlavorNotFound", tell._no_flavor("standard")
    yield "FlavorsOverlap", str(Overlap("w1", "n1", 2, "standard", ("large",)))
    yield "NodesUnused", str(Unmatched("w1", "n1", 2, None))
    yield "SourceChanged", str(Switch("w1", "ClusterMetrics", "Prometheus", "it is silent", worse=True))
    yield "SamplesLeftOut", describe([BadSample("w1", "not_finite", "n1 cpu", "NaN")])
    for reason in (
        Refuse.NAME_LABEL_MISSING,
        Refuse.NAME_LABEL_DIFFERS,
        Refuse.NAME_LABEL_SHARED,
        Refuse.NAME_TAKEN,
    ):
        yield reason, str(Refuse(reason, "w1", "its label name is missing"))


def _audit() -> Rendered:
    """The finding with its main object, as every rendering shows it."""
    found = [finding for case in test_audit.FOUND for finding in test_audit.found(case.given)]
    found += [finding for case in test_audit_leftovers.CASES for finding in leftovers.suspicions(case.given)]
    for finding in found:
        yield finding.code, f"{finding.objects[0]} {finding.message}"


SAID: Final = {"_say": (1, 2), "_event": (1, 2), "_log": (1, 2), "_not_taken": (2, 3)}
PLACEHOLDER: Final = "team-a/train"


def _controller() -> Rendered:
    """What the loop says around a write: constants of its source, with a name at each placeholder."""
    tree = ast.parse(Path(workload_controller.controller.__file__).read_text())
    for function in ast.walk(tree):
        if not isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef):
            continue
        texts = {
            n.targets[0].id: n.value
            for n in ast.walk(function)
            if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name)
        }
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or getattr(call.func, "attr", "") not in SAID:
                continue
            reason_at, text_at = SAID[call.func.attr]  # type: ignore[attr-defined]
            reason, text = call.args[reason_at], call.args[text_at]
            if isinstance(reason, ast.Constant):
                yield str(reason.value), _template(texts.get(getattr(text, "id", ""), text))


def _template(text: ast.expr) -> str:
    match text:
        case ast.JoinedStr(values=values):
            return "".join(str(v.value) if isinstance(v, ast.Constant) else PLACEHOLDER for v in values)
        case ast.Constant(value=value):
            return str(value)
        case _:
            return ast.unparse(text)


def _all() -> Mapping[str, list[str]]:
    rendered: dict[str, list[str]] = {}
    for source in (_lifecycle, _verdicts, _refusals, _conditions, _quota, _audit, _controller):
        for reason, text in source():
            rendered.setdefault(reason, []).append(text)
    return rendered


RENDERED: Final = _all()
