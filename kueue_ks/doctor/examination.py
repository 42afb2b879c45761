"""All checks over what was read. An object that a check cannot make sense of ends that check only."""

from collections.abc import Callable, Iterator
from typing import Final

from kueue_ks.doctor import clusters, controllers, queues, spaces, upstream
from kueue_ks.doctor.facts import Facts
from kueue_ks.doctor.finding import Check, Finding, Level

CHECKS: Final[tuple[tuple[Check, Callable[[Facts], Iterator[Finding]]], ...]] = (
    (Check.API_SERVER, spaces.spaces),
    (Check.TWO_API_SERVERS, spaces.two_api_servers),
    (Check.CONTROLLERS, controllers.controllers),
    (Check.ADMISSION_CHECK, queues.admission_checks),
    (Check.QUEUES, queues.queues),
    (Check.MANAGED_BY, queues.managed_by),
    (Check.JOBS_ON_HUB, queues.jobs_on_hub),
    (Check.KUEUE, upstream.kueue),
    (Check.CARRIED, upstream.kubestellar),
    (Check.CLUSTERS, clusters.clusters),
    (Check.GUARDS, clusters.guards),
)
_BAD: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Every finding, in the order of ``CHECKS``."""
    found: list[Finding] = []
    for name, check in CHECKS:
        try:
            found.extend(check(facts))
        except _BAD as bad:
            message = f"an object cannot be read as it should be: {type(bad).__name__}: {bad}"
            found.append(Finding(name, Level.UNKNOWN, "objects", message))
    return tuple(found)
