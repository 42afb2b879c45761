"""What shared waves save and cost, on a local fleet: ``python -m tests.bench.waves --sizes 1,25 --jobs 100``.

For each wave size a lone job a few times, then two bursts: jobs that end together, and jobs that end one
after the other. Writes are counted in the audit log of WDS and ITS, processor time is that of every
process of the fleet and of the controllers. Prints the table of docs/waves.md.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kube_runtime.informer import Informer
from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack, running_stack
from vocabulary.resources import JOBS, MANIFEST_WORKS

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
IN_WDS = frozenset({"jobs", "bindingpolicies", "bindings"})
IN_ITS = frozenset({"manifestworks", "workstatuses"})
SMALL = {"cpu": "200m"}  # a hundred of them run at the same time
LONE = 5
TICKS = os.sysconf("SC_CLK_TCK")


class Profile(NamedTuple):
    """``runs``: seconds that the job of a number runs."""

    name: str
    runs: Callable[[int], float]


PROFILES = (
    Profile("end together", lambda _number: 20.0),
    Profile("end one by one", lambda number: 10.0 + number * 0.6),
)


@dataclass
class Seen:
    """When what was seen, in seconds, by the name of the job."""

    created: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    finished: dict[str, float] = field(default_factory=dict)
    withdrawn: dict[str, float] = field(default_factory=dict)


class Row(NamedTuple):
    """One burst."""

    size: int
    profile: str
    jobs: int
    seen: Seen
    writes: Counter[str]
    cpu: float
    waves: int


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.waves", description=__doc__)
    parser.add_argument("--sizes", default="1,25", help="values of --wave-size")
    parser.add_argument("--jobs", type=int, default=100)
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-waves-") as name:
        async with running_stack(Path(name)) as stack:
            for size in map(int, options.sizes.split(",")):
                await stack.restart(f"--wave-size={size}")
                rows.append(await burst(stack, size, Profile("alone", lambda _number: 3.0), LONE, apart=True))
                for profile in PROFILES:
                    rows.append(await burst(stack, size, profile, options.jobs))
                    print(table(rows), flush=True)  # noqa: T201
            stack.judged()


async def burst(stack: Stack, size: int, profile: Profile, jobs: int, *, apart: bool = False) -> Row:
    """Submit so many jobs, ``apart`` one after the other, and wait until nothing of them is left."""
    async with watching(stack) as seen:
        began, cpu = time.time(), processor_seconds()
        for number in range(jobs):
            submitted = time.monotonic()
            job = await stack.submit(runs=f"{profile.runs(number):.1f}s", requests=SMALL)
            seen.created[job["metadata"]["name"]] = submitted
            if apart:
                await until(seen.withdrawn, number + 1)
        await until(seen.withdrawn, jobs)
        await stack.nothing_left()
        cpu = processor_seconds() - cpu
        writes, waves = writes_since(stack.fleet.root / "audit", began)
    return Row(size, profile.name, jobs, seen, writes, cpu, waves)


async def until(times: dict[str, float], count: int) -> None:
    async def size() -> int:
        return len(times)

    await eventually(size, lambda found: found >= count, within=240, what=f"{count} jobs")


@asynccontextmanager
async def watching(stack: Stack) -> Any:
    """Notes when jobs run and end on the hub, and when their ManifestWorks are gone."""
    seen = Seen()

    def job_changed(key: tuple[str, str], _old: Obj | None, new: Obj | None) -> None:
        status = (new or {}).get("status") or {}
        if status.get("ready"):
            seen.running.setdefault(key[1], time.monotonic())
        if any(c["type"] == "Complete" for c in status.get("conditions") or ()):
            seen.finished.setdefault(key[1], time.monotonic())

    def work_changed(_key: tuple[str, str], old: Obj | None, new: Obj | None) -> None:
        manifest = ((old or {}).get("spec") or {}).get("workload", {}).get("manifests", [{}])[0]
        if new is None and manifest.get("kind") == "Job":
            seen.withdrawn[manifest["metadata"]["name"]] = time.monotonic()

    jobs: Informer[Obj] = Informer(stack.hub, JOBS, transform=dict)
    works: Informer[Obj] = Informer(stack.its, MANIFEST_WORKS, transform=dict)
    jobs.add_handler(job_changed)
    works.add_handler(work_changed)
    tasks = [asyncio.create_task(informer.run()) for informer in (jobs, works)]
    await asyncio.gather(jobs.wait_synced(), works.wait_synced())
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def writes_since(folder: Path, since: float) -> tuple[Counter[str], int]:
    """Successful writes of WDS and ITS since a unix time, by space and kind; and the waves that were made."""
    writes: Counter[str] = Counter()
    waves = 0
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
    for path in folder.glob("control*.log"):  # the fleet's WDS and ITS are one API server
        for line in path.open():
            event = json.loads(line) if '"ResponseComplete"' in line and line.endswith("}\n") else None
            if event is None or event["requestReceivedTimestamp"] < moment:
                continue
            resource = (event.get("objectRef") or {}).get("resource", "")
            server = "wds" if resource in IN_WDS else "its" if resource in IN_ITS else ""
            if not server or event["verb"] not in WRITES or not 200 <= event["responseStatus"]["code"] < 300:
                continue
            writes[server] += 1
            writes[f"{server} {resource}"] += 1
            waves += (event["verb"], resource) == ("create", "bindingpolicies")
    return writes, waves


def processor_seconds() -> float:
    """Of all processes that descend from this one, with those that have ended."""
    parents: dict[int, int] = {}
    spent: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it has ended meanwhile
            continue
        fields = text.rpartition(")")[2].split()
        pid = int(stat.parent.name)
        parents[pid], spent[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    return sum(ticks for pid, ticks in spent.items() if _descends(pid, parents)) / TICKS


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid > 1:
        pid = parents.get(pid, 0)
        if pid == os.getpid():
            return True
    return False


def table(rows: list[Row]) -> str:
    """Markdown."""
    head = (
        "wave size", "jobs", "waves", "jobs/s", "running p50 / max, s", "withdrawn p50 / max, s",
        "WDS writes", "ITS writes", "of ManifestWorks", "CPU s",
    )  # fmt: skip
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        seen = row.seen
        starts = [seen.running[name] - at for name, at in seen.created.items() if name in seen.running]
        leaves = [seen.withdrawn[name] - at for name, at in seen.finished.items() if name in seen.withdrawn]
        rate = row.jobs / (max(seen.running.values()) - min(seen.created.values()))
        per_job = (row.writes["wds"], row.writes["its"], row.writes["its manifestworks"])
        cells = [
            str(row.size),
            f"{row.jobs} {row.profile}",
            str(row.waves),
            f"{rate:.1f}" if row.profile != "alone" else "",
            f"{statistics.median(starts):.2f} / {max(starts):.2f}",
            f"{statistics.median(leaves):.2f} / {max(leaves):.2f}",
            *(f"{count / row.jobs:.1f}" for count in per_job),
            f"{row.cpu / row.jobs:.2f}",
        ]
        lines.append(" | ".join(cells))
    return "\n".join(f"| {line} |" for line in lines) + "\n"


if __name__ == "__main__":
    asyncio.run(main())
