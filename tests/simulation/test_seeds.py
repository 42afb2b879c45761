"""Every promise holds on many seeds: users, faults and chance of hours, in minutes.

``SIMULATION_SEEDS`` sets how many (2,000 by default), ``SIMULATION_FIRST_SEED`` where they begin,
``SIMULATION_WAVE_SEEDS`` how many are played once more with copies that share waves.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.simulation.many import replay_line, run_many
from tests.simulation.replay import expected, fleet_scenario
from tests.simulation.run import run
from tests.simulation.scenario import FAULTS, scenario

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "2000"))
FIRST = int(os.environ.get("SIMULATION_FIRST_SEED", "0"))
WAVE_SEEDS = int(os.environ.get("SIMULATION_WAVE_SEEDS", "200"))
SECONDS_PER_SEED = 0.5  # ten times what one seed takes on an idle machine with two cores


@pytest.mark.timeout(60 + SECONDS_PER_SEED * SEEDS)
def test_no_seed_breaks_a_promise() -> None:
    seeds = range(FIRST, FIRST + SEEDS)
    failing = [outcome for outcome in run_many(seeds) if outcome.violations]
    lines = [f"{replay_line(outcome.seed)}  # {outcome.violations[0]}" for outcome in failing]
    assert not failing, "\n".join([f"{len(failing)} of {SEEDS} seeds break a promise:", *lines])


@pytest.mark.timeout(60 + SECONDS_PER_SEED * WAVE_SEEDS)
def test_no_seed_breaks_a_promise_where_copies_share_waves() -> None:
    failing = [outcome for outcome in run_many(range(WAVE_SEEDS), waves=True) if outcome.violations]
    assert not failing, [f"{replay_line(o.seed)} --waves  # {o.violations[0]}" for o in failing]


def test_each_fault_is_in_many_of_the_seeds() -> None:
    """What is never drawn is never tested."""
    drawn = [fault.kind for seed in range(200) for fault in scenario(seed).faults]
    assert all(drawn.count(kind) >= 20 for kind in FAULTS), {kind: drawn.count(kind) for kind in FAULTS}


def test_every_run_has_at_least_six_faults() -> None:
    assert min(len(scenario(seed).faults) for seed in range(200)) >= 6


def test_a_scenario_for_the_fleet_is_plain_data_with_an_expected_end_for_each_job() -> None:
    for seed in range(5):
        plan = fleet_scenario(seed)
        assert json.loads(json.dumps(plan.as_data()))["seed"] == seed
        ends = expected(seed)
        assert ends.keys() == {job.serial for job in plan.jobs}
        assert all(results <= {"Succeeded", "Failed", "Deleted", "Rejected"} for results in ends.values())


HISTORY = "from tests.simulation.run import run; print('\\n'.join(run({seed}).trace))"


@pytest.mark.parametrize("seed", [3, 17])
def test_the_same_seed_gives_the_same_history_in_any_process(seed: int) -> None:
    histories = [_history(seed, hash_seed) for hash_seed in ("1", "2")]
    assert histories[0] == histories[1]
    assert histories[0].splitlines() == list(run(seed).trace)


def _history(seed: int, hash_seed: str) -> str:
    program = [sys.executable, "-c", HISTORY.format(seed=seed)]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(program, env=environment, check=True, capture_output=True, text=True).stdout.rstrip(
        "\n"
    )
