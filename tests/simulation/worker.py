"""A worker cluster: work agent, Job controller, pods, status add-on, metrics agent.

The agents call out to the ITS; while the link is cut they see and tell nothing, and the pods run on.
"""

from tests.simulation.api_server import ApiServer
from tests.simulation.metrics_agent import MetricsAgent
from tests.simulation.status_addon import StatusAddon
from tests.simulation.work_agent import WorkAgent
from tests.simulation.worker_cluster import LEASE_GRACE
from tests.simulation.worker_objects import SERIAL_LABEL, Pod, WorkerJob
from tests.simulation.world import Poked, World
from vocabulary.resources import MANIFEST_WORKS

__all__ = ["LEASE_GRACE", "SERIAL_LABEL", "Pod", "Worker", "WorkerJob"]


class Worker(WorkAgent, StatusAddon, MetricsAgent):
    """All programs on one cluster. ``nodes`` maps names to whole cores."""

    def __init__(self, world: World, its: ApiServer, name: str, nodes: dict[str, int]) -> None:
        super().__init__(world, its, name, nodes)
        self._works = Poked(world, self._work, 0.02, 0.2)
        self._job_controller = Poked(world, self._job, 0.01, 0.1)
        self._addon = Poked(world, self._tell_status, 0.02, 0.2)
        self._scheduler = Poked(world, lambda _key: self._bind_pods(), 0.01, 0.05)
        self._metrics = Poked(world, lambda _key: self._report(), 0.0, 0.5)
        its.on_commit(MANIFEST_WORKS, self._work_event)
        self._heart()
        self._metrics.poke("report")
        self._resync()
        self._keep_leases()
