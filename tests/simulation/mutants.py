"""Planted bugs: each takes one guard out of the program. The simulation must catch every one.

A mutant is a small replacement in one module's source, made when a fresh process imports the module. The
old text must be there exactly once, so that the list cannot rot in silence.

The seeds that caught a mutant last are in ``caught_by.json`` and tried first; they go stale whenever the
simulation or the program changes, and then others are sought. ``python -m tests.simulation.mutants``
writes them anew.
"""

import importlib.abc
import importlib.machinery
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import spec_from_loader
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.simulation.planted import MUTANTS, Mutant

CAUGHT_BY = Path(__file__).with_name("caught_by.json")
ROOT = Path(__file__).parents[2]
MOST_SEEDS = 1500  # to be tried; about three minutes
MOST_SECONDS = 170.0  # of processor time, so that a crowded machine loses nothing


class Rotten(Exception):
    """A mutant's old text is not in its module exactly once."""


def mutated(mutant: Mutant) -> str:
    """The module's source with the bug in it."""
    source = path_of(mutant.module).read_text()
    if source.count(mutant.old) != 1:
        msg = f"{mutant.name}: its old text is {source.count(mutant.old)} times in {mutant.module}"
        raise Rotten(msg)
    return source.replace(mutant.old, mutant.new)


def path_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


class _Loader(importlib.abc.InspectLoader):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def get_source(self, fullname: str) -> str:
        del fullname
        return mutated(self._mutant)

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = compile(self.get_source(fullname), f"<{self._mutant.name}>", "exec")
        return code


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._mutant.module:
            return None
        return spec_from_loader(fullname, _Loader(self._mutant))


@dataclass(frozen=True)
class Catch:
    """How a mutant was caught: ``seed`` is None when it was not."""

    name: str
    seed: int | None
    violation: str
    seconds: float


def hunt(mutant: Mutant, first: Sequence[int], most: int = MOST_SEEDS) -> Catch:
    """Play seeds on the mutant until a promise breaks. For a process of its own that has imported nothing."""
    imported = [name for name in sys.modules if name.startswith(("workload_controller.", "kube_runtime."))]
    assert mutant.module not in imported, f"{mutant.module} is imported already"
    sys.meta_path.insert(0, _Finder(mutant))
    from tests.simulation.run import run  # noqa: PLC0415 - the finder has to be there before

    began = time.process_time()
    for seed in (*first, *(seed for seed in range(most) if seed not in first)):
        outcome = run(seed)
        if outcome.violations:
            return Catch(mutant.name, seed, str(outcome.violations[0]), time.process_time() - began)
        if time.process_time() - began > MOST_SECONDS:
            break
    return Catch(mutant.name, None, "", time.process_time() - began)


def hunt_all(mutants: Iterable[Mutant], caught_by: dict[str, list[int]], processes: int) -> Iterator[Catch]:
    """Each in a fresh process; catches as they come."""
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        hunts = [pool.submit(hunt, mutant, caught_by.get(mutant.name, [])) for mutant in mutants]
        for done in as_completed(hunts):
            yield done.result()


def known_catches() -> dict[str, list[int]]:
    if not CAUGHT_BY.exists():
        return {}
    read: dict[str, Any] = json.loads(CAUGHT_BY.read_text())
    return {name: [int(seed) for seed in seeds] for name, seeds in read.items()}


def main(names: list[str]) -> int:
    """Hunt the named mutants, or all, and note which seeds catch them."""
    known = known_catches()
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    missed = 0
    for catch in hunt_all(chosen, known, 2):
        print(f"{catch.seconds:6.1f} s  {catch.name}: {catch.seed} {catch.violation[:150]}", flush=True)  # noqa: T201
        if catch.seed is None:
            missed += 1
            known.pop(catch.name, None)
        else:
            known[catch.name] = [catch.seed]
        _note(known)
    return missed


def _note(known: dict[str, list[int]]) -> None:
    planted = {mutant.name for mutant in MUTANTS}
    kept = {name: seeds for name, seeds in sorted(known.items()) if name in planted}
    CAUGHT_BY.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
