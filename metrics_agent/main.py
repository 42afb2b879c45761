"""The program: watch nodes, pods and the ClusterMetrics object, and publish when it is time."""

import asyncio
from pathlib import Path
from typing import Final

import structlog
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kube_runtime.connections import ConnectionSettings, connect
from kube_runtime.informer import Informer
from kube_runtime.preflight import PreflightFailed, require_readable, require_served
from kube_runtime.program import ProgramSettings, start
from kube_runtime.space import Space
from kube_runtime.work_queue import WorkQueue, run_workers
from metrics_agent.facts import NodeFacts, PodFacts, node_facts, pod_facts
from metrics_agent.fold import fold
from metrics_agent.publish import Pace, Published, Publisher, published
from vocabulary.cluster_metrics import ClusterReport
from vocabulary.resources import CLUSTER_METRICS, NODES, PODS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NAME: Final = "metrics-agent"

REPORT: Final = "report"  # the only key: one worker, one report

UNUSABLE_PAUSE: Final = 5.0
"""Seconds between two looks at a worker that is not ready for us."""


class Settings(ProgramSettings):
    """Every option with its unit and default."""

    model_config = SettingsConfigDict(
        env_prefix="KUEUE_KS_", cli_kebab_case=True, cli_prog_name="metrics_agent", extra="forbid"
    )

    metrics_name: str = Field(
        min_length=1, description="name of the ClusterMetrics object: the cluster's name"
    )
    kubeconfig: Path | None = Field(
        None, description="kubeconfig of this worker; default: KUBECONFIG, or the pod's"
    )
    context: str | None = Field(None, description="context in it; default: its current one")
    interval: float = Field(10, gt=0, description="seconds between two reports, at least")
    heartbeat: float = Field(60, gt=0, description="seconds between two reports, at most")


async def run(settings: Settings) -> None:
    """Run until cancelled. Raises KubeError when the worker is not as it must be."""
    connection = ConnectionSettings(kubeconfig=settings.kubeconfig, context=settings.context)
    async with await connect("worker", connection) as space:
        await wait_usable(space)
        nodes: Informer[NodeFacts] = Informer(space, NODES, transform=node_facts)
        pods: Informer[PodFacts] = Informer(space, PODS, transform=pod_facts)
        metrics: Informer[Published] = Informer(space, CLUSTER_METRICS, transform=published)

        def observe(now: float, sequence: int) -> ClusterReport:
            return fold(nodes.items().values(), pods.items().values(), now=now, sequence=sequence)

        pace = Pace(interval=settings.interval, heartbeat=settings.heartbeat)
        publisher = Publisher(space, settings.metrics_name, known=metrics, observe=observe, pace=pace)
        queue: WorkQueue[str] = WorkQueue()

        async def work() -> None:
            for informer in (nodes, pods, metrics):
                await informer.wait_synced()  # half of the pods would look like room
                informer.add_handler(lambda _key, _old, _new: queue.add(REPORT))
            queue.add(REPORT)
            await run_workers(queue, lambda _: publisher.publish(), 1)

        async with asyncio.TaskGroup() as tasks:
            for informer in (nodes, pods, metrics):
                tasks.create_task(informer.run())
            tasks.create_task(work())


async def wait_usable(space: Space, *, pause: float = UNUSABLE_PAUSE) -> None:
    """Return when all that we read is served and may be read; what is missing is said once.

    The CRD and our rights are carried here like anything else, and need not come before us.
    """
    remedy = "Install our CRD and roles on this worker with kueue-ks install."
    said = ""
    while True:
        try:
            await require_served(space, [CLUSTER_METRICS], remedy)
            await require_readable(space, (NODES, PODS, CLUSTER_METRICS), remedy)
        except PreflightFailed as missing:
            if said != (said := str(missing)):
                log.warning("waiting", why=said)
            await asyncio.sleep(pause)
        else:
            return


def main() -> int:
    """Exit code: 0 after a signal, 1 when it cannot run, 2 for wrong settings."""
    return start(Settings, run, name=NAME)
