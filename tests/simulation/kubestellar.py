"""KubeStellar's controller-manager and transport: BindingPolicy → Binding → ManifestWork.

As read in v0.30 (pkg/binding, pkg/transport/generic) and measured on the fleet (docs/design.md, sections 1
and 2): a new Binding waits 2 s; an object that is being deleted is carried as long as a policy selects it; a
policy's Binding goes by garbage collection, and the transport's finalizer on it takes the ManifestWorks
along.
"""

from collections.abc import Callable, Iterable
from functools import partial

from kube_runtime.objects import Key, Obj
from kube_runtime.resources import Resource
from tests.simulation.api_server import ApiServer, Event
from tests.simulation.json_values import duplicate
from tests.simulation.world import Poked, World
from vocabulary.resources import (
    BINDING_POLICIES,
    BINDINGS,
    CONFIG_MAPS,
    JOBS,
    MANAGED_CLUSTERS,
    MANIFEST_WORKS,
)

BINDING_DELAY = 2.0  # seconds, bindingQueueingDelay
POLICY_FINALIZER = "bindingpolicy.kubestellar.io/kscontroller"
BINDING_FINALIZER = "transport.kubestellar.io/object-cleanup"
WORK_FINALIZER = "cluster.open-cluster-management.io/manifest-work-cleanup"
CARRIED = (JOBS, CONFIG_MAPS)  # what our policies select; namespaces are on the workers already
BINDING_LABEL = "transport.kubestellar.io/originOwnerReferenceBindingKey"


class KubeStellar:
    """One WDS and one ITS."""

    def __init__(self, world: World, wds: ApiServer, its: ApiServer) -> None:
        self.world, self.wds, self.its = world, wds, its
        self._policies = Poked(world, self._policy, 0.005, 0.05)
        self._bindings = Poked(world, self._binding, 0.01, 0.1)
        self._bind = Poked(world, self._write_binding, BINDING_DELAY, BINDING_DELAY + 0.1)
        wds.on_commit(BINDING_POLICIES, lambda event: self._policies.poke(event.key))
        for resource in CARRIED:
            wds.on_commit(resource, partial(self._object_event, resource))
        wds.on_commit(BINDINGS, lambda event: self._bindings.poke(event.key))
        its.on_commit(MANIFEST_WORKS, self._work_event)

    def stop(self, seconds: float, part: str) -> None:
        """It is down for so long: all of it, or its "binder" (BindingPolicy → Binding) or its "transport"."""
        binder, transport = (self._policies, self._bind), (self._bindings,)
        actors: tuple[Poked, ...] = (*binder, *transport)
        if part != "kubestellar":
            actors = binder if part == "binder" else transport
        for actor in actors:
            actor.enabled = False

        def back() -> None:
            for actor in actors:
                actor.enabled = True

        self.world.after(seconds, back)

    def delay(self, seconds: float, part: str, amount: float) -> None:
        """Its "binder" sees objects late, or its "transport" writes late what it has read."""
        raise NotImplementedError

    def _object_event(self, resource: Resource, event: Event) -> None:
        for policy in self.wds.all(BINDING_POLICIES):
            states = (event.new, event.old) if event.old is not None else (event.new,)
            if any(selects(policy, resource, obj) for obj in states):
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
        objects = self._selected(policy)
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

    def _selected(self, policy: Obj) -> list[Obj]:
        return [
            {
                "group": resource.group,
                "version": resource.version,
                "resource": resource.plural,
                "namespace": obj["metadata"]["namespace"],
                "name": obj["metadata"]["name"],
                "resourceVersion": obj["metadata"]["resourceVersion"],
            }
            for resource in CARRIED
            for obj in self._seen(resource)
            if selects(policy, resource, obj)
        ]

    def _seen(self, resource: Resource) -> Iterable[Obj]:
        """The objects of the WDS, as the part that writes Bindings knows them."""
        return self.wds.all(resource)

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
        self._converge(key, binding, wanted)

    def _converge(self, key: Key, binding: Obj | None, wanted: dict[Key, Obj]) -> None:
        for work in self.its.all(MANIFEST_WORKS):
            metadata = work["metadata"]
            if metadata["labels"].get(BINDING_LABEL) != key[1]:
                continue
            place = (metadata["namespace"], metadata["name"])
            if place in wanted:
                spec = wanted.pop(place)["spec"]
                if spec["workload"]["manifests"][0]["kind"] != "Job":  # a Job is carried createOnly
                    self.its.change(MANIFEST_WORKS, place, _with_spec(spec))
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
            resource = next(r for r in CARRIED if r.plural == reference["resource"])
            job = self.wds.find(resource, (reference["namespace"], reference["name"]))
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


def _stripped(obj: Obj) -> Obj:
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {name: obj["metadata"][name] for name in kept if name in obj["metadata"]}
    manifest: Obj = {name: obj[name] for name in ("apiVersion", "kind", "data") if name in obj}
    if "spec" in obj:
        manifest["spec"] = {k: v for k, v in obj["spec"].items() if k not in ("suspend", "selector")}
    return duplicate({**manifest, "metadata": metadata})  # type: ignore[no-any-return]


def selects(policy: Obj, resource: Resource, obj: Obj) -> bool:
    labels = obj["metadata"].get("labels") or {}
    name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
    for clause in policy["spec"].get("downsync") or ():
        if resource.plural not in clause["resources"]:
            continue
        if namespace not in clause.get("namespaces", [namespace]):
            continue
        if name not in clause.get("objectNames", [name]):
            continue
        selectors = clause.get("objectSelectors")
        if selectors is None or any(_matches(selector, labels) for selector in selectors):
            return True
    return False


def _matches(selector: Obj, labels: Obj) -> bool:
    unwanted = {e["key"] for e in selector.get("matchExpressions") or () if e["operator"] == "DoesNotExist"}
    return selector["matchLabels"].items() <= labels.items() and not unwanted & labels.keys()


def _with_spec(spec: Obj) -> Callable[[Obj], None]:
    def edit(obj: Obj) -> None:
        obj["spec"] = spec

    return edit
