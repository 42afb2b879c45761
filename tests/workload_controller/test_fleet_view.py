"""Gathered only where something changed, the fleet is what it would be if it were gathered as a whole."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kube_runtime.informer import Informer
from tests.workload_controller import builders
from tests.workload_controller.scripted_space import ScriptedSpace
from vocabulary.cluster_metrics import ClusterReport
from workload_controller.admission_check import judged
from workload_controller.facts import CheckState, Decision, Flavor, Held, ManagedClusterFacts
from workload_controller.fleet_view import FleetView
from workload_controller.ledger import held_room
from workload_controller.stores import Stores, WorkerReport

NAMES: Final = ("w1", "w2", "w3")
STALE_AFTER, SETTLE = 100.0, 30.0
START = 1000.0


def managed(name: str, label: str, available_since: float) -> ManagedClusterFacts:
    return ManagedClusterFacts(name, True, "True", available_since, 0.0, (), label, False)


CLUSTERS = st.sampled_from(NAMES)
CHANGES = st.one_of(
    st.tuples(
        st.just("clusters"),
        CLUSTERS,
        st.none() | st.tuples(CLUSTERS, st.sampled_from((10.0, START + 20))),
    ),
    st.tuples(st.just("reports"), CLUSTERS, st.none() | st.sampled_from((START - 90, START, START + 250))),
    st.tuples(st.just("copies"), st.sampled_from("ab"), st.none() | CLUSTERS),
    st.tuples(
        st.just("workloads"),
        st.sampled_from("ab"),
        st.none() | st.tuples(CLUSTERS, st.sampled_from((CheckState.READY, CheckState.PENDING))),
    ),
    st.tuples(st.just("flavors"), st.just("f"), st.none() | st.sampled_from(("x", "y"))),
    st.tuples(st.just("time"), st.just(""), st.sampled_from((1.0, 40.0, 200.0, -1.0))),
)


def fact_of(kind: str, name: str, value: Any) -> Any:
    match kind:
        case "clusters":
            label, since = value
            return managed(name, label, since)
        case "reports":
            return WorkerReport(None, ClusterReport(value, 1, (builders.node_group(),), ()), name)
        case "copies":
            return builders.copy(name=name, workload_uid=name, cluster=value)
        case "workloads":
            cluster, state = value
            check = builders.check(state, decision=Decision(cluster, 1))
            pods = builders.pod_set(flavors=frozenset({"f"}))
            return builders.workload(name=name, uid=name, checks=(check,), pod_sets=(pods,))
        case _:
            return Flavor(name, {"node-class": value}, ())


class World:
    """Stores that are told facts, as informers tell them."""

    def __init__(self) -> None:
        self.stores = Stores(*(ScriptedSpace().as_space for _ in range(3)))
        self.kinds: dict[str, Informer[Any]] = {
            "clusters": self.stores.clusters,
            "reports": self.stores.reports,
            "copies": self.stores.copies,
            "workloads": self.stores.workloads,
            "flavors": self.stores.flavors,
        }
        for informer in self.kinds.values():
            informer._store._transform = lambda obj: obj["fact"]
        self.now, self.version = START, 0

    def change(self, kind: str, name: str, value: Any) -> None:
        if kind == "time":
            self.now += value
            return
        self.version += 1
        metadata = {"name": name, "uid": name, "resourceVersion": str(self.version)}
        fact = None if value is None else fact_of(kind, name, value)
        deed = "DELETED" if value is None else "MODIFIED"
        self.kinds[kind]._store.event(deed, {"metadata": metadata, "fact": fact})

    def whole_ledger(self) -> Counter[str]:
        stores = self.stores
        flavors = {f.name: f for f in stores.flavors.items().values()}
        return spelt(held_room(stores.workloads.items().values(), stores.copies.items().values(), flavors))


def spelt(held: Iterable[Held]) -> Counter[str]:
    return Counter(map(repr, held))


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(CHANGES, max_size=12))
@example([("clusters", "w1", ("w1", 10.0)), ("reports", "w1", START + 250), ("time", "", 200.0)])
@example([("clusters", "w1", ("w1", 10.0)), ("reports", "w1", START - 90), ("time", "", 40.0)])
def test_after_any_changes_it_is_as_if_gathered_anew(changes: list[tuple[str, str, Any]]) -> None:
    world = World()
    view = FleetView(world.stores, stale_after=STALE_AFTER, settle=SETTLE)
    for change in changes:
        world.change(*change)
        promises = view.promises()
        assert spelt(h for held in promises.on.values() for h in held) == world.whole_ledger()
        assert promises.places == {
            uid: {name for name, held in promises.on.items() if uid in {h.workload_uid for h in held}}
            for uid in {h.workload_uid for held in promises.on.values() for h in held}
        }
        reports = {r.cluster_name: r.cluster for r in world.stores.reports.items().values() if r.cluster}
        assert view.clusters(world.now) == judged(
            world.stores.clusters.items().values(),
            reports,
            now=world.now,
            stale_after=STALE_AFTER,
            settle=SETTLE,
        )
