"""What tenants and administrators do in these tests, and where its effects are looked for."""

import json
from collections.abc import Callable
from typing import Any

import yaml

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from local_fleet import Fleet
from tests.fleet.jobs.programs import Programs, eventually
from tests.fleet.jobs.stack import EXAMPLES, RUN_TIME, Stack
from vocabulary import keys
from vocabulary.resources import JOBS, LOCAL_QUEUES, MANIFEST_WORKS, NAMESPACES, PODS

EVENTS = Resource("", "v1", "events", "Event")
SECRETS = Resource("", "v1", "secrets", "Secret")
QUEUE = "default-queue"


class Tenancy(Stack):
    """A stack with connections to its workers, as their administrators."""

    def __init__(
        self,
        fleet: Fleet,
        programs: Programs,
        hub: Space,
        wds: Space,
        its: Space,
        workers: dict[str, Space],
    ) -> None:
        super().__init__(fleet, programs, hub, wds, its)
        self.workers = workers

    async def create_job(self, job: Obj) -> Obj:
        return await self.hub.create(JOBS, job)

    async def delete_job(self, job: Obj) -> None:
        metadata = job["metadata"]
        await self.hub.delete(JOBS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        await self.nothing_left()

    async def tenant(self, name: str, **labels: str) -> Obj:
        """A namespace of the hub with a queue."""
        made = await self.hub.create(NAMESPACES, namespace(name, labels=labels))
        queue = {
            "apiVersion": LOCAL_QUEUES.api_version,
            "kind": LOCAL_QUEUES.kind,
            "metadata": {"name": QUEUE, "namespace": name},
            "spec": {"clusterQueue": "team-queue"},
        }
        await self.hub.create(LOCAL_QUEUES, queue)
        return made

    async def tenant_leaves(self, made: Obj) -> None:
        """The hub's namespace and its twin go; deleting it twice is what a finalizer asks for."""
        name = made["metadata"]["name"]
        await self.hub.delete(NAMESPACES, name, uid=made["metadata"]["uid"])
        for space in (self.hub, self.wds):
            await gone(space, NAMESPACES, name)

    async def on_workers(self, resource: Resource, name: str, where: str | None = None) -> dict[str, Obj]:
        """The object of this name on each worker that has it."""
        found = {}
        for worker, space in self.workers.items():
            try:
                found[worker] = await space.get(resource, name, where)
            except NotFound:
                continue
        return found

    async def pods_in(self, where: str) -> list[Obj]:
        return [pod for space in self.workers.values() for pod in await space.list(PODS, where)]

    async def refusal_of_work(self, kind: str, name: str) -> list[str]:
        """What the workers answered to ManifestWorks with this object: messages of Applied=False."""
        messages = []
        for work in await self.its.list(MANIFEST_WORKS):
            for manifest in (work.get("status") or {}).get("resourceStatus", {}).get("manifests", ()):
                meta = manifest["resourceMeta"]
                if (meta["kind"], meta["name"]) == (kind, name):
                    messages += [
                        c["message"]
                        for c in manifest["conditions"]
                        if c["type"] == "Applied" and c["status"] == "False"
                    ]
        return messages

    async def told(self, job: Obj) -> str:
        """All that the hub's events and the Workload say about the job."""
        uid = job["metadata"]["uid"]
        events = await self.hub.list(EVENTS, job["metadata"]["namespace"])
        texts = [e["message"] for e in events if e["involvedObject"].get("uid") == uid]
        return json.dumps([texts, (await self.workload_of(job)).get("status", {})])

    async def until_told(self, job: Obj, words: str, *, within: float = 30) -> None:
        await eventually(
            lambda: self.told(job), lambda text: words in text, within=within, what=f"{words!r} on the hub"
        )


def namespace(name: str, *, labels: dict[str, str] | None = None) -> Obj:
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind, "metadata": metadata}


def secret(name: str, where: str) -> Obj:
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": name, "namespace": where},
        "stringData": {"key": "of somebody else"},
    }


def example(name: str, where: str = "team-a", *, runs: str = "2s") -> Obj:
    """The plainest job of a user."""
    job: Obj = yaml.safe_load((EXAMPLES / "batch-job.yaml").read_text())
    del job["metadata"]["generateName"]
    job["metadata"] |= {"name": name, "namespace": where}
    job["spec"]["template"]["metadata"]["annotations"] = {RUN_TIME: runs}
    return job


def foreign_job(name: str, where: str) -> Obj:
    """A job that a worker's own user made there; it waits, so that it is there at the end."""
    job = example(name, where)
    job["metadata"]["labels"] = {"owner": "somebody"}
    job["spec"] |= {"suspend": True}
    return job


def mark(metadata: Obj) -> dict[str, Any]:
    """What must stay as it is on an object of somebody else."""
    return {
        "uid": metadata["uid"],
        "owners": metadata.get("ownerReferences", []),
        "ours": sorted(
            key
            for field in ("labels", "annotations")
            for key in metadata.get(field) or {}
            if key.startswith(keys.PREFIX) or key == keys.MANAGED_BY_LABEL
        ),
    }


async def change(space: Space, resource: Resource, name: str, edit: Callable[[Obj], object]) -> None:
    """Read, edit and write until nobody else wrote in between."""
    while True:
        obj = await space.get(resource, name)
        edit(obj["metadata"])
        try:
            await space.update(resource, obj)
        except Conflict:
            continue
        return


async def gone(space: Space, resource: Resource, name: str, where: str | None = None) -> None:
    async def there() -> bool:
        try:
            await space.get(resource, name, where)
        except NotFound:
            return False
        return True

    what = f"the end of {resource.kind} {name} on {space.name}"
    await eventually(there, lambda found: not found, within=90, what=what)
