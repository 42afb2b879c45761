"""Clusters that would take the job if they were open again: taints, silence, an attempt that failed. Pure.

Each is supposed to be open, with the nodes that it reported last, and the placement is asked again.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from kueue_ks.forecast.advice import Help, fits
from kueue_ks.forecast.world import World
from workload_controller.admission_check import settling
from workload_controller.clock_text import duration, utc_clock
from workload_controller.facts import ManagedClusterFacts
from workload_controller.situation import Situation

OF_OCM: Final = frozenset(
    {"cluster.open-cluster-management.io/unavailable", "cluster.open-cluster-management.io/unreachable"}
)
"""Taints that OCM sets on a cluster it does not hear of, and takes away by itself."""


def left_out(world: World, s: Situation) -> Iterator[Help]:
    """A cluster where an attempt of this job failed lately, when its time there is over."""
    if s.check is None:
        return
    history = s.check.history
    for failure in {f.cluster: f for f in history.recent}.values():
        until = failure.at + world.options.timing.exclusion
        others = tuple(f for f in history.recent if f.cluster != failure.cluster)
        forgotten = replace(s, check=replace(s.check, history=replace(history, recent=others)))
        if until > s.now and fits(world, forgotten, failure.cluster):
            failed = f"{failure.cluster} is left out for attempt {failure.attempt}, {failure.reason} there"
            do = f"wait until {utc_clock(until)}: {failed}"
            yield Help(do, f"fits {failure.cluster} then", "wait")


def closed(world: World, s: Situation) -> Iterator[Help]:
    """Clusters that somebody has cordoned, by our taint or another one."""
    for name, managed in sorted(world.managed.items()):
        foreign = [key for key in managed.tainted if key not in OF_OCM]
        if managed.cordon is None and not foreign:
            continue
        staying = tuple(key for key in managed.tainted if key in OF_OCM)
        opened = world.supposing(replace(managed, cordon=None, tainted=staying))
        if fits(world, s, name, clusters=opened):
            yield Help(_open(managed, foreign), _by_whom(name, foreign), "admin")


def _open(managed: ManagedClusterFacts, foreign: list[str]) -> str:
    uncordon = [f"kueue-ks uncordon {managed.name}"] if managed.cordon is not None else []
    keys = ", ".join(foreign)
    taints = [f"take the NoSelect taint {keys} off ManagedCluster {managed.name}"] if foreign else []
    return ", and ".join(uncordon + taints)


def _by_whom(name: str, foreign: list[str]) -> str:
    may = "; whoever set it, or who may update managedclusters in the ITS" if foreign else ""
    return f"fits {name} now{may}"


def unheard(world: World, s: Situation) -> Iterator[Help]:
    """Clusters whose room is not known now, because they or their agent have not been heard of lately."""
    for cluster in world.clusters:
        managed, report = world.managed.get(cluster.name), cluster.report
        if managed is None or report is None or cluster.fresh:
            continue
        heard = replace(
            managed,
            available="True",
            available_since=managed.created_at,
            tainted=tuple(key for key in managed.tainted if key not in OF_OCM),
        )
        anew = world.supposing(heard, replace(report, observed_at=s.now))
        if not fits(world, s, cluster.name, clusters=anew):
            continue
        ago = duration(abs(s.now - report.observed_at))
        comes_back = settling(managed, s.now, world.options.timing.settle) > 0
        do = "wait for" if comes_back else "bring back"
        effect = f"fits {cluster.name} if its nodes are as it told {ago} ago"
        yield Help(f"{do} {cluster.name}: {cluster.refusal}", effect, "wait" if comes_back else "admin")
