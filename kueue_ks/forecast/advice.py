"""One line of advice, whether it is true, and when a job ends that is waited for. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kueue_ks.forecast.world import World
from workload_controller.clock_text import utc_clock
from workload_controller.facts import ClusterFacts, Held
from workload_controller.reading import seconds
from workload_controller.situation import Situation

NO_END: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Help:
    """``do`` it, and ``effect`` follows. ``action``: who can, "wait", "change" (its user) or "admin"."""

    do: str
    effect: str
    action: str


@dataclass(frozen=True, slots=True)
class End:
    """When a job is over at the latest, as far as objects tell: unix seconds, and the words for it."""

    at: float = NO_END
    words: str = ""


def fits(
    world: World,
    s: Situation,
    name: str,
    *,
    clusters: Sequence[ClusterFacts] | None = None,
    held: Sequence[Held] | None = None,
) -> bool:
    """Whether the placement would choose this cluster, if things were so."""
    choice = world.choose(s, clusters=clusters, held=held)
    return choice is not None and choice.placement is not None and choice.placement.choice == name


def end_of(world: World, uid: str) -> End:
    """Of the job of a Workload: it is leaving, or its user has said how long it may run; else not known."""
    copy = world.copies.get(uid)
    if copy is not None and copy.leaving_since is not None:
        at = copy.leaving_since + copy.grace_seconds + world.options.timing.pods_end_margin
        return End(at, f"it is leaving, over at about {utc_clock(at)}")
    job = world.jobs.get(copy.job_uid) if copy is not None else None
    if copy is None or job is None:
        return End()
    limit = job.raw["spec"].get("activeDeadlineSeconds")
    began = seconds((job.raw.get("status") or {}).get("startTime"))
    if not limit or not began:
        return End()
    at = began + limit + copy.grace_seconds
    return End(at, f"at {utc_clock(at)} at the latest (activeDeadlineSeconds {limit})")


def then(effect: str, end: End) -> str:
    """The effect with the time when it comes, if that is known."""
    return f"{effect}, {end.words}" if end.words else effect
