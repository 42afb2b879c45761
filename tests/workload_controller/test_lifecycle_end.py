"""One row per rule of how a job leaves its cluster. I1 to I8 are the invariants of docs/design.md."""

from dataclasses import replace

import pytest

from tests.workload_controller.builders import (
    COMPLETE,
    JOB,
    RUNNING,
    check,
    copy,
    job,
    policy,
    ready,
    remote,
    work,
    workload,
)
from tests.workload_controller.situations import (
    ADMITTED,
    EVICTED,
    LEAVING,
    STARTED,
    TIMING,
    Case,
    admitted,
    leaving,
    running,
)
from workload_controller.facts import CheckState, Contact, Decision, LossPolicy, Mates, PodsReport
from workload_controller.lifecycle import next_action
from workload_controller.situation import Situation
from workload_controller.steps import (
    ConfirmGone,
    CreateCopy,
    DeletePolicy,
    DeleteWorkload,
    LeaveWave,
    LetGo,
    Mirror,
    Nothing,
    Release,
    ReportPodsEnded,
    Unselect,
    Wait,
    Withdraw,
)

FINISHED = workload(admitted=True, finished=True)
DELETED = replace(ADMITTED, deleting=True)
INACTIVE = replace(ADMITTED, active=False)
ABANDONED = work(
    deleting_since=150.0, on_loss=LossPolicy.AT_LEAST_ONCE
)  # on a cluster that is lost for 1000 s
TWICE = replace(LEAVING, on_loss=LossPolicy.AT_LEAST_ONCE)
STARTS_ELSEWHERE = (
    "w1 has not been heard of since 23:46:40Z; with atLeastOnce it starts elsewhere at {} unless w1 is back"
)


NAME_TAKEN = f"Kueue has not let go of Workload {DELETED.name} yet, and would use it for a new job train"
OVERDUE = "w1 still has 2 pods of train beyond their grace: delete its Job there"


def pods_ending(alive: str) -> Wait:
    text = f"pods on w1 may be ending, last count {alive}; over at 00:03:50Z at the latest"
    return Wait("PodsEnding", text, until=230.0, told="Normal")


SHARED = {"works": (work(),), "policies": (policy(size=25),)}
MATES = Mates(staying=2, total=3)
GONE_WAVE = running(policies=(), mates=MATES)
OUT = replace(LEAVING, withdrawn=True)


CASES = [
    Case(
        "of a wave that carries others a listed copy is unselected: the policy stays (I3)",
        leaving(**SHARED, mates=MATES, listed=True, bound=True),
        Unselect(LEAVING),
    ),
    Case(
        "one that KubeStellar has not listed yet could be listed later, when it counts as gone (I1)",
        leaving(**SHARED, mates=MATES, bound=True),
        Wait(
            "NotListedYet",
            f"KubeStellar has not listed train in Binding {LEAVING.wave} yet, so it cannot drop it",
            until=215.0,
        ),
    ),
    Case(
        "the last to stay in a wave takes its policy along, which is faster",
        leaving(**SHARED, mates=Mates(staying=0, total=3), listed=True, bound=True),
        DeletePolicy(policy(size=25)),
    ),
    Case(
        "an unselected copy waits until it is carried no more",
        leaving(**SHARED, copy=OUT, mates=MATES, bound=True),
        Wait("Withdrawing", "w1 has not confirmed the withdrawal of train yet", until=215.0),
    ),
    Case(
        "and is asked for when the wave has left it out",
        leaving(policies=(policy(size=25),), copy=OUT, mates=MATES),
        ConfirmGone(OUT),
    ),
    Case(
        "a policy made anew would carry also those that leave the wave (I1)",
        GONE_WAVE,
        LeaveWave(copy()),
    ),
    Case(
        "who joined a wave makes no policy for it: the opener's is gone",
        running(policies=(), copy=copy(wave="wave-w1-of-another")),
        LeaveWave(copy(wave="wave-w1-of-another")),
    ),
    Case(
        "a finished job loses its copy at once (I3)",
        running(job=job(terminal=True), remote=remote(COMPLETE, terminal=True)),
        Withdraw(copy(), "it is finished"),
    ),
    Case(
        "evicted: withdrawn", running(workload=EVICTED, check=check()), Withdraw(copy(), "Kueue evicted it")
    ),
    Case(
        "deactivated: it goes on until Kueue evicts it, or the same attempt could start twice (I3)",
        running(workload=INACTIVE, remote=remote(RUNNING)),
        Mirror(job(active=1), STARTED | RUNNING),
    ),
    Case(
        "deactivated and evicted: withdrawn",
        running(workload=replace(INACTIVE, evicted=True)),
        Withdraw(copy(), "Kueue evicted it"),
    ),
    Case(
        "deactivated before it was started: it is not",
        admitted(workload=INACTIVE),
        ReportPodsEnded(job(active=1)),
    ),
    Case(
        "the user's job is gone: withdrawn",
        running(workload=None, check=None, job=None),
        Withdraw(copy(), "its Workload is gone"),
    ),
    Case(
        "a copy of an older attempt is withdrawn, never adopted (I1)",
        running(
            workload=workload(admitted=True, evictions=1, checks=(ready("w1", 2),)), check=ready("w1", 2)
        ),
        Withdraw(copy(), "it may not run"),
    ),
    Case(
        "a copy of another Workload of the same name is withdrawn (I6)",
        running(copy=copy(workload_uid="another")),
        Withdraw(copy(workload_uid="another"), "its Workload is gone"),
    ),
    Case(
        "leaving: the policy goes first",
        leaving(policies=(policy(),), works=(work(),)),
        DeletePolicy(policy()),
    ),
    Case(
        "leaving: the worker has not confirmed",
        leaving(works=(work(),)),
        Wait("Withdrawing", f"w1 has not confirmed the withdrawal of {JOB} yet", until=215.0),
    ),
    Case(
        "leaving: a Binding may still become a ManifestWork",
        leaving(bound=True),
        Wait("Withdrawing", f"w1 has not confirmed the withdrawal of {JOB} yet", until=215.0),
    ),
    Case(
        "pods may be ending: the quota stays until their grace is over (I2)",
        leaving(works_gone_at=190.0),
        pods_ending("unknown"),
    ),
    Case(
        "a report from before the withdrawal proves nothing (I2)",
        leaving(works_gone_at=190.0, pods=PodsReport(191.0, 0)),
        pods_ending("0"),
    ),
    Case(
        "the agent still sees pods",
        leaving(works_gone_at=190.0, pods=PodsReport(195.0, 2)),
        pods_ending("2"),
    ),
    Case(
        "the agent confirms their end: no need to wait longer",
        leaving(works_gone_at=190.0, pods=PodsReport(195.0, 0)),
        Release(LEAVING),
    ),
    Case(
        "a restart does not know since when its ManifestWork is gone: it looks before it believes (I2)",
        leaving(),
        ConfirmGone(LEAVING),
    ),
    Case("their grace is over", leaving(now=230.0, works_gone_at=190.0), Release(LEAVING)),
    Case(
        "a finished job has no pods left",
        leaving(job=job(terminal=True), works_gone_at=200.0),
        Release(LEAVING),
    ),
    Case(
        "the copy is gone: Kueue may release the quota",
        leaving(copy=None),
        ReportPodsEnded(job(active=1, suspended=True)),
    ),
    Case("evicted and reported: Kueue's turn", leaving(copy=None, job=job(suspended=True)), Nothing()),
    Case(
        "its cluster is lost under a policy that lets it go on elsewhere",
        leaving(works=(ABANDONED,), contacts={"w1": Contact(-800.0, 0.0)}),
        Release(LEAVING, lost=True),
    ),
    Case(
        "lost, and withdrawn a moment ago: were it back, it would confirm within five seconds (I2)",
        leaving(
            copy=TWICE,
            works=(replace(ABANDONED, deleting_since=196.0),),
            contacts={"w1": Contact(-800.0, 0.0)},
        ),
        Wait("ClusterLost", STARTS_ELSEWHERE.format("00:03:21Z"), until=201.0, told="Warning"),
    ),
    Case(
        "an earlier attempt on a lost cluster does not end the wait for this one's pods (I2)",
        leaving(
            works=(replace(ABANDONED, cluster="w2", attempt=0),),
            contacts={"w2": Contact(-800.0, 0.0)},
            works_gone_at=190.0,
        ),
        Wait(
            "PodsEnding",
            "pods on w1 may be ending, last count unknown; over at 00:03:50Z at the latest",
            until=230.0,
            told="Normal",
        ),
    ),
    Case(
        "a copy that is not leaving does not go with a lost cluster's ManifestWork alone",
        leaving(
            copy=TWICE,
            works=(replace(ABANDONED, deleting_since=None),),
            contacts={"w1": Contact(-800.0, 0.0)},
        ),
        Wait("ClusterLost", STARTS_ELSEWHERE.format("00:01:40Z"), until=215.0, told="Warning"),
    ),
    Case(
        "an abandoned ManifestWork does not keep the next attempt waiting",
        admitted(works=(ABANDONED,), contacts={"w1": Contact(-800.0, 0.0)}),
        CreateCopy(ADMITTED, job(active=1), Decision("w1", 1), 410.0),
    ),
    Case(
        "a finished job is let go first: its events bring us here for its Workload",
        Situation(now=200.0, workload=FINISHED, job=job(terminal=True)),
        LetGo(job(terminal=True)),
    ),
    Case(
        "then its Workload",
        Situation(now=200.0, workload=FINISHED, job=job(terminal=True, held=False)),
        LetGo(FINISHED),
    ),
    Case(
        "a finished Workload that nobody holds is left alone",
        Situation(now=200.0, workload=replace(FINISHED, held=False), job=job(terminal=True, held=False)),
        Nothing(),
    ),
    Case(
        "a deleted job's pods end before it is let go (I2)",
        Situation(now=200.0, workload=ADMITTED, check=ready(), job=job(active=1, deleting=True)),
        ReportPodsEnded(job(active=1, deleting=True)),
    ),
    Case(
        "a deleted job that has no pods keeps its name while Kueue would find its Workload by it",
        Situation(now=200.0, workload=ADMITTED, check=ready(), job=job(deleting=True)),
        DeleteWorkload(ADMITTED),
    ),
    Case(
        "the Workload goes first",
        Situation(now=200.0, workload=DELETED, check=ready(), job=job(deleting=True)),
        LetGo(DELETED),
    ),
    Case(
        "and Kueue has to let go of it too; its end brings us to the job (Upkeep)",
        Situation(now=200.0, workload=replace(DELETED, held=False), check=ready(), job=job(deleting=True)),
        Wait("NameStaysTaken", NAME_TAKEN, until=215.0, told="Normal"),
    ),
    Case(
        "a deleted job that was finished goes: its Workload starts nothing any more",
        Situation(now=200.0, workload=FINISHED, check=ready(), job=job(terminal=True, deleting=True)),
        LetGo(job(terminal=True, deleting=True)),
    ),
    Case(
        "a Workload whose job is gone goes",
        Situation(now=200.0, workload=ADMITTED, check=ready()),
        LetGo(ADMITTED),
    ),
    Case(
        "a deleted Workload goes, and its living job stays held",
        Situation(now=200.0, workload=DELETED, check=ready(), job=job(suspended=True)),
        LetGo(DELETED),
    ),
    Case(
        "a result comes after its Workload was deleted: Kueue restores the template of no active job",
        running(workload=DELETED, remote=remote(COMPLETE, terminal=True)),
        ReportPodsEnded(job(active=1)),
    ),
    Case(
        "and could not stop a finished one, for ever",
        running(workload=DELETED, remote=remote(COMPLETE, terminal=True), job=job()),
        Wait("ResultWaits", f"Kueue has not let go of the deleted Workload {DELETED.name} yet"),
    ),
    Case(
        "Kueue has stopped it: the result is kept (I3)",
        running(workload=replace(DELETED, in_use=False), remote=remote(COMPLETE, terminal=True)),
        Mirror(job(active=1), COMPLETE),
    ),
    Case(
        "a deleted Workload with a finished job: the job is let go first, nothing brings us back to it",
        Situation(now=200.0, workload=DELETED, check=ready(), job=job(terminal=True)),
        LetGo(job(terminal=True)),
    ),
    Case(
        "pods that the agent sees alive beyond their grace are waited for (I1, I2)",
        leaving(works_gone_at=190.0, now=230.0, pods=PodsReport(225.0, 2)),
        Wait("PodsOverdue", OVERDUE, until=245.0, told="Warning"),
    ),
    Case(
        "a report from before the withdrawal proves nothing",
        leaving(works_gone_at=190.0, now=230.0, pods=PodsReport(189.0, 2)),
        Release(LEAVING),
    ),
    Case(
        "nor does one that is not repeated",
        leaving(works_gone_at=190.0, now=400.0, pods=PodsReport(240.0, 2)),
        Release(LEAVING),
    ),
    Case(
        "a deleted Workload's copy is withdrawn before anything is let go (I2)",
        running(workload=DELETED),
        Withdraw(copy(), "it may not run"),
    ),
    Case(
        "a job that its user suspends keeps its copy: Kueue would unsuspend it and it would run twice (I1)",
        running(job=job(active=1, suspended=True), remote=remote(RUNNING)),
        Mirror(job(active=1, suspended=True), STARTED | RUNNING),
    ),
    Case(
        "an attempt that was given up is withdrawn before Kueue has evicted it",
        running(check=check(CheckState.RETRY, decision=Decision("w1", 1))),
        Withdraw(copy(), "its attempt failed"),
    ),
    Case(
        "an evicted Workload that still has its old decision is not started again (I1)",
        leaving(copy=None, job=job(suspended=True), check=ready()),
        Nothing(),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_next_action(case: Case) -> None:
    assert next_action(case.given, TIMING) == case.want
