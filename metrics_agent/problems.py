"""Why pods do not run, in the worker's own words and in one that stays the same from look to look.

A report is written when it changes and travels to everybody who reads there, so what counts and what the
random part of a name is are taken out of the words where the worker itself varies them:

* kubelet shows a failed pull in turn as ErrImagePull and as ImagePullBackOff, whose message repeats the
  other's (pkg/kubelet/images/image_manager.go, 1.36): told as ErrImagePull.
* CrashLoopBackOff has the seconds of its back-off as message: how the container ended says more.
* Each try of a Job has a pod of another name, which the refusal quotes.

Of many problems the one of the lowest rank is told, and among those the one of the first pod by name.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vocabulary.cluster_metrics import PROBLEM_LENGTH

_CONTAINER, _SCHEDULING = 0, 1

_STUCK: Final = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
    }
)
"""``state.waiting.reason`` of a container that does not come up by itself; ContainerCreating may."""

_PULL_BEFORE: Final = ": ErrImagePull: "
_COMBINED: Final = "(combined from similar events): "  # client-go's event correlator
_NEW_POD: Final = re.compile(r'(pods "[^"]*-)[a-z0-9]{5}"')


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What keeps one pod from running; the least one is told."""

    rank: int
    pod: str
    text: str


def pod_problem(name: str, status: Mapping[str, Any]) -> Problem | None:
    """Read ``Pod.status``: the first container that is stuck, or else why no node was found."""
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _STUCK:
            return Problem(_CONTAINER, name, _stuck(waiting["reason"], waiting.get("message", ""), container))
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and condition.get("reason"):
            return Problem(_SCHEDULING, name, _worded(condition["reason"], condition.get("message", "")))
    return None


def most_telling(problems: Iterable[Problem | None]) -> str:
    """The text of the one to tell, "" when there is none."""
    return min((p for p in problems if p is not None), default=Problem(0, "", "")).text


def refusal_text(message: str) -> str:
    """The words of a FailedCreate event."""
    return _worded("FailedCreate", _NEW_POD.sub(r'\1…"', message.removeprefix(_COMBINED)))


def _stuck(reason: str, message: str, container: Mapping[str, Any]) -> str:
    ended = (container.get("lastState") or {}).get("terminated")
    if reason == "CrashLoopBackOff" and ended:
        how = f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}"
        return _worded(reason, f"container {container['name']}: {how}")
    if reason == "ImagePullBackOff" and _PULL_BEFORE in message:
        return _worded("ErrImagePull", message.partition(_PULL_BEFORE)[2])
    return _worded(reason, message)


def _worded(reason: str, message: str) -> str:
    text = " ".join(f"{reason}: {message}".split()) if message else reason
    return text[:PROBLEM_LENGTH]
