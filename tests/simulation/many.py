"""Many seeds on all cores."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from tests.simulation.run import Outcome, run

CHUNK = 10  # seeds per errand of a process


def replay_line(seed: int) -> str:
    """What to type to see a run again."""
    return f"python -m tests.simulation --seed {seed} --trace"


def run_many(seeds: Iterable[int], processes: int | None = None) -> Iterator[Outcome]:
    """Outcomes in the order of the seeds; traces are left out."""
    count = processes or os.cpu_count() or 1
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_run, seeds, chunksize=CHUNK)


def _run(seed: int) -> Outcome:
    return replace(run(seed), trace=())
