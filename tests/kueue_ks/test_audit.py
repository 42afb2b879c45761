"""``kueue-ks audit``: when a suspicion becomes a finding, what is shown, and what a repair writes."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple, cast

import pytest

from kube_runtime.errors import Conflict, KubeError, NotFound, Unreachable
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.audit.look import Counts, Look, Spaces
from kueue_ks.audit.repair import carry_out, plan
from kueue_ks.audit.report import Repaired, report_of
from kueue_ks.audit.run import LOOK_EVERY, agreement, exit_code, followed
from kueue_ks.audit.text import text
from kueue_ks.errors import CommandError
from vocabulary import keys
from workload_controller.audit.finding import (
    ByController,
    Decide,
    Delete,
    DropFinalizer,
    Finding,
    Ref,
)
from workload_controller.audit.finding import (
    Look as LookAgain,
)
from workload_controller.audit.settling import Verdict
from workload_controller.published import Options

COUNTS = Counts(211, 210, 210, 209, 3)
POLICY = Ref("wds", "BindingPolicy", "", "wave-w1-1", "policy-uid")
JOB = Ref("hub", "Job", "team-a", "train", "job-uid")
LEFT = Finding(
    "PolicyWithoutCopy", (POLICY,), "it was made for Workload team-a/job-train", Delete(POLICY, "nothing")
)
HELD = Finding(
    "FinalizerLeftOver",
    (JOB,),
    "it bears our finalizer",
    DropFinalizer(JOB, keys.PODS_MAY_RUN, "no Workload"),
)
TWO = Finding(
    "TwoClusters",
    (Ref("hub", "Workload", "team-a", "job-train", "uid"),),
    "2 clusters: w1; w2",
    Decide("a person"),
)
OWED = Finding(
    "StepOverdue",
    (JOB,),
    "its next step is Withdraw",
    ByController("Withdraw", LookAgain("workload", "team-a", "x")),
)
NO_PODS = Finding("QuotaWithoutPods", (JOB,), "0 of 4", Decide("look"))
REPORTED = Finding("PodsWithoutWork", (JOB,), "2 running pods", Decide("look"), seen_at=1000.0)


def see(now: float, *found: Finding, **unread: str) -> Look:
    return Look(now, found, COUNTS, unread, Options(known=True))


class Case(NamedTuple):
    reason: str
    looks: list[list[Finding]]  # at 1000, 1005, …; the last one repeats
    lasting: list[str]
    open: list[str]
    seen: int


CASES = [
    Case("nothing suspicious: one look", [[]], [], [], 1),
    Case("it passes", [[LEFT], []], [], [], 2),
    Case("it lasts", [[LEFT]], ["PolicyWithoutCopy"], [], 3),
    Case("it passes and comes again", [[LEFT], [], [LEFT]], [], [], 2),
    Case(
        "what a later look alone suspects is not waited for",
        [[LEFT], [LEFT, TWO]],
        ["PolicyWithoutCopy"],
        [],
        3,
    ),
    Case("what takes longer than the timeout is not waited for", [[NO_PODS]], [], ["QuotaWithoutPods"], 1),
    Case("a report that is never repeated", [[REPORTED]], [], ["PodsWithoutWork"], 13),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
async def test_looking_until_it_has_passed_or_lasted(case: Case) -> None:
    now, seen = 1000.0, 0

    async def looks() -> Look:
        nonlocal seen
        seen += 1
        return see(now, *case.looks[min(seen, len(case.looks)) - 1])

    async def pause(for_seconds: float) -> None:
        nonlocal now
        now += for_seconds

    _, verdict = await followed(looks, pause, 60.0)
    assert [f.code for f in verdict.lasting] == case.lasting
    assert [f.code for f in verdict.open] == case.open
    assert (seen, now) == (case.seen, 1000.0 + (case.seen - 1) * LOOK_EVERY)


SHOWN = report_of(
    see(1190.0, its="connection refused"),
    Verdict((replace(TWO, since=1000.0, objects=(*TWO.objects, JOB)), LEFT, OWED), (NO_PODS,)),
    seconds=10.04,
)


def test_text() -> None:
    assert text(SHOWN) == TEXT.splitlines()


TEXT = """\
LEVEL     FINDING             CLASS   OBJECT                           FOR     REPAIR
error     TwoClusters         admin   hub: Workload team-a/job-train   3m10s   decide
warning   PolicyWithoutCopy   wait    wds: BindingPolicy wave-w1-1     -       safe
warning   StepOverdue         admin   hub: Job team-a/train            -       by itself

TwoClusters: one job runs on two clusters at once
  2 clusters: w1; w2
  object  hub: Workload team-a/job-train
  with    hub: Job team-a/train
  repair  a person
  more    docs/reasons.md#twoclusters

PolicyWithoutCopy: a BindingPolicy of ours carries nothing
  it was made for Workload team-a/job-train
  object  wds: BindingPolicy wave-w1-1
  repair  delete wds: BindingPolicy wave-w1-1: nothing
  more    docs/reasons.md#policywithoutcopy

StepOverdue: WorkloadController does not take its next step
  its next step is Withdraw
  object  hub: Job team-a/train
  repair  WorkloadController does it by itself (Withdraw) at its next look, within two minutes
  more    docs/reasons.md#stepoverdue

unconfirmed  QuotaWithoutPods hub: Job team-a/train: seen, may still pass (it has to last 660s)
unread       its: connection refused
1 error, 2 warnings in 211 Workloads with quota, 210 copies, 210 ManifestWorks, 209 WorkStatuses, 3 clusters (10.0s)
help: kueue-ks audit --repair --dry-run
"""  # noqa: E501


def test_the_json_has_what_the_text_has() -> None:
    document = json.dumps(SHOWN.to_json())
    read = json.loads(document)
    assert (read["apiVersion"], read["kind"]) == ("cli.kueue-ks/v1", "AuditReport")
    for finding in SHOWN.findings:
        for told in (finding.code, finding.kind.meaning, finding.message, str(finding.remedy)):
            assert told in document
            assert any(told in line for line in TEXT.splitlines())
    assert [each["remedy"]["by"] for each in read["findings"]] == ["person", "repair", "controller"]
    assert [each["action"] for each in read["findings"]] == ["admin", "wait", "admin"]
    assert read["findings"][0]["since"] == "1970-01-01T00:16:40Z"
    assert read["findings"][0]["objects"][1]["uid"] == "job-uid"
    assert read["compared"]["workStatuses"] == 209
    assert read["unread"] == {"its": "connection refused"}
    assert [each["code"] for each in read["unconfirmed"]] == ["QuotaWithoutPods"]


def test_what_was_not_read_is_not_zero() -> None:
    look = Look(0.0, (), Counts(3, None, None, None, None), {"wds": "away", "its": "away"}, Options())
    (*unread, options, summary) = text(report_of(look, Verdict(), seconds=0.2))
    assert unread == ["unread       its: away", "unread       wds: away"]
    assert "assuming its defaults" in options
    known, unknown = "3 Workloads with quota", "? copies, ? ManifestWorks, ? WorkStatuses, ? clusters"
    assert summary == f"nothing found in {known}, {unknown} (0.2s)"


class Ended(NamedTuple):
    reason: str
    found: tuple[Finding, ...]
    unread: dict[str, str]
    repaired: tuple[Repaired, ...]
    code: int


DONE, LEFT_ALONE = Repaired("x", "deleted", done=True), Repaired("x", "left alone", done=False)
ENDS = [
    Ended("clean", (), {}, (), 0),
    Ended("a finding", (LEFT,), {}, (), 3),
    Ended("a finding that was mended", (LEFT,), {}, (DONE,), 0),
    Ended("a finding that could not be mended", (LEFT,), {}, (LEFT_ALONE,), 3),
    Ended("one of two was mended", (LEFT, TWO), {}, (DONE,), 3),
    Ended("nothing found in what could be read", (), {"its": "away"}, (), 1),
    Ended("a finding in what could be read", (TWO,), {"its": "away"}, (), 3),
]


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.reason)
def test_exit_codes(case: Ended) -> None:
    report = report_of(see(0.0, **case.unread), Verdict(case.found), seconds=0.0, repaired=case.repaired)
    assert exit_code(report, exit_zero=False) == case.code
    assert exit_code(report, exit_zero=True) == (
        0 if case.code == 3 and not case.unread else min(case.code, 1)
    )


class Server:
    """Objects by kind and name, with the preconditions of a real one for what is tested here."""

    def __init__(self, *objects: Obj) -> None:
        self.objects = {obj["metadata"]["name"]: obj for obj in objects}
        self.written: list[tuple[str, Any]] = []
        self.away: KubeError | None = None

    async def get(self, _resource: Resource, name: str, _namespace: str | None = None) -> Obj:
        if self.away is not None:
            raise self.away
        if name not in self.objects:
            raise NotFound(404)
        return deepcopy(self.objects[name])

    async def delete(
        self, _resource: Resource, name: str, *_namespace: str | None, **preconditions: str
    ) -> None:
        self._require(name, preconditions["uid"], preconditions["resource_version"])
        self.written.append(("delete", name))

    async def patch(self, _resource: Resource, body: Obj, *, name: str, **_namespace: str) -> None:
        self._require(name, body["metadata"]["uid"], body["metadata"]["resourceVersion"])
        self.written.append(("patch", body["metadata"]["finalizers"]))

    def _require(self, name: str, uid: str, version: str) -> None:
        metadata = self.objects[name]["metadata"]
        if (metadata["uid"], metadata["resourceVersion"]) != (uid, version):
            raise Conflict(409)


def policy(**metadata: Any) -> Obj:
    ours = {keys.MANAGED_BY_LABEL: keys.MANAGED_BY}
    given = {"name": "wave-w1-1", "uid": "policy-uid", "resourceVersion": "5", "labels": ours}
    return {"metadata": given | metadata}


def job(**metadata: Any) -> Obj:
    held = {"finalizers": ["other/one", keys.PODS_MAY_RUN]}
    return {"metadata": {"name": "train", "uid": "job-uid", "resourceVersion": "6"} | held | metadata}


class Mended(NamedTuple):
    reason: str
    finding: Finding
    found: list[Obj]
    written: list[tuple[str, Any]]
    outcome: str


MENDED = [
    Mended("a policy of ours", LEFT, [policy()], [("delete", "wave-w1-1")], "deleted"),
    Mended("gone meanwhile", LEFT, [], [], "is gone already"),
    Mended(
        "another one of its name",
        LEFT,
        [policy(uid="new")],
        [],
        "left alone: it is another object of the name",
    ),
    Mended("not ours any more (I6)", LEFT, [policy(labels={})], [], "left alone: it is not ours (I6)"),
    Mended(
        "our finalizer, and no other",
        HELD,
        [job()],
        [("patch", ["other/one"])],
        "released from our finalizer",
    ),
    Mended(
        "a job without it by now",
        HELD,
        [job(finalizers=["other/one"])],
        [],
        "left alone: it does not bear our finalizer any more",
    ),
]


@pytest.mark.parametrize("case", MENDED, ids=lambda case: case.reason)
async def test_a_repair_writes_what_was_found_and_nothing_else(case: Mended) -> None:
    server = Server(*case.found)
    (repaired,) = await carry_out(spaces(server), [case.finding])
    assert (repaired.outcome, server.written) == (case.outcome, case.written)
    assert repaired.done == (not case.outcome.startswith("left alone"))


async def test_what_changes_between_reading_and_writing_is_left_alone() -> None:
    server = Server(policy())
    read = server.get

    async def changed(*asked: Any) -> Obj:
        found = await read(*asked)
        server.objects["wave-w1-1"]["metadata"]["resourceVersion"] = "7"
        return found

    server.get = changed  # type: ignore[method-assign,assignment]
    (repaired,) = await carry_out(spaces(server), [LEFT])
    assert (repaired.outcome, server.written) == ("left alone: it has changed meanwhile", [])


async def test_one_that_fails_does_not_keep_the_others() -> None:
    hub, wds = Server(job()), Server(policy())
    wds.away = Unreachable("wds: connection refused")
    both = Spaces(as_space(hub), as_space(wds), as_space(wds))
    first, second = await carry_out(both, [LEFT, HELD])
    assert (first.done, second.done) == (False, True)
    assert "connection refused" in first.outcome


def test_only_what_is_safe_is_planned() -> None:
    assert plan([TWO, LEFT, OWED, HELD, NO_PODS]) == [LEFT, HELD]


def test_a_plan_is_told_before_and_a_dry_run_ends_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert not agreement(dry_run=True, yes=False)([LEFT])
    assert "will delete wds: BindingPolicy wave-w1-1: nothing" in capsys.readouterr().err


def test_without_a_terminal_and_without_yes_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(CommandError, match="nobody can be asked"):
        agreement(dry_run=False, yes=False)([LEFT])
    assert agreement(dry_run=False, yes=True)([LEFT])


def spaces(server: Server) -> Spaces:
    space = as_space(server)
    return Spaces(space, space, space)


def as_space(server: Server) -> Space:
    return cast("Space", cast("object", server))
