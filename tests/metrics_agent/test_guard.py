"""The guard between stores that answer as API server and informers do, with clocks that the test moves."""

from collections.abc import Mapping
from typing import Any

import pytest

from kube_runtime.errors import Conflict, Forbidden, KubeError, NotFound, Unreachable
from kube_runtime.objects import Key, Obj, key_of
from kube_runtime.resources import Resource
from metrics_agent.facts import JobFacts
from metrics_agent.guard import CONFLICT_PAUSE, Guard, beat_at
from metrics_agent.lease import Instant
from metrics_agent.reading import job_facts
from vocabulary import keys
from vocabulary.resources import CONFIG_MAPS, JOBS

HEARTBEAT = (keys.SYSTEM_NAMESPACE, "hub-heartbeat-w1")


def a_job(name: str, *, lease: str = "60", version: int = 1) -> Obj:
    return {
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": "1970-01-01T00:16:40Z",  # 1000
            "labels": {keys.WORKLOAD_UID: f"w-{name}"},
            "annotations": {keys.LEASE_SECONDS: lease, keys.LEASED_FROM: "1000.000"},
        },
        "spec": {},
    }


class Worker:
    """Space and both informers in one; what the server has and what the watches have brought may differ."""

    name = "worker"

    def __init__(self, *jobs: Obj) -> None:
        self.unix, self.steady = 1000.0, 500.0
        self.stored = {key_of(job): job for job in jobs}
        self.known_jobs: dict[Key, JobFacts] = {key: job_facts(job) for key, job in self.stored.items()}
        self.stored_beat: str | None = None
        self.known_beat: float | None = None
        self.fails: dict[str, KubeError] = {}  # by name of the object
        self.suspended: list[str] = []
        self.guard = Guard(self, "w1", jobs=Jobs(self), heartbeat=Beats(self), clock=self.now)  # type: ignore[arg-type]

    def now(self) -> Instant:
        return Instant(self.unix, self.steady)

    def wait(self, seconds: float) -> None:
        self.unix += seconds
        self.steady += seconds

    def beat(self, *, seen: bool = True, ahead: float = 0.0) -> None:
        self.stored_beat = f"{self.unix + ahead:.3f}"
        if seen:
            self.known_beat = self.unix + ahead

    async def get(self, resource: Resource, name: str, namespace: str) -> Obj:
        assert (resource, (namespace, name)) == (CONFIG_MAPS, HEARTBEAT)
        if name in self.fails:
            raise self.fails[name]
        if self.stored_beat is None:
            raise NotFound(404)
        return {"data": {keys.BEAT_AT: self.stored_beat}}

    async def patch(self, resource: Resource, patch: Obj, *, name: str, namespace: str) -> Obj:
        assert (resource, patch["spec"]) == (JOBS, {"suspend": True})
        if name in self.fails:
            raise self.fails[name]
        job = self.stored.get((namespace, name))
        if job is None:
            raise NotFound(404)
        if any(job["metadata"][field] != value for field, value in patch["metadata"].items()):
            raise Conflict(409)
        assert set(patch["metadata"]) == {"uid", "resourceVersion"}
        self.suspended.append(name)
        self.stored[namespace, name] = {**job, "spec": patch["spec"]}
        return self.stored[namespace, name]


class Jobs:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def items(self) -> Mapping[Key, JobFacts]:
        return self._worker.known_jobs

    def observe(self, obj: Obj) -> None:
        self._worker.known_jobs[key_of(obj)] = job_facts(obj)


class Beats:
    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def get(self, key: Key) -> float | None:
        assert key == HEARTBEAT
        return self._worker.known_beat

    def observe(self, obj: Obj) -> None:
        self._worker.known_beat = beat_at(obj)


async def test_a_hub_that_beats_ends_nothing_and_each_beat_moves_the_next_look() -> None:
    worker = Worker(a_job("a"))
    for _ in range(10):
        worker.beat()
        assert await worker.guard.check() == 60.0
        worker.wait(15)
    assert worker.suspended == []


async def test_silence_ends_each_job_once_when_its_own_lease_is_over() -> None:
    worker = Worker(a_job("a"), a_job("b", lease="90"))
    worker.beat()
    assert await worker.guard.check() == 60.0
    worker.wait(60)
    assert await worker.guard.check() == 30.0
    assert worker.suspended == ["a"]
    worker.wait(30)
    assert await worker.guard.check() is None
    assert await worker.guard.check() is None
    assert worker.suspended == ["a", "b"]


async def test_a_job_once_ended_stays_so_when_the_hub_is_back() -> None:
    worker = Worker(a_job("a"))
    worker.beat()
    await worker.guard.check()
    worker.wait(61)
    await worker.guard.check()
    worker.beat()
    assert await worker.guard.check() is None
    assert worker.known_jobs["ns", "a"].running is False


async def test_a_watch_that_hangs_ends_nothing() -> None:
    worker = Worker(a_job("a"))
    worker.beat()
    await worker.guard.check()
    worker.wait(45)
    worker.beat(seen=False)
    worker.wait(15)
    assert await worker.guard.check() == 45.0
    assert worker.suspended == []


async def test_a_beat_of_a_clock_far_ahead_lasts_a_lease_from_its_arrival() -> None:
    worker = Worker(a_job("a"))
    worker.beat(ahead=9999)
    assert await worker.guard.check() == 60.0
    worker.wait(59)
    assert await worker.guard.check() == 1.0
    worker.wait(1)
    await worker.guard.check()
    assert worker.suspended == ["a"]


@pytest.mark.parametrize("unreadable", [None, "", "soon", "nan", "inf"])
async def test_without_a_heartbeat_the_making_of_the_job_counts(unreadable: str | None) -> None:
    worker = Worker(a_job("a"))
    worker.stored_beat = unreadable
    assert await worker.guard.check() == 60.0
    worker.wait(60)
    await worker.guard.check()
    assert worker.suspended == ["a"]


async def test_a_heartbeat_that_somebody_deletes_is_remembered() -> None:
    worker = Worker(a_job("a"))
    worker.wait(1000)
    worker.beat()
    await worker.guard.check()
    worker.stored_beat = worker.known_beat = None
    worker.wait(10)
    assert await worker.guard.check() == 50.0
    worker.wait(50)
    await worker.guard.check()
    assert worker.suspended == ["a"]


async def test_the_right_to_read_the_heartbeat_may_be_missing() -> None:
    worker = Worker(a_job("a"))
    worker.fails[HEARTBEAT[1]] = Forbidden(403)
    worker.wait(60)
    await worker.guard.check()
    assert worker.suspended == ["a"]


async def test_nothing_ends_before_the_heartbeat_could_be_asked() -> None:
    worker = Worker(a_job("a"))
    worker.fails[HEARTBEAT[1]] = Unreachable("timeout")
    worker.wait(60)
    with pytest.raises(Unreachable):
        await worker.guard.check()
    assert worker.suspended == []


async def test_a_job_that_changed_meanwhile_is_looked_at_again_at_once() -> None:
    worker = Worker(a_job("a"))
    worker.wait(60)
    worker.stored["ns", "a"] = a_job("a", version=2)
    assert await worker.guard.check() == CONFLICT_PAUSE
    assert worker.suspended == []
    worker.known_jobs["ns", "a"] = job_facts(a_job("a", version=2))
    assert await worker.guard.check() is None
    assert worker.suspended == ["a"]


async def test_a_job_that_is_gone_is_no_failure() -> None:
    worker = Worker(a_job("a"))
    worker.wait(60)
    worker.stored.clear()
    assert await worker.guard.check() == CONFLICT_PAUSE


async def test_one_job_that_cannot_be_ended_does_not_protect_the_next() -> None:
    worker = Worker(a_job("a"), a_job("b"))
    worker.fails["a"] = Forbidden(403)
    worker.wait(60)
    with pytest.raises(Forbidden):
        await worker.guard.check()
    assert worker.suspended == ["b"]


def test_what_a_heartbeat_says() -> None:
    known: Any = {"data": {keys.BEAT_AT: "1766650000.250"}}
    assert beat_at(known) == 1766650000.25
    assert beat_at({}) is None
    assert beat_at({"data": None}) is None
