"""What happens in a run, as plain data: jobs, what their users do, what breaks and when.

Made of the seed alone, so that a scenario can be written down, and played on the real fleet.
"""

import random
from dataclasses import asdict, dataclass, replace
from typing import Any

NAMESPACES = ("team-a", "team-b")
LOST_AFTER = 60.0  # seconds without contact, our setting in a run
LEASE = 90  # seconds, of leased jobs
TROUBLES = (
    "never",  # its image cannot be pulled
    "refused",  # by the worker's admission
    "big",  # fits no cluster
    "unmanaged",  # without managedBy: the hub itself would run it
    "reserved",  # with an annotation of ours on its pods
)
BURST_EVERY = 60.0  # seconds, of jobs that share waves
BUSY_SECONDS = 240.0  # users and faults act in this span; then the world has to settle


@dataclass(frozen=True)
class JobPlan:
    """One job. Names may repeat: then the user has deleted the first one before."""

    serial: str
    namespace: str
    name: str
    at: float
    pods: int
    cpu: int
    seconds: float
    start: float  # seconds from binding to running
    trouble: str  # "" or one of TROUBLES
    ttl: bool  # ttlSecondsAfterFinished, of one second
    on_loss: str  # "" | atMostOnce | leased | atLeastOnce
    fails: bool
    grace: int
    priority: int
    breaks_on: str = ""  # a worker whose node breaks its first pod, which is replaced


@dataclass(frozen=True)
class Action:
    """A user's or administrator's deed; ``subject`` is a job's serial, a worker or ""."""

    at: float
    kind: str
    subject: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Fault:
    """``target`` is a server, a worker, a component or a replica's number."""

    at: float
    kind: str
    target: str = ""
    seconds: float = 0.0
    amount: float = 0.0
    phase: str = ""


@dataclass(frozen=True)
class Scenario:
    """Everything that a seed decides before the run begins."""

    seed: int
    replicas: int
    nominal: int
    workers: dict[str, dict[str, int]]
    jobs: tuple[JobPlan, ...]
    actions: tuple[Action, ...]
    faults: tuple[Fault, ...]
    wave_size: int = 1

    def as_data(self) -> dict[str, Any]:
        """JSON-serialisable."""
        return asdict(self)


USER_DEEDS = ("delete", "suspend", "deactivate", "delete_workload", "delete_worker_job", "drain")
FAULTS = (
    "kill",
    "crash",
    "crash",
    "crash",
    "cut_streams",
    "lag",
    "repeat",
    "compact",
    "conflict",
    "lose_answer",
    "sleep",
    "refuse",
    "down",
    "pause",
    "cut_worker",
    "component",
    "stale",
)


def scenario(seed: int) -> Scenario:
    """The plan of one run."""
    chance = random.Random(f"scenario {seed}")
    workers = {f"w{n}": {f"w{n}-n{i}": 4 for i in (1, 2)} for n in (1, 2)}
    jobs = [_job(chance, number) for number in range(chance.randint(4, 8))]
    actions: list[Action] = []
    for job in tuple(jobs):
        if chance.random() < 0.45:
            actions.extend(_deeds(chance, job, jobs))
    if chance.random() < 0.2:
        actions.append(Action(chance.uniform(20, 150), "drain", seconds=chance.uniform(10, 90)))
    faults = [_fault(chance) for _ in range(chance.randint(6, 9))]
    return Scenario(
        seed=seed,
        replicas=2 if chance.random() < 0.3 else 1,
        nominal=chance.choice((8, 10, 16, 20)),
        workers=workers,
        jobs=tuple(sorted(jobs, key=lambda j: j.at)),
        actions=tuple(sorted(actions, key=lambda a: a.at)),
        faults=tuple(sorted(faults, key=lambda f: f.at)),
    )


def wave_scenario(seed: int) -> Scenario:
    """The same, with jobs that come in bursts and share waves."""
    plan = scenario(seed)
    size = random.Random(f"waves {seed}").choice((2, 3, 25))
    earlier = {job.serial: 0.98 * (job.at % BURST_EVERY) for job in plan.jobs}
    jobs = tuple(replace(job, at=round(job.at - earlier[job.serial], 2)) for job in plan.jobs)
    actions = tuple(replace(a, at=round(a.at - earlier.get(a.subject, 0.0), 2)) for a in plan.actions)
    return replace(plan, jobs=jobs, actions=actions, wave_size=size)


def _job(chance: random.Random, number: int) -> JobPlan:
    trouble = chance.choice(TROUBLES) if chance.random() < 0.1 else ""
    return JobPlan(
        serial=f"j{number}",
        namespace=chance.choice(NAMESPACES),
        name=f"job{number}",
        at=round(chance.uniform(1, 120), 2),
        pods=chance.choice((1, 1, 2, 3)),
        cpu=chance.choice((1, 1, 2)),
        seconds=round(chance.choice((3.0, 20.0, 60.0)) * chance.uniform(0.7, 1.5), 1),
        start=chance.choice((0.5, 1.0, 5.0)),
        trouble=trouble,
        ttl=chance.random() < 0.3,
        on_loss=chance.choice(("", "", "atMostOnce", "leased", "atLeastOnce")),
        fails=chance.random() < 0.15,
        grace=chance.choice((1, 5, 30, 60)),
        # A big job comes back for ever: with priority it would push the others out for ever.
        priority=0 if trouble == "big" else chance.choice((0, 0, 0, 1)),
    )


def _deeds(chance: random.Random, job: JobPlan, jobs: list[JobPlan]) -> list[Action]:
    at = round(job.at + chance.uniform(0.01, 60) * chance.choice((0.05, 1.0)), 2)
    kind = chance.choice(USER_DEEDS[:-1])
    deeds = [Action(at, kind, job.serial)]
    if kind == "deactivate":
        deeds.append(Action(at + chance.uniform(1, 60), "reactivate", job.serial))
    if kind == "delete" and chance.random() < 0.6:
        later = round(at + chance.choice((0.1, 2.0, 20.0)) * chance.uniform(0.5, 1.5), 2)
        again = _job(chance, len(jobs))
        jobs.append(JobPlan(**{**asdict(again), "namespace": job.namespace, "name": job.name, "at": later}))
    return deeds


def _fault(chance: random.Random) -> Fault:
    kind = chance.choice(FAULTS)
    at = round(chance.uniform(1, BUSY_SECONDS - 40), 2)
    server = chance.choice(("hub", "wds", "its"))
    match kind:
        case "kill" | "stale":
            return Fault(at, kind, server, seconds=chance.uniform(0.1, 20), amount=chance.choice((1, 30, 90)))
        case "crash":
            phase = chance.choice(("before", "unanswered", "after"))
            return Fault(at, kind, amount=chance.randint(1, 12), phase=phase)
        case "pause":
            return Fault(at, kind, seconds=chance.choice((3.0, 12.0, 18.0, 30.0)))
        case "down":
            return Fault(at, kind, server, seconds=chance.choice((2.0, 20.0, 40.0)))
        case "cut_worker":
            seconds = chance.choice((5.0, 20.0, 120.0, 400.0))
            return Fault(at, kind, chance.choice(("w1", "w2")), seconds=seconds)
        case "component":
            target = chance.choice(("kueue", "kubestellar"))
            return Fault(at, kind, target, seconds=chance.choice((5.0, 40.0)))
        case "lag":
            return Fault(
                at, kind, server, seconds=chance.uniform(10, 60), amount=chance.choice((0.5, 3.0, 15.0))
            )
        case "cut_streams" | "compact":
            return Fault(at, kind, server)
        case _:
            return Fault(at, kind, server, seconds=chance.uniform(5, 40), amount=chance.choice((0.1, 0.5)))
