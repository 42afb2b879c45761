"""Many seeds on all cores."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

from tests.simulation.run import Outcome, play, run
from tests.simulation.scenario import wave_scenario

CHUNK = 10  # seeds per errand of a process


def replay_line(seed: int) -> str:
    """What to type to see a run again."""
    return f"python -m tests.simulation --seed {seed} --trace"


def run_many(seeds: Iterable[int], processes: int | None = None, *, waves: bool = False) -> Iterator[Outcome]:
    """Outcomes in the order of the seeds; traces are left out. ``waves``: copies share them."""
    count = processes or os.cpu_count() or 1
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_run_waves if waves else _run, seeds, chunksize=CHUNK)


def _run_waves(seed: int) -> Outcome:
    return replace(play(wave_scenario(seed)), trace=())


def _run(seed: int) -> Outcome:
    return replace(run(seed), trace=())
