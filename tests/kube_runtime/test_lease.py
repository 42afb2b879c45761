import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY

from kube_runtime.lease import FINISH_WITHIN, LeaderElection, Surroundings
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from tests.kube_runtime.lease_world import FakeSpace, Process, World, run_world


class Stage:
    """One world, and processes that come and go; killed at the end."""

    def __init__(self) -> None:
        self.world = World()
        self.dead: set[str] = set()
        self.processes: list[Process] = []

    def start(self, identity: str) -> Process:
        process = Process(self.world, identity, self.dead)
        self.processes.append(process)
        return process

    def until(self, moment: float) -> None:
        run_world(self.world, self.processes, until=moment)

    def kill(self, process: Process) -> None:
        process.kill()
        self.processes.remove(process)

    @property
    def spec(self) -> dict[str, Any]:
        assert self.world.lease is not None
        return cast("dict[str, Any]", self.world.lease["spec"])


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    for process in list(stage.processes):
        stage.kill(process)


def test_an_absent_lease_is_created(stage: Stage) -> None:
    a = stage.start("a")
    stage.until(1.0)
    assert a.elector.is_leader()
    assert a.leads == 1
    assert stage.world.lease is not None
    assert stage.world.lease["apiVersion"] == "coordination.k8s.io/v1"
    assert stage.world.lease["metadata"]["name"] == "controller"
    assert stage.spec["holderIdentity"] == "a"
    assert stage.spec["leaseDurationSeconds"] == 15
    assert stage.spec["leaseTransitions"] == 0


def test_renewals_keep_acquire_time_and_transitions(stage: Stage) -> None:
    stage.start("a")
    stage.until(61.0)
    assert stage.spec["leaseTransitions"] == 0
    assert stage.spec["acquireTime"] == "1970-01-01T00:00:00.020000Z"
    assert stage.spec["renewTime"] > "1970-01-01T00:00:58"


def test_times_are_utc_wherever_the_process_runs() -> None:
    new_york = datetime(2026, 11, 22, 5, 11, 0, 7, tzinfo=timezone(timedelta(hours=-5)))
    space = cast("Space", FakeSpace(World()))
    elector = LeaderElection(space, "ns", "n", "a", surroundings=Surroundings(wall=lambda: new_york))
    assert elector._record({})["renewTime"] == "2026-11-22T10:11:00.000007Z"
    assert new_york.astimezone(UTC).hour == 10


class PromptSpace(FakeSpace):
    """Answers at once: for what is written, not when."""

    async def _send(self, verb: str, body: Obj) -> Obj:
        return self.world.answer(verb, body)


def test_what_a_leader_says_about_itself_is_on_the_lease() -> None:
    world = World()
    space = cast("Space", PromptSpace(world))
    for identity, told in (("first", {"a": "1"}), ("second", {"b": "2"})):
        elector = LeaderElection(space, "ns", "n", identity, annotations=told)
        asyncio.run(elector._write(world.lease))
        assert world.lease is not None
        assert world.lease["spec"]["holderIdentity"] == identity
    assert world.lease is not None
    assert world.lease["metadata"]["annotations"] == {"a": "1", "b": "2"}, "what others have said stays"


def test_a_crashed_leader_is_followed_after_its_time(stage: Stage) -> None:
    a, b = stage.start("a"), stage.start("b")
    stage.until(10.0)
    stage.kill(a)
    stage.until(22.0)
    assert not b.elector.is_leader()
    stage.until(10.0 + 15.0 + 2.1)
    assert b.elector.is_leader()
    assert stage.spec["leaseTransitions"] == 1
    assert stage.spec["acquireTime"] == stage.spec["renewTime"] or b.leads == 1


def test_a_leader_whose_process_is_seen_to_be_gone_is_followed_at_once(stage: Stage) -> None:
    a, b = stage.start("a"), stage.start("b")
    stage.until(10.0)
    stage.kill(a)
    stage.dead.add("a")
    stage.until(12.1)
    assert b.elector.is_leader()


def test_a_clean_end_releases_and_the_next_one_leads_soon(stage: Stage) -> None:
    a, b = stage.start("a"), stage.start("b")
    stage.until(10.0)
    a.task.cancel()
    stage.until(10.1)
    assert a.task.cancelled()
    assert a.leads == 0
    assert "holderIdentity" not in stage.spec
    assert stage.spec["leaseTransitions"] == 0
    stage.until(12.2)
    assert b.elector.is_leader()
    assert stage.spec["leaseTransitions"] == 1


class Work:
    """Reconciles that take their time: one has begun when the process is asked to end."""

    def __init__(self, process: Process, *, takes: float) -> None:
        self.process, self.takes = process, takes
        self.story: list[str] = []
        self.cleans_up = 0.0
        self.holder_at_the_end: str | None = None

    async def lead(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.story.append("cancelled" if self.process.elector.is_leader() else "cancelled, not leading")
            await asyncio.sleep(self.cleans_up)
            assert self.process.world.lease is not None
            self.holder_at_the_end = self.process.world.lease["spec"].get("holderIdentity")

    async def finish(self) -> None:
        self.story.append("finishing")
        await asyncio.sleep(self.takes)
        assert self.process.elector.is_leader()
        self.story.append("finished")

    def begin(self) -> None:
        self.process.task.cancel()
        self.process.loop.run_what_is_due()
        self.process.task = self.process.loop.create_task(
            self.process.elector.run(self.lead, finish=self.finish)
        )


def test_a_leader_that_is_asked_to_end_finishes_before_it_releases(stage: Stage) -> None:
    a, b = stage.start("a"), stage.start("b")
    work = Work(a, takes=3.0)
    work.begin()
    stage.until(10.0)
    a.task.cancel()
    stage.until(12.9)
    assert a.elector.is_leader()
    assert stage.spec["holderIdentity"] == "a"
    stage.until(13.1)
    assert work.story == ["finishing", "finished", "cancelled"]
    assert a.task.cancelled()
    assert "holderIdentity" not in stage.spec
    stage.until(15.2)
    assert b.elector.is_leader()


def test_the_lease_is_kept_until_the_lead_has_ended(stage: Stage) -> None:
    a = stage.start("a")
    work = Work(a, takes=0.0)
    work.cleans_up = 4.0
    work.begin()
    stage.until(10.0)
    a.task.cancel()
    stage.until(15.0)
    assert work.holder_at_the_end == "a"
    assert "holderIdentity" not in stage.spec


def test_what_does_not_finish_is_cut_off(stage: Stage) -> None:
    a = stage.start("a")
    work = Work(a, takes=600.0)
    work.begin()
    stage.until(10.0)
    a.task.cancel()
    stage.until(10.0 + FINISH_WITHIN + 0.1)
    assert work.story == ["finishing", "cancelled"]
    assert a.task.cancelled()
    assert "holderIdentity" not in stage.spec


def test_nobody_finishes_under_a_lease_that_is_somebody_elses(stage: Stage) -> None:
    a = stage.start("a")
    work = Work(a, takes=4.0)
    work.begin()
    stage.until(10.0)
    a.task.cancel()
    stage.until(10.1)
    assert stage.world.lease is not None
    stage.world.store(stage.world.lease | {"spec": stage.spec | {"holderIdentity": "somebody"}})
    stage.until(12.5)  # the next renewal
    assert work.story == ["finishing", "cancelled, not leading"]
    assert stage.spec["holderIdentity"] == "somebody"


def test_a_lost_lease_gives_no_time_to_finish(stage: Stage) -> None:
    a = stage.start("a")
    work = Work(a, takes=1.0)
    work.begin()
    stage.until(10.0)
    a.space.cut_off = True
    stage.until(20.5)
    assert work.story == ["cancelled, not leading"]


def test_a_candidate_is_ready_while_it_can_read_the_lease(stage: Stage) -> None:
    a, b = stage.start("a"), stage.start("b")
    assert b.elector.missing() == ["fake: lease ns/controller: not asked yet"]
    stage.until(10.0)
    assert (a.elector.missing(), b.elector.missing()) == ([], [])
    b.space.cut_off = True
    stage.until(25.0)
    assert a.elector.missing() == []
    assert b.elector.missing() == ["fake: lease ns/controller: lost"]
    b.space.cut_off = False
    stage.until(28.0)
    assert b.elector.missing() == []


def test_the_metric_says_who_is_the_master(stage: Stage) -> None:
    def master() -> float | None:
        return REGISTRY.get_sample_value("leader_election_master_status", {"name": "controller"})

    a = stage.start("a")
    assert master() == 0
    stage.until(1.0)
    assert master() == 1
    a.space.cut_off = True
    stage.until(12.0)
    assert master() == 0


def test_without_answers_the_leader_stops_before_anybody_else_may_start(stage: Stage) -> None:
    a, b = stage.start("a"), stage.start("b")
    stage.until(10.0)
    a.space.cut_off = True
    stage.until(20.5)  # last renewal before 10.0, deadline 10 s later
    assert not a.elector.is_leader()
    assert a.leads == 0
    assert not b.elector.is_leader()
    stage.until(27.5)
    assert b.elector.is_leader()
    a.space.cut_off = False
    stage.until(60.0)
    assert (a.elector.is_leader(), b.elector.is_leader()) == (False, True)


def test_one_lost_answer_costs_nothing(stage: Stage) -> None:
    a = stage.start("a")
    stage.until(3.0)
    a.space.cut_off = True
    stage.until(9.0)
    a.space.cut_off = False
    stage.until(60.0)
    assert a.elector.is_leader()
    assert stage.spec["leaseTransitions"] == 0


def test_a_candidate_that_saw_the_leader_is_not_fooled_by_a_deleted_lease(stage: Stage) -> None:
    a, b = stage.start("a"), stage.start("b")
    stage.until(10.0)
    a.paused_until = 18.0
    stage.world.lease = None
    stage.until(18.0)
    assert a.elector.is_leader()
    assert not b.elector.is_leader()
    stage.until(30.0)
    assert stage.spec["holderIdentity"] == "a"


def test_somebody_else_in_the_lease_ends_the_lead_at_the_next_renewal(stage: Stage) -> None:
    a = stage.start("a")
    stage.until(3.0)
    assert stage.world.lease is not None
    stage.world.store(stage.world.lease | {"spec": stage.spec | {"holderIdentity": "somebody"}})
    stage.until(5.0)
    assert not a.elector.is_leader()
    assert a.leads == 0


def test_what_lead_raises_comes_out_after_the_release(stage: Stage) -> None:
    a = stage.start("a")

    async def lead() -> None:
        assert a.elector.is_leader()
        raise ZeroDivisionError

    a.task.cancel()
    a.loop.run_what_is_due()
    a.task = a.loop.create_task(a.elector.run(lead))
    stage.until(5.0)
    assert isinstance(a.task.exception(), ZeroDivisionError)
    assert not a.elector.is_leader()
    assert "holderIdentity" not in stage.spec


@pytest.mark.parametrize("times", [(15, 15, 2), (15, 10, 10), (15, 10, 0), (5, 10, 2)])
def test_durations_that_cannot_keep_the_promise_are_refused(times: tuple[int, int, int]) -> None:
    lease, renew, retry = times
    space = cast("Space", FakeSpace(World()))
    with pytest.raises(ValueError, match="must be shorter"):
        LeaderElection(space, "ns", "n", "a", lease_duration=lease, renew_deadline=renew, retry_period=retry)
