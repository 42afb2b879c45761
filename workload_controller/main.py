"""The program: connect, check, fill the stores, and reconcile while leading."""

import asyncio
import time
from contextlib import AsyncExitStack

from kube_runtime import telemetry
from kube_runtime.events import EventRecorder
from kube_runtime.lease import LeaderElection
from kube_runtime.preflight import require_readable, require_served
from kube_runtime.process_identity import process_identity
from kube_runtime.program import start
from kube_runtime.spaces import Spaces, connect_spaces
from kube_runtime.work_queue import WorkQueue
from vocabulary import keys
from vocabulary.resources import (
    ADMISSION_CHECKS,
    BINDING_POLICIES,
    BINDINGS,
    CLUSTER_QUEUES,
    JOBS,
    LOCAL_QUEUES,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
    RESOURCE_FLAVORS,
    WORK_STATUSES,
    WORKLOADS,
)
from workload_controller.concerns import Request
from workload_controller.published import LEASE, publish
from workload_controller.settings import Settings
from workload_controller.telemetry import StandingTelemetry
from workload_controller.wiring import assemble

NAME = LEASE

KUEUE = (WORKLOADS, LOCAL_QUEUES, CLUSTER_QUEUES, RESOURCE_FLAVORS, ADMISSION_CHECKS)
WDS = (BINDING_POLICIES, BINDINGS)
ITS = (MANAGED_CLUSTERS, MANIFEST_WORKS, WORK_STATUSES)


async def run(settings: Settings) -> None:
    """Run until cancelled. Raises KubeError when the spaces are not as they must be."""
    async with AsyncExitStack() as stack:
        spaces = await stack.enter_async_context(connect_spaces(settings))
        await check(spaces)
        queue: WorkQueue[Request] = WorkQueue(metrics=telemetry.QueueTelemetry(NAME))
        election = LeaderElection(
            spaces.hub,
            settings.namespace,
            NAME,
            process_identity(),
            annotations=publish(settings.options),
        )
        events = EventRecorder(spaces.hub, keys.CONTROLLER_NAME)
        parts = assemble(
            settings,
            spaces.hub,
            spaces.wds,
            spaces.its,
            queue=queue,
            events=events,
            may_write=election.is_leader,
            clock=time.time,
        )
        stores = parts.stores

        async def lead() -> None:
            async with asyncio.TaskGroup() as duties:
                duties.create_task(parts.lead(), name="reconcile")
                duties.create_task(parts.patrol.run(), name="audit")

        async def finish() -> None:
            await queue.drain()
            await events.flush()

        def missing() -> list[str]:
            return [*telemetry.unsynced(stores.informers), *election.missing()]

        stack.enter_context(telemetry.exposed(telemetry.InformerTelemetry(stores.informers)))
        stack.enter_context(telemetry.exposed(StandingTelemetry(stores)))
        async with asyncio.TaskGroup() as tasks:
            for informer in (*stores.informers, *stores.optional):
                tasks.create_task(informer.run())
            tasks.create_task(events.run())
            tasks.create_task(
                telemetry.serve(settings.metrics_port, missing=missing, host=settings.metrics_address)
            )
            tasks.create_task(election.run(lead, finish=finish))


async def check(spaces: Spaces) -> None:
    """Whether everything that we read is served and may be read; raises PreflightFailed."""
    rights = "Install our roles with kueue-ks install."
    await require_served(spaces.hub, KUEUE, "Install Kueue 0.16 or newer on the hub.")
    await require_served(
        spaces.wds, WDS, "Is this the WDS? KubeStellar's controller-manager makes these CRDs."
    )
    await require_served(spaces.its, ITS, "Is this the ITS, and is its status add-on installed?")
    await require_readable(spaces.hub, (*KUEUE, JOBS), rights)
    await require_readable(spaces.wds, (*WDS, JOBS), rights)
    await require_readable(spaces.its, ITS, rights)


def main() -> int:
    """Exit code: 0 after a signal, 1 when it cannot run, 2 for wrong settings."""
    return start(Settings, run, name=NAME)
