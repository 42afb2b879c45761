"""KubeStellar's controller-manager and transport: BindingPolicy → Binding → ManifestWork.

As read in v0.30 (pkg/binding, pkg/transport/generic) and measured on the fleet (docs/design.md, sections 1
and 2): a new Binding waits 2 s; an object that is being deleted is carried as long as a policy selects it; a
policy's Binding goes by garbage collection, and the transport's finalizer on it takes the ManifestWorks along.
"""

from kube_runtime.objects import Key, Obj
from tests.simulation.api_server import ApiServer, Event, duplicate
from tests.simulation.world import Poked, World
from vocabulary.resources import BINDING_POLICIES, BINDINGS, JOBS, MANAGED_CLUSTERS, MANIFEST_WORKS

BINDING_DELAY = 2.0  # seconds, bindingQueueingDelay
POLICY_FINALIZER = "bindingpolicy.kubestellar.io/kscontroller"
BINDING_FINALIZER = "transport.kubestellar.io/object-cleanup"
WORK_FINALIZER = "cluster.open-cluster-management.io/manifest-work-cleanup"
BINDING_LABEL = "transport.kubestellar.io/originOwnerReferenceBindingKey"


class KubeStellar:
    """One WDS and one ITS."""

    def __init__(self, world: World, wds: ApiServer, its: ApiServer) -> None:
        self.world, self.wds, self.its = world, wds, its
        self._policies = Poked(world, self._policy, 0.005, 0.05)
        self._bindings = Poked(world, self._binding, 0.01, 0.1)
        self._bind = Poked(world, self._write_binding, BINDING_DELAY, BINDING_DELAY + 0.1)
        wds.on_commit(BINDING_POLICIES, lambda event: self._policies.poke(event.key))
        wds.on_commit(JOBS, self._job_event)
        wds.on_commit(BINDINGS, lambda event: self._bindings.poke(event.key))
        its.on_commit(MANIFEST_WORKS, self._work_event)

    def stop(self, seconds: float) -> None:
        """The component is down for so long."""
        actors = (self._policies, self._bindings, self._bind)
        for actor in actors:
            actor.enabled = False

        def back() -> None:
            for actor in actors:
                actor.enabled = True

        self.world.after(seconds, back)

    def _job_event(self, event: Event) -> None:
        for policy in self.wds.all(BINDING_POLICIES):
            if _selects(policy, event.new) or (event.old is not None and _selects(policy, event.old)):
                self._policies.poke(("", policy["metadata"]["name"]))

    def _work_event(self, event: Event) -> None:
        if event.kind == "DELETED":
            self._bindings.poke(("", event.new["metadata"]["labels"][BINDING_LABEL]))

    def _policy(self, key: Key) -> None:
        policy = self.wds.find(BINDING_POLICIES, key)
        if policy is None:
            return
        finalizers = policy["metadata"].get("finalizers") or ()
        if "deletionTimestamp" in policy["metadata"]:
            if POLICY_FINALIZER in finalizers:
                self.wds.change(
                    BINDING_POLICIES, key, lambda obj: obj["metadata"]["finalizers"].remove(POLICY_FINALIZER)
                )
            return
        if POLICY_FINALIZER not in finalizers:
            self.wds.change(
                BINDING_POLICIES,
                key,
                lambda obj: obj["metadata"].setdefault("finalizers", []).append(POLICY_FINALIZER),
            )
        self._bind.poke(key)

    def _write_binding(self, key: Key) -> None:
        policy = self.wds.find(BINDING_POLICIES, key)
        if policy is None or "deletionTimestamp" in policy["metadata"]:
            return
        objects = [
            {"namespace": job["metadata"]["namespace"], "name": job["metadata"]["name"],
             "resourceVersion": job["metadata"]["resourceVersion"]}
            for job in self.wds.all(JOBS)
            if _selects(policy, job)
        ]
        spec = {"workload": {"namespaceScope": objects}, "destinations": self._destinations(policy)}
        binding = self.wds.find(BINDINGS, key)
        if binding is None:
            owner = {
                "apiVersion": BINDING_POLICIES.api_version,
                "kind": BINDING_POLICIES.kind,
                "name": key[1],
                "uid": policy["metadata"]["uid"],
            }
            self.wds.create(
                BINDINGS,
                {
                    "metadata": {
                        "name": key[1],
                        "finalizers": [BINDING_FINALIZER],
                        "ownerReferences": [owner],
                    },
                    "spec": spec,
                },
            )
        elif "deletionTimestamp" not in binding["metadata"]:
            self.wds.change(BINDINGS, key, lambda obj: obj.update(spec=spec))

    def _destinations(self, policy: Obj) -> list[str]:
        names = []
        for cluster in self.its.all(MANAGED_CLUSTERS):
            labels = cluster["metadata"].get("labels") or {}
            if any(s["matchLabels"].items() <= labels.items() for s in policy["spec"]["clusterSelectors"]):
                names.append(cluster["metadata"]["name"])
        return sorted(names)

    def _binding(self, key: Key) -> None:
        binding = self.wds.find(BINDINGS, key)
        wanted: dict[Key, Obj] = {}
        if binding is not None and "deletionTimestamp" not in binding["metadata"]:
            wanted = self._works(binding)
        for work in self.its.all(MANIFEST_WORKS):
            metadata = work["metadata"]
            if metadata["labels"].get(BINDING_LABEL) != key[1]:
                continue
            place = (metadata["namespace"], metadata["name"])
            if place in wanted:
                del wanted[place]
            elif "deletionTimestamp" not in metadata:
                self.its.delete(MANIFEST_WORKS, place)
        for work in wanted.values():
            self.its.create(MANIFEST_WORKS, work)
        if binding is not None and "deletionTimestamp" in binding["metadata"]:
            self.wds.change(
                BINDINGS, key, lambda obj: obj["metadata"]["finalizers"].remove(BINDING_FINALIZER)
            )

    def _works(self, binding: Obj) -> dict[Key, Obj]:
        works: dict[Key, Obj] = {}
        for reference in binding["spec"]["workload"]["namespaceScope"]:
            job = self.wds.find(JOBS, (reference["namespace"], reference["name"]))
            if job is None:
                continue
            for cluster in binding["spec"]["destinations"]:
                name = f"{binding['metadata']['uid']}-wds1-{job['metadata']['uid']}"
                works[cluster, name] = {
                    "metadata": {
                        "namespace": cluster,
                        "name": name,
                        "labels": {BINDING_LABEL: binding["metadata"]["name"]},
                        "finalizers": [WORK_FINALIZER],
                    },
                    "spec": {"workload": {"manifests": [_stripped(job)]}},
                }
        return works


def _stripped(job: Obj) -> Obj:
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {name: job["metadata"][name] for name in kept if name in job["metadata"]}
    spec = {name: value for name, value in job["spec"].items() if name not in ("suspend", "selector")}
    return duplicate({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})  # type: ignore[no-any-return]


def _selects(policy: Obj, job: Obj) -> bool:
    labels = job["metadata"].get("labels") or {}
    namespace = job["metadata"]["namespace"]
    for clause in policy["spec"].get("downsync") or ():
        if "jobs" not in clause["resources"] or namespace not in clause.get("namespaces", [namespace]):
            continue
        if any(s["matchLabels"].items() <= labels.items() for s in clause["objectSelectors"]):
            return True
    return False
