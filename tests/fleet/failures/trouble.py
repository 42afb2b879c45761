"""What goes wrong in these tests, and where its effects are looked for."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kube_runtime.errors import NotFound
from kube_runtime.events import EVENTS
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from local_fleet import Fleet
from local_fleet.managed_clusters import AVAILABLE
from tests import judge
from tests.fleet.jobs.programs import Programs, eventually
from tests.fleet.jobs.stack import Stack
from tests.judge.rules import Rules
from vocabulary import keys
from vocabulary.resources import CLUSTER_QUEUES, JOBS, MANAGED_CLUSTERS

LOST_AFTER = 8  # seconds from Unknown on
SETTLE = 10  # longer than the ITS takes to notice a second loss
LEASE = 8

IMPATIENT = (
    "--placement-timeout=12",
    "--apply-timeout=4",
    "--retry-delay=2",
    "--exclusion=20",
    f"--worker-lost-timeout={LOST_AFTER}",
    f"--settle={SETTLE}",
    f"--lease={LEASE}",
    "--pods-end-margin=2",
)


class Trouble(Stack):
    """A stack whose workers can be cut off, with connections to them as their administrators."""

    def __init__(
        self, fleet: Fleet, programs: Programs, hub: Space, wds: Space, its: Space, *workers: Space
    ) -> None:
        super().__init__(fleet, programs, hub, wds, its)
        self.workers = dict(zip(fleet.workers, workers, strict=True))
        self.may_run_twice: set[str] = set()
        """UIDs of Workloads that chose ``atLeastOnce``."""

    def judged(self) -> None:
        assert not self.fleet.deaths
        assert not self.programs.dead(), self.programs.log_tails()
        rules = Rules(may_run_twice=frozenset(self.may_run_twice))
        violations = judge.check(judge.read(self.fleet.root / "audit"), rules)
        assert not violations, "\n".join(map(str, violations))

    async def said(self, job: Obj) -> list[str]:
        """Every event of the job as "Reason: message", the oldest first."""
        found = await self.hub.list(EVENTS, job["metadata"]["namespace"])
        own = [e for e in found if e["involvedObject"].get("uid") == job["metadata"]["uid"]]
        own.sort(key=lambda event: str(event["lastTimestamp"]))
        return [f"{event['reason']}: {event['message']}" for event in own]

    async def hears(self, job: Obj, words: str, *, within: float = 40) -> str:
        """Wait for an event with these words; returns its text."""
        texts = await eventually(
            lambda: self.said(job),
            lambda said: any(words in text for text in said),
            within=within,
            what=f"an event with {words!r}",
        )
        return next(text for text in texts if words in text)

    async def conditions(self, job: Obj) -> str:
        """All that the Workload says."""
        return json.dumps((await self.workload_of(job)).get("status", {}))

    async def reads(self, job: Obj, words: str, *, within: float = 40) -> None:
        """Wait until the Workload's status has these words."""
        await eventually(
            lambda: self.conditions(job), lambda text: words in text, within=within, what=f"{words!r}"
        )

    async def given_up(self, job: Obj) -> None:
        """Wait until its Workload is deactivated: its pods have ended, and it is not tried again."""
        await eventually(
            lambda: self.workload_of(job),
            lambda workload: not workload["spec"]["active"],
            within=60,
            what="a deactivated Workload",
        )

    async def ended(self, job: Obj) -> None:
        """Delete it, and wait until nothing of it is left."""
        metadata = job["metadata"]
        await self.hub.delete(JOBS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        await self.nothing_left()

    async def may_use(self, queue: str, clusters: str) -> None:
        """What the administrator lets a queue use."""
        found = await self.hub.get(CLUSTER_QUEUES, queue)
        body = {"metadata": {"uid": uid(found), "annotations": {keys.CLUSTERS: clusters}}}
        await self.hub.patch(CLUSTER_QUEUES, body, name=queue)

    async def on_worker(self, cluster: str, job: Obj) -> Obj | None:
        """The Job that a worker has, read past all links."""
        try:
            return await self.workers[cluster].get(JOBS, job["metadata"]["name"], "team-a")
        except NotFound:
            return None

    async def availability(self, cluster: str, status: str, *, within: float = 30) -> None:
        """Wait until the ITS says so of the cluster."""

        async def read() -> str:
            found = (await self.its.get(MANAGED_CLUSTERS, cluster))["status"]["conditions"]
            return next((str(c["status"]) for c in found if c["type"] == AVAILABLE), "")

        await eventually(read, lambda seen: seen == status, within=within, what=f"{cluster} {status}")

    @asynccontextmanager
    async def cut_off(self, cluster: str) -> AsyncIterator[None]:
        """Nothing passes between the cluster's agents and the ITS; it comes back at the end."""
        link = self.fleet.link(cluster)
        await link.cut()
        try:
            yield
        finally:
            await link.heal()
        await self.availability(cluster, "True")


def uid(obj: Obj) -> str:
    return str(obj["metadata"]["uid"])
