"""The program: watch, publish a report when it is time, and end the Jobs whose lease is over."""

import asyncio
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias

import structlog
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kube_runtime import telemetry
from kube_runtime.connections import ConnectionSettings, connect
from kube_runtime.informer import Informer
from kube_runtime.preflight import PreflightFailed, require_readable, require_served
from kube_runtime.program import ProgramSettings, start
from kube_runtime.space import Space
from kube_runtime.work_queue import WorkQueue, run_workers
from metrics_agent.facts import JobFacts, NodeFacts, PodFacts, Refusal
from metrics_agent.fold import fold
from metrics_agent.guard import Guard, beat_at, heartbeat_name
from metrics_agent.publish import Pace, Published, Publisher, published
from metrics_agent.reading import FAILED_CREATE, job_facts, node_facts, pod_facts, refusal
from vocabulary import keys
from vocabulary.cluster_metrics import ClusterReport
from vocabulary.programs import PROGRAMS
from vocabulary.resources import CLUSTER_METRICS, CONFIG_MAPS, EVENTS, JOBS, NODES, PODS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NAME: Final = "metrics-agent"

REPORT: Final = "report"  # one worker, one report
LEASES: Final = "leases"

UNUSABLE_PAUSE: Final = 5.0
"""Seconds between two looks at a worker that is not ready for us."""


_Informers: TypeAlias = tuple[Informer[Any], ...]


class Settings(ProgramSettings):
    """Every option with its unit and default."""

    sections: ClassVar = PROGRAMS

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
    metrics_port: int = Field(
        0, ge=0, description="port of /metrics, /healthz and /readyz; 0 takes a free one"
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address it listens on; 0.0.0.0 in a pod that Prometheus scrapes"
    )


class Watches:
    """All that the agent watches on its worker."""

    def __init__(self, space: Space, cluster: str) -> None:
        self.nodes: Informer[NodeFacts] = Informer(space, NODES, transform=node_facts)
        self.pods: Informer[PodFacts] = Informer(space, PODS, transform=pod_facts)
        self.jobs: Informer[JobFacts] = Informer(
            space, JOBS, transform=job_facts, label_selector=keys.WORKLOAD_UID
        )
        self.refusals: Informer[Refusal] = Informer(
            space, EVENTS, transform=refusal, field_selector=FAILED_CREATE
        )
        self.metrics: Informer[Published] = Informer(space, CLUSTER_METRICS, transform=published)
        self.heartbeat: Informer[float] = Informer(
            space,
            CONFIG_MAPS,
            transform=beat_at,
            namespace=keys.SYSTEM_NAMESPACE,
            field_selector=f"metadata.name={heartbeat_name(cluster)}",
        )

    def of_the_report(self) -> _Informers:
        """What the report is made of: half of it would look like room, or like the end of pods."""
        return (self.nodes, self.pods, self.jobs, self.refusals, self.metrics)

    def observe(self, now: float, sequence: int) -> ClusterReport:
        """The report about all that is known now."""
        return fold(
            self.nodes.items().values(),
            self.pods.items().values(),
            self.jobs.items().values(),
            self.refusals.items().values(),
            now=now,
            sequence=sequence,
        )


async def run(settings: Settings) -> None:
    """Run until cancelled. Raises KubeError when the worker is not as it must be."""
    connection = ConnectionSettings(kubeconfig=settings.kubeconfig, context=settings.context)
    async with await connect("worker", connection) as space:
        await wait_usable(space)
        name, watches = settings.metrics_name, Watches(space, settings.metrics_name)
        pace = Pace(interval=settings.interval, heartbeat=settings.heartbeat)
        publisher = Publisher(space, name, known=watches.metrics, observe=watches.observe, pace=pace)
        guard = Guard(space, name, jobs=watches.jobs, heartbeat=watches.heartbeat)
        does = {REPORT: publisher.publish, LEASES: guard.check}
        queue: WorkQueue[str] = WorkQueue(metrics=telemetry.QueueTelemetry(NAME))
        informers = (*watches.of_the_report(), watches.heartbeat)

        def missing() -> list[str]:
            return telemetry.unsynced(watches.of_the_report())

        async def feed(key: str, needed: _Informers, helpful: _Informers) -> None:
            for informer in needed:
                await informer.wait_synced()
            for informer in (*needed, *helpful):
                informer.add_handler(lambda _key, _old, _new: queue.add(key))
            queue.add(key)

        with telemetry.exposed(telemetry.InformerTelemetry(informers)):
            async with asyncio.TaskGroup() as tasks:
                for informer in informers:
                    tasks.create_task(informer.run())
                tasks.create_task(
                    telemetry.serve(settings.metrics_port, missing=missing, host=settings.metrics_host)
                )
                tasks.create_task(feed(REPORT, watches.of_the_report(), ()))
                # The guard asks for the heartbeat itself before it acts: no right to watch it stops no lease.
                tasks.create_task(feed(LEASES, (watches.jobs,), (watches.heartbeat,)))
                tasks.create_task(run_workers(queue, lambda key: does[key](), len(does)))


async def wait_usable(space: Space, *, pause: float = UNUSABLE_PAUSE) -> None:
    """Return when all that we read is served and may be read; what is missing is said once.

    The CRD and our rights are carried here like anything else, and need not come before us.
    """
    remedy = "Install our CRD and roles on this worker with kueue-ks install."
    said = ""
    while True:
        try:
            await require_served(space, [CLUSTER_METRICS], remedy)
            await require_readable(space, (NODES, PODS, JOBS, EVENTS, CLUSTER_METRICS), remedy)
        except PreflightFailed as missing:
            if said != (said := str(missing)):
                log.warning("waiting", why=said)
            await asyncio.sleep(pause)
        else:
            return


def main() -> int:
    """Exit code: 0 after a signal, 1 when it cannot run, 2 for wrong settings."""
    return start(Settings, run, name=NAME)
