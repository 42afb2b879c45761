"""All servers, the workers, and what everybody has in common."""

from kube_runtime.objects import Key, Obj, key_of
from kube_runtime.resources import Resource
from tests.workload_controller.lifecycle_servers import Clock, Network, Server
from tests.workload_controller.lifecycle_world.worker_objects import OURS, Worker
from vocabulary.resources import JOBS, WORKLOADS

NAMESPACE, NAME = "default", "train"


class Spaces:
    """Nobody acts here yet; each who does is a subclass."""

    def __init__(self) -> None:
        self.clock, self.network = Clock(), Network()
        self.servers = {name: Server(name, self.clock) for name in ("hub", "wds", "its")}
        self.hub, self.wds, self.its = self.servers.values()
        self.workers = {w.name: w for w in (Worker("w1", 2.0), Worker("w2", -1.0))}
        self.deactivated_by_user: set[str] = set()  # uids of Workloads
        self.finished: set[str] = set()  # uids of hub jobs whose result is known to us or on the hub
        self.foreign: list[tuple[Server, Resource, Key, str]] = []
        self._sequence = 0

    @property
    def job(self) -> Obj | None:
        return self.hub.find(JOBS, (NAMESPACE, NAME))

    def workloads(self) -> list[Obj]:
        return self.hub.all(WORKLOADS)

    def _drop_finalizer(self, resource: Resource, obj: Obj) -> None:
        server = self.hub if resource in (WORKLOADS, JOBS) else self.wds
        kept = [f for f in obj["metadata"].get("finalizers") or () if f.startswith(OURS)]
        server.change(resource, key_of(obj), lambda o: o["metadata"].update(finalizers=kept))
