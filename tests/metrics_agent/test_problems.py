"""What is told of a pod that does not run, and of one that never came to be."""

from typing import Any, NamedTuple

import pytest

from metrics_agent.problems import Problem, most_telling, pod_problem, refusal_text


def container(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    waiting = {"reason": reason} | ({"message": message} if message else {})
    return {"name": "main", "state": {"waiting": waiting}, **more}


def scheduled(status: str, reason: str = "", message: str = "") -> dict[str, Any]:
    return {"type": "PodScheduled", "status": status, "reason": reason, "message": message}


class Case(NamedTuple):
    reason: str
    status: dict[str, Any]
    want: str


NOT_FOUND = 'failed to pull and unpack image "x": not found'
CASES = [
    Case("a pod without a status yet", {}, ""),
    Case("a container that runs", {"containerStatuses": [{"name": "c", "state": {"running": {}}}]}, ""),
    Case(
        "a container that is being made may still come up",
        {"containerStatuses": [container("ContainerCreating")]},
        "",
    ),
    Case(
        "a failed pull",
        {"containerStatuses": [container("ErrImagePull", NOT_FOUND)]},
        f"ErrImagePull: {NOT_FOUND}",
    ),
    Case(
        "the same pull while kubelet waits, in the same words",
        {
            "containerStatuses": [
                container("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {NOT_FOUND}')
            ]
        },
        f"ErrImagePull: {NOT_FOUND}",
    ),
    Case(
        "the same of an older kubelet, which does not repeat the cause",
        {"containerStatuses": [container("ImagePullBackOff", 'Back-off pulling image "x"')]},
        'ImagePullBackOff: Back-off pulling image "x"',
    ),
    Case(
        "a crash, without the seconds of the back-off",
        {
            "containerStatuses": [
                container(
                    "CrashLoopBackOff",
                    "back-off 2m40s restarting failed container=main pod=p_ns(u)",
                    lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                )
            ]
        },
        "CrashLoopBackOff: container main: OOMKilled, exit code 137",
    ),
    Case(
        "a crash of which nothing is known",
        {"containerStatuses": [container("CrashLoopBackOff", "back-off 10s")]},
        "CrashLoopBackOff: back-off 10s",
    ),
    Case(
        "a reason without words", {"containerStatuses": [container("InvalidImageName")]}, "InvalidImageName"
    ),
    *(
        Case(
            f"a container that is stuck: {stuck}",
            {"containerStatuses": [container(stuck, "m")]},
            f"{stuck}: m",
        )
        for stuck in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
    ),
    Case(
        "an init container comes first",
        {
            "containerStatuses": [container("CreateContainerError", "second")],
            "initContainerStatuses": [container("ErrImagePull", "first")],
        },
        "ErrImagePull: first",
    ),
    Case(
        "no node has room",
        {"conditions": [scheduled("False", "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.")]},
        "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.",
    ),
    Case(
        "a gate that nobody opens",
        {"conditions": [scheduled("False", "SchedulingGated", "Scheduling is blocked")]},
        "SchedulingGated: Scheduling is blocked",
    ),
    Case("a pod that has a node", {"conditions": [scheduled("True", "Unschedulable", "long ago")]}, ""),
    Case(
        "a stuck container says more than an old condition",
        {
            "conditions": [scheduled("False", "Unschedulable", "m")],
            "containerStatuses": [container("ErrImagePull", "m")],
        },
        "ErrImagePull: m",
    ),
    Case(
        "words of several lines, on one",
        {"containerStatuses": [container("ErrImagePull", "a\n\tb")]},
        "ErrImagePull: a b",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_why_a_pod_does_not_run(case: Case) -> None:
    assert most_telling([pod_problem("p", case.status)]) == case.want


def test_long_words_are_cut_as_the_report_cuts_them() -> None:
    problem = pod_problem("p", {"containerStatuses": [container("ErrImagePull", "x" * 999)]})
    assert problem
    assert len(problem.text) == 256


def test_of_many_problems_the_order_of_pods_chooses_none() -> None:
    problems = [Problem(1, "a", "no room"), Problem(0, "c", "second"), Problem(0, "b", "first"), None]
    assert most_telling(problems) == most_telling(problems[::-1]) == "first"
    assert most_telling([]) == ""


REFUSALS = [
    Case(
        "the name of a pod that nobody will ever see differs with each try",
        {"message": 'Error creating: pods "train-x7k2p" is forbidden: exceeded quota: q'},
        'FailedCreate: Error creating: pods "train-…" is forbidden: exceeded quota: q',
    ),
    Case(
        "so does whether client-go has added up such events",
        {
            "message": '(combined from similar events): Error creating: pods "t-0-abcde" is forbidden: no',
        },
        'FailedCreate: Error creating: pods "t-0-…" is forbidden: no',
    ),
    Case(
        "a webhook's own words",
        {"message": 'Error creating: admission webhook "w.example.org" denied the request: never'},
        'FailedCreate: Error creating: admission webhook "w.example.org" denied the request: never',
    ),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.reason)
def test_a_refusal(case: Case) -> None:
    assert refusal_text(case.status["message"]) == case.want
