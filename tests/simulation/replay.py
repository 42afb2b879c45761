"""Scenarios that the real fleet can play, and how their jobs have to end there.

Only what a test can do to a fleet: jobs, users' deeds, controllers killed or stopped, a worker cut off for
a moment. Chance is another one there, so the same plan is played with several chances here: a job may end
as it did in any of them, and where all agree, it has to end so.
"""

import random
from collections.abc import Mapping
from dataclasses import replace

from tests.simulation.run import play
from tests.simulation.scenario import Action, Fault, JobPlan, Scenario, scenario

SPAN = 20.0  # seconds in which everything is submitted, done and broken
CHANCES = 5
DEEDS = ("delete", "deactivate", "delete_workload")


def fleet_scenario(seed: int) -> Scenario:
    """Small enough for half a minute of a fleet: 2 to 4 jobs, at most two deeds and two faults."""
    chance = random.Random(f"fleet {seed}")
    drawn = scenario(seed).jobs[: chance.randint(2, 4)]
    jobs = tuple(_short(chance, job, number) for number, job in enumerate(drawn))
    deeds = tuple(_deed(chance, job) for job in jobs if chance.random() < 0.4)[:2]
    faults = tuple(_fault(chance) for _ in range(chance.randint(0, 2)))
    return Scenario(
        seed=seed,
        replicas=2 if chance.random() < 0.3 else 1,
        nominal=chance.choice((4, 8, 16)),
        workers=scenario(seed).workers,
        jobs=tuple(sorted(jobs, key=lambda job: job.at)),
        actions=tuple(sorted(deeds, key=lambda deed: deed.at)),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
    )


def expected(seed: int) -> Mapping[str, frozenset[str]]:
    """By serial: the results that are right."""
    plan = fleet_scenario(seed)
    ends: dict[str, set[str]] = {job.serial: set() for job in plan.jobs}
    for chance in range(CHANCES):
        outcome = play(plan, chance=chance)
        assert not outcome.violations, outcome.violations
        for serial, job in outcome.jobs.items():
            ends[serial].add(job.result)
    return {serial: frozenset(results) for serial, results in ends.items()}


def _short(chance: random.Random, job: JobPlan, number: int) -> JobPlan:
    return replace(
        job,
        serial=f"j{number}",
        name=f"job{number}",
        at=round(chance.uniform(0, SPAN / 2), 1),
        seconds=round(chance.uniform(1, 8), 1),
        start=0.5,
        trouble="",
        grace=chance.choice((1, 4)),
        ttl=False,
    )


def _deed(chance: random.Random, job: JobPlan) -> Action:
    return Action(round(job.at + chance.uniform(0.2, 8), 1), chance.choice(DEEDS), job.serial)


def _fault(chance: random.Random) -> Fault:
    at = round(chance.uniform(0, SPAN), 1)
    match chance.choice(("kill", "pause", "cut_worker")):
        case "kill":
            return Fault(at, "kill", "hub", seconds=chance.choice((0.1, 3.0)))
        case "pause":
            return Fault(at, "pause", seconds=chance.choice((3.0, 12.0, 18.0)))
        case _:
            return Fault(at, "cut_worker", chance.choice(("w1", "w2")), seconds=chance.choice((3.0, 15.0)))
