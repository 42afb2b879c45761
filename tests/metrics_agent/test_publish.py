"""The publisher against a store that answers as an API server does, with a clock that the test moves."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.objects import Obj
from metrics_agent.publish import CONFLICT_PAUSE, Pace, Published, Publisher, published, until_due
from vocabulary.cluster_metrics import ClusterReport, WorkloadPods, format_report

PACE = Pace(interval=10.0, heartbeat=60.0)
NAME = "w1"


class Worker:
    """One ClusterMetrics object, what the agent would fold, the time; Space and Informer in one."""

    name = "worker"

    def __init__(self) -> None:
        self.now = 1000.0
        self.pods = 0
        self.folds = 0
        self.writes: list[tuple[float, ClusterReport]] = []
        self.known: Obj | None = None  # what the informer has
        self.stored: Obj | None = None  # what the API server has
        self.version = 0

    def arrive(self, status: dict[str, Any] | None = None) -> None:
        self.version += 1
        metadata = {"name": NAME, "uid": f"uid-{self.version}", "resourceVersion": str(self.version)}
        self.stored = self.known = {"metadata": metadata, "status": status or {}}

    def vanish(self) -> None:
        self.stored = self.known = None

    def somebody_writes(self) -> None:
        """Between what the informer knows and the write that follows."""
        assert self.stored
        self.version += 1
        metadata = {**self.stored["metadata"], "resourceVersion": str(self.version)}
        self.stored = {**self.stored, "metadata": metadata}

    def watch_catches_up(self) -> None:
        self.known = self.stored

    def get(self, key: tuple[str, str]) -> Published | None:
        assert key == ("", NAME)
        return published(self.known) if self.known else None

    def observe(self, obj: Obj) -> None:
        self.known = obj

    async def update(self, _resource: object, obj: Obj, *, subresource: str) -> Obj:
        assert subresource == "status"
        if self.stored is None:
            raise NotFound(404)
        stored, sent = self.stored["metadata"], obj["metadata"]
        if (stored["uid"], stored["resourceVersion"]) != (sent["uid"], sent["resourceVersion"]):
            raise Conflict(409)
        self.version += 1
        self.stored = {
            "metadata": {**stored, "resourceVersion": str(self.version)},
            "status": obj["status"],
        }
        report = published(self.stored).report
        assert report
        self.writes.append((self.now, report))
        return self.stored

    def fold(self, now: float, sequence: int) -> ClusterReport:
        self.folds += 1
        workloads = (WorkloadPods("w", self.pods, 0, 0),) if self.pods else ()
        return ClusterReport(now, sequence, (), workloads)

    def agent(self) -> Callable[[], Any]:
        return Publisher(
            self,  # type: ignore[arg-type]
            NAME,
            known=self,  # type: ignore[arg-type]
            observe=self.fold,
            pace=PACE,
            clock=lambda: self.now,
        ).publish

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.writes]


async def test_nothing_is_written_before_the_object_is_carried_here() -> None:
    worker = Worker()
    publish = worker.agent()
    assert await publish() is None
    assert worker.writes == []
    worker.arrive()
    assert await publish() == PACE.interval
    assert worker.times == [1000.0]


async def test_the_first_change_after_a_quiet_interval_goes_out_at_once_the_next_waits() -> None:
    worker = Worker()
    worker.arrive()
    publish = worker.agent()
    await publish()
    worker.now, worker.pods = 1030.0, 1
    await publish()
    assert worker.times == [1000.0, 1030.0]
    worker.now, worker.pods = 1031.0, 2
    assert await publish() == 9.0
    assert worker.times == [1000.0, 1030.0]
    worker.now = 1040.0
    await publish()
    assert worker.times == [1000.0, 1030.0, 1040.0]


async def test_a_burst_of_changes_is_not_even_folded() -> None:
    worker = Worker()
    worker.arrive()
    publish = worker.agent()
    await publish()
    folds = worker.folds
    for _ in range(100):
        worker.now += 0.05
        worker.pods += 1
        await publish()
    assert worker.folds == folds


async def test_without_change_there_is_a_heartbeat() -> None:
    worker = Worker()
    worker.arrive()
    publish = worker.agent()
    await publish()
    worker.now = 1010.0
    assert await publish() == 60.0, "the change is confirmed once"
    worker.now = 1030.0
    assert await publish() == 40.0
    worker.now = 1070.0
    assert await publish() == 60.0
    assert worker.times == [1000.0, 1010.0, 1070.0]


async def test_a_restart_writes_nothing_that_is_known_and_counts_on() -> None:
    worker = Worker()
    worker.arrive()
    await worker.agent()()
    worker.now = 1020.0
    assert await worker.agent()() == 40.0
    worker.pods = 1
    await worker.agent()()
    assert [report.sequence for _, report in worker.writes] == [1, 2]


async def test_pods_that_disappear_are_published() -> None:
    worker = Worker()
    worker.arrive()
    worker.pods = 3
    publish = worker.agent()
    await publish()
    worker.now, worker.pods = 1015.0, 0
    await publish()
    assert [report.workloads for _, report in worker.writes] == [(WorkloadPods("w", 3, 0, 0),), ()]


async def test_an_object_that_was_made_anew_is_filled_at_once() -> None:
    worker = Worker()
    worker.arrive()
    publish = worker.agent()
    await publish()
    worker.now = 1001.0
    worker.vanish()
    assert await publish() is None
    worker.arrive()
    await publish()
    assert worker.times == [1000.0, 1001.0]


async def test_after_a_conflict_it_is_decided_again_from_what_is_there() -> None:
    worker = Worker()
    worker.arrive()
    worker.somebody_writes()
    publish = worker.agent()
    assert await publish() == CONFLICT_PAUSE
    assert worker.writes == []
    worker.watch_catches_up()
    assert await publish() == PACE.interval
    assert worker.times == [1000.0]


async def test_an_object_that_goes_in_the_middle_is_waited_for() -> None:
    worker = Worker()
    worker.arrive()
    worker.stored = None
    assert await worker.agent()() is None


async def test_a_status_that_cannot_be_read_is_replaced() -> None:
    worker = Worker()
    worker.arrive({"sequence": "many"})
    await worker.agent()()
    assert [report.sequence for _, report in worker.writes] == [1]


async def test_a_clock_that_was_set_back_does_not_silence_the_agent() -> None:
    worker = Worker()
    worker.arrive(format_report(ClusterReport(9e9, 41, (), ())))
    await worker.agent()()
    assert [(report.observed_at, report.sequence) for _, report in worker.writes] == [(1000.0, 42)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["look", "change", "conflict", "restart"]), st.floats(0, 30)), max_size=40
    )
)
async def test_writes_keep_their_distance_and_never_pause_longer_than_a_heartbeat(
    steps: list[tuple[str, float]],
) -> None:
    worker = Worker()
    worker.arrive()
    publish = worker.agent()
    due: float | None = worker.now
    for what, pause in steps:
        # Whatever happens, the queue calls again when publish asked for it.
        end = worker.now + pause
        while due is not None and due <= end:
            worker.now = max(worker.now, due)
            again = await publish()
            due = worker.now + again if again is not None else None
        worker.now = end
        match what:
            case "change":
                worker.pods += 1
            case "conflict":
                worker.somebody_writes()
                worker.watch_catches_up()
            case "restart":
                publish = worker.agent()
        again = await publish()
        due = worker.now + again if again is not None else None
    gaps = [later - sooner for sooner, later in zip(worker.times, worker.times[1:], strict=False)]
    assert all(PACE.interval - 0.01 <= gap <= PACE.heartbeat + 0.01 for gap in gaps)
    assert [report.sequence for _, report in worker.writes] == list(range(1, len(worker.writes) + 1))


def test_only_nodes_and_workloads_make_a_change() -> None:
    last = ClusterReport(1000.0, 1, (), ())
    later = ClusterReport(1020.0, 2, (), ())
    assert until_due(last, later, PACE) == 40.0
    assert until_due(last, ClusterReport(1020.0, 2, (), (WorkloadPods("w", 1, 0, 0),)), PACE) == 0.0
    assert until_due(None, later, PACE) == 0.0


async def test_somebody_who_writes_there_too_is_overwritten_once_per_interval() -> None:
    """Whatever time it bears: far ahead, or none that can be read."""
    worker = Worker()
    worker.arrive()
    publish = worker.agent()
    await publish()
    for forged in ({"observedAtSeconds": "9e9", "sequence": 7}, {"observedAtSeconds": "soon"}, {}) * 20:
        worker.now += 1.0
        assert worker.stored
        worker.stored = worker.known = {**worker.stored, "status": forged}
        await publish()
    assert worker.times == [1000.0 + 10 * i for i in range(7)]
    assert worker.writes[-1][1].nodes == ()
