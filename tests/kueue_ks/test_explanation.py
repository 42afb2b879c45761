"""Objects → Explanation → text and JSON."""

import json
from datetime import datetime
from typing import Any, NamedTuple

import pytest

from kueue_ks.errors import CommandError
from kueue_ks.explain.command import job_name
from kueue_ks.explain.explanation import Explanation, Phase
from kueue_ks.explain.facts import Found
from kueue_ks.explain.fold import explain
from kueue_ks.explain.text import text
from tests.kueue_ks.builders import (
    CHECK,
    READY,
    condition,
    raw_copy,
    raw_job,
    raw_policy,
    raw_status,
    raw_work,
    raw_workload,
)
from workload_controller.facts import Check, CheckState
from workload_controller.lifecycle import without_room
from workload_controller.refusals import Refusal
from workload_controller.situation import Timing
from workload_controller.steps import KeepWaiting, Place

NOW = datetime.fromisoformat("2026-01-01T12:01:00Z").timestamp()
RESERVED, ADMITTED = condition("QuotaReserved"), condition("Admitted")
REJECTED = {"state": "Rejected", "message": "Job team-a/train: spec.managedBy is 'unset'. Create it again."}


def found(**fields: Any) -> Found:
    given: dict[str, Any] = {"now": NOW, "job": raw_job(), "checks": [CHECK], "unread": {}}
    return Found(**given | fields)


WAS_READY = {  # what the controller adds to the mirrored status
    **condition("kueue.kubestellar.io/PodsReady", reason="Attempt1", message="All 4 pods were ready on w1"),
    "lastTransitionTime": "2026-01-01T12:00:06Z",
}
RUNNING = found(
    job=raw_job(active=4, ready=4, startTime="2026-01-01T12:00:06Z", conditions=[WAS_READY]),
    workload=raw_workload(RESERVED, ADMITTED, check=READY),
    copy=raw_copy(),
    policies=[raw_policy()],
    bound=True,
    works=[raw_work()],
    statuses=[raw_status(active=4, ready=4, startTime="2026-01-01T12:00:06Z")],
)


class Case(NamedTuple):
    reason: str
    given: Found
    phase: Phase
    waits: tuple[str, str] | None  # reason, and a part of the message


def unlabelled() -> dict[str, Any]:
    job = raw_job()
    del job["metadata"]["labels"]
    return job


CASES = [
    Case(
        "no queue label",
        found(job=unlabelled()),
        Phase.NOT_QUEUED,
        ("NoQueueName", "no label kueue.x-k8s.io/queue-name"),
    ),
    Case("no Workload yet", found(), Phase.NOT_QUEUED, ("NoWorkload", "no Workload")),
    Case(
        "Kueue's own reason and words, verbatim",
        found(
            workload=raw_workload(
                condition(
                    "QuotaReserved", "False", reason="Pending", message="insufficient unused quota for cpu"
                )
            )
        ),
        Phase.WAITING_FOR_QUOTA,
        ("Pending", "insufficient unused quota for cpu"),
    ),
    Case(
        "our check's verdicts, verbatim",
        found(
            workload=raw_workload(
                RESERVED, check={"state": "Pending", "message": "No cluster can take it now: w1: full"}
            )
        ),
        Phase.WAITING_FOR_CLUSTER,
        ("NoClusterFits", "No cluster can take it now: w1: full"),
    ),
    Case(
        "also for who may not read WDS and ITS",
        found(
            workload=raw_workload(RESERVED, check={"state": "Pending", "message": "No cluster: w1: full"}),
            unread={"wds": "forbidden", "its": "forbidden"},
        ),
        Phase.WAITING_FOR_CLUSTER,
        ("Placing", "w1: full"),
    ),
    Case(
        "refused: the reason is the check's",
        found(workload=raw_workload(RESERVED, check=REJECTED)),
        Phase.REFUSED,
        ("Refused", "spec.managedBy is 'unset'"),
    ),
    Case(
        "refused, after Kueue has deactivated the Workload and reset the check",
        found(
            workload=raw_workload(
                condition("QuotaReserved", "False"),
                condition("Evicted", reason="DeactivatedDueToAdmissionCheck", message="rejected: managedBy"),
                active=False,
            )
        ),
        Phase.REFUSED,
        ("DeactivatedDueToAdmissionCheck", "rejected: managedBy"),
    ),
    Case(
        "given up after its last try: we deactivated it when its pods had ended",
        found(
            workload=raw_workload(
                condition("QuotaReserved", "False"),
                condition("Evicted", reason="AdmissionCheck", message="Evicted: too often"),
                check={"state": "Pending", "message": "Rejected: attempts is '3'. At most 2 are allowed"},
                active=False,
            )
        ),
        Phase.REFUSED,
        ("AdmissionCheck", "Rejected: attempts is '3'. At most 2 are allowed"),
    ),
    Case(
        "stopped by a person while it queued after no cluster had room",
        found(
            workload=raw_workload(
                condition("QuotaReserved", "False"),
                condition("Evicted", reason="AdmissionCheck", message="Evicted due to kubestellar: no room"),
                check={"state": "Pending", "message": "Reset to Pending after eviction. Previously: Retry"},
                active=False,
            )
        ),
        Phase.STOPPED,
        ("AdmissionCheck", "Evicted due to kubestellar: no room"),
    ),
    Case(
        "stopped by a person",
        found(
            workload=raw_workload(
                condition("QuotaReserved", "False"), condition("Evicted", reason="Deactivated"), active=False
            )
        ),
        Phase.STOPPED,
        ("Deactivated", "Evicted it is"),
    ),
    Case(
        "admitted: our controller's next step",
        found(workload=raw_workload(RESERVED, ADMITTED, check=READY), job=raw_job(active=4, ready=0)),
        Phase.STARTING,
        ("StepDue", "WorkloadController's next step is CreateCopy"),
    ),
    Case(
        "carried, its pods are awaited with a deadline",
        found(
            workload=raw_workload(RESERVED, ADMITTED, check=READY),
            job=raw_job(active=4, ready=1, startTime="2026-01-01T12:00:06Z"),
            copy=raw_copy(),
            policies=[raw_policy()],
            bound=True,
            works=[raw_work()],
            statuses=[raw_status(active=4, ready=1, startTime="2026-01-01T12:00:06Z")],
        ),
        Phase.RUNNING,
        ("PodsNotReady", "w1: 1 of 4 pods ready; given up at 12:05:02Z"),
    ),
    Case(
        "on its way: KubeStellar's turn",
        found(
            workload=raw_workload(RESERVED, ADMITTED, check=READY),
            job=raw_job(active=4, ready=0),
            copy=raw_copy(),
            policies=[raw_policy()],
        ),
        Phase.STARTING,
        ("NotCarried", "w1: KubeStellar has made no ManifestWork yet; given up at 12:05:02Z"),
    ),
    Case(
        "the worker refuses it, in its words",
        found(
            workload=raw_workload(RESERVED, ADMITTED, check=READY),
            job=raw_job(active=4, ready=0),
            copy=raw_copy(),
            policies=[raw_policy()],
            works=[raw_work(error="jobs.batch is forbidden")],
        ),
        Phase.STARTING,
        ("ApplyFailed", "jobs.batch is forbidden"),
    ),
    Case("running", RUNNING, Phase.RUNNING, None),
    Case(
        "nothing is guessed about spaces that were not read",
        found(job=RUNNING.job, workload=RUNNING.workload, unread={"wds": "no answer within 5s"}),
        Phase.RUNNING,
        None,
    ),
    Case(
        "evicted, its pods still end",
        found(
            job=raw_job(active=4, ready=4),
            workload=raw_workload(RESERVED, ADMITTED, condition("Evicted", reason="Preempted"), check=READY),
            copy=raw_copy(deletionTimestamp="2026-01-01T12:00:50Z"),
        ),
        Phase.LEAVING,
        ("PodsEnding", "pods on w1 may be ending"),
    ),
    Case(
        "succeeded",
        found(
            job=raw_job(conditions=[condition("Complete")]),
            workload=raw_workload(RESERVED, ADMITTED, condition("Finished"), check=READY),
        ),
        Phase.SUCCEEDED,
        None,
    ),
    Case("failed", found(job=raw_job(conditions=[condition("Failed")])), Phase.FAILED, None),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_explain(case: Case) -> None:
    explanation = explain(case.given)
    assert explanation.phase is case.phase
    if case.waits is None:
        assert explanation.waits_for is None
    else:
        assert explanation.waits_for is not None
        reason, words = case.waits
        assert explanation.waits_for.reason == reason
        assert words in explanation.waits_for.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_text_and_json_carry_the_same_facts(case: Case) -> None:
    explanation = explain(case.given)
    document = json.loads(json.dumps(explanation.to_json()))
    assert (document["apiVersion"], document["kind"]) == ("cli.kueue-ks/v1", "Explanation")
    shown = " ".join(" ".join(text(explanation, NOW)).split())
    for fact in facts_of(document):
        assert fact in shown


def facts_of(document: dict[str, Any]) -> list[str]:
    """Everything that a reader of the JSON learns, as words that the text must have."""
    words = [document["name"], document["namespace"], *document["unread"].values()]
    for condition_ in document["conditions"]:
        words += [condition_["type"], condition_["reason"], condition_["message"]]
    words += [step["detail"] for step in document["steps"]] + [step["at"] for step in document["steps"]]
    if document["waitsFor"]:
        words += [
            document["waitsFor"]["reason"],
            f"({document['waitsFor']['action']})",
            document["waitsFor"]["message"],
            document["waitsFor"]["until"],
        ]
    if document["check"]:
        words += [document["check"]["state"], document["check"]["message"], document["check"]["cluster"]]
    for asks in document["asks"]:
        words += [f"{resource} {amount}" for resource, amount in asks["requests"].items()]
    return [" ".join(word.split()) for word in words]


def test_the_reason_of_a_stored_text_is_that_of_who_wrote_it() -> None:
    """The check keeps the controller's words, without their reason."""
    asked = Check("kubestellar", CheckState.PENDING, "", 0.0, 0, None)
    never = Refusal("NeverFits", "Job team-a/train", "spec", "1 pod of cpu 99", "Ask for less")
    for refusal, reason in ((None, KeepWaiting.reason), (never, never.reason)):
        action = without_room(Place(asked, until=999.0, obstacle=""), "w1: full", 0.0, Timing(), refusal)
        assert isinstance(action, KeepWaiting)
        given = found(workload=raw_workload(RESERVED, check={"state": "Pending", "message": action.text}))
        told = explain(given).waits_for
        assert told is not None
        assert told.reason == reason


def test_text() -> None:
    assert text(explain(RUNNING), NOW) == [
        "train  Job, team-a   RUNNING on w1 58s",
        "  asks    4 pods x (cpu 7, memory 200Mi), flavor standard",
        "  check   kubestellar Ready since 58s",
        "          Placed on w1 (attempt 1): w1: fits, 40% stays free;",
        "          w2: 3 of 4 pods fit; asks cpu 28, free 23500m",
        "  Kueue   LocalQueue default-queue, ClusterQueue team-queue, Workload job-train-1b29a",
        "          QuotaReserved  True  58s  QuotaReserved  QuotaReserved it is",
        "          Admitted       True  58s  Admitted       Admitted it is",
        "  steps",
        "          2026-01-01T12:00:00Z  created        Job train on the hub",
        "          2026-01-01T12:00:02Z  QuotaReserved  QuotaReserved it is",
        "          2026-01-01T12:00:02Z  Admitted       Admitted it is",
        "          2026-01-01T12:00:03Z  copy           in the WDS for w1, attempt 1",
        "          2026-01-01T12:00:03Z  BindingPolicy  wave-w1-1",
        "          2026-01-01T12:00:05Z  ManifestWork   for w1: Applied True since 2026-01-01T12:00:02Z",
        (
            "          2026-01-01T12:00:06Z  WorkStatus     "
            "from w1: started 2026-01-01T12:00:06Z, active 4, ready 4"
        ),
    ]


def test_waiting_has_a_deadline() -> None:
    waiting = found(workload=raw_workload(RESERVED, check={"state": "Pending", "message": "No cluster"}))
    lines = text(explain(waiting), NOW)
    assert "          until 2026-01-01T12:10:02Z, in 9m02s" in lines


def test_only_what_can_never_run_is_a_finding() -> None:
    assert {case.phase for case in CASES if explain(case.given).never} == {Phase.REFUSED}


def test_resource_names_are_not_renamed_in_json() -> None:
    workload = raw_workload(RESERVED)
    requests = {"example.com/my_device": "1"}
    workload["spec"]["podSets"][0]["template"] = {
        "spec": {"containers": [{"resources": {"requests": requests}}]}
    }
    document = explain(found(workload=workload)).to_json()
    assert document["asks"][0]["requests"] == requests
    assert document["asks"][0]["podSet"] == "main"


@pytest.mark.parametrize("target", ["job/x", "jobs/x", "Job/x", "job.batch/x", "x"])
def test_job_name(target: str) -> None:
    assert job_name(target) == "x"


def test_other_kinds_are_a_usage_error() -> None:
    with pytest.raises(CommandError, match="no batch Job") as refused:
        job_name("pod/x")
    assert refused.value.code == 2


def test_an_explanation_is_one_object() -> None:
    assert isinstance(explain(RUNNING), Explanation)
