"""The link of a worker, and its heartbeat."""

from kube_runtime.objects import Obj
from tests.workload_controller.lifecycle_servers import rfc3339
from tests.workload_controller.lifecycle_world.spaces import Spaces
from tests.workload_controller.lifecycle_world.worker_objects import Worker
from vocabulary.resources import CONFIG_MAPS, MANAGED_CLUSTERS


class Links(Spaces):
    """Whether a worker is connected is the machine's to say."""

    def carry_beat(self, worker: Worker) -> None:
        beat = self.wds.find(CONFIG_MAPS, ("kueue-kubestellar-system", f"hub-heartbeat-{worker.name}"))
        if beat is not None and worker.connected:
            worker.beat = float(beat["data"]["beatAtSeconds"])

    def judge_link(self, worker: Worker) -> None:
        """The ITS says what it knows of a cluster."""
        status = "True" if worker.connected else "Unknown"

        def write(obj: Obj) -> None:
            (entry,) = obj["status"]["conditions"]
            if entry["status"] != status:
                entry |= {"status": status, "lastTransitionTime": rfc3339(self.clock.now)}

        self.its.change(MANAGED_CLUSTERS, ("", worker.name), write)
