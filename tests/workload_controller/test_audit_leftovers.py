"""What the audit says of things that belong to no Workload, and how long a suspicion has to last."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from tests.workload_controller.builders import UID, job, workload
from vocabulary import keys
from workload_controller.audit.facts import (
    BeatFacts,
    LeaderFacts,
    PodsSeen,
    Rest,
    Stray,
    Twin,
    Unreadable,
)
from workload_controller.audit.finding import (
    KINDS,
    ByController,
    Decide,
    Delete,
    DropFinalizer,
    Finding,
    Ref,
    Remedy,
)
from workload_controller.audit.leftovers import suspicions
from workload_controller.audit.settling import settled
from workload_controller.namespaces import HubNamespace, WdsNamespace

NOW = 1000.0
PODS = PodsSeen("w1", UID, 998.0, 2, 0)
BEAT = BeatFacts(
    "w1", beat_at=990.0, carried=True, leases=(600,), leased_from=400.0, anything=True, lost=False
)
NO_LEASES = replace(BEAT, leases=(), anything=False)
TWIN = WdsNamespace("team-a", "twin-uid", ours=True, hub_uid="hub-uid", pod_security=(), deleting=False)
HUB = HubNamespace("team-a", "hub-uid", (), deleting=False)
STRAY = Stray(
    space="hub",
    kind="Job",
    namespace="team-a",
    name="train",
    uid="job-uid",
    finalizer=keys.PODS_MAY_RUN,
    deleting=True,
    why_unseen="it has no queue label",
    needed_by=(),
)
LEADER = LeaderFacts("kueue-kubestellar-system", "workload-controller", "me", renewed_at=995.0, duration=15.0)


def rest(**fields: Any) -> Rest:
    return Rest(NOW, **fields)


class Case(NamedTuple):
    reason: str
    given: Rest
    want: str
    remedy: type[Remedy] | None = None


CASES = [
    Case("pods whose Workload is gone", rest(pods=(PODS,)), "PodsWithoutWork", Decide),
    Case(
        "pods of a Workload that is somewhere else",
        rest(pods=(PODS,), workloads={UID: workload()}, places=frozenset({("w2", UID)})),
        "PodsWithoutWork",
        Decide,
    ),
    Case("pods that are ending", rest(pods=(replace(PODS, terminating=2),)), ""),
    Case(
        "pods to which a ManifestWork or copy belongs",
        rest(pods=(PODS,), places=frozenset({("w1", UID)})),
        "",
    ),
    Case("a heartbeat in time", rest(beats=(BEAT,)), ""),
    Case(
        "a heartbeat that is half a lease old",
        rest(beats=(replace(BEAT, beat_at=699.0),)),
        "HeartbeatLate",
        ByController,
    ),
    Case(
        "no heartbeat yet, for a job that was leased a moment ago",
        rest(beats=(replace(BEAT, beat_at=None, leased_from=995.0),)),
        "",
    ),
    Case(
        "a heartbeat that rests, for a cluster that is lost",
        rest(beats=(replace(BEAT, beat_at=100.0, lost=True),)),
        "",
    ),
    Case("a heartbeat for nobody", rest(beats=(NO_LEASES,)), "HeartbeatLeftOver", ByController),
    Case(
        "a heartbeat for nobody that cannot be read, and that nothing carries",
        rest(beats=(replace(NO_LEASES, beat_at=0.0, carried=False),)),
        "HeartbeatLeftOver",
        Delete,
    ),
    Case(
        "only the heartbeat's policy is left",
        rest(beats=(replace(NO_LEASES, beat_at=None),)),
        "HeartbeatLeftOver",
        ByController,
    ),
    Case(
        "a heartbeat for a ManifestWork that is going", rest(beats=(replace(NO_LEASES, anything=True),)), ""
    ),
    Case("a namespace that is carried", rest(twins=(Twin(TWIN, HUB, 0),)), ""),
    Case(
        "a carried namespace whose hub namespace is gone",
        rest(twins=(Twin(TWIN, None, 0),)),
        "NamespaceLeftOver",
        ByController,
    ),
    Case(
        "a carried namespace of an earlier hub namespace",
        rest(twins=(Twin(TWIN, replace(HUB, uid="new"), 0),)),
        "NamespaceLeftOver",
        ByController,
    ),
    Case("the same with copies that are still leaving it", rest(twins=(Twin(TWIN, None, 1),)), ""),
    Case("the same, on its way out", rest(twins=(Twin(replace(TWIN, deleting=True), None, 0),)), ""),
    Case(
        "a namespace of the WDS that is not ours", rest(twins=(Twin(replace(TWIN, ours=False), None, 0),)), ""
    ),
    Case(
        "a deleted job that only our finalizer keeps",
        rest(held_jobs=(job(deleting=True),)),
        "FinalizerLeftOver",
        ByController,
    ),
    Case(
        "a job out of the controller's sight, with nothing left",
        rest(strays=(STRAY,)),
        "FinalizerLeftOver",
        DropFinalizer,
    ),
    Case(
        "a job out of sight whose Workload is there",
        rest(strays=(replace(STRAY, needed_by=("Workload team-a/job-train",)),)),
        "FinalizerLeftOver",
        Decide,
    ),
    Case(
        "a copy that has lost its label: its pods may run",
        rest(strays=(replace(STRAY, space="wds", finalizer=keys.PODS_LEAVING),)),
        "FinalizerLeftOver",
        Decide,
    ),
    Case(
        "an object of ours that cannot be read",
        rest(unreadable=(Unreadable("wds", "BindingPolicy", "", "wave-w1-1"),)),
        "UnreadableObject",
        Decide,
    ),
    Case("a Lease that is renewed", rest(leader=LEADER), ""),
    Case("a Lease that nobody renews", rest(leader=replace(LEADER, renewed_at=969.0)), "NobodyLeads", Decide),
    Case("a Lease that was released", rest(leader=replace(LEADER, holder="")), "NobodyLeads", Decide),
    Case("no Lease at all", rest(leader=replace(LEADER, holder="", renewed_at=0.0)), "NobodyLeads", Decide),
    Case("a Lease that was not asked for", rest(), ""),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_what_is_found(case: Case) -> None:
    found = list(suspicions(case.given))
    assert [f.code for f in found] == ([case.want] if case.want else [])
    for finding in found:
        assert case.remedy is not None
        assert isinstance(finding.remedy, case.remedy)
        assert all(ref.name for ref in finding.objects)


def test_of_spaces_that_were_not_read_only_what_is_there_counts() -> None:
    unknown = [case.given for case in CASES if case.want not in {"", "UnreadableObject", "NobodyLeads"}]
    assert [list(suspicions(each, whole=False)) for each in unknown] == [[]] * len(unknown)
    assert [f.code for f in suspicions(rest(leader=replace(LEADER, holder="")), whole=False)] == [
        "NobodyLeads"
    ]


REF = Ref("wds", "BindingPolicy", "", "wave", "uid")
POLICY = Finding("PolicyWithoutCopy", (REF,), "", Decide("it"))
SETTLE = KINDS["PolicyWithoutCopy"].settle
SEEN = {POLICY.identity: 100.0}
SKEW = 2.0


class Look(NamedTuple):
    reason: str
    finding: Finding
    first: dict[Any, float]
    now: float
    lasting: bool
    since: float


LOOKS = [
    Look("seen for the first time", POLICY, {}, 500.0, lasting=False, since=500.0),
    Look("seen again too soon", POLICY, SEEN, 100.0 + SETTLE - 0.1, lasting=False, since=100.0),
    Look("seen for as long as a transition takes", POLICY, SEEN, 100.0 + SETTLE, lasting=True, since=100.0),
    Look(
        "another object of the same code",
        replace(POLICY, objects=()),
        SEEN,
        500.0,
        lasting=False,
        since=500.0,
    ),
    Look(
        "another version of the object", replace(POLICY, version="2"), SEEN, 500.0, lasting=False, since=500.0
    ),
    Look(
        "other numbers, the same thing", replace(POLICY, message="2"), SEEN, 500.0, lasting=True, since=100.0
    ),
    Look(
        "a report that is older than the suspicion",
        replace(POLICY, seen_at=101.9),
        SEEN,
        500.0,
        lasting=False,
        since=100.0,
    ),
    Look("a report that repeats it", replace(POLICY, seen_at=102.1), SEEN, 500.0, lasting=True, since=100.0),
    Look("the objects say since when", replace(POLICY, since=7.0), SEEN, 500.0, lasting=True, since=7.0),
    Look(
        "a kind that needs no time",
        replace(POLICY, code="UnreadableObject"),
        {},
        500.0,
        lasting=True,
        since=500.0,
    ),
]


@pytest.mark.parametrize("case", LOOKS, ids=lambda case: case.reason)
def test_settling(case: Look) -> None:
    verdict = settled([case.finding, case.finding], case.first, case.now, clock_skew=SKEW)
    told = verdict.lasting if case.lasting else verdict.open
    assert [f.since for f in told] == [case.since]
    assert len(verdict.lasting) + len(verdict.open) == 1


def test_what_has_passed_begins_anew() -> None:
    gone = settled([], SEEN, 500.0, clock_skew=SKEW)
    back = settled([POLICY], gone.first, 501.0, clock_skew=SKEW)
    assert (back.lasting, len(back.open)) == ((), 1)


def test_errors_come_first_and_the_order_is_total() -> None:
    worse = Finding("TwoClusters", (REF,), "", Decide("it"))
    for given in ([POLICY, worse], [worse, POLICY]):
        assert [f.code for f in settled(given, {}, 0.0, clock_skew=SKEW).open] == [
            "TwoClusters",
            "PolicyWithoutCopy",
        ]


def test_no_longer_than_asked_for() -> None:
    pods = Finding("QuotaWithoutPods", (REF,), "", Decide("it"))
    first = {pods.identity: 100.0}
    assert not settled([pods], first, 120.0, clock_skew=SKEW).lasting
    assert settled([pods], first, 120.0, clock_skew=SKEW, longest=20.0).lasting
