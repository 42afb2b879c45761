"""What the simulation says of a seed whose faults are left out: users, administrators and bad jobs remain.

Faults of servers and links strike all jobs of a fleet at once, so they cannot be a seed's own where a
hundred seeds share one. What is left must come to the same end with and without our processes being killed.
"""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from tests.simulation.run import play
from tests.simulation.scenario import Scenario, scenario


def without_faults(seed: int) -> Scenario:
    """The scenario that is replayed."""
    return replace(scenario(seed), faults=(), replicas=1)


def expected(seeds: Iterable[int]) -> dict[str, str]:
    """By "seed.serial": Succeeded, Failed, Rejected or Deleted."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return {serial: end for ends in pool.map(_ends, seeds, chunksize=10) for serial, end in ends.items()}


def _ends(seed: int) -> dict[str, str]:
    outcome = play(without_faults(seed))
    return {f"{seed}.{serial}": job.result for serial, job in outcome.jobs.items()}
