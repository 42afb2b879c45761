"""KubeStellar in which time passes between its parts: for waves that several copies share.

As read in v0.30: a Binding is written of what the binder's workers have noted of the objects so far, in the
order of its watch (pkg/binding/binding.go, GenerateBinding); the transport handles one Binding at a time,
says in ``status.observedGeneration`` which generation it has read, and writes ManifestWorks after that; each
generation writes the ManifestWorks of all its objects anew; an object that is gone fails the whole Binding
until it is left out (pkg/transport/generic, updateWrappedObjectsAndFinalizer).

Where each copy has a policy of its own none of this shows, and ``KubeStellar`` does without.
"""

from collections.abc import Iterable
from functools import partial

from kube_runtime.objects import Key, Obj
from kube_runtime.resources import Resource
from tests.simulation.api_server import ApiServer, Event
from tests.simulation.kubestellar import CARRIED, KubeStellar
from tests.simulation.world import World
from vocabulary.resources import BINDINGS, MANIFEST_WORKS

GENERATION = "transport.kubestellar.io/originOwnerReferenceBindingGeneration"
RETRY = 0.5  # seconds


class LateKubeStellar(KubeStellar):
    """One WDS and one ITS."""

    def __init__(self, world: World, wds: ApiServer, its: ApiServer) -> None:
        super().__init__(world, wds, its)
        self._noted: dict[str, dict[Key, Obj]] = {resource.plural: {} for resource in CARRIED}
        self._told_until = 0.0  # a watch is in order
        self._late = {"binder": (0.0, 0.0), "transport": (0.0, 0.0)}  # until when, by how many seconds
        self._busy: dict[Key, bool] = {}  # Bindings at work, and whether one is to be looked at again

    def delay(self, seconds: float, part: str, amount: float) -> None:
        self._late[part] = (self.world.now + seconds, amount)

    def _lateness(self, part: str) -> float:
        until, amount = self._late[part]
        usual = self.world.random.choice((0.0, 0.0, 0.0, 0.0, 0.2, 3.0)) if self.world.now < 300.0 else 0.0
        return amount if self.world.now < until else usual + 0.02 * self.world.random.random()

    def _object_event(self, resource: Resource, event: Event) -> None:
        self._told_until = max(self._told_until, self.world.now + self._lateness("binder"))
        self.world.at(self._told_until, partial(self._note, resource, event))

    def _note(self, resource: Resource, event: Event) -> None:
        if event.kind == "DELETED":
            self._noted[resource.plural].pop(event.key, None)
        else:
            self._noted[resource.plural][event.key] = event.new
        super()._object_event(resource, event)

    def _seen(self, resource: Resource) -> Iterable[Obj]:
        return tuple(self._noted[resource.plural].values())

    def _binding(self, key: Key) -> None:
        if key in self._busy:
            self._busy[key] = True
            return
        binding = self.wds.find(BINDINGS, key)
        wanted: dict[Key, Obj] = {}
        if binding is not None and "deletionTimestamp" not in binding["metadata"]:
            wanted = self._works(binding)
            listed = len(binding["spec"]["workload"]["namespaceScope"])
            if len(wanted) < listed * len(binding["spec"]["destinations"]):
                self._bindings.poke(key, after=RETRY)
                return
            generation = binding["metadata"]["generation"]
            for work in wanted.values():
                work["metadata"]["annotations"] = {GENERATION: str(generation)}
            self._busy[key] = False
            if (binding.get("status") or {}).get("observedGeneration") != generation:
                self.wds.change(
                    BINDINGS, key, lambda obj: obj.update(status={"observedGeneration": generation})
                )
        self._busy.setdefault(key, False)
        self.world.after(self._lateness("transport"), partial(self._write, key, binding, wanted))

    def _write(self, key: Key, binding: Obj | None, wanted: dict[Key, Obj]) -> None:
        for place, work in wanted.items():
            self.its.change(MANIFEST_WORKS, place, partial(_annotate, work["metadata"]["annotations"]))
        self._converge(key, binding, wanted)
        if self._busy.pop(key):
            self._bindings.poke(key)


def _annotate(annotations: dict[str, str], work: Obj) -> None:
    work["metadata"]["annotations"] = annotations
