"""One run: the world of a scenario, played to its end and judged."""

import random
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import structlog

from kube_runtime.resources import Resource
from tests.simulation.api_server import ApiServer
from tests.simulation.kubestellar import KubeStellar
from tests.simulation.kubestellar_late import LateKubeStellar
from tests.simulation.kueue import Kueue
from tests.simulation.logs import UNEXPECTED, QuietLogger
from tests.simulation.network import Weather
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.replica import Replica
from tests.simulation.scenario import (
    LEASE,
    LOST_AFTER,
    NAMESPACES,
    Action,
    Fault,
    JobPlan,
    Scenario,
    scenario,
)
from tests.simulation.users import Users
from tests.simulation.worker import Worker
from tests.simulation.workload_objects import CHECK, CLUSTER_QUEUE, FLAVOR, QUEUE_LABEL
from tests.simulation.world import Livelock, World
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    CLUSTER_QUEUES,
    CONFIG_MAPS,
    JOBS,
    LOCAL_QUEUES,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
    WORKLOADS,
)
from vocabulary.resources import (
    NAMESPACES as NAMESPACE,
)
from workload_controller.settings import Settings

SETTLE_SECONDS = 3000.0  # longest time from the last fault until everything has come to its end
LOOK_EVERY = 5.0
TAKEOVER_SECONDS = 25.0  # until another process leads after a kill
QUICK: dict[str, Any] = {  # our settings, so that everything that has a deadline meets it in a run
    "placement_timeout": 120,
    "never_grace": 100_000,  # a job that is too big gives its quota back: that is what has a deadline
    "retry_delay": 5,
    "retry_delay_max": 20,
    "exclusion": 60,
    "start_timeout": 45,
    "start_timeout_max": 60,
    "max_requeuings": 3,
    "apply_timeout": 15,
    "worker_lost_timeout": LOST_AFTER,
    "settle": 10,
    "lease": LEASE,
}
CONTROLLER = "kubestellar.io/ks-kueue"
SYSTEM_NAMESPACE = "kueue-kubestellar-system"


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended, and how many worker Jobs were made for it."""

    result: str
    starts: int


@dataclass(frozen=True)
class Outcome:
    """What a seed leads to."""

    seed: int
    violations: tuple[Violation, ...]
    jobs: dict[str, JobOutcome]
    trace: tuple[str, ...]
    ended_at: float
    writes: int


class Simulation:
    """All that takes part, wired."""

    def __init__(self, plan: Scenario, chance: int, *, only_first: bool) -> None:
        self.plan = plan
        self._only_first = only_first
        self.world = World(f"{plan.seed} {chance}")
        self.servers = {name: ApiServer(self.world, name) for name in ("hub", "wds", "its")}
        self.weather = {name: Weather() for name in self.servers}
        self._furnish()
        hub, wds, its = self.servers["hub"], self.servers["wds"], self.servers["its"]
        self.workers = {
            name: Worker(self.world, its, name, dict(nodes)) for name, nodes in plan.workers.items()
        }
        self.oracle = Oracle(self.world, plan, self.servers, self.workers)
        self.kueue = Kueue(self.world, hub, plan.nominal)
        shared = plan.wave_size > 1
        self.kubestellar = (LateKubeStellar if shared else KubeStellar)(self.world, wds, its)
        self.users = Users(self.world, hub, self.workers)
        settings = Settings(**QUICK, wave_size=plan.wave_size)
        self.replicas = [
            Replica(self.world, number, self.servers, self.weather, settings, self.oracle.sends)
            for number in range(plan.replicas)
        ]
        self._settled = False

    def _furnish(self) -> None:
        hub, wds, its = self.servers["hub"], self.servers["wds"], self.servers["its"]
        for resource in (WORKLOADS, JOBS, LOCAL_QUEUES, CLUSTER_QUEUES, RESOURCE_FLAVORS, ADMISSION_CHECKS):
            hub.table(resource)
        for resource in (JOBS, BINDING_POLICIES, BINDINGS, CONFIG_MAPS):
            wds.table(resource)
        for resource in (MANAGED_CLUSTERS, MANIFEST_WORKS, WORK_STATUSES):
            its.table(resource)
        for server in (hub, wds):
            for name in ("default", SYSTEM_NAMESPACE):
                server.create(NAMESPACE, {"metadata": {"name": name}})
        for name in NAMESPACES:
            hub.create(NAMESPACE, {"metadata": {"name": name}})
            hub.create(
                LOCAL_QUEUES,
                {"metadata": {"namespace": name, "name": "main"}, "spec": {"clusterQueue": CLUSTER_QUEUE}},
            )
        hub.create(ADMISSION_CHECKS, {"metadata": {"name": CHECK}, "spec": {"controllerName": CONTROLLER}})
        hub.create(RESOURCE_FLAVORS, {"metadata": {"name": FLAVOR}, "spec": {}})
        hub.create(
            CLUSTER_QUEUES,
            {
                "metadata": {"name": CLUSTER_QUEUE},
                "spec": {"admissionChecksStrategy": {"admissionChecks": [{"name": CHECK}]}},
            },
        )
        for name in self.plan.workers:
            its.create(
                MANAGED_CLUSTERS,
                {"metadata": {"name": name, "labels": {"name": name}}, "spec": {"hubAcceptsClient": True}},
            )
        self._furnish_foreign(wds)

    def _furnish_foreign(self, wds: ApiServer) -> None:
        wds.create(NAMESPACE, {"metadata": {"name": "foreign"}})
        template: dict[str, Any] = {"spec": {"containers": []}}
        wds.create(
            JOBS, {"metadata": {"namespace": "foreign", "name": "job0"}, "spec": {"template": template}}
        )
        wds.create(
            BINDING_POLICIES,
            {"metadata": {"name": "foreign"}, "spec": {"clusterSelectors": [], "downsync": []}},
        )

    def play(self) -> Outcome:
        world, plan = self.world, self.plan
        quiet = 0.0
        for job in plan.jobs:
            world.at(job.at, partial(self.users.create, job))
            quiet = max(quiet, job.at)
        for action in plan.actions:
            world.at(action.at, partial(self.users.act, action, self._job(action.subject)))
            quiet = max(quiet, action.at + action.seconds)
        for fault in plan.faults:
            world.at(fault.at, partial(self._strike, fault))
            quiet = max(quiet, fault.at + fault.seconds)
        world.at(quiet + 1.0, self._calm)
        world.at(quiet + LOOK_EVERY, self._look)
        try:
            world.run(quiet + SETTLE_SECONDS, self._instant)
        except Livelock as busy:
            self.oracle.unexpected(str(busy))
        if not (self._settled or (self._only_first and self.oracle.violations)):
            self.oracle.close()
        ended = world.now
        for replica in self.replicas:
            replica.kill("at the end")
        return self._outcome(ended)

    def _instant(self) -> bool:
        self.oracle.after_instant()
        for text in UNEXPECTED:
            self.oracle.unexpected(text)
        UNEXPECTED.clear()
        return self._settled or (self._only_first and bool(self.oracle.violations))

    def _look(self) -> None:
        if not self.oracle.unsettled():
            self.oracle.close()
            self._settled = True
        else:
            self.world.after(LOOK_EVERY, self._look)

    def _calm(self) -> None:
        """No more faults: everything that is broken is mended, every process runs."""
        self.world.note("calm")
        for weather in self.weather.values():
            weather.__dict__.update(Weather().__dict__)
        for replica in self.replicas:
            replica.plans.crash_at.clear()
            replica.start()

    def _job(self, serial: str) -> JobPlan | None:
        return next((job for job in self.plan.jobs if job.serial == serial), None)

    def _strike(self, fault: Fault) -> None:
        world = self.world
        world.note(f"fault {fault}")
        until = world.now + max(fault.seconds, TAKEOVER_SECONDS) + fault.amount
        self.oracle.disturbed_until = max(self.oracle.disturbed_until, until)
        if fault.kind not in ("cut_worker", "component", "late"):
            self.oracle.blind_until = max(self.oracle.blind_until, until)
        replica = self._leader()
        match fault.kind:
            case "kill":
                replica.kill("by a fault")
                world.after(fault.seconds, replica.start)
            case "stale":
                version = max(100, self.servers[fault.target].version - int(fault.amount))
                replica.kill("by a fault")
                world.after(0.1, partial(replica.start, {fault.target: version}))
            case "crash":
                replica.plans.crash_at[replica.plans.writes + int(fault.amount)] = fault.phase
            case "pause":
                replica.pause(fault.seconds)
            case "cut_worker":
                self.workers[fault.target].cut_for(fault.seconds)
            case "component":
                if fault.target == "kueue":
                    self.kueue.stop(fault.seconds)
                else:
                    self.kubestellar.stop(fault.seconds, fault.target)
            case "late":
                self.kubestellar.delay(fault.seconds, fault.target, fault.amount)
            case "cut_streams":
                self._cut(fault.target)
            case "compact":
                self.servers[fault.target].compact()
                self._cut(fault.target)
            case "old_view" | "silent" | "late_write" | "no_garbage_collection":
                self._steer(fault, replica)
            case _:
                self._weather(fault)

    def _steer(self, fault: Fault, leader: Replica) -> None:
        """Faults that only directed scenarios have; a target is a server, or "server/resource"."""
        now = self.world.now
        server, _, plural = fault.target.partition("/")
        match fault.kind:
            case "old_view":
                version = self.servers[server].version_at(now - fault.amount)
                leader.kill("by a fault")
                self.world.after(0.1, partial(leader.start, {server: version}, stale_for=fault.seconds))
            case "silent":
                assert fault.seconds < 90.0, "a watch that is silent for longer counts as broken"
                self.weather[server].silent[plural] = now + fault.seconds
            case "late_write":
                self.weather[server].late[plural] = fault.seconds
            case _:
                self.servers[server].collector_down_until = now + fault.seconds

    def _cut(self, server: str) -> None:
        for replica in self.replicas:
            if replica.alive:
                replica.spaces[server].cut(None)

    def _weather(self, fault: Fault) -> None:
        weather = self.weather[fault.target]
        if fault.kind == "down":
            weather.down_until = self.world.now + fault.seconds
            self._cut(fault.target)
            return
        healthy: Any = getattr(Weather(), fault.kind)
        broken: Any = (0.0, fault.amount) if fault.kind == "lag" else fault.amount
        setattr(weather, fault.kind, broken)
        self.world.after(fault.seconds, partial(setattr, weather, fault.kind, healthy))

    def _leader(self) -> Replica:
        alive = [replica for replica in self.replicas if replica.alive]
        leading = [replica for replica in alive if replica.leading()]
        return (leading or alive or self.replicas)[0]

    def _outcome(self, ended: float) -> Outcome:
        jobs = {}
        for job in self.plan.jobs:
            starts = sum(j.serial == job.serial for w in self.workers.values() for j in w.all_jobs)
            jobs[job.serial] = JobOutcome(self.oracle.outcome(job.serial), starts)
        return Outcome(
            seed=self.plan.seed,
            violations=tuple(self.oracle.violations),
            jobs=jobs,
            trace=tuple(f"{at:9.3f} {text}" for at, text in self.world.trace),
            ended_at=ended,
            writes=sum(len(server.writes) for server in self.servers.values()),
        )


def run(seed: int) -> Outcome:
    """Play a seed."""
    return play(scenario(seed))


def play(plan: Scenario, chance: int = 0, *, only_first: bool = False) -> Outcome:
    """Play a scenario; another ``chance`` gives other delays. ``only_first``: to its first violation."""
    structlog.configure(wrapper_class=cast("Any", QuietLogger))
    UNEXPECTED.clear()
    random.seed(plan.seed)  # our own code's jitter
    return Simulation(plan, chance, only_first=only_first).play()


__all__ = ["QUEUE_LABEL", "Action", "JobOutcome", "Outcome", "Resource", "play", "run"]
