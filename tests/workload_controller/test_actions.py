"""What is written, with which precondition, and that nothing is without the leader's right."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from kube_runtime.errors import BadRequest, Conflict, Invalid, NotFound
from kube_runtime.objects import Obj
from tests.workload_controller.builders import check, copy, job, pod_set, policy, ready, workload
from tests.workload_controller.scripted_space import ScriptedSpace, Written
from vocabulary import keys
from workload_controller.actions import MESSAGE_LIMIT, NotLeading, RefusedByWDS, Writer
from workload_controller.admission_check import ActiveCondition, AdmissionCheckFacts
from workload_controller.facts import CheckState, CopyFacts, Decision, FailedAttempt, History
from workload_controller.history import format_history

NOW = 1767225600.0  # 2026-01-01T00:00:00Z
FAILED = History(1, (FailedAttempt(1, "w2", "PodsNotReady", 50.0, "no image"),))
TWICE = History(2, (*FAILED.recent, FailedAttempt(2, "w1", "ApplyFailed", 60.0, "quota")))
TWO_SETS = workload(pod_sets=(pod_set(), pod_set(name="workers")), resource_version="8")


def writer(hub: ScriptedSpace, wds: ScriptedSpace, *, leads: bool = True) -> Writer:
    return Writer(hub.as_space, wds.as_space, ScriptedSpace().as_space, lambda: leads, lambda: NOW)


def check_written(**given: Any) -> dict[str, Any]:
    """The entry that ``set_check`` applies."""
    hub = ScriptedSpace()
    asked: dict[str, Any] = {"check": check(), "state": CheckState.READY, "message": "text"}
    asyncio.run(writer(hub, ScriptedSpace()).set_check(TWO_SETS, **asked | given))
    (written,) = hub.written
    assert (written.verb, written.plural) == ("apply", "workloads/status")
    assert written.body["metadata"] == {
        "namespace": TWO_SETS.namespace,
        "name": TWO_SETS.name,
        "uid": TWO_SETS.uid,
        "resourceVersion": "8",
    }
    (entry,) = written.body["status"]["admissionChecks"]
    return dict(entry)


def updates(**annotations: str) -> list[dict[str, Any]]:
    return [{"name": name, "annotations": annotations} for name in ("main", "workers")]


WHERE = {keys.CLUSTER: "w1", keys.ATTEMPT: "2"}
SOON, LATER = {keys.HISTORY: format_history(FAILED)}, {keys.HISTORY: format_history(TWICE)}
UPDATES: list[tuple[str, dict[str, Any], list[dict[str, Any]] | None]] = [
    ("nothing to say", {}, None),
    ("a decision, for every pod set", {"decision": Decision("w1", 2)}, updates(**WHERE)),
    (
        "a decision keeps the history beside it",
        {"decision": Decision("w1", 2), "check": check(history=FAILED)},
        updates(**WHERE | SOON),
    ),
    (
        "a waiting text keeps it",
        {"state": CheckState.PENDING, "check": check(history=FAILED)},
        updates(**SOON),
    ),
    (
        "a failure writes the new one, and the old decision goes",
        {"state": CheckState.RETRY, "check": replace(ready(), history=FAILED), "history": TWICE},
        updates(**LATER),
    ),
    (
        "the end keeps all of it",
        {"state": CheckState.REJECTED, "check": check(history=FAILED), "history": TWICE},
        updates(**LATER),
    ),
]


@pytest.mark.parametrize(("reason", "given", "want"), UPDATES, ids=[row[0] for row in UPDATES])
def test_decision_and_history_travel_in_one_apply(
    reason: str, given: dict[str, Any], want: list[dict[str, Any]] | None
) -> None:
    assert check_written(**given).get("podSetUpdates") == want


def test_the_rest_of_the_entry() -> None:
    entry = check_written(state=CheckState.RETRY, message="x" * 9999, requeue_after=60)
    assert entry == {
        "name": "kubestellar",
        "state": "Retry",
        "message": "x" * MESSAGE_LIMIT,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "requeueAfterSeconds": 60,
    }


HELD_JOB = job(raw={"metadata": {"resourceVersion": "7"}, "spec": {}})


@pytest.mark.parametrize(
    ("held", "plural", "version"), [(TWO_SETS, "workloads", "8"), (HELD_JOB, "jobs", "7")]
)
@pytest.mark.parametrize(("present", "want"), [(True, [keys.PODS_MAY_RUN]), (False, [])])
def test_a_finalizer_is_applied_to_what_was_read(
    held: Any, plural: str, version: str, present: bool, want: list[str]
) -> None:
    hub = ScriptedSpace()
    asyncio.run(writer(hub, ScriptedSpace()).set_finalizer(held, present=present))
    body = {
        "namespace": held.namespace,
        "name": held.name,
        "uid": held.uid,
        "resourceVersion": version,
        "finalizers": want,
    }
    assert hub.written == [Written("apply", plural, {"metadata": body})]


def test_a_workload_is_deactivated_as_it_was_read() -> None:
    hub = ScriptedSpace()
    asyncio.run(writer(hub, ScriptedSpace()).deactivate(TWO_SETS))
    read = {"uid": TWO_SETS.uid, "resourceVersion": "8"}
    body = {"metadata": read, "spec": {"active": False}, "name": TWO_SETS.name}
    assert hub.written == [Written("patch", "workloads", body)]


@pytest.mark.parametrize(
    ("reason", "deleting", "present", "stays"),
    [
        ("alive: it is there afterwards", False, False, True),
        ("deleted and held: it stays", True, True, True),
        ("deleted and let go: it is no more, and no store may show it again", True, False, False),
    ],
)
def test_letting_go_of_a_deleted_object_ends_it(
    reason: str, deleting: bool, present: bool, stays: bool
) -> None:
    answer = asyncio.run(
        writer(ScriptedSpace(), ScriptedSpace()).set_finalizer(
            replace(TWO_SETS, deleting=deleting), present=present
        )
    )
    assert (answer is not None) is stays


Write = Callable[[Writer], Awaitable[object]]
NAMESPACE = {"metadata": {"name": "team-a"}}
ACTIVE = ActiveCondition(active=True, reason="r", message="m", since=NOW)
CHECK = AdmissionCheckFacts("ks", "uid", 1, "", "", "", 0, 0.0)
BEAT = {
    "metadata": {
        "name": "hub-heartbeat-w1",
        "uid": "beat-uid",
        "labels": {keys.MANAGED_BY_LABEL: keys.MANAGED_BY},
    }
}
WRITES: list[tuple[str, Write]] = [
    ("set_check", lambda w: w.set_check(TWO_SETS, check(), CheckState.READY, "text")),
    ("set_finalizer", lambda w: w.set_finalizer(TWO_SETS, present=True)),
    ("delete_workload", lambda w: w.delete_workload(TWO_SETS)),
    ("deactivate", lambda w: w.deactivate(TWO_SETS)),
    ("set_job_status", lambda w: w.set_job_status(HELD_JOB, {"active": 1})),
    ("create_copy", lambda w: w.create_copy({"metadata": {"name": "train"}})),
    ("create_policy", lambda w: w.create_policy(copy())),
    ("delete_policy", lambda w: w.delete_policy(policy())),
    ("withdraw", lambda w: w.withdraw(copy())),
    ("release", lambda w: w.release(copy())),
    ("unselect", lambda w: w.unselect(copy())),
    ("beat", lambda w: w.beat("w1")),
    ("end_beat", lambda w: w.end_beat("w1")),
    ("set_active_condition", lambda w: w.set_active_condition(CHECK, ACTIVE)),
    ("carry_namespace", lambda w: w.carry_namespace(NAMESPACE)),
    ("delete_namespace", lambda w: w.delete_namespace("team-a", "uid")),
]


def beating() -> ScriptedSpace:
    return ScriptedSpace(bindingpolicies=BEAT, configmaps=BEAT)


@pytest.mark.parametrize(("name", "write"), WRITES, ids=[row[0] for row in WRITES])
async def test_who_does_not_lead_writes_nothing(name: str, write: Write) -> None:
    hub, wds = ScriptedSpace(), beating()
    with pytest.raises(NotLeading):
        await write(writer(hub, wds, leads=False))
    assert hub.written + wds.written == []
    await write(writer(hub, wds))
    assert hub.written + wds.written != []


def test_every_write_of_the_writer_is_fenced() -> None:
    public = {name for name in vars(Writer) if not name.startswith("_")}
    reads = {"newest", "newest_policy", "is_gone", "carries_others"}
    assert public - {name for name, _ in WRITES} == reads


WAVE = {"metadata": {"name": copy().wave}, "spec": {}}
CARRIED = {"metadata": {"namespace": "w1", "name": "work", "labels": {keys.ORIGIN_BINDING: copy().wave}}}
OTHERS = {"metadata": {"namespace": "w1", "name": "work", "labels": {keys.ORIGIN_BINDING: "wave-of-others"}}}
OUT = copy(leaving_since=150.0, withdrawn=True)
MATES = {
    **CARRIED,
    "spec": {"workload": {"manifests": [{"metadata": {"labels": {keys.WORKLOAD_UID: "another"}}}]}},
}


def binding(*jobs: str, observed: int = 3) -> Obj:
    """The Binding of ``copy()``, in its third generation."""
    scope = [{"group": "batch", "resource": "jobs", "namespace": "team-a", "name": name} for name in jobs]
    return {
        "metadata": {"name": copy().wave, "generation": 3},
        "spec": {"workload": {"namespaceScope": scope}},
        "status": {"observedGeneration": observed},
    }


LEFT: list[tuple[str, CopyFacts, Obj, dict[str, Any], bool]] = [
    ("its wave goes on without it", OUT, binding("other"), {}, True),
    ("its wave still lists it", OUT, binding("other", "train"), {}, False),
    ("the transport may not have read that (I1)", OUT, binding("other", observed=2), {}, False),
    ("it was not listed yet and may still be (I1)", copy(leaving_since=1.0), binding("other"), {}, False),
    ("its ManifestWork is still there", OUT, binding("other"), {"manifestworks": CARRIED}, False),
    ("a mate's ManifestWork is not its own", OUT, binding("other"), {"manifestworks": MATES}, True),
]


@pytest.mark.parametrize(("reason", "of", "wave", "its", "want"), LEFT, ids=[row[0] for row in LEFT])
async def test_a_copy_has_left_a_wave_that_goes_on_when_nothing_can_carry_it_any_more(
    reason: str, of: CopyFacts, wave: Obj, its: dict[str, Any], want: bool
) -> None:
    spaces = ScriptedSpace(bindings=wave).as_space, ScriptedSpace(**its).as_space
    asks = Writer(ScriptedSpace().as_space, *spaces, lambda: True, lambda: NOW)
    assert await asks.is_gone(of) is want


OTHERS_IN_IT = [
    ("nobody else is listed", {"bindings": binding("train")}, {"team-a/train"}, False),
    ("all are leaving", {"bindings": binding("train", "x")}, {"team-a/train", "team-a/x"}, False),
    ("one is listed that no store shows (I3)", {"bindings": binding("train", "x")}, {"team-a/train"}, True),
    ("there is no Binding", {}, set[str](), False),
]


@pytest.mark.parametrize(
    ("reason", "wds", "leaving", "want"), OTHERS_IN_IT, ids=[row[0] for row in OTHERS_IN_IT]
)
async def test_the_wds_itself_says_whether_a_wave_carries_others(
    reason: str, wds: dict[str, Any], leaving: set[str], want: bool
) -> None:
    asks = writer(ScriptedSpace(), ScriptedSpace(**wds))
    assert await asks.carries_others(policy(), leaving) is want


GONE = [
    ("a Binding may still become a ManifestWork", {"bindings": WAVE}, {}, False),
    ("a ManifestWork is still there", {}, {"manifestworks": CARRIED}, False),
    ("another wave's is not ours to wait for", {}, {"manifestworks": OTHERS}, True),
    ("neither is there", {}, {}, True),
]


@pytest.mark.parametrize(("reason", "wds", "its", "want"), GONE, ids=[row[0] for row in GONE])
async def test_the_servers_themselves_say_what_is_gone(
    reason: str, wds: dict[str, Any], its: dict[str, Any], want: bool
) -> None:
    hub, others = ScriptedSpace().as_space, (ScriptedSpace(**wds).as_space, ScriptedSpace(**its).as_space)
    asks = Writer(hub, *others, lambda: True, lambda: NOW)
    assert await asks.is_gone(copy()) is want


UIDS: list[tuple[str, Write, str, str, dict[str, Any]]] = [
    ("withdraw", lambda w: w.withdraw(copy()), "delete", "jobs", {"name": "train", "uid": "copy-uid"}),
    ("release", lambda w: w.release(copy()), "patch", "jobs", {"uid": "copy-uid", "finalizers": None}),
    (
        "delete_policy",
        lambda w: w.delete_policy(policy()),
        "delete",
        "bindingpolicies",
        {"name": policy().name, "uid": "policy-uid"},
    ),
    (
        "delete_namespace",
        lambda w: w.delete_namespace("team-a", "uid-1"),
        "delete",
        "namespaces",
        {"name": "team-a", "uid": "uid-1"},
    ),
]


@pytest.mark.parametrize(("name", "write", "verb", "plural", "want"), UIDS, ids=[row[0] for row in UIDS])
async def test_what_goes_is_what_was_seen_and_its_absence_is_no_error(
    name: str, write: Write, verb: str, plural: str, want: dict[str, Any]
) -> None:
    wds = ScriptedSpace()
    await write(writer(ScriptedSpace(), wds))
    (written,) = wds.written
    assert (written.verb, written.plural, written.body["metadata"]) == (verb, plural, want)
    wds.refusals[verb, plural] = NotFound(404)
    await write(writer(ScriptedSpace(), wds))
    wds.refusals[verb, plural] = Conflict(409)
    with pytest.raises(Conflict) if name == "delete_namespace" else nullcontext():
        await write(writer(ScriptedSpace(), wds))  # the others' callers look again by themselves


async def test_the_workload_that_goes_is_the_one_that_was_seen() -> None:
    hub = ScriptedSpace()
    await writer(hub, ScriptedSpace()).delete_workload(TWO_SETS)
    (written,) = hub.written
    assert (written.verb, written.plural) == ("delete", "workloads")
    assert written.body["metadata"] == {"name": TWO_SETS.name, "uid": TWO_SETS.uid}
    hub.refusals["delete", "workloads"] = NotFound(404)
    assert await writer(hub, ScriptedSpace()).delete_workload(TWO_SETS) is None


async def test_somebody_elses_heartbeat_is_left_alone() -> None:
    foreign = {"metadata": {"name": "hub-heartbeat-w1", "uid": "x"}}
    wds = ScriptedSpace(bindingpolicies=BEAT, configmaps=foreign)
    await writer(ScriptedSpace(), wds).end_beat("w1")
    assert [written.plural for written in wds.written] == ["bindingpolicies"]


@pytest.mark.parametrize("answer", [BadRequest(400, "", "strict decoding"), Invalid(422, "", "is invalid")])
async def test_what_the_wds_finds_wrong_with_a_copy_is_told_in_its_words(
    answer: BadRequest | Invalid,
) -> None:
    wds = ScriptedSpace()
    wds.refusals["create", "jobs"] = answer
    with pytest.raises(RefusedByWDS, match=answer.message):
        await writer(ScriptedSpace(), wds).create_copy({"metadata": {"name": "train"}})
