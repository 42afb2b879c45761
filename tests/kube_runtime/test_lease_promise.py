"""Two electors are never leader at the same instant, whatever network, server and scheduler do."""

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.kube_runtime.lease_world import FAST, Fate, Process, World, run_world

SECONDS = st.sampled_from([0.0, 0.3, 1.9, 4.9, 5.1, 9.9, 10.1, 14.9, 15.1, 20.0, 40.0])
FATES = st.builds(
    Fate,
    there=st.sampled_from([FAST, 1.0, 4.0, 9.0, 16.0]),
    back=st.sampled_from([FAST, 1.0, 4.0, 9.0, 16.0]),
    request_lost=st.booleans(),
    answer_lost=st.booleans(),
)
WHO = st.sampled_from(["leader", "candidate"])


class NeverTwoLeaders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.dead: set[str] = set()
        self.names = (f"elector-{n}" for n in itertools.count())
        self.processes: list[Process] = []

    @initialize(second_starts_after=SECONDS)
    def start(self, second_starts_after: float) -> None:
        self.processes.append(Process(self.world, next(self.names), self.dead))
        self.time_passes(second_starts_after)
        self.processes.append(Process(self.world, next(self.names), self.dead))

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        until = self.world.now + seconds
        run_world(
            self.world,
            self.processes,
            until=until,
            at_each_instant=self.one_is_leader,
            when_all_had_their_turn=self.one_lead_runs,
        )

    def one_is_leader(self) -> None:
        leaders = [process.identity for process in self.processes if process.elector.is_leader()]
        assert len(leaders) <= 1, f"{leaders} at {self.world.now}"

    def one_lead_runs(self) -> None:
        running = [process.identity for process in self.processes if process.leads and not process.paused]
        assert len(running) <= 1, f"lead() of {running} at {self.world.now}"
        assert all(process.leads for process in self.processes if process.elector.is_leader())

    def index(self, who: str) -> int:
        leading = next((n for n, process in enumerate(self.processes) if process.leads), 0)
        return leading if who == "leader" else 1 - leading

    @rule(who=WHO, seconds=SECONDS, then=SECONDS)
    def pause(self, who: str, seconds: float, then: float) -> None:
        self.processes[self.index(who)].paused_until = self.world.now + seconds
        self.time_passes(then)

    @rule(who=WHO, fates=st.lists(FATES, min_size=1, max_size=4), pause=SECONDS, then=SECONDS)
    def network(self, who: str, fates: list[Fate], pause: float, then: float) -> None:
        process = self.processes[self.index(who)]
        process.space.fates += fates
        self.time_passes(2.1)  # the next request is on its way
        process.paused_until = self.world.now + pause
        self.time_passes(then)

    @rule(who=WHO, cut_off=st.booleans(), then=SECONDS)
    def partition(self, who: str, cut_off: bool, then: float) -> None:
        self.processes[self.index(who)].space.cut_off = cut_off
        self.time_passes(then)

    @rule()
    def somebody_labels_the_lease(self) -> None:
        if self.world.lease is not None:
            self.world.store(self.world.lease)

    @rule(who=WHO, others_can_see_it=st.booleans())
    def crash(self, who: str, others_can_see_it: bool) -> None:
        index = self.index(who)
        process = self.processes[index]
        process.kill()
        if others_can_see_it:
            self.dead.add(process.identity)
        self.processes[index] = Process(self.world, next(self.names), self.dead)

    @rule(who=WHO)
    def shut_down(self, who: str) -> None:
        index = self.index(who)
        process = self.processes[index]
        process.task.cancel()
        process.paused_until = 0.0
        self.time_passes(3.0)  # release gives up after retry_period
        assert process.task.done()
        assert not process.elector.is_leader()
        process.kill()
        self.processes[index] = Process(self.world, next(self.names), self.dead)

    def teardown(self) -> None:
        """When the trouble is over, one of them leads."""
        try:
            for process in self.processes:
                process.paused_until = 0.0
                process.space.fates.clear()
                process.space.cut_off = False
            if self.processes:
                self.time_passes(60.0)
                assert sum(process.elector.is_leader() for process in self.processes) == 1
        finally:
            for process in self.processes:
                process.kill()


NeverTwoLeaders.TestCase.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
TestNeverTwoLeaders = NeverTwoLeaders.TestCase
