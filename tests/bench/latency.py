"""What we add to a job's way, from the audit logs of a local fleet: who wrote what when, by the servers.

Kueue's part, KubeStellar's and ours are told apart: each stage ends with the answer to one write. Stages of
ours include that the write before them reached us by a watch.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tests.bench.figures import Figure, figure
from tests.fleet.jobs.stack import running_stack
from tests.judge.facts import microseconds

Json = Mapping[str, Any]
Moments = dict[str, float]
"""Moment → unix seconds, of one job."""

CONTROLLER: Final = "workload-controller"
STAGES: Final = {
    "created -> quota reserved (Kueue)": ("created", "reserved"),
    "quota reserved -> check Ready (ours)": ("reserved", "ready"),
    "admitted -> copy created (Kueue, ours)": ("admitted", "copy"),
    "job started by Kueue -> copy created (ours)": ("started", "copy"),
    "copy created -> running (KubeStellar, worker)": ("copy", "running"),
    "running -> shown on the hub (KubeStellar, ours)": ("running", "shown"),
    "created -> running": ("created", "running"),
}
WANTED: Final = "p50 20, p99 100 ms"


def moments(logs: Mapping[str, Iterable[str]]) -> dict[str, Moments]:
    """The first time of each moment, by "namespace/job"; ``logs``: lines by the name of their server."""
    found: dict[str, Moments] = {}
    for space, lines in logs.items():
        for line in lines:
            if '"ResponseComplete"' not in line or not ('"jobs"' in line or '"workloads"' in line):
                continue
            try:
                event = json.loads(line)
            except ValueError:  # half a line of a server that was ended
                continue
            at = microseconds(event["stageTimestamp"]) / 1e6
            for job, moment in _told(space, event):
                known = found.setdefault(job, {})
                known[moment] = min(at, known.get(moment, at))
    return found


def _told(space: str, event: Json) -> Iterator[tuple[str, str]]:
    """Which moments an event shows."""
    ref, obj = event.get("objectRef") or {}, event.get("responseObject") or {}
    metadata, status = obj.get("metadata") or {}, obj.get("status") or {}
    if event["verb"] not in ("create", "update", "patch") or "name" not in metadata:
        return
    name = f"{metadata.get('namespace', '')}/{metadata['name']}"
    if not isinstance(status, dict):
        return
    match space, ref.get("resource"):
        case "hub", "workloads":
            owner = next((o["name"] for o in metadata.get("ownerReferences") or ()), "")
            name = f"{metadata.get('namespace', '')}/{owner}"
            true = {c["type"] for c in status.get("conditions") or () if c["status"] == "True"}
            yield from ((name, m) for c, m in _CONDITIONS.items() if c in true)
            if any(check["state"] == "Ready" for check in status.get("admissionChecks") or ()):
                yield name, "ready"
        case "hub", "jobs":
            if event["verb"] == "create":
                yield name, "created"
            if (obj.get("spec") or {}).get("suspend") is False:
                yield name, "started"
            if status.get("ready"):
                yield name, "shown"
        case _, "jobs":
            user = (event.get("user") or {}).get("username", "")
            if event["verb"] == "create" and user.endswith(CONTROLLER):
                yield name, "copy"
            if space.startswith("w") and space != "wds" and status.get("ready"):
                yield name, "running"


_CONDITIONS: Final = {"QuotaReserved": "reserved", "Admitted": "admitted"}


def stages(found: Mapping[str, Moments], group: str) -> Iterator[Figure]:
    """Percentiles of each stage over all jobs that have both of its ends."""
    for what, (first, last) in STAGES.items():
        seconds = [max(0.0, m[last] - m[first]) for m in found.values() if first in m and last in m]
        if seconds:
            yield figure(group, what, seconds, limit=WANTED if what.endswith("(ours)") else "")


def figures(folder: Path, jobs: int) -> Iterator[Figure]:
    """Start a fleet with two workers, let a burst of jobs run, and read its logs."""
    asyncio.run(_burst(folder, jobs))
    logs = {path.name.partition(".")[0]: path for path in sorted((folder / "fleet").rglob("audit/*.log"))}
    found = moments({name: path.read_text(encoding="utf-8").splitlines() for name, path in logs.items()})
    burst = {job: m for job, m in found.items() if "/bench-" in job}
    yield from stages(burst, f"added latency, burst of {jobs} jobs, 2 workers")


async def _burst(folder: Path, jobs: int) -> None:
    async with running_stack(folder) as stack:
        await stack.condition(await stack.submit(name="warm-up"), "Finished")
        made = await asyncio.gather(*(stack.submit(name=f"bench-{n:04}", runs="1s") for n in range(jobs)))
        for job in made:
            await stack.condition(job, "Finished", within=60.0 + 2.0 * jobs)
