from collections.abc import Mapping
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from quota_manager.decision import Decision, Memory, Rules, World, decide, offered_flavors
from quota_manager.facts import Cell, FlavorGroup, ReportFacts
from quota_manager.trust import Instant
from tests.quota_manager.builders import CPU, cluster, cpus, flavor, nodes, queue, report, world
from vocabulary.cluster_metrics import ClusterReport

RULES = Rules(stale_after=180.0, shrink_after=15.0)
FRESH = Memory(started_at=0.0)
SETTLED = Memory(started_at=-9_999.0, settled=True)


def look(facts: World, mono: float = 0.0, memory: Memory = FRESH) -> Decision:
    return decide(facts, memory, Instant(mono, mono), RULES)


def wrote(decision: Decision) -> dict[str, dict[Cell, tuple[int, int]]]:
    return {w.queue.name: {c.cell: (c.old, c.new) for c in w.changes} for w in decision.writes}


def test_the_first_reports_fill_an_empty_quota() -> None:
    facts = world([cluster("w1"), cluster("w2")], {"w1": cpus(4000), "w2": cpus(8000)}, [queue()])
    decision = look(facts)
    assert wrote(decision) == {"cq": {CPU: (0, 12_000)}}
    assert (decision.kept, decision.silent, decision.memory.settled) == ("", (), True)
    assert str(decision.writes[0].changes[0]) == "cpu of default 0 → 12 (w1 4, w2 8)"


def test_growth_is_not_held_back_by_a_cluster_that_is_silent_at_the_start() -> None:
    facts = world([cluster("w1"), cluster("w2")], {"w1": cpus(4000)}, [queue()])
    decision = look(facts)
    assert wrote(decision) == {"cq": {CPU: (0, 4000)}}
    assert not decision.memory.settled


def test_nothing_is_written_when_nothing_differs() -> None:
    decision = look(world([cluster()], {"w1": cpus(4000)}, [queue(quotas={CPU: 4000})]))
    assert decision.writes == ()
    assert decision.look_again == 180.0, "when the report would be stale"


def test_without_any_trusted_report_the_quota_stays() -> None:
    facts = world([cluster("w1"), cluster("w2")], {"w1": None}, [queue(quotas={CPU: 4000})])
    decision = look(facts, 1_000_000.0)
    assert decision.writes == ()
    assert "No cluster has a trusted report" in decision.kept
    assert "w2: has no report yet" in decision.kept


def test_without_any_cluster_the_quota_stays() -> None:
    decision = look(world([], {}, [queue(quotas={CPU: 4000})]), 1_000_000.0)
    assert decision.writes == ()
    assert "no ManagedCluster is accepted" in decision.kept
    assert decision.look_again is None


def test_a_new_process_lowers_nothing_before_all_available_clusters_have_reported() -> None:
    facts = world([cluster("w1"), cluster("w2")], {"w1": cpus(4000)}, [queue(quotas={CPU: 12_000})])
    early = look(facts, 100.0)
    assert early.writes == ()
    assert "nothing is lowered until all clusters have reported. w2: has no report" in early.kept
    assert early.look_again is not None
    assert early.look_again <= 180.0


def test_until_stale_after_has_passed() -> None:
    silent = world([cluster("w1"), cluster("w2")], {"w1": cpus(4000)}, [queue(quotas={CPU: 12_000})])
    memory = look(silent).memory
    heartbeat = world(
        [cluster("w1"), cluster("w2")], {"w1": cpus(4000, sequence=2)}, [queue(quotas={CPU: 12_000})]
    )
    assert wrote(look(heartbeat, 179.0, memory)) == {}
    assert wrote(look(heartbeat, 180.0, memory)) == {"cq": {CPU: (12_000, 4000)}}


def test_a_new_process_with_true_quotas_changes_nothing() -> None:
    """Killed and started again in the middle of the fleet's life (I8)."""
    facts = world(
        [cluster("w1"), cluster("w2")], {"w1": cpus(4000), "w2": cpus(8000)}, [queue(quotas={CPU: 12_000})]
    )
    assert look(facts, 30.0, Memory(started_at=30.0)).writes == ()


def test_less_is_written_after_the_debounce() -> None:
    before = world([cluster()], {"w1": cpus(8000)}, [queue(quotas={CPU: 8000})])
    memory = look(before).memory
    after = world([cluster()], {"w1": cpus(4000, sequence=2)}, [queue(quotas={CPU: 8000})])
    soon = look(after, 10.0, memory)
    assert (soon.writes, soon.look_again) == ((), 25.0)
    late = look(after, 25.0, soon.memory)
    assert wrote(late) == {"cq": {CPU: (8000, 4000)}}


def test_the_message_names_the_clusters_that_caused_the_change() -> None:
    clusters = [cluster("w1"), cluster("w2"), cluster("w3")]
    reports = {"w1": cpus(1000), "w2": cpus(2000), "w3": cpus(3000)}
    first = look(world(clusters, reports, [queue()]), memory=SETTLED)
    memory = first.memory.after(first.writes[0])
    reports = {"w1": cpus(1000), "w2": cpus(5000, sequence=2)}
    second = look(world(clusters[:2], reports, [queue(quotas={CPU: 6000})]), 1.0, memory)
    assert wrote(second) == {}, "6 are there as before"
    reports["w2"] = cpus(9000, sequence=3)
    third = look(world(clusters[:2], reports, [queue(quotas={CPU: 6000})]), 2.0, second.memory)
    assert str(third.writes[0].changes[0]) == "cpu of default 6 → 10 (w2 2 → 9, w3 3 → 0)"


def test_the_message_says_when_no_cluster_is_the_cause() -> None:
    facts = world([cluster()], {"w1": cpus(4000)}, [queue()])
    first = look(facts, memory=SETTLED)
    by_hand = world([cluster()], {"w1": cpus(4000)}, [queue(quotas={CPU: 1_000_000})])
    second = look(by_hand, 1.0, first.memory.after(first.writes[0]))
    assert str(second.writes[0].changes[0]) == "cpu of default 1k → 4 (the clusters have what they had)"


def test_a_message_names_at_most_five_clusters() -> None:
    names = [f"w{i}" for i in range(8)]
    facts = world([cluster(n) for n in names], dict.fromkeys(names, cpus(1000)), [queue()])
    assert str(look(facts).writes[0].changes[0]).endswith("w4 1 and 3 clusters more)")


def test_a_cell_without_any_node_becomes_zero_when_the_facts_are_trusted() -> None:
    gpus = Cell("default", "nvidia.com/gpu")
    facts = world([cluster()], {"w1": cpus(4000)}, [queue(quotas={CPU: 4000, gpus: 8000})])
    memory = look(facts, memory=SETTLED).memory
    decision = look(facts, 15.0, memory)
    assert wrote(decision) == {"cq": {gpus: (8000, 0)}}
    assert str(decision.writes[0].changes[0]) == "nvidia.com/gpu of default 8 → 0 (no matching node)"


def test_a_cordoned_cluster_leaves_but_for_what_our_jobs_use_there() -> None:
    there = report(nodes({"cpu": 8000}, foreign={"cpu": 1000}, ours={"cpu": 3000}))
    facts = world(
        [cluster("w1"), cluster("w2")], {"w1": there, "w2": cpus(4000)}, [queue(quotas={CPU: 11_000})]
    )
    memory = look(facts, memory=SETTLED).memory
    cordoned = replace(facts, clusters={**facts.clusters, "w1": cluster("w1", cordoned=True)})
    memory = look(cordoned, 1.0, memory).memory
    assert wrote(look(cordoned, 16.0, memory)) == {"cq": {CPU: (11_000, 7000)}}
    ended = replace(cordoned, reports={**facts.reports, "w1": ReportFacts("w1", cpus(8000, sequence=2), "")})
    memory = look(ended, 17.0, memory).memory
    assert wrote(look(ended, 40.0, memory)) == {"cq": {CPU: (11_000, 4000)}}


def test_a_cluster_that_goes_and_comes_twice_in_a_minute_changes_nothing() -> None:
    """It is not available, its report's object goes: nothing that lasts less than ``stale_after`` counts."""
    facts = world(
        [cluster("w1"), cluster("w2")], dict.fromkeys(["w1", "w2"], cpus(4000)), [queue(quotas={CPU: 8000})]
    )
    away = replace(
        facts,
        clusters={**facts.clusters, "w1": cluster("w1", available=False)},
        reports={"w2": facts.reports["w2"]},
    )
    memory = SETTLED
    for mono in range(0, 180, 5):
        decision = look(
            away if mono in range(10, 25) or mono in range(40, 55) else facts, float(mono), memory
        )
        assert (decision.writes, decision.kept) == ((), ""), mono
        memory = decision.memory


def test_a_flavor_that_does_not_exist_keeps_its_quotas() -> None:
    other = Cell("missing", "cpu")
    facts = world([cluster()], {"w1": cpus(4000)}, [queue(quotas={CPU: 4000, other: 9000})])
    decision = look(facts, 100.0, look(facts, memory=SETTLED).memory)
    assert decision.writes == ()
    assert decision.missing_flavors == ("missing",)


def test_queues_that_are_not_managed_are_left_alone() -> None:
    facts = world([cluster()], {"w1": cpus(4000)}, [queue("a", managed=False), queue("b")])
    assert wrote(look(facts)) == {"b": {CPU: (0, 4000)}}


def test_several_queues_divide_what_there_is() -> None:
    facts = world([cluster()], {"w1": cpus(4001)}, [queue("a"), queue("b")])
    assert wrote(look(facts)) == {"a": {CPU: (0, 2001)}, "b": {CPU: (0, 2000)}}


def test_what_one_queue_loses_is_taken_before_another_gets_it() -> None:
    facts = world([cluster()], {"w1": cpus(4000)}, [queue("a", {CPU: 0}), queue("b", {CPU: 4000})])
    assert [w.queue.name for w in look(facts, memory=SETTLED).writes] == ["b", "a"]


def test_a_node_is_counted_once_for_all_queues_together() -> None:
    flavors = [flavor("x"), flavor("y")]
    queues = [queue("a", {Cell("x", "cpu"): 0}), queue("b", {Cell("y", "cpu"): 0, Cell("x", "cpu"): 0})]
    decision = look(world([cluster()], {"w1": cpus(4000)}, queues, flavors))
    assert wrote(decision) == {"a": {Cell("x", "cpu"): (0, 2000)}, "b": {Cell("x", "cpu"): (0, 2000)}}


def test_flavors_are_offered_in_the_order_of_the_queue() -> None:
    groups = (FlavorGroup(("cpu", "memory"), ("b", "a")), FlavorGroup(("gpu",), ("g",)))
    assert offered_flavors([replace(queue(), groups=groups)]) == {
        "cpu": ("b", "a"),
        "memory": ("b", "a"),
        "gpu": ("g",),
    }


def test_foreign_pods_lower_the_quota() -> None:
    node = nodes({"cpu": 8000, "pods": 110_000}, foreign={"cpu": 500, "pods": 2000})
    pods = Cell("default", "pods")
    facts = world([cluster()], {"w1": report(node)}, [queue(quotas={CPU: 0, pods: 0})])
    assert wrote(look(facts)) == {"cq": {CPU: (0, 7500), pods: (0, 108_000)}}


def test_metrics_show_what_is_there_after_the_writes() -> None:
    facts = world([cluster()], {"w1": cpus(4000)}, [queue("a"), queue("b", {Cell("none", "cpu"): 7})])
    assert look(facts).nominal == {("a", CPU): 4000, ("b", Cell("none", "cpu")): 7}


class QuotaThroughTheHours(RuleBasedStateMachine):
    """I8 and I9: reports come, change and stop, clusters leave and return, the manager is killed and started.

    The promises: nothing is written without a trusted report; no process lowers anything in its first
    moments; nothing is granted that nobody has said to have; a second look changes nothing.
    """

    names = ("w1", "w2")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.memory = Memory(started_at=0.0)
        self.quota = 0
        self.clusters = {name: cluster(name) for name in self.names}
        self.reports: dict[str, ClusterReport] = {}
        self.said: dict[str, list[tuple[float, int]]] = {name: [] for name in self.names}
        self.wrote = False
        self.before = 0

    def manager(self) -> None:
        facts = world(list(self.clusters.values()), self.reports, [queue(quotas={CPU: self.quota})])
        decision = decide(facts, self.memory, Instant(self.now, self.now), RULES)
        self.memory, self.wrote, self.before = decision.memory, bool(decision.writes), self.quota
        for write in decision.writes:
            self.quota = write.changes[0].new
            self.memory = self.memory.after(write)

    @rule(name=st.sampled_from(names), amount=st.integers(1, 9))
    def a_report_comes(self, name: str, amount: int) -> None:
        last = self.reports.get(name)
        sequence = last.sequence + 1 if last else 1
        self.reports[name] = cpus(amount, at=self.now, sequence=sequence)
        self.said[name].append((self.now, amount))
        self.manager()

    @rule(name=st.sampled_from(names))
    def its_work_status_goes(self, name: str) -> None:
        self.reports.pop(name, None)
        self.manager()

    @rule(name=st.sampled_from(names), available=st.booleans())
    def availability_changes(self, name: str, available: bool) -> None:
        if name in self.clusters:
            self.clusters[name] = replace(self.clusters[name], available=available)
            self.manager()

    @rule(name=st.sampled_from(names))
    def a_cluster_leaves_or_returns(self, name: str) -> None:
        if self.clusters.pop(name, None) is None:
            self.clusters[name] = cluster(name)
        self.manager()

    @rule(seconds=st.sampled_from([1.0, 14.0, 16.0, 61.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.manager()

    @rule()
    def the_manager_is_killed_and_started(self) -> None:
        self.memory = Memory(started_at=self.now)
        self.manager()

    @precondition(lambda self: self.wrote)
    @invariant()
    def a_write_needs_a_trusted_report(self) -> None:
        fresh = [
            n for n in self.clusters if self.said[n] and self.said[n][-1][0] > self.now - RULES.stale_after
        ]
        assert fresh
        assert self.quota > 0, "every report that was made says that there is something"

    @precondition(lambda self: self.wrote)
    @invariant()
    def nothing_is_granted_that_nobody_has_said_to_have(self) -> None:
        if self.quota > self.before:
            assert self.quota <= sum(max((a for _, a in self.said[n]), default=0) for n in self.names)

    @precondition(lambda self: self.wrote)
    @invariant()
    def a_process_lowers_nothing_in_its_first_moments(self) -> None:
        if self.quota < self.before:
            assert self.now - self.memory.started_at >= RULES.shrink_after

    @invariant()
    def deciding_twice_changes_nothing(self) -> None:
        quota = self.quota
        self.manager()
        assert self.quota == quota


TestQuotaThroughTheHours = QuotaThroughTheHours.TestCase


def test_reports_of_clusters_that_are_gone_do_not_count() -> None:
    reports: Mapping[str, ClusterReport] = {"w1": cpus(4000), "gone": cpus(9000)}
    assert wrote(look(world([cluster()], reports, [queue()]))) == {"cq": {CPU: (0, 4000)}}


def test_a_cluster_without_news_is_not_counted_again() -> None:
    reports = {"w1": cpus(4000), "w2": cpus(4000)}
    first = look(world([cluster("w1"), cluster("w2")], reports, [queue()]))
    reports["w2"] = cpus(8000, sequence=2)
    second = look(world([cluster("w1"), cluster("w2")], reports, [queue()]), 1.0, first.memory)
    assert second.capacity.shares["w1"] is first.capacity.shares["w1"]
    assert second.capacity.total(CPU) == 12_000
