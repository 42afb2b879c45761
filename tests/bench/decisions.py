"""What a decision costs: ``workload_controller.placement`` and ``quota_manager.capacity`` on made facts."""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from quota_manager.capacity import fold
from quota_manager.facts import Flavor as QuotaFlavor
from quota_manager.facts import Toleration
from tests.bench import fleets
from tests.bench.figures import Figure, figure
from workload_controller.facts import ClusterFacts, Held, PodSet
from workload_controller.placement import place
from workload_controller.promises import promises_of
from workload_controller.rooms import Rooms

SIZES: Final = (10, 100, 1000)
GROUPS: Final = 100
GPU: Final = (Toleration(fleets.GPU, "Exists", "", "NoSchedule"),)

SHAPES: Final[dict[str, list[PodSet]]] = {
    "4 pods of 4 cpu": [fleets.pods(4, cpu=4, memory=16)],
    "400 pods of 8 cpu": [fleets.pods(400, cpu=8, memory=16)],
    "64 pods of 2 gpu": [fleets.pods(64, cpu=2, memory=8, gpu=2)],
    "driver and 32 workers": [
        fleets.pods(1, cpu=4, memory=8, name="driver"),
        fleets.pods(32, cpu=8, memory=32, name="worker"),
    ],
    "no room now": [fleets.pods(4, cpu=50, memory=16)],
    "never": [fleets.pods(4, cpu=100, memory=16)],
}


def calibrate() -> float:
    """Milliseconds of processor time for a fixed piece of interpreter work: the unit of ratios."""

    def loop() -> None:
        amounts = {f"r{n}": n for n in range(8)}
        for n in range(20_000):
            amounts[f"r{n % 8}"] = amounts.get("r1", 0) // 3 + n

    return 1000.0 * min(_seconds(loop) for _ in range(7))


def figures(calibration: float, sizes: tuple[int, ...] = SIZES, groups: int = GROUPS) -> Iterator[Figure]:
    """Decisions of a burst, of jobs of a new shape, and the first one of a process."""
    for size in sizes:
        clusters, held = fleets.clusters(size, groups), fleets.held(size)
        gc.collect()
        gc.freeze()  # as the controllers do once they have read everything
        rooms = Rooms()
        began = time.process_time()
        place("first", SHAPES["4 pods of 4 cpu"], clusters, held, fleets.FLAVORS, rooms=rooms)
        first = time.process_time() - began
        group = f"placement, {size} clusters x {groups} node groups"
        yield figure(group, "first of a process", [first], calibration=calibration)
        news = list(_new_shapes(clusters, held, rooms))
        yield figure(group, "job of a new shape", news, calibration=calibration)
        burst = list(_burst(clusters, held, rooms, count=200))
        wanted = "p99 5 ms" if size == 1000 else ""
        yield figure(group, "job of a burst", burst, calibration=calibration, limit=wanted)
        gc.unfreeze()
    yield from _fold(calibration, sizes[-1], groups)


def _new_shapes(clusters: list[ClusterFacts], held: list[Held], rooms: Rooms) -> Iterator[float]:
    promises = promises_of(held)
    for repeat in range(3):
        for pod_sets in SHAPES.values():
            new = [replace(p, count=p.count + 1 + repeat) for p in pod_sets]
            began = time.process_time()
            place("new", new, clusters, promises, fleets.FLAVORS, rooms=rooms)
            yield time.process_time() - began


def _burst(clusters: list[ClusterFacts], held: list[Held], rooms: Rooms, *, count: int) -> Iterator[float]:
    """Each job is told its place, and its room is promised when the next one is decided on."""
    promises, shapes = promises_of(held), list(SHAPES.values())
    for pod_sets in shapes:  # a shape that nobody asked before has its own row
        place("before", pod_sets, clusters, promises, fleets.FLAVORS, rooms=rooms)
    for n in range(count):
        uid, pod_sets = f"job-{n}", shapes[n % len(shapes)]
        began = time.process_time()
        placement = place(uid, pod_sets, clusters, promises, fleets.FLAVORS, rooms=rooms)
        text = str(placement)
        yield time.process_time() - began
        assert text
        if placement.choice is not None:
            promises = promises.plus([Held(uid, placement.choice, tuple(pod_sets))])


def _fold(calibration: float, size: int, groups: int) -> Iterator[Figure]:
    reports = {c.name: c.report for c in fleets.clusters(size, groups) if c.report is not None}
    flavors = {f.name: QuotaFlavor(f.name, f.node_labels, (), GPU) for f in fleets.FLAVORS.values()}
    offered = dict.fromkeys(("cpu", "memory", fleets.GPU), tuple(flavors))
    group = f"quota, {size} clusters x {groups} node groups"
    began = time.process_time()
    before = fold(reports, flavors, offered)
    yield figure(
        group, "first fold", [time.process_time() - began], calibration=calibration, limit="1,000 ms"
    )
    changes = []
    for n in range(min(50, size)):
        reports = {**reports, f"cluster-{n:04}": fleets.report(n + 1, groups)}
        began = time.process_time()
        before = fold(reports, flavors, offered, before=before)
        changes.append(time.process_time() - began)
    yield figure(group, "after one report", changes, calibration=calibration, limit="5 ms")


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
