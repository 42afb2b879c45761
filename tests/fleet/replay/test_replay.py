"""The simulation tells the truth: its scenarios end on the real fleet as they end in it.

``REPLAY_SEEDS`` sets how many (100 by default), ``REPLAY_FIRST_SEED`` where they begin. All of them run at
the same time, each in a ClusterQueue of its own, and our controller is killed in the middle of it.
"""

import asyncio
import os
from typing import NamedTuple

import pytest

from local_fleet import Fleet, Options
from tests.fleet.jobs.programs import eventually, install_everywhere, quota_is_filled, running_programs
from tests.fleet.jobs.stack import Stack
from tests.fleet.replay.expectation import expected, without_faults
from tests.fleet.replay.players import Players
from tests.fleet.replay.translation import PACE, QUICK
from tests.fleet.replay.watching import Watching, watching
from tests.simulation.many import replay_line

pytestmark = pytest.mark.fleet

SEEDS = int(os.environ.get("REPLAY_SEEDS", "100"))
FIRST = int(os.environ.get("REPLAY_FIRST_SEED", "0"))
SETTLE = 180.0  # seconds from the last deed until every job has come to its end


class Kill(NamedTuple):
    at: float  # seconds of the simulation's time
    pause: float  # seconds until it is started again


KILLS = (Kill(40, 0), Kill(110, 4))


@pytest.mark.timeout(600)
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
            await settled(watch, players)
            seen = {s: watch.outcome(s, deleted=s in players.deleted) for s in players.serials}
            await players.clean_up()
            await stack.nothing_left()
            stack.judged()
    differing = {serial: (end, seen[serial]) for serial, end in ends.items() if seen[serial] != end}
    assert not differing, "\n".join(
        f"{serial} is simulated {simulated}, on the fleet {real}: {replay_line(int(serial.split('.')[0]))}"
        for serial, (simulated, real) in sorted(differing.items())
    )


async def kill(stack: Stack, planned: Kill) -> None:
    await asyncio.sleep(planned.at * PACE)
    await stack.programs.kill("workload-controller")
    await asyncio.sleep(planned.pause)
    await stack.programs.start("workload-controller", options=QUICK)


async def settled(watch: Watching, players: Players) -> None:
    """A job that fits nowhere tries for ever, and gives its quota back each time."""

    async def unsettled() -> dict[str, str]:
        return {
            serial: why
            for serial, why in watch.unsettled(players.serials).items()
            if not (serial in players.big and why.endswith("evicted before: True"))
        }

    await eventually(
        unsettled, lambda found: not found, within=SETTLE, what="the end of every job", every=1.0
    )
