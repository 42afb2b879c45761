import asyncio
from collections import Counter
from collections.abc import Hashable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from kube_runtime.errors import ServerError, TooManyRequests
from kube_runtime.work_queue import LONGEST_RETRY, TAKES_BEFORE_YIELD, WorkQueue, run_workers

KEYS = st.sampled_from("abcd")
DELAYS = st.integers(0, 20).map(float)


class NoKeyIsLost(RuleBasedStateMachine):
    """The queue against its specification: a set of wanted keys and one deadline per key."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue: WorkQueue[str] = WorkQueue(clock=lambda: self.now, jitter=lambda: 0.5)
        self.wanted: set[str] = set()
        self.due: dict[str, float] = {}
        self.active: set[str] = set()

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.wanted.add(key)

    @rule(key=KEYS, delay=DELAYS)
    def add_after(self, key: str, delay: float) -> None:
        self.queue.add_after(key, delay)
        if delay == 0:
            self.wanted.add(key)
        else:
            self.due[key] = min(self.now + delay, self.due.get(key, float("inf")))

    @rule(key=KEYS, at_least=DELAYS)
    def retry(self, key: str, at_least: float) -> None:
        delay = self.queue.retry(key, at_least=at_least)
        assert at_least <= delay <= max(at_least, LONGEST_RETRY)
        self.due[key] = min(self.now + delay, self.due.get(key, float("inf")))

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        self.ring()
        try:
            key = self.queue.get_nowait()
        except asyncio.QueueEmpty:
            assert self.wanted <= self.active, "somebody waits and nothing came"
            return
        assert key not in self.active, "two workers have the same key"
        assert key in self.wanted, "a key came that nobody asked for, or before its time"
        self.wanted.discard(key)
        self.active.add(key)

    @precondition(lambda self: self.active)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.active)))
        self.queue.done(key)
        self.active.discard(key)

    @rule(key=KEYS)
    def done_without_get_is_harmless(self, key: str) -> None:
        if key not in self.active:
            self.queue.done(key)

    @invariant()
    def a_key_is_queued_at_most_once(self) -> None:
        assert len(self.queue) <= len(self.wanted | self.due.keys())

    def ring(self) -> None:
        rung = {key for key, due in self.due.items() if due <= self.now}
        self.wanted |= rung
        for key in rung:
            del self.due[key]

    def teardown(self) -> None:
        """Whatever happened: all that was asked for comes out in the end."""
        for key in self.active:
            self.queue.done(key)
        self.active.clear()
        self.now += 1000
        self.ring()
        while self.wanted:
            self.take()
            self.active.clear()


TestNoKeyIsLost = NoKeyIsLost.TestCase


def queue_at(now: list[float], jitter: float = 0.0) -> WorkQueue[str]:
    return WorkQueue(clock=lambda: now[0], jitter=lambda: jitter)


def test_keys_come_in_the_order_they_were_added() -> None:
    queue = queue_at([0.0])
    for key in "badb":
        queue.add(key)
    assert [queue.get_nowait() for _ in range(3)] == ["b", "a", "d"]


def test_back_off_doubles_to_its_cap_and_success_forgets() -> None:
    queue = queue_at([0.0], jitter=1.0)
    delays = [queue.retry("a") for _ in range(2000)]  # 2.0 ** 2000 does not exist
    assert delays[:4] == pytest.approx([0.005, 0.01, 0.02, 0.04])
    assert delays[-1] == LONGEST_RETRY
    assert queue.retry("b") == pytest.approx(0.005)  # each key has its own
    queue.forget("a")
    assert queue.retry("a") == pytest.approx(0.005)


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 40))
def test_jitter_takes_at_most_half(jitter: float, failures: int) -> None:
    sure, jittered = queue_at([0.0], jitter=1.0), queue_at([0.0], jitter)
    for _ in range(failures):
        full, delay = sure.retry("a"), jittered.retry("a")
    assert full / 2 <= delay <= full


async def test_get_wakes_up_for_a_timer_that_was_set_while_it_waited() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add_after("late", 3600)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add_after("soon", 0.001)
    assert await asyncio.wait_for(waiting, 10) == "soon"


async def test_ready_work_does_not_starve_the_loop() -> None:
    queue: WorkQueue[int] = WorkQueue()
    others_ran_at: list[int] = []
    for key in range(3 * TAKES_BEFORE_YIELD):
        queue.add(key)

    async def other() -> None:
        others_ran_at.append(len(queue))

    task = asyncio.create_task(other())
    for _ in range(3 * TAKES_BEFORE_YIELD):
        queue.done(await queue.get())
    await task
    assert others_ran_at[0] >= 2 * TAKES_BEFORE_YIELD


class Reconciler:
    """Fails as told, counts its calls and sees whether two work on one key."""

    def __init__(self, *outcomes: Exception | float | None, until: int) -> None:
        self.outcomes, self.until = list(outcomes), until
        self.calls: Counter[str] = Counter()
        self.at_work: set[str] = set()
        self.finished = asyncio.Event()

    async def __call__(self, key: str) -> float | None:
        assert key not in self.at_work
        self.at_work.add(key)
        await asyncio.sleep(0)
        self.at_work.discard(key)
        self.calls[key] += 1
        if self.calls.total() >= self.until:
            self.finished.set()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def run_until_finished(queue: WorkQueue[str], reconciler: Reconciler, n: int = 4) -> None:
    workers = asyncio.create_task(run_workers(queue, reconciler, n))
    async with asyncio.timeout(20):
        await reconciler.finished.wait()
    workers.cancel()
    await asyncio.wait([workers])
    assert workers.cancelled()


async def test_a_failure_is_logged_with_its_key_and_tried_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    reconciler = Reconciler(ZeroDivisionError("x"), ServerError(500, message="etcd"), None, until=3)
    queue.add("ns/a")
    with capture_logs() as logs:
        await run_until_finished(queue, reconciler)
    assert [(entry["key"], entry["log_level"]) for entry in logs] == [("ns/a", "error"), ("ns/a", "warning")]
    assert logs[0]["exc_info"]
    assert "etcd" in logs[1]["error"]


async def test_retry_after_is_obeyed() -> None:
    now = [0.0]
    queue = queue_at(now)
    queue.add("a")
    await run_until_finished(queue, Reconciler(TooManyRequests(429, retry_after=7.0), until=1))
    now[0] = 6.9
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    now[0] = 7.0
    assert queue.get_nowait() == "a"


async def test_the_answer_of_a_reconcile_is_when_to_come_again() -> None:
    now = [0.0]
    queue = queue_at(now)
    queue.add("a")
    await run_until_finished(queue, Reconciler(30.0, until=1))
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    now[0] = 30.0
    assert queue.get_nowait() == "a"


async def test_a_key_cut_off_by_cancellation_is_still_queued() -> None:
    queue: WorkQueue[str] = WorkQueue()
    begun = asyncio.Event()

    async def stuck(_key: str) -> float | None:
        begun.set()
        await asyncio.Event().wait()
        return None

    queue.add("a")
    workers = asyncio.create_task(run_workers(queue, stuck, 2))
    await begun.wait()
    workers.cancel()
    await asyncio.wait([workers])
    assert queue.get_nowait() == "a"


async def test_drain_waits_for_what_was_begun_and_begins_nothing_more() -> None:
    queue: WorkQueue[str] = WorkQueue()
    begun, answered = asyncio.Event(), asyncio.Event()
    written: list[str] = []

    async def write(key: str) -> float | None:
        begun.set()
        await answered.wait()
        written.append(key)
        return 0.0  # wants to be seen again at once, and is not

    queue.add("a")
    workers = asyncio.create_task(run_workers(queue, write, 2))
    await begun.wait()
    drained = asyncio.create_task(queue.drain())
    await asyncio.sleep(0)
    queue.add("b")
    queue.add_after("c", 0.001)
    await asyncio.sleep(0.02)  # c's time has come
    assert not drained.done()
    answered.set()
    await asyncio.wait_for(drained, 10)
    assert written == ["a"]
    await asyncio.sleep(0)
    workers.cancel()
    await asyncio.wait([workers])
    assert written == ["a"]


async def test_metrics_hear_each_step_once() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.steps: list[tuple[str, Hashable]] = []

        def added(self, key: Hashable) -> None:
            self.steps.append(("added", key))

        def started(self, key: Hashable) -> None:
            self.steps.append(("started", key))

        def finished(self, key: Hashable) -> None:
            self.steps.append(("finished", key))

        def retried(self, key: Hashable) -> None:
            self.steps.append(("retried", key))

    recorder = Recorder()
    queue: WorkQueue[str] = WorkQueue(metrics=recorder)
    queue.add("a")
    queue.add("a")
    queue.get_nowait()
    queue.retry("a")
    queue.done("a")
    assert recorder.steps == [("added", "a"), ("started", "a"), ("retried", "a"), ("finished", "a")]
