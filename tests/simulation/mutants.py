"""Planted bugs: each takes one guard out of the program. The simulation must catch every one.

A mutant is a small replacement in one module's source, made when a fresh process imports the module. The
old text must be there exactly once, so that the list cannot rot in silence.

``caught_by.json`` says for each mutant what catches it, a directed scenario by its name or a seed, and which
broken promise was seen. Seeds go stale whenever simulation or program change; then another catcher is
sought. ``python -m tests.simulation.mutants`` writes the file anew.
"""

import importlib.abc
import importlib.machinery
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.util import spec_from_loader
from multiprocessing import get_context
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.simulation.planted import MUTANTS, Mutant

CAUGHT_BY = Path(__file__).with_name("caught_by.json")
ROOT = Path(__file__).parents[2]
CHANCES = 4  # that a directed scenario gets: delays of the network and of others may let a bug pass once
MOST_SEEDS = 1500  # to be tried
MOST_SECONDS = 60.0  # of processor time for one mutant, so that a crowded machine loses nothing
LIBRARIES = ("kopf", "kubernetes.aio.client", "prometheus_client", "pydantic_settings", "structlog")
"""What each fresh process needs and no mutant is in: imported once, which is most of its start."""

Catcher = int | str
"""A seed, or the name of a directed scenario."""


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
    """How a mutant was caught: ``by`` is None when it was not."""

    name: str
    by: Catcher | None
    violation: str
    seconds: float


def hunt(mutant: Mutant, first: Sequence[Catcher], most_seconds: float) -> Catch:
    """Play on the mutant until a promise breaks. For a process of its own that has imported nothing."""
    imported = [name for name in sys.modules if name.startswith(("workload_controller.", "kube_runtime."))]
    assert not imported, f"{imported} are imported already"
    sys.meta_path.insert(0, _Finder(mutant))
    # The finder has to be there before.
    from tests.simulation.directed import DIRECTED  # noqa: PLC0415
    from tests.simulation.run import play  # noqa: PLC0415
    from tests.simulation.scenario import scenario  # noqa: PLC0415

    began = time.process_time()
    known = [by for by in first if isinstance(by, int) or by in DIRECTED]
    others = [by for by in (*DIRECTED, *range(MOST_SEEDS)) if by not in known]
    for by in (*known, *others):
        plan = DIRECTED[by].plan if isinstance(by, str) else scenario(by)
        for chance in range(CHANCES if isinstance(by, str) else 1):
            outcome = play(plan, chance, only_first=True)
            if outcome.violations:
                return Catch(mutant.name, by, str(outcome.violations[0]), time.process_time() - began)
        if time.process_time() - began > most_seconds:
            break
    return Catch(mutant.name, None, "", time.process_time() - began)


def hunt_all(
    mutants: Iterable[Mutant],
    known: Mapping[str, Sequence[Catcher]],
    processes: int,
    most_seconds: float = MOST_SECONDS,
) -> Iterator[Catch]:
    """Each in a fresh process, in the order of the list."""
    context = get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        hunts = [pool.submit(hunt, mutant, known.get(mutant.name, ()), most_seconds) for mutant in mutants]
        for done in hunts:
            yield done.result()


def known_catches() -> dict[str, list[Catcher]]:
    """By mutant: what caught it last."""
    return {name: [noted["by"]] for name, noted in _noted().items()}


def _noted() -> dict[str, dict[str, Any]]:
    if not CAUGHT_BY.exists():
        return {}
    read: dict[str, dict[str, Any]] = json.loads(CAUGHT_BY.read_text())
    return read


def main(names: list[str]) -> int:
    """Hunt the named mutants, or all, and note what catches them."""
    noted = _noted()
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    missed = 0
    for catch in hunt_all(chosen, known_catches(), 1):
        print(f"{catch.seconds:6.1f} s  {catch.name}: {catch.by}: {catch.violation[:150]}", flush=True)  # noqa: T201
        if catch.by is None:
            missed += 1
            noted.pop(catch.name, None)
        else:
            noted[catch.name] = {"by": catch.by, "saw": catch.violation}
        _note(noted)
    return missed


def _note(noted: Mapping[str, Mapping[str, Any]]) -> None:
    planted = {mutant.name for mutant in MUTANTS}
    kept = {name: how for name, how in sorted(noted.items()) if name in planted}
    CAUGHT_BY.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
