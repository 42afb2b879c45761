"""The audit in the controller: every minute while it leads, told once, counted, and looked at again.

What the controller does by itself is asked for anew here, so that a lost event is mended within a minute. It
writes nothing: a request is only a name (``concerns``).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from prometheus_client import Gauge

from workload_controller.audit import leftovers, workloads
from workload_controller.audit.finding import KINDS, ByController, Finding
from workload_controller.audit.gather import Gatherer
from workload_controller.audit.settling import Identity, Verdict, settled
from workload_controller.concerns import Request
from workload_controller.situation import Timing
from workload_controller.stores import Stores
from workload_controller.view import View

log = structlog.get_logger(__name__)

EVERY: Final = 60.0  # seconds; all Workloads are looked at, 1,000 cost some 0.1 s of processor time
BEFORE_YIELD: Final = 50  # Workloads; a longer stretch would delay reconciles

FINDINGS: Final = Gauge(
    "kueue_ks_audit_findings", "What the last audit of the leader found, by its public code.", ["code"]
)


class Patrol:
    """Looks, settles, tells. ``changed`` takes the requests that are to be looked at again."""

    def __init__(
        self,
        stores: Stores,
        view: View,
        changed: Callable[[Request], None],
        *,
        timing: Timing,
        stale_after: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores, self._view, self._changed = stores, view, changed
        self._timing, self._stale_after, self._clock = timing, stale_after, clock
        self._first: Mapping[Identity, float] = {}
        self._told: frozenset[Identity] = frozenset()

    async def run(self) -> None:
        """Until cancelled, which is when this process does not lead any more: then it counts nothing."""
        await self._stores.wait_synced()
        try:
            while True:
                try:
                    await self.look()
                except Exception:  # jobs are carried whether or not somebody can look at them
                    log.exception("the audit failed")
                await asyncio.sleep(EVERY)
        finally:
            FINDINGS.clear()

    async def look(self) -> Verdict:
        """One look at everything."""
        gatherer = Gatherer(
            self._stores, self._view, self._clock(), timing=self._timing, stale_after=self._stale_after
        )
        found: list[Finding] = []
        for number, (namespace, name) in enumerate(gatherer.names(), start=1):
            found += workloads.suspicions(gatherer.subject(namespace, name), self._timing)
            if not number % BEFORE_YIELD:
                await asyncio.sleep(0)
        found += leftovers.suspicions(gatherer.rest())
        verdict = settled(found, self._first, gatherer.now, clock_skew=self._timing.clock_skew)
        self._first = verdict.first
        self._tell(verdict)
        return verdict

    def _tell(self, verdict: Verdict) -> None:
        counts = dict.fromkeys(KINDS, 0)
        for finding in verdict.lasting:
            counts[finding.code] += 1
            if finding.identity not in self._told:
                log.warning(
                    finding.message,
                    reason=finding.code,
                    object=str(finding.objects[0]),
                    remedy=str(finding.remedy),
                )
            if isinstance(finding.remedy, ByController):
                self._changed(Request(*_fields(finding.remedy)))
        self._told = frozenset(finding.identity for finding in verdict.lasting)
        for code, count in counts.items():
            FINDINGS.labels(code).set(count)


def _fields(remedy: ByController) -> tuple[str, str, str]:
    return remedy.look.kind, remedy.look.namespace, remedy.look.name
