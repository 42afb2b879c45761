"""What the sources together tell: the world for a decision, events, metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

from quota_manager.decision import World
from quota_manager.facts import ReportFacts
from quota_manager.sources.cluster_metrics import ClusterMetricsSource
from quota_manager.sources.queries import Wanted
from quota_manager.sources.source import BadSample
from quota_manager.sources.sources import Sources, wanted
from quota_manager.trust import Instant
from tests.quota_manager.builders import CPU, cluster, cpus, flavor, queue, world
from vocabulary.cluster_metrics import ClusterReport


class Second:
    """A source that a test speaks for."""

    name = "Second"

    def __init__(self) -> None:
        self.says: dict[str, ClusterReport] = {}
        self.bad: list[BadSample] = []

    def reports(self, *_: object) -> Mapping[str, ReportFacts]:
        return {name: ReportFacts(name, report, "", self.name) for name, report in self.says.items()}

    def bad_samples(self) -> Sequence[BadSample]:
        return self.bad


class Told:
    """An EventRecorder that keeps what it is told, and the sources that tell it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []
        self.second = Second()
        self.sources = Sources(
            [ClusterMetricsSource(), self.second],
            stale_after=180,
            events=self,  # type: ignore[arg-type]
        )

    def record(self, obj: dict[str, Any], kind: str, reason: str, message: str) -> None:
        self.events.append((obj["name"], kind, reason, message))

    def best(self, own: ClusterReport | None, now: float, *, there: bool = True) -> World:
        facts = world([cluster()] if there else [], {"w1": own} if own else {}, [queue()])
        return self.sources.best(facts, Instant(now, now))[0]

    def samples(self, name: str) -> dict[tuple[str, ...], float]:
        (family,) = [family for family in self.sources.collect() if family.name == name]
        return {tuple(s.labels.values()): s.value for s in family.samples}


OWN = cpus(8_000, at=1_000)


def test_a_change_of_source_is_told_once_each_way() -> None:
    told = Told()
    assert told.best(OWN, 1_000).reports["w1"].report is OWN
    assert told.samples("kueue_ks_cluster_source") == {("w1", "ClusterMetrics"): 1}
    told.second.says["w1"] = cpus(7_000, at=1_190, sequence=2)
    for now in (1_200, 1_201):
        assert told.best(OWN, now).reports["w1"].source == "Second"
    assert told.samples("kueue_ks_cluster_source") == {("w1", "Second"): 1}
    told.best(cpus(8_000, at=1_202, sequence=3), 1_202)
    assert told.events == [
        (
            "w1",
            "Warning",
            "SourceChanged",
            "w1: counted by Second now, by ClusterMetrics before. ClusterMetrics: nothing new for 180 s",
        ),
        ("w1", "Normal", "SourceChanged", "w1: counted by ClusterMetrics now, by Second before"),
    ]


def test_bad_samples_are_told_once_and_counted() -> None:
    told = Told()
    told.second.bad = [
        BadSample("w1", "not_finite", "n1 cpu", "NaN"),
        BadSample("w1", "not_finite", "n2 cpu", "NaN"),
        BadSample("", "no_cluster", "n3", "1"),
        BadSample("somebody-elses", "not_finite", "n1 cpu", "NaN"),
    ]
    told.best(OWN, 1_000)
    told.best(OWN, 1_001)
    text = "Second, w1: 2 values left out: n1 cpu is NaN (not_finite), n2 cpu is NaN (not_finite)"
    assert told.events == [("w1", "Warning", "SamplesLeftOut", text)]
    assert told.samples("kueue_ks_source_bad_samples") == {
        ("Second", "w1", "not_finite"): 2,
        ("Second", "", "no_cluster"): 1,
    }


def test_many_bad_samples_fit_into_an_event() -> None:
    told = Told()
    told.second.bad = [BadSample("w1", "not_finite", f"node-{i} cpu", "NaN") for i in range(5_000)]
    told.best(OWN, 1_000)
    ((_, _, _, text),) = told.events
    assert text.startswith("Second, w1: 5000 values left out: node-0 cpu is NaN")
    assert text.endswith(" and 4995 more")
    assert len(text) < 1024


def test_metrics_of_a_cluster_that_left_are_gone() -> None:
    told = Told()
    told.second.bad = [BadSample("w1", "not_finite", "n1 cpu", "NaN")]
    told.best(OWN, 1_000)
    assert told.samples("kueue_ks_cluster_source")
    assert told.samples("kueue_ks_source_bad_samples")
    told.best(None, 1_001, there=False)
    assert told.samples("kueue_ks_cluster_source") == {}
    assert told.samples("kueue_ks_source_bad_samples") == {}


def test_a_new_leadership_forgets() -> None:
    told = Told()
    told.best(OWN, 1_000)
    told.sources.begin()
    told.second.says["w1"] = cpus(7_000, at=5_000)
    told.best(None, 5_000)
    assert told.events == [], "nobody counted before, as far as it knows"


def test_what_is_asked_for() -> None:
    gpu = CPU._replace(flavor="h100", resource="nvidia.com/gpu")
    managed, other = (
        queue("cq", {CPU: 0, gpu: 0}),
        queue("other", {CPU._replace(resource="tpu"): 0}, managed=False),
    )
    facts = world([], {}, [managed, other], [flavor(), flavor("h100", labels={"gpu": "h100"})])
    assert wanted(facts) == Wanted(frozenset({"cpu", "nvidia.com/gpu"}), frozenset({"gpu"}))
