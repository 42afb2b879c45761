"""The whole world."""

from tests.workload_controller.lifecycle_servers import rfc3339
from tests.workload_controller.lifecycle_world.deadlines import Deadlines
from tests.workload_controller.lifecycle_world.garbage_collector import GarbageCollector
from tests.workload_controller.lifecycle_world.job_controller import JobController
from tests.workload_controller.lifecycle_world.kubestellar import KubeStellar
from tests.workload_controller.lifecycle_world.kueue import Kueue
from tests.workload_controller.lifecycle_world.links import Links
from tests.workload_controller.lifecycle_world.metrics_agent import MetricsAgent
from tests.workload_controller.lifecycle_world.promises import Promises
from tests.workload_controller.lifecycle_world.users import Users
from tests.workload_controller.lifecycle_world.work_agent import WorkAgent
from vocabulary.resources import ADMISSION_CHECKS, MANAGED_CLUSTERS


class World(
    Users,
    Kueue,
    GarbageCollector,
    KubeStellar,
    WorkAgent,
    JobController,
    MetricsAgent,
    Links,
    Deadlines,
    Promises,
):
    """All servers and everybody who acts on them."""

    def __init__(self) -> None:
        super().__init__()
        self.hub.create(
            ADMISSION_CHECKS,
            {
                "metadata": {"name": "kubestellar", "generation": 1},
                "spec": {"controllerName": "kubestellar.io/ks-kueue"},
            },
        )
        for worker in self.workers.values():
            self._register(worker.name)
            self.report_look(worker)
            self.report_tell(worker)

    def _register(self, name: str) -> None:
        available = {
            "type": "ManagedClusterConditionAvailable",
            "status": "True",
            "lastTransitionTime": rfc3339(self.clock.now - 5000),
        }
        metadata = {
            "name": name,
            "labels": {"name": name},
            "creationTimestamp": rfc3339(self.clock.now - 5000),
        }
        body = {
            "metadata": metadata,
            "spec": {"hubAcceptsClient": True},
            "status": {"conditions": [available]},
        }
        self.its.create(MANAGED_CLUSTERS, body)
