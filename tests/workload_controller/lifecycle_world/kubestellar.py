"""KubeStellar: policy → Binding → ManifestWork."""

from collections.abc import Iterator

from kube_runtime.objects import Key, Obj, key_of
from tests.workload_controller.lifecycle_servers import duplicate
from tests.workload_controller.lifecycle_world.spaces import NAMESPACE, Spaces
from vocabulary import keys
from vocabulary.resources import BINDING_POLICIES, BINDINGS, JOBS, MANIFEST_WORKS


class KubeStellar(Spaces):
    """Its binding controller and its transport."""

    def bind(self) -> None:
        for policy in self.wds.all(BINDING_POLICIES):
            key, metadata = key_of(policy), policy["metadata"]
            if "deletionTimestamp" in metadata:
                self._drop_finalizer(BINDING_POLICIES, policy)
                continue
            self.wds.change(
                BINDING_POLICIES, key, lambda obj: obj["metadata"].update(finalizers=["kubestellar"])
            )
            clause = policy["spec"]["downsync"][0]
            if "objectSelectors" not in clause:
                continue
            wanted = clause["objectSelectors"][0]["matchLabels"].items()
            scope = [
                {
                    "group": "batch",
                    "resource": "jobs",
                    "namespace": NAMESPACE,
                    "name": job["metadata"]["name"],
                }
                for job in self.wds.all(JOBS)
                if wanted <= (job["metadata"].get("labels") or {}).items()
            ]
            cluster = policy["spec"]["clusterSelectors"][0]["matchLabels"]["name"]
            spec = {"workload": {"namespaceScope": scope}, "destinations": [cluster]}
            if self.wds.find(BINDINGS, key) is None:
                body = {"name": key[1], "owner": metadata["uid"], "finalizers": ["transport"]}
                self.wds.create(BINDINGS, {"metadata": body, "spec": spec})
            else:
                self.wds.change(BINDINGS, key, lambda obj, spec=spec: obj.update(spec=spec))  # type: ignore[misc]

    def transport(self) -> None:
        wanted: dict[Key, Obj] = {}
        for binding in self.wds.all(BINDINGS):
            if "deletionTimestamp" not in binding["metadata"]:
                wanted |= dict(self._works(binding))
        for work in self.its.all(MANIFEST_WORKS):
            if key_of(work) not in wanted:
                self.its.delete(MANIFEST_WORKS, key_of(work))
        for key, work in wanted.items():
            if self.its.find(MANIFEST_WORKS, key) is None:
                self.its.create(MANIFEST_WORKS, work)
        for binding in self.wds.all(BINDINGS):
            if "deletionTimestamp" in binding["metadata"]:
                self._drop_finalizer(BINDINGS, binding)

    def _works(self, binding: Obj) -> Iterator[tuple[Key, Obj]]:
        if binding["metadata"]["name"] == "foreign":
            return  # the guard of the ITS refuses what it would carry
        for reference in binding["spec"]["workload"]["namespaceScope"]:
            job = self.wds.find(JOBS, (NAMESPACE, reference["name"]))
            for cluster in binding["spec"]["destinations"] if job is not None else ():
                assert job is not None
                name = f"{binding['metadata']['uid']}-{job['metadata']['uid']}"
                kept = {word: duplicate(job["metadata"][word]) for word in ("name", "labels", "annotations")}
                manifest = {"metadata": {"namespace": NAMESPACE, **kept}, "spec": duplicate(job["spec"])}
                origin = {keys.ORIGIN_BINDING: binding["metadata"]["name"]}
                metadata = {"namespace": cluster, "name": name, "labels": origin, "finalizers": ["agent"]}
                spec = {"workload": {"manifests": [manifest]}}
                yield (cluster, name), {"metadata": metadata, "spec": spec}
