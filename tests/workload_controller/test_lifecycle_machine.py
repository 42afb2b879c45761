"""The lifecycle against a hostile world: any order, lost and stale news, crashes, late writes (I1 to I8).

The real decisions, view, writer and loop run against model servers (``lifecycle_servers``) and everybody
else (``lifecycle_world``). The promises are checked on the true objects after every step; at the end the
world turns fair, and all has to come to its end.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import hypothesis.strategies as st
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.workload_controller.lifecycle_servers import Crash, Fate, Process
from tests.workload_controller.lifecycle_world.spaces import NAME, NAMESPACE
from tests.workload_controller.lifecycle_world.worker_objects import Worker
from tests.workload_controller.lifecycle_world.world import World
from vocabulary import keys
from vocabulary.resources import BINDINGS, JOBS, WORKLOADS
from workload_controller.concerns import Request
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Action

KINDS = ("workloads", "jobs", "copies", "policies", "bindings", "works", "reports", "clusters", "beats")
CLUSTERS = st.sampled_from(["w1", "w2"])
ON_LOSS = st.sampled_from(["atMostOnce", "leased", "atLeastOnce"])
OUTCOMES = ("Succeeded", "Failed")
ACTORS = (
    "kueue",
    "collect_garbage",
    "bind",
    "transport",
    *(f"{what} of {cluster}" for cluster in ("w1", "w2") for what in ("agent", "pods", "status", "report")),
)
OUTAGES: dict[str, set[str]] = {
    "we": {"we"},
    "kueue": {"kueue"},
    "kubestellar": {"bind", "transport"},
    "transport": {"transport"},
    "garbage collector": {"collect_garbage"},
    "agents": {"agent of w1", "agent of w2"},
    "pods": {"pods of w1", "pods of w2"},
    "status": {"status of w1", "status of w2"},
    "reports": {"report of w1", "report of w2"},
    "deaf to hub": {"workloads", "jobs"},
    "deaf to its": {"works", "reports", "clusters"},
    **{kind: {kind} for kind in KINDS},
}
ASLEEP = st.sets(st.sampled_from(sorted(OUTAGES)), max_size=2)
SEEN: Counter[str] = Counter()  # which steps and waits the machine has come to
FAIR_ROUNDS = 400
STEPS_IN_A_ROUND = 4


class LifecycleMachine(RuleBasedStateMachine):
    """One job and its re-creations under the same name, two workers, one controller after another."""

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
        self.world = World()
        self.broken = False
        self.process = self._start()

    def _start(self, hub_lags: int = 0) -> Process:
        world = self.world
        return Process(world.servers, world.clock, world.network, Timing(), self._note, hub_lags)

    def _note(self, s: Situation, action: Action) -> None:
        SEEN[getattr(action, "reason", None) or type(action).__name__] += 1
        own = s.copy is not None and s.job is not None and s.copy.job_uid == s.job.uid
        if own and s.copy and s.job and s.remote and s.remote.terminal and s.copy.leaving_since is None:
            self.world.finished.add(s.job.uid)  # the result is known: it may not be thrown away

    @contextmanager
    def _judged(self) -> Iterator[None]:
        try:
            yield
        except AssertionError:
            self.broken = True
            raise

    # How far things have come when the trouble begins.

    @initialize(on_loss=ON_LOSS, grace=st.sampled_from([0, 5, 60]), rounds=st.integers(0, 8), asleep=ASLEEP)
    def begin(self, on_loss: str, grace: int, rounds: int, asleep: set[str]) -> None:
        self.world.create_job(on_loss, grace)
        self.go_on(rounds, asleep)

    # All goes on, except for what does not.

    @rule(rounds=st.integers(1, 8), asleep=ASLEEP)
    def go_on(self, rounds: int, asleep: set[str]) -> None:
        """Components that are asleep do nothing, kinds that are asleep are not heard of; pods run on."""
        parts = {part for outage in asleep for part in OUTAGES[outage]}
        with self._judged():
            for _ in range(rounds):
                self._round(parts)

    @rule(rounds=st.integers(1, 3), kind=st.sampled_from(KINDS), outcome=st.sampled_from(OUTCOMES))
    def pods_end_unseen(self, rounds: int, kind: str, outcome: str) -> None:
        """Pods end while we do not look."""
        with self._judged():
            for worker in self.world.workers.values():
                self.world.pods_end(worker, outcome)
            for _ in range(rounds):
                self._round({"we", kind})

    @rule(rounds=st.integers(1, 6), fate=st.sampled_from(Fate))
    def go_on_after_a_mishap(self, rounds: int, fate: Fate) -> None:
        """Our next write does not end well."""
        for request in self.process.due()[:1]:
            self._reconcile(request, fate)
        self.go_on(rounds, set())

    # Our process, step by step.

    @rule(pick=st.integers(0, 7), fate=st.sampled_from([*Fate, Fate.DONE, Fate.DONE]))
    def reconcile(self, pick: int, fate: Fate) -> None:
        known = self._known()
        if known:
            self._reconcile(known[pick % len(known)], fate)

    def _known(self) -> list[Request]:
        names = {obj["metadata"]["name"] for _, obj in self.world.hub.versions.get(WORKLOADS.plural, ())}
        return sorted({Request("workload", NAMESPACE, name) for name in names} | self.process.dirty)

    def _reconcile(self, request: Request, fate: Fate = Fate.DONE) -> None:
        self.world.network.fate = fate
        with self._judged():
            try:
                self.process.reconcile(request)
            except Crash:
                self.process = self._start()
        self.world.network.fate = Fate.DONE

    @rule(hub_lags=st.integers(0, 12), rounds=st.integers(0, 4))
    def restart(self, hub_lags: int, rounds: int) -> None:
        """The hub's API server that answers may lag behind, and goes on lagging."""
        self.process = self._start(hub_lags)
        self.go_on(rounds, {"deaf to hub"} if hub_lags else set())

    @precondition(lambda self: self.world.network.sleeping)
    @rule()
    def late_write_arrives(self) -> None:
        self.world.network.wake()

    @rule(
        kinds=st.sets(st.sampled_from(KINDS), min_size=1), count=st.integers(1, 20), again=st.integers(0, 3)
    )
    def hear(self, kinds: set[str], count: int, again: int) -> None:
        """Some news arrives, the last of it twice."""
        for kind in sorted(kinds):
            self.process.kinds[kind].deliver(count)
            self.process.kinds[kind].repeat(again)

    @rule(kind=st.sampled_from(KINDS))
    def lose_events_and_list(self, kind: str) -> None:
        """The list is read now and arrives with the next delivery; what happened before it is never told."""
        self.process.kinds[kind].begin_list()

    # Everybody else, step by step.

    @rule(part=st.sampled_from(ACTORS), count=st.integers(1, 3))
    def one_acts(self, part: str, count: int) -> None:
        with self._judged():
            for _ in range(count):
                self._acts(part)

    @rule(cluster=CLUSTERS, outcome=st.sampled_from(OUTCOMES))
    def pods_end(self, cluster: str, outcome: str) -> None:
        self.world.pods_end(self.world.workers[cluster], outcome)

    @rule(seconds=st.sampled_from([1.0, 4.0, 20.0, 70.0, 310.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(cluster=CLUSTERS, seconds=st.sampled_from([30.0, 310.0, 910.0, 2000.0]), rounds=st.integers(0, 5))
    def cluster_is_lost(self, cluster: str, seconds: float, rounds: int) -> None:
        worker = self.world.workers[cluster]
        worker.connected = False
        self.world.judge_link(worker)
        self.go_on(1, set())
        with self._judged():
            self._wait(seconds)
        self.go_on(rounds, set())

    @rule(cluster=CLUSTERS, judged=st.booleans(), rounds=st.integers(0, 5))
    def cluster_is_back(self, cluster: str, judged: bool, rounds: int) -> None:
        worker = self.world.workers[cluster]
        worker.connected = True
        if judged:
            self.world.judge_link(worker)
        self.go_on(rounds, set())

    @rule(
        cluster=CLUSTERS, taint=st.sampled_from([keys.CORDONED, keys.DRAINING, ""]), rounds=st.integers(0, 6)
    )
    def cordon_or_drain(self, cluster: str, taint: str, rounds: int) -> None:
        """Or neither any more."""
        self.world.taint(cluster, taint)
        self.go_on(rounds, set())

    @rule(cluster=CLUSTERS, refuses=st.booleans())
    def worker_refuses(self, cluster: str, refuses: bool) -> None:
        self.world.workers[cluster].refuses = refuses

    @rule(cluster=CLUSTERS, rounds=st.integers(0, 3))
    def remove_by_hand(self, cluster: str, rounds: int) -> None:
        self.world.remove_by_hand(self.world.workers[cluster])
        self.go_on(rounds, set())

    # Users and administrators.

    @rule(on_loss=ON_LOSS, grace=st.sampled_from([0, 60]), rounds=st.integers(0, 6))
    def create_job(self, on_loss: str, grace: int, rounds: int) -> None:
        if self.world.job is None:
            self.world.create_job(on_loss, grace)
            self.go_on(rounds, set())

    @rule(
        act=st.sampled_from(["delete", "delete in the foreground", "suspend"]),
        rounds=st.integers(0, 6),
        before=st.integers(0, 4),
        asleep=ASLEEP,
    )
    def touch_job(self, act: str, rounds: int, before: int, asleep: set[str]) -> None:
        self.go_on(before, asleep)
        if self.world.job is None:
            return
        if act == "suspend":
            self.world.hub.change(JOBS, (NAMESPACE, NAME), lambda obj: obj["spec"].update(suspend=True))
        else:
            self.world.delete_job(foreground=act != "delete")
        self.go_on(rounds, asleep)

    @rule(
        act=st.sampled_from(["evict", "evict", "delete", "deactivate", "activate"]),
        rounds=st.integers(0, 6),
        before=st.integers(0, 4),
        asleep=ASLEEP,
    )
    def touch_workload(self, act: str, rounds: int, before: int, asleep: set[str]) -> None:
        self.go_on(before, asleep)
        for workload in self.world.workloads():
            key = (NAMESPACE, workload["metadata"]["name"])
            match act:
                case "evict":
                    self.world.evict(key)
                case "delete":
                    self.world.hub.delete(WORKLOADS, key)
                case _:
                    self.world.set_active(key, active=act == "activate")
        self.go_on(rounds, asleep)

    @rule(what=st.sampled_from(["job", "binding"]))
    def foreign_object(self, what: str) -> None:
        """Somebody else's Job of the name in the WDS, or a Binding that lists our copy."""
        resource, key = (JOBS, (NAMESPACE, NAME)) if what == "job" else (BINDINGS, ("", "foreign"))
        if self.world.wds.find(resource, key) is None:
            scope = [{"group": "batch", "resource": "jobs", "namespace": NAMESPACE, "name": NAME}]
            spec = (
                {"workload": {"namespaceScope": scope}, "destinations": ["w2"]} if what == "binding" else {}
            )
            metadata = {"namespace": key[0], "name": key[1]}
            made = self.world.wds.create(resource, {"metadata": metadata, "spec": spec})
            self.world.foreign.append((self.world.wds, resource, key, made["metadata"]["resourceVersion"]))

    @precondition(lambda self: self.world.foreign)
    @rule()
    def foreign_object_goes(self) -> None:
        server, resource, key, _ = self.world.foreign.pop()
        server.delete(resource, key)

    # The promises.

    @invariant()
    def promises(self) -> None:
        with self._judged():
            self.world.check()

    def teardown(self) -> None:
        if not self.broken:
            self._all_comes_to_an_end()
        structlog.reset_defaults()

    def _all_comes_to_an_end(self) -> None:
        """I5, I8: in a fair world everything ends, and nothing is left over."""
        world = self.world
        while world.network.sleeping:
            world.network.wake()
        while world.foreign:
            self.foreign_object_goes()
        for worker in world.workers.values():
            worker.connected, worker.refuses = True, False
            world.taint(worker.name, "")
        for workload in world.workloads():
            key = (NAMESPACE, workload["metadata"]["name"])
            world.hub.change(WORKLOADS, key, lambda obj: obj["spec"].update(active=True))
        for _ in range(FAIR_ROUNDS):
            for worker in world.workers.values():
                self._succeed(worker)
            self._round(set())
            if not world.left_over() and not self.process.dirty:
                return
        last = self.process.controller.last
        msg = f"I5: after {FAIR_ROUNDS} fair rounds: {world.left_over()}; last {last and last[1]}"
        raise AssertionError(msg)

    def _succeed(self, worker: Worker) -> None:
        for pod in worker.pods:
            if pod.ready:
                pod.alive, pod.ready, pod.outcome = False, False, "Succeeded"

    def _round(self, asleep: set[str]) -> None:
        """Everybody awake has a turn; where nobody writes, time goes on to what somebody waits for."""
        world, before = self.world, self.world.clock.count
        for kind, watched in self.process.kinds.items():
            if kind not in asleep:
                watched.deliver(watched.behind + 1)
        assert not any(watched.informer.skipped for watched in self.process.kinds.values())
        if "we" not in asleep:
            for _ in range(STEPS_IN_A_ROUND):
                for request in self.process.due():
                    self._reconcile(request)
                    world.check()
        for part in ACTORS:
            if part not in asleep and not part.startswith("report"):
                self._acts(part)
                world.check()
        if world.clock.count == before:
            now = world.clock.now
            times = [*self.process.timers.values(), world.next_deadline() or now + 30.0, now + 30.0]
            self._wait(max(0.05, min(times) - now))
            for worker in world.workers.values():
                if f"report of {worker.name}" not in asleep:
                    world.report_look(worker)
                    world.report_tell(worker)

    def _wait(self, seconds: float) -> None:
        """Time passes, and heartbeats that are due go on meanwhile."""
        until = self.world.clock.now + seconds
        while self.world.clock.now < until:
            beats = [at for request, at in self.process.timers.items() if request.kind == "beat"]
            self.world.advance(max(0.05, min([until, *beats]) - self.world.clock.now))
            for request in self.process.due():
                if request.kind == "beat":
                    self._reconcile(request)
            for worker in self.world.workers.values():
                self.world.carry_beat(worker)

    def _acts(self, part: str) -> None:
        world = self.world
        what, _, name = part.partition(" of ")
        worker = world.workers.get(name)
        if worker is None:
            getattr(world, part)()
            return
        match what:
            case "agent":
                world.judge_link(worker)
                world.carry_beat(worker)
                world.agent(worker)
            case "pods":
                world.job_controller(worker)
                world.pods_get_ready(worker)
                world.job_controller(worker)
            case "status":
                world.status_look(worker)
                world.status_tell(worker)
            case _:
                if worker.report is None:
                    world.report_look(worker)
                else:
                    world.report_tell(worker)


LifecycleMachine.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=60,
    suppress_health_check=[HealthCheck.too_slow],  # the machine may be busy
)
TestLifecycle = LifecycleMachine.TestCase
