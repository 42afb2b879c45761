"""A worker cluster without its programs: what it holds, and its link to the ITS."""

from typing import Any

from kube_runtime.objects import Key, Obj
from tests.simulation.api_server import ApiServer
from tests.simulation.worker_objects import Pod, WorkerJob
from tests.simulation.world import Poked, World, rfc3339
from vocabulary.resources import MANAGED_CLUSTERS, MANIFEST_WORKS, WORK_STATUSES

LEASE_GRACE = 60.0  # seconds without a heartbeat until OCM calls a cluster Unknown
REPORT_PAUSE = 2.0  # seconds between two reports of the metrics agent at least


class Cluster:
    """``nodes`` maps names to whole cores."""

    def __init__(self, world: World, its: ApiServer, name: str, nodes: dict[str, int]) -> None:
        self.world, self.its, self.name, self.nodes = world, its, name, nodes
        self.cut_until = 0.0
        self.cuts: list[tuple[float, float]] = []
        self.beat_at = 0.0  # unix seconds of the newest heartbeat that came here
        self._cut_since = 0.0
        self.jobs: dict[Key, WorkerJob] = {}
        self.all_jobs: list[WorkerJob] = []
        self.pods: list[Pod] = []
        self.foreign: dict[str, int] = {}  # node → cores of other people's pods
        self._uids = 0
        self._sequence = 0
        self._reported: Any = None
        self._reported_at = -REPORT_PAUSE
        # One for each program that acts in the subclasses.
        self._works: Poked
        self._job_controller: Poked
        self._addon: Poked
        self._scheduler: Poked
        self._metrics: Poked

    @property
    def cut(self) -> bool:
        return self.world.now < self.cut_until

    def cut_for(self, seconds: float) -> None:
        """The link to the ITS is down for so long."""
        self.world.note(f"{self.name} is cut off for {seconds:.0f} s")
        if not self.cut:
            self._cut_since = self.world.now
        self.cut_until = max(self.cut_until, self.world.now + seconds)
        self.cuts.append((self.world.now, self.cut_until))
        self.world.at(self.cut_until, self._back)

    def _back(self) -> None:
        if self.cut:
            return
        for work in self.its.all(MANIFEST_WORKS):
            if work["metadata"]["namespace"] == self.name:
                self._works.poke((self.name, work["metadata"]["name"]))
        for status in self.its.all(WORK_STATUSES):
            source = status["spec"]["sourceRef"]
            if status["metadata"]["namespace"] == self.name and source["kind"] == "Job":
                self._addon.poke((source["namespace"], source["name"]))
        for job in self.jobs.values():
            self._addon.poke(job.key)
        self._metrics.poke("report")

    def _heart(self) -> None:
        """OCM's registration agent, and the hub's judgement of it."""
        lost = self.cut and self.world.now > self._cut_since + LEASE_GRACE
        available = "Unknown" if lost else "True"

        def judge(obj: Obj) -> None:
            conditions = obj.setdefault("status", {}).setdefault("conditions", [])
            entry = next((c for c in conditions if c["type"] == "ManagedClusterConditionAvailable"), None)
            if entry is None:
                conditions.append(entry := {"type": "ManagedClusterConditionAvailable", "status": ""})
            if entry["status"] != available:
                entry["lastTransitionTime"] = rfc3339(self.world.wall)
                entry["status"] = available

        self.its.change(MANAGED_CLUSTERS, ("", self.name), judge)
        self.world.soon(9.0, 11.0, self._heart)
