"""The loop: gather facts, decide, act, tell."""

import time
from collections.abc import Callable
from typing import Final

from kube_runtime.spaces import Spaces
from quota_manager import actions
from quota_manager.decision import Memory, Rules, Write, decide
from quota_manager.onboarding import Create, Refuse, Remove, Repair, Step, next_steps
from quota_manager.sinks.capacity_provider import CapacityProviders
from quota_manager.sinks.nominal_quota import write_quotas
from quota_manager.sources.sources import Sources
from quota_manager.tell import Teller
from quota_manager.trust import Instant
from quota_manager.view import Request, View
from vocabulary.resources import BINDING_POLICIES, CLUSTER_METRICS

SOON: Final = 0.2
"""Seconds until a write that met a change is decided again, for the watch to bring the change."""


class Controller:
    """Reconciles the quotas as a whole, and each cluster's objects in the WDS.

    ``may_write`` is asked right before each write (I7). Without ``sources`` ClusterMetrics is the only one.
    """

    def __init__(
        self,
        spaces: Spaces,
        view: View,
        teller: Teller,
        *,
        rules: Rules,
        may_write: Callable[[], bool],
        sources: Sources | None = None,
    ) -> None:
        self._spaces, self._view, self._teller = spaces, view, teller
        self._rules, self._may_write, self._sources = rules, may_write, sources
        self._providers = CapacityProviders(
            spaces.hub, view.our_providers, shrink_after=rules.shrink_after, may_write=may_write
        )
        self._memory = Memory(started_at=time.monotonic())

    def begin(self) -> None:
        """Forget what a former leadership remembered: others have decided since."""
        self._memory = Memory(started_at=time.monotonic())
        self._providers.begin()
        if self._sources is not None:
            self._sources.begin()

    async def reconcile(self, request: Request) -> float | None:
        """Bring quotas or a cluster up to date; returns after how many seconds to look again, if at all."""
        if request.kind == "cluster":
            await self._reconcile_cluster(request.cluster)
            return None
        return await self._reconcile_quotas()

    async def _reconcile_quotas(self) -> float | None:
        now = Instant(time.monotonic(), time.time())
        world, choose_again = self._view.world(), None
        if self._sources is not None:
            world, choose_again = self._sources.best(world, now)
        decision = decide(world, self._memory, now, self._rules)
        self._memory = decision.memory
        tell_again = self._teller.decided(decision)
        breakdowns = dict(decision.breakdowns)
        for write in decision.writes:
            if not await self._write(write, breakdowns.pop(write.queue.key, None)):
                return SOON  # what raises must not overtake what lowers
        for key, text in breakdowns.items():
            await self._write(Write(world.queues[key], ()), text)
        provide_again = await self._providers.publish(world, decision, now)
        times = (decision.look_again, choose_again, provide_again)
        due = [max(0.0, t - time.monotonic()) for t in times if t is not None]
        return min([*due, *([] if tell_again is None else [tell_again])], default=None)

    async def _write(self, write: Write, breakdown: str | None) -> bool:
        answer = await write_quotas(self._spaces.hub, write, breakdown=breakdown, may_write=self._may_write)
        if answer is None:
            return False
        self._view.observe_quotas(write.queue, answer)
        self._memory = self._memory.after(write)
        if write.changes:
            self._teller.written(write)
        return True

    async def _reconcile_cluster(self, name: str) -> None:
        steps = next_steps(
            name,
            self._view.clusters.get(("", name)),
            namesakes=self._view.namesakes(name),
            known_clusters=len(self._view.clusters.items()),
            metrics=self._view.metrics.get(("", name)),
            policy=self._view.policy_of(name),
        )
        for step in steps:
            if not self._may_write():
                return
            await self._take(step)

    async def _take(self, step: Step) -> None:
        wds, its = self._spaces.wds, self._spaces.its
        known = {CLUSTER_METRICS.kind: self._view.metrics, BINDING_POLICIES.kind: self._view.policies}
        match step:
            case Create(kind=kind):
                refusal = await actions.create(wds, step, known[kind])
                if refusal is not None:
                    self._teller.refused(refusal)
            case Repair():
                await actions.repair(wds, step, self._view.policies)
            case Remove(kind=kind):
                await actions.remove(its, wds, step, known[kind])
            case Refuse():
                self._teller.refused(step)
