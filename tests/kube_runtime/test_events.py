import asyncio
from typing import Any, cast

import pytest

from kube_runtime.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    KubeError,
    NotFound,
    TooManyRequests,
    Unreachable,
)
from kube_runtime.events import ATTEMPTS, QUEUE_LIMIT, RETRY_PAUSE, EventRecorder
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space

JOB = {"apiVersion": "batch/v1", "kind": "Job", "namespace": "team", "name": "train", "uid": "u1"}
NODE = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u2"}


class EventServer:
    """Keeps Events as the API server does: names are unique, patches carry a uid. ``troubles`` come first."""

    name = "hub"

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], Obj] = {}
        self.requests: list[str] = []
        self.troubles: list[KubeError] = []
        self.uids = 0

    def _begin(self, verb: str) -> None:
        self.requests.append(verb)
        if self.troubles:
            raise self.troubles.pop(0)

    async def create(self, _resource: Resource, obj: Obj) -> Obj:
        self._begin("create")
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        if key in self.events:
            raise AlreadyExists(409)
        self.uids += 1
        self.events[key] = obj | {"metadata": obj["metadata"] | {"uid": f"e{self.uids}"}}
        return self.events[key]

    async def get(self, _resource: Resource, name: str, namespace: str) -> Obj:
        self._begin("get")
        return self._present(namespace, name)

    async def patch(self, _resource: Resource, obj_patch: Obj, *, name: str, namespace: str) -> Obj:
        self._begin("patch")
        present = self._present(namespace, name)
        if obj_patch["metadata"]["uid"] != present["metadata"]["uid"]:
            raise Conflict(409)
        self.events[namespace, name] = present | {k: v for k, v in obj_patch.items() if k != "metadata"}
        return self.events[namespace, name]

    def _present(self, namespace: str, name: str) -> Obj:
        if (namespace, name) not in self.events:
            raise NotFound(404)
        return self.events[namespace, name]

    @property
    def only(self) -> Obj:
        (event,) = self.events.values()
        return event


class Stage:
    def __init__(self) -> None:
        self.server = EventServer()
        self.now = 1_700_000_000.0
        self.pauses: list[float] = []

    def recorder(self) -> EventRecorder:
        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        return EventRecorder(cast("Space", self.server), "tests", clock=lambda: self.now, pause=pause)

    @staticmethod
    async def told(recorder: EventRecorder) -> None:
        """Until all that was recorded has been dealt with."""
        task = asyncio.create_task(recorder.run())
        for _ in range(QUEUE_LIMIT):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_an_event_says_all_that_describe_shows(stage: Stage) -> None:
    recorder = stage.recorder()
    recorder.record(JOB, "Warning", "Refused", "no room")
    await stage.told(recorder)
    event = stage.server.only
    assert event["metadata"]["namespace"] == "team"
    assert event["metadata"]["name"].startswith("train.")
    assert event["involvedObject"] == JOB
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Refused", "no room")
    assert event["source"] == {"component": "tests"}
    assert event["count"] == 1
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2023-11-14T22:13:20Z"


async def test_events_of_cluster_scoped_objects_are_in_default(stage: Stage) -> None:
    recorder = stage.recorder()
    recorder.record(NODE, "Normal", "Seen", "x")
    await stage.told(recorder)
    assert stage.server.only["metadata"]["namespace"] == "default"
    assert "namespace" not in stage.server.only["involvedObject"]


async def test_the_same_statement_is_counted_with_one_request(stage: Stage) -> None:
    recorder = stage.recorder()
    for _ in range(3):
        recorder.record(JOB, "Normal", "Placed", "on w1")
        await stage.told(recorder)
        stage.now += 60
    assert stage.server.requests == ["create", "patch", "patch"]
    assert stage.server.only["count"] == 3
    assert stage.server.only["firstTimestamp"] == "2023-11-14T22:13:20Z"
    assert stage.server.only["lastTimestamp"] == "2023-11-14T22:15:20Z"


async def test_what_waits_is_counted_before_it_is_sent(stage: Stage) -> None:
    recorder = stage.recorder()
    for _ in range(50):
        recorder.record(JOB, "Normal", "Placed", "on w1")
    await stage.told(recorder)
    assert stage.server.requests == ["create"]
    assert stage.server.only["count"] == 50


async def test_counting_goes_on_after_a_restart(stage: Stage) -> None:
    for _ in range(2):
        recorder = stage.recorder()
        recorder.record(JOB, "Normal", "Placed", "on w1")
        await stage.told(recorder)
    assert stage.server.only["count"] == 2


async def test_an_expired_event_begins_anew(stage: Stage) -> None:
    recorder = stage.recorder()
    recorder.record(JOB, "Normal", "Placed", "on w1")
    await stage.told(recorder)
    stage.server.events.clear()
    recorder.record(JOB, "Normal", "Placed", "on w1")
    await stage.told(recorder)
    assert stage.server.only["count"] == 1
    assert recorder.dropped == 0


@pytest.mark.parametrize(
    "other",
    [
        (JOB | {"uid": "u9"}, "Normal", "Placed", "on w1"),
        (JOB, "Warning", "Placed", "on w1"),
        (JOB, "Normal", "Moved", "on w1"),
        (JOB, "Normal", "Placed", "on w2"),
    ],
    ids=["uid", "type", "reason", "message"],
)
async def test_another_statement_is_another_event(stage: Stage, other: tuple[Any, ...]) -> None:
    recorder = stage.recorder()
    recorder.record(JOB, "Normal", "Placed", "on w1")
    recorder.record(*other)
    await stage.told(recorder)
    assert len(stage.server.events) == 2


async def test_when_too_many_wait_the_oldest_go_and_are_counted(stage: Stage) -> None:
    recorder = stage.recorder()
    for number in range(QUEUE_LIMIT + 3):
        recorder.record(JOB, "Normal", "Placed", str(number))
    assert recorder.dropped == 3
    await stage.told(recorder)
    messages = {event["message"] for event in stage.server.events.values()}
    assert messages == {str(number) for number in range(3, QUEUE_LIMIT + 3)}


async def test_what_was_said_at_the_end_is_told_too(stage: Stage) -> None:
    recorder = stage.recorder()
    running = asyncio.create_task(recorder.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    recorder.record(JOB, "Normal", "Placed", "on w1")
    await recorder.flush()
    assert stage.server.only["message"] == "on w1"


async def test_a_short_outage_loses_nothing(stage: Stage) -> None:
    recorder = stage.recorder()
    stage.server.troubles = [Unreachable("refused"), TooManyRequests(429, retry_after=7.0)]
    recorder.record(JOB, "Normal", "Placed", "on w1")
    await stage.told(recorder)
    assert stage.server.only["count"] == 1
    assert stage.pauses == [RETRY_PAUSE, 7.0]


async def test_a_long_outage_does_not_hold_up_what_comes_later(stage: Stage) -> None:
    recorder = stage.recorder()
    stage.server.troubles = [Unreachable("refused")] * ATTEMPTS
    recorder.record(JOB, "Normal", "Placed", "early")
    recorder.record(JOB, "Normal", "Placed", "late")
    await stage.told(recorder)
    assert stage.server.only["message"] == "late"
    assert recorder.dropped == 1


async def test_a_refusal_is_counted_and_not_repeated(stage: Stage) -> None:
    recorder = stage.recorder()
    stage.server.troubles = [Forbidden(403)]
    recorder.record(JOB, "Normal", "Placed", "on w1")
    await stage.told(recorder)
    assert stage.server.requests == ["create"]
    assert recorder.dropped == 1


async def test_long_texts_are_cut_to_what_the_api_takes(stage: Stage) -> None:
    recorder = stage.recorder()
    recorder.record(JOB | {"name": "n" * 253}, "Normal", "Placed", "m" * 5000)
    await stage.told(recorder)
    assert len(stage.server.only["message"]) == 1024
    assert len(stage.server.only["metadata"]["name"]) <= 253
