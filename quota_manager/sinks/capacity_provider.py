"""Writing the status of the CapacityProviders that name us, where Kueue serves the kind.

The status is ours alone but for the conditions of others. Read, change, PUT with the resourceVersion that
was read: 404 and 409 mean that it is another one by now, whose event brings a new decision.
"""

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import structlog

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.objects import Obj, uid_of
from kube_runtime.space import Space
from quota_manager.decision import Decision, World
from quota_manager.sinks.provided_capacity import (
    CONDITION,
    Condition,
    Memory,
    Provided,
    ProviderFacts,
    capacity_body,
    provide,
)
from quota_manager.trust import Instant
from vocabulary.resources import CAPACITY_PROVIDERS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NEW: Final = Memory()


class CapacityProviders:
    """Publishes after each decision. ``read`` gives those that are ours as they are known."""

    def __init__(
        self,
        hub: Space,
        read: Callable[[], Mapping[str, ProviderFacts]],
        *,
        shrink_after: float,
        may_write: Callable[[], bool],
    ) -> None:
        self._hub, self._read, self._shrink_after, self._may_write = hub, read, shrink_after, may_write
        self._memory: dict[str, Memory] = {}  # by uid

    def begin(self) -> None:
        """Forget what a former leadership remembered."""
        self._memory = {}

    async def publish(self, world: World, decision: Decision, at: Instant) -> float | None:
        """Bring all up to date; the monotonic time to look again."""
        providers = self._read()
        look_again: list[float] = []
        memory = {}
        for provider in providers.values():
            before = self._memory.get(provider.uid, NEW)
            provided = provide(
                provider, world, decision, before, now=at.mono, shrink_after=self._shrink_after
            )
            memory[provider.uid] = provided.memory
            if provided.look_again is not None:
                look_again.append(provided.look_again)
            if provided.condition is not None:
                await self._write(provider, provided, provided.condition, at)
        self._memory = memory
        return min(look_again, default=None)

    async def _write(
        self, provider: ProviderFacts, provided: Provided, condition: Condition, at: Instant
    ) -> None:
        with suppress(Conflict, NotFound):
            seen = await self._hub.get(CAPACITY_PROVIDERS, provider.name)
            if (uid_of(seen), seen["metadata"].get("generation", 0)) != (provider.uid, provider.generation):
                return
            if not self._may_write():
                return
            changed = with_status(seen, provided, condition, at.unix)
            await self._hub.update(CAPACITY_PROVIDERS, changed, subresource="status")
            log.info("capacity provided", capacity_provider=provider.name, reason=condition.reason)


def with_status(seen: Obj, provided: Provided, condition: Condition, now: float) -> Obj:
    """A copy that says what was decided; the transition's time moves only with the status."""
    changed = copy.deepcopy(seen)
    status = changed.setdefault("status", {})
    conditions = status.get("conditions") or []
    before: Obj = next((c for c in conditions if c["type"] == CONDITION), {})
    same = before.get("status") == condition.status
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ours = {
        "type": CONDITION,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": seen["metadata"].get("generation", 0),
        "lastTransitionTime": before["lastTransitionTime"] if same else stamp,
    }
    status["conditions"] = [*(c for c in conditions if c["type"] != CONDITION), ours]
    if provided.capacity is not None:
        status["capacity"] = capacity_body(provided.capacity)
    return changed
