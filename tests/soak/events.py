"""What happens in a soak and when, made of the seed alone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kube_runtime.objects import Obj
from tests.fleet.jobs.stack import END_TIME, RUN_TIME
from vocabulary import keys
from vocabulary.resources import JOBS

RATE: Final = 3.0  # events per second on average; some find nothing to happen to, and two are promised
NAMESPACES: Final = ("team-a", "team-b")
QUEUES: Final = ("soak-1", "soak-2")
PRIORITY: Final = "kueue.x-k8s.io/priority-class"
URGENT: Final = "soak-urgent"
SERIAL: Final = "soak/job"  # label of a job and its pods


class Kind(StrEnum):
    """In the words of the report."""

    CREATE = "job created"
    DELETE = "job deleted"
    DEACTIVATE = "Workload deactivated and reactivated"
    DRAIN = "queue drained and opened"
    SUSPEND = "job suspended by its user"
    DELETE_WORKLOAD = "Workload deleted"
    REMOVE = "Job removed on its worker"
    KILL = "controller killed"
    FREEZE = "controller frozen"
    CUT_WORKER = "worker cut off"
    CUT_CONTROLLER = "controllers cut off from a server"


WEIGHTS: Final = {
    Kind.CREATE: 46.0,
    Kind.DELETE: 16.0,
    Kind.DEACTIVATE: 14.0,
    Kind.SUSPEND: 8.0,
    Kind.DELETE_WORKLOAD: 5.0,
    Kind.DRAIN: 2.5,
    Kind.REMOVE: 1.5,
    Kind.CUT_WORKER: 3.0,
    Kind.CUT_CONTROLLER: 1.5,
    Kind.KILL: 2.0,
    Kind.FREEZE: 1.0,
}

LONGEST: Final = {  # seconds of what lasts
    Kind.DEACTIVATE: 15.0,
    Kind.DRAIN: 12.0,
    Kind.KILL: 8.0,
    Kind.FREEZE: 20.0,
    Kind.CUT_WORKER: 25.0,
    Kind.CUT_CONTROLLER: 8.0,
}


@dataclass(frozen=True, slots=True)
class Event:
    """``luck`` in [0, 1) chooses the subject among those that there are then."""

    at: float
    kind: Kind
    luck: float
    seconds: float
    number: int


def events(seed: int, seconds: float) -> Iterator[Event]:
    """In the order of time, from 0 to ``seconds``."""
    chance = random.Random(f"soak {seed}")
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    at, number = 0.0, 0
    while (at := at + chance.expovariate(RATE)) < seconds:
        kind = chance.choices(kinds, weights)[0]
        # At once is as likely as late: a restarted controller meets its own unfinished work.
        lasts = LONGEST.get(kind, 0.0) * chance.choice((0.0, chance.random(), 1.0))
        yield Event(at, kind, chance.random(), max(lasts, 1.0) if kind is not Kind.KILL else lasts, number)
        number += 1


def job(seed: int, number: int) -> Obj:
    """One to four pods that run 1 to 20 s; some end slowly, fail, have a TTL, a priority, a lease."""
    chance = random.Random(f"soak {seed} job {number}")
    pods, runs, ends = chance.randint(1, 4), chance.uniform(1, 20), chance.choice((0, 0, 1, 4, 8))
    serial = {SERIAL: str(number)}
    annotations = {RUN_TIME: f"{runs:.1f}s", END_TIME: f"{ends}s"}
    spec: Obj = {"suspend": True, "parallelism": pods, "completions": pods, "backoffLimit": 0}
    if chance.random() < 0.15:  # kwok ends no pod with an error: this is how a job fails here
        annotations[RUN_TIME] = "3600s"
        spec["activeDeadlineSeconds"] = max(1, round(runs))
    if chance.random() < 0.3:
        spec["ttlSecondsAfterFinished"] = chance.randint(1, 5)
    labels = {keys.QUEUE_NAME: chance.choice(QUEUES)} | serial
    if chance.random() < 0.15:
        labels[PRIORITY] = URGENT
    leased = {keys.ON_CLUSTER_LOSS: "leased"} if chance.random() < 0.2 else {}
    requests = {"cpu": f"{chance.choice((100, 200, 400))}m"}
    spec["template"] = {
        "metadata": {"labels": serial, "annotations": annotations},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": max(1, ends),
            "containers": [{"name": "main", "image": "busybox:1.37", "resources": {"requests": requests}}],
        },
    }
    metadata = {"namespace": chance.choice(NAMESPACES), "name": f"soak-{number}"}
    return {
        "apiVersion": JOBS.api_version,
        "kind": JOBS.kind,
        "metadata": {**metadata, "labels": labels, "annotations": leased},
        "spec": spec,
    }
