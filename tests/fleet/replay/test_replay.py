"""The simulation tells the truth: its scenarios end on the real fleet as they end in it.

``REPLAY_SEEDS`` sets how many (100 by default), ``REPLAY_FIRST_SEED`` where they begin. All of them run at
the same time, each in a ClusterQueue of its own, and our controller is killed in the middle of it.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from local_fleet import Fleet, Options
from tests.fleet.jobs.programs import install_everywhere, quota_is_filled, running_programs
from tests.fleet.jobs.stack import Stack
from tests.fleet.replay.expectation import expected, without_faults
from tests.fleet.replay.players import Players
from tests.fleet.replay.translation import PACE, QUICK
from tests.fleet.replay.watching import Watching, watching
from tests.simulation.many import replay_line

pytestmark = [pytest.mark.fleet, pytest.mark.replay]

SEEDS = int(os.environ.get("REPLAY_SEEDS", "100"))
FIRST = int(os.environ.get("REPLAY_FIRST_SEED", "0"))
SETTLE = 300.0  # seconds from the last deed until every job has come to its end


class Kill(NamedTuple):
    at: float  # seconds of the simulation's time
    pause: float  # seconds until it is started again


KILLS = (Kill(40, 0), Kill(110, 4))


@pytest.mark.timeout(900)
async def test_every_job_of_many_seeds_ends_as_simulated(tmp_path_factory: pytest.TempPathFactory) -> None:
    seeds = range(FIRST, FIRST + SEEDS)
    ends = await asyncio.to_thread(expected, seeds)
    folder = tmp_path_factory.mktemp("replay")
    async with Fleet(folder / "fleet", Options(workers=2)) as fleet:
        await install_everywhere(fleet)
        async with (
            running_programs(fleet, folder) as programs,
            fleet.space("hub") as hub,
            fleet.space("wds") as wds,
            fleet.space("its") as its,
            watching(hub) as watch,
        ):
            await quota_is_filled(hub)
            await programs.kill("workload-controller")
            await programs.start("workload-controller", options=QUICK)
            stack = Stack(fleet, programs, hub, wds, its)
            players = Players(stack, watch, map(without_faults, seeds))
            await players.furnish()
            await asyncio.gather(players.play(), *(kill(stack, each) for each in KILLS))
            late = await settled(watch, players)
            seen = {s: watch.outcome(s, deleted=s in players.deleted) for s in players.serials} | late
            stack.judged()
            assert not (text := differences(ends, seen)), text
            await players.clean_up()
            await stack.nothing_left()
            stack.judged()


def differences(simulated: Mapping[str, str], real: Mapping[str, str]) -> str:
    """A line for each job that did not end alike, with what shows its seed again (there with its faults)."""
    return "\n".join(
        f"{serial}: simulated {end}, on the fleet {real[serial]}: {replay_line(int(serial.split('.')[0]))}"
        for serial, end in sorted(simulated.items())
        if real[serial] != end
    )


async def kill(stack: Stack, planned: Kill) -> None:
    await asyncio.sleep(planned.at * PACE)
    await stack.programs.kill("workload-controller")
    await asyncio.sleep(planned.pause)
    await stack.programs.start("workload-controller", options=QUICK)


async def settled(watch: Watching, players: Players) -> dict[str, str]:
    """Wait for the end of every job; returns those that have none in time, and how they stand.

    A job that fits nowhere tries for ever, and gives its quota back each time.
    """
    deadline = time.monotonic() + SETTLE
    while True:
        unsettled = {
            serial: f"not at its end: {why}"
            for serial, why in watch.unsettled(players.serials).items()
            if not (serial in players.big and why.endswith("evicted before: True"))
        }
        if not unsettled or time.monotonic() > deadline:
            return unsettled
        await asyncio.sleep(1)
