"""The audit beside simulated runs: jobs that start, end, move and fail are no finding, if nothing breaks."""

import random
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import pytest
import structlog

from tests.simulation.logs import UNEXPECTED, QuietLogger
from tests.simulation.network import _matches, parse_selector
from tests.simulation.run import QUICK, Simulation
from tests.simulation.scenario import Scenario, scenario, wave_scenario
from tests.workload_controller.scripted_space import ScriptedSpace
from workload_controller.audit import leftovers, workloads
from workload_controller.audit.finding import Finding
from workload_controller.audit.gather import Gatherer
from workload_controller.audit.settling import Identity, settled
from workload_controller.settings import Settings
from workload_controller.stores import Stores
from workload_controller.view import View

SETTINGS = Settings(**QUICK)
LOOK_EVERY = 4.0  # virtual seconds: more often than the shortest settling time
WAVE_SEEDS = range(10)
SEEDS = (*range(12), 17, 107, 131)  # the last three: evicted in the moment of its end


class Audited(Simulation):
    """A run that is looked at as the command line does: what the servers have at one instant, read anew."""

    def __init__(self, plan: Scenario) -> None:
        super().__init__(plan, 0, only_first=False)
        self.first: dict[Identity, float] = {}
        self.lasting: list[Finding] = []
        self.looks = 0
        self.busy = 0
        self.world.at(1.0, self._audit)

    def suspicions(self) -> list[Finding]:
        gatherer = self._gatherer()
        found: list[Finding] = []
        for namespace, name in gatherer.names():
            found += workloads.suspicions(gatherer.subject(namespace, name), SETTINGS.timing)
        return [*found, *leftovers.suspicions(gatherer.rest())]

    def _gatherer(self) -> Gatherer:
        space = ScriptedSpace().as_space
        stores = Stores(space, space, space)
        wds = (stores.copies, stores.policies, stores.bindings, stores.beats, stores.twins)
        its = (stores.clusters, stores.works, stores.reports)
        for informer in stores.informers:
            server = self.servers["wds" if informer in wds else "its" if informer in its else "hub"]
            selected = parse_selector(informer._params.get("labelSelector", ""))
            for obj in server.all(informer.resource):
                elsewhere = informer._namespace and obj["metadata"].get("namespace") != informer._namespace
                if not elsewhere and _matches(obj, selected):
                    informer.observe(deepcopy(obj))
        self.busy += bool(stores.copies.items())
        stale_after, timing = SETTINGS.stale_after, SETTINGS.timing
        view = View(stores, stale_after=stale_after, timing=timing, defaults=SETTINGS.defaults)
        return Gatherer(stores, view, self.world.wall, timing=timing, stale_after=stale_after)

    def _audit(self) -> None:
        verdict = settled(self.suspicions(), self.first, self.world.wall, clock_skew=SETTINGS.clock_skew)
        self.first = dict(verdict.first)
        self.lasting += verdict.lasting
        self.looks += 1
        if not self._settled:
            self.world.after(LOOK_EVERY, self._audit)


def play(plan: Scenario) -> Audited:
    structlog.configure(wrapper_class=cast("Any", QuietLogger))
    UNEXPECTED.clear()
    random.seed(plan.seed)
    run = Audited(plan)
    run.play()
    return run


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_found_where_nothing_breaks(seed: int) -> None:
    """With all that users and administrators do: delete, suspend, drain, change nodes, delete worker Jobs."""
    run = play(replace(scenario(seed), faults=()))
    assert run.looks > 10
    assert run.busy > 3, "no job ran while somebody looked"
    assert [f"{finding.code} {finding.objects[0]} {finding.message}" for finding in run.lasting] == []


@pytest.mark.parametrize("seed", WAVE_SEEDS)
def test_nothing_is_found_where_copies_share_waves(seed: int) -> None:
    run = play(replace(wave_scenario(seed), faults=()))
    assert run.busy > 3, "no job ran while somebody looked"
    assert [f"{finding.code} {finding.objects[0]} {finding.message}" for finding in run.lasting] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_suspicious_is_left_after_faults(seed: int) -> None:
    """Whatever was found meanwhile: kills, cuts and losses are mended by then, and nothing is left over.

    A report may be older than that, which a second look would show.
    """
    left = [finding for finding in play(scenario(seed)).suspicions() if finding.seen_at is None]
    assert [f"{finding.code} {finding.objects[0]} {finding.message}" for finding in left] == []
