"""One soak: a fleet with proxies in its links, both controllers, the events, the end, and the judgement."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sized
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kube_runtime.errors import Conflict, NotFound
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from local_fleet import Fleet, Options
from tests import judge
from tests.fleet.jobs.programs import eventually, install_everywhere, quota_is_filled, running_programs
from tests.fleet.jobs.stack import Stack
from tests.soak.events import NAMESPACES, QUEUES, URGENT, Kind, events
from tests.soak.hands import Hands
from tests.soak.seen import Seen, seeing
from vocabulary.resources import JOBS, LOCAL_QUEUES, PODS, WORKLOADS

LEAST_RATE: Final = 2.0  # events per second that a soak promises
SETTLE: Final = 420.0  # seconds until every job has ended: a start may take 300
EVICTION: Final = 180.0  # seconds; longer than the fleet's work agents keep what they started too late
CLEAN: Final = 120.0  # seconds until nothing is left of what was deleted
QUOTA: Final = 4  # cpu of each queue: about ten jobs at once, the others wait, or take a place by priority
PRIORITIES: Final = Resource(
    "kueue.x-k8s.io", "v1beta2", "workloadpriorityclasses", "WorkloadPriorityClass", namespaced=False
)


@dataclass
class Report:
    """What a soak came to."""

    seed: int
    seconds: float = 0.0
    happened: Counter[Kind] = field(default_factory=Counter)
    found_nothing: Counter[Kind] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    violations: list[judge.Violation] = field(default_factory=list)
    judged: str = ""

    @property
    def rate(self) -> float:
        """Events per second that had a subject."""
        return self.happened.total() / self.seconds

    def lines(self) -> list[str]:
        """All of it as text."""
        kinds = [f"  {self.happened[k]:5} {k} ({self.found_nothing[k]} found none)" for k in Kind]
        return [
            f"seed {self.seed}: {self.happened.total()} events in {self.seconds:.0f} s, {self.rate:.2f}/s",
            *kinds,
            *(f"  {count:5} times {end}" for end, count in self.ends.items()),
            self.judged,
            *(f"PROBLEM {problem}" for problem in self.problems),
            *(f"VIOLATION at {one.time:.3f}: {one}" for one in self.violations),
            f"{len(self.violations)} violations, {len(self.problems)} problems",
        ]


async def soak(folder: Path, *, seed: int, minutes: float, workers: int) -> Report:
    """Play, mend, wait, clean up, judge. The fleet's logs stay in ``folder``."""
    report = Report(seed)
    async with (
        Fleet(folder / "fleet", Options(workers=workers, proxied=True)) as fleet,
        fleet.space("hub") as hub,
        fleet.space("wds") as wds,
        fleet.space("its") as its,
        AsyncExitStack() as further,
    ):
        there = {name: await further.enter_async_context(fleet.space(name)) for name in fleet.workers}
        await install_everywhere(fleet)
        async with running_programs(fleet, folder) as programs:
            await quota_is_filled(hub)
            stack = Stack(fleet, programs, hub, wds, its)
            await furnish(stack)
            async with seeing(hub) as seen:
                hands = Hands(stack, seen, there, seed)
                report.seconds = await hands.play(events(seed, minutes * 60))
                report.happened, report.found_nothing = hands.happened, hands.found_nothing
                report.ends = hands.ends
                if report.rate < LEAST_RATE:
                    report.problems.append(f"only {report.rate:.2f} events per second")
                await end(stack, seen, there, report)
            report.problems += [f"{name} has ended by itself" for name in programs.dead()]
        report.problems += fleet.deaths
    await asyncio.to_thread(give_judgement, folder / "fleet" / "audit", report)
    return report


async def furnish(stack: Stack) -> None:
    """Two queues for both teams, and a priority."""
    await stack.hub.create(
        PRIORITIES,
        {
            "apiVersion": PRIORITIES.api_version,
            "kind": PRIORITIES.kind,
            "metadata": {"name": URGENT},
            "value": 1000,
        },
    )
    for queue in QUEUES:
        await stack.make_queue(queue, cpu=QUOTA)
        mine = await stack.hub.get(LOCAL_QUEUES, queue, NAMESPACES[0])
        for namespace in NAMESPACES[1:]:
            metadata = {"name": queue, "namespace": namespace}
            twin = {"apiVersion": mine["apiVersion"], "kind": mine["kind"], "metadata": metadata}
            await stack.hub.create(LOCAL_QUEUES, twin | {"spec": {"clusterQueue": queue}})


async def end(stack: Stack, seen: Seen, workers: dict[str, Space], report: Report) -> None:
    """Nothing happens any more: every job comes to its end, then all of them go, and so does every trace."""
    await _until_none(report, seen.unsettled, within=SETTLE, what="the end of every job")
    for job in seen.jobs():
        with suppress(NotFound, Conflict):
            await stack.hub.delete(JOBS, job.name, job.namespace, uid=job.uid)
    await _until_none(report, seen.jobs, within=CLEAN, what="the hub without jobs")
    try:
        await stack.nothing_left()
    except AssertionError as left:
        report.problems.append(str(left))
    report.problems += [f"{w['metadata']['name']} is left" for w in await stack.hub.list(WORKLOADS)]
    await asyncio.gather(*(_empty(report, name, space) for name, space in workers.items()))


async def _empty(report: Report, worker: str, space: Space) -> None:
    """A work agent holds what it started too late for its eviction grace period."""

    async def left() -> list[str]:
        return [f"{r.kind} {o['metadata']['name']}" for r in (JOBS, PODS) for o in await space.list(r)]

    try:
        await eventually(
            left, lambda found: not found, within=EVICTION, what=f"{worker} without jobs", every=2.0
        )
    except AssertionError as late:
        report.problems.append(str(late))


async def _until_none(report: Report, read: Callable[[], Sized], *, within: float, what: str) -> None:
    async def now() -> Sized:
        return read()

    try:
        await eventually(now, lambda found: not found, within=within, what=what, every=1.0)
    except AssertionError as late:
        report.problems.append(str(late))


def give_judgement(audit: Path, report: Report) -> None:
    """By the audit logs of the API servers alone."""
    began = time.monotonic()
    history = judge.read(audit)
    report.violations = judge.check(history)
    attempts = {(pod.workload, pod.attempt) for pod in history.pods if pod.workload}
    took = time.monotonic() - began
    report.judged = f"{history.summary()}; {len(attempts)} attempts; judged in {took:.0f} s"
    if history.unreadable:
        report.problems.append(
            f"{len(history.unreadable)} lines of the audit logs are unreadable, first {history.unreadable[0]}"
        )
