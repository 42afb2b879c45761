"""What is kept up beside the Workloads: carried namespaces, our AdmissionChecks' condition, heartbeats."""

from collections.abc import Callable

import structlog

from workload_controller import heartbeat, namespaces
from workload_controller.actions import Writer
from workload_controller.admission_check import wanted_condition
from workload_controller.situation import Timing
from workload_controller.stores import BY_OWNER, Stores
from workload_controller.view import View

log = structlog.get_logger(__name__)


class Upkeep:
    """One method per kind of request; each returns after how many seconds to look again, if at all."""

    def __init__(
        self, stores: Stores, view: View, writer: Writer, *, timing: Timing, clock: Callable[[], float]
    ) -> None:
        self._stores = stores
        self._view = view
        self._writer = writer
        self._timing = timing
        self._clock = clock

    async def namespace(self, name: str) -> None:
        """Carry a namespace, or drop it."""
        step = namespaces.next_step(
            self._stores.hub_namespaces.get(("", name)),
            self._stores.twins.get(("", name)),
            has_queue=self._view.has_queue(name),
            copies=self._view.copies_in(name),
        )
        match step:
            case namespaces.Carry(namespace=namespace):
                self._stores.twins.observe(await self._writer.carry_namespace(namespace))
            case namespaces.Drop(name=name, uid=uid):
                await self._writer.delete_namespace(name, uid)

    async def job(self, namespace: str, name: str) -> None:
        """Let a deleted job go, the last of all: no Workload brings us to it any more."""
        job = self._stores.jobs.get((namespace, name))
        if job is None or not (job.held and job.deleting):
            return
        if not self._stores.workloads.by_index(BY_OWNER, job.uid) and not self._stores.copies.get(
            (namespace, name)
        ):
            answer = await self._writer.set_finalizer(job, present=False)
            if answer is not None:
                self._stores.jobs.observe(answer)

    async def check(self, name: str) -> float | None:
        """Keep condition Active of an AdmissionCheck true."""
        check = self._stores.checks.get(("", name))
        if check is None:
            return None
        now = self._clock()
        condition = wanted_condition(check, self._view.cluster_facts(now), now, self._view.rules(name))
        if condition is not None:
            self._stores.checks.observe(await self._writer.set_active_condition(check, condition))
            log.info("AdmissionCheck", check=name, active=condition.active, message=condition.message)
        return self._timing.recheck

    async def beat(self, cluster: str) -> float | None:
        """Keep the heartbeat of a cluster going, or end it."""
        now = self._clock()
        contact, leases = self._view.contact(cluster, now), self._view.leases_on(cluster)
        match heartbeat.next_beat(leases, contact, now, self._timing):
            case heartbeat.Beat(again_after=seconds):
                self._stores.beats.observe(await self._writer.beat(cluster))
                return seconds
            case heartbeat.Rest(again_after=seconds):
                return seconds
            case heartbeat.End():
                await self._writer.end_beat(cluster)
        return None
