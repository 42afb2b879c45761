"""The demo in words: one line per change, and the summary with what is missing at the end.

Both are made of ``State``s and nothing else, so that the screen, a log and the exit code tell the same
story.
"""

import math
from collections.abc import Iterator, Sequence

from kueue_ks.amounts import amount, duration, short_name
from kueue_ks.demo.facts import Cell
from kueue_ks.demo.state import SHOWN_RESOURCES, Job, Stage, State, Worker

WHY_LIMIT = 200  # characters of a reason in a line; `kueue-ks explain` has all of it


def changes(old: State, new: State) -> list[str]:
    """What happened between two states, in a fixed order."""
    before = {job.uid: job for job in old.jobs}
    return [
        *([new.step] if new.step != old.step else []),
        *_fleet_changes(old, new),
        *_quota_changes(old, new),
        *(line for job in new.jobs for line in _job_changes(before.get(job.uid), job)),
        *(f"pod {pod} appeared on the hub" for pod in new.hub_pods if pod not in old.hub_pods),
    ]


def _fleet_changes(old: State, new: State) -> Iterator[str]:
    before = {worker.name: worker for worker in old.workers}
    for worker in new.workers:
        past = before.get(worker.name)
        if past is None:
            continue  # the beginning is no change
        if past.available != worker.available:
            yield f"{worker.name} is {'available' if worker.available else 'not available'}"
        yield from _cordons(past, worker)


def _cordons(past: Worker, worker: Worker) -> Iterator[str]:
    for node in worker.cordoned:
        if node not in past.cordoned:
            yield f"node {node} of {worker.name} is cordoned"
    for node in past.cordoned:
        if node not in worker.cordoned:
            yield f"node {node} of {worker.name} is uncordoned"


def _quota_changes(old: State, new: State) -> Iterator[str]:
    for flavor in dict.fromkeys(cell.flavor for cell in new.nominal):
        parts = []
        for resource in SHOWN_RESOURCES:
            cell = Cell(flavor, resource)
            was, now = old.nominal.get(cell, 0), new.nominal.get(cell, 0)
            if was != now:
                parts.append(f"{short_name(resource)} {amount(was, resource)} → {amount(now, resource)}")
        if parts:
            yield f"quota of flavor {flavor}: {', '.join(parts)}"


def _job_changes(old: Job | None, job: Job) -> Iterator[str]:
    if old is None:
        yield f"{job.name} submitted ({pods(job.pods)})"
    if job.why and (old is None or (old.stage, bool(old.why)) != (job.stage, True)):
        yield f"{job.name} {job.stage.value}: {_cut(job.why)}"
    if job.cluster and (old is None or old.cluster != job.cluster):
        yield f"{job.name} placed on {job.cluster}"
    if old is None or old.stage is not job.stage:
        yield from _stage_line(job)


def _stage_line(job: Job) -> Iterator[str]:
    trace = job.trace
    if job.stage is Stage.RUNNING and trace.running is not None:
        yield f"{job.name} runs on {job.cluster}, {duration(trace.running - trace.created)} after create"
    elif job.stage.ended and trace.ended is not None:
        yield f"{job.name} {job.stage.value} after {duration(trace.ended - trace.created)}"


def summary(state: State) -> list[str]:
    """Where everything ran, and what was measured here."""
    finished = state.count(Stage.FINISHED)
    width = max((len(job.name) for job in state.jobs), default=0)
    lines = [f"{finished} of {len(state.jobs)} jobs finished"]
    lines += [f"  {job.name:<{width}}  {_ran(job)}" for job in state.jobs]
    lines += [
        f"create → running    {measured(create_to_running(state))}   waiting for quota and room included",
        f"admitted → running  {measured(admitted_to_running(state))}",
        f"pods on the hub     {len(state.hub_pods)}",
    ]
    return lines


def missing(state: State, submitted: int) -> list[str]:
    """Why the demo has not succeeded, one sentence each; empty when it has."""
    problems = []
    if len(state.jobs) != submitted:
        problems.append(f"{submitted - len(state.jobs)} of {submitted} jobs are not on the hub (any more)")
    for job in state.jobs:
        if job.stage is not Stage.FINISHED:
            why = f": {_cut(job.why)}" if job.why else ""
            place = f" on {job.cluster}" if job.cluster else ""
            problems.append(f"{job.name} {job.stage.value}{place}{why}")
        if len(job.trace.places) > 1:
            problems.append(f"{job.name} had pods on {', '.join(sorted(job.trace.places))}")
    if state.hub_pods:
        problems.append(f"the hub had {pods(len(state.hub_pods))}: {', '.join(state.hub_pods[:5])}")
    return problems


def create_to_running(state: State) -> list[float]:
    """Seconds from our create to all pods running, of the jobs that got there."""
    return [job.trace.running - job.trace.created for job in state.jobs if job.trace.running is not None]


def admitted_to_running(state: State) -> list[float]:
    """Seconds from Kueue's admission to all pods running: what carrying takes."""
    return [
        job.trace.running - job.trace.admitted
        for job in state.jobs
        if job.trace.running is not None and job.trace.admitted is not None
    ]


def measured(seconds: Sequence[float]) -> str:
    """As "p50 2.2s  p99 2.9s" by nearest rank; "-" when there is nothing yet."""
    if not seconds:
        return "-"
    return f"p50 {duration(_percentile(seconds, 50))}  p99 {duration(_percentile(seconds, 99))}"


def pods(count: int) -> str:
    """As "1 pod", "4 pods"."""
    return f"{count} pod" if count == 1 else f"{count} pods"


def plain(text: str, *, unicode: bool) -> str:
    """The same line for outputs that cannot show everything."""
    if unicode:
        return text
    return text.replace("→", "->").replace("…", "...").encode("ascii", "replace").decode()


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _ran(job: Job) -> str:
    trace = job.trace
    if trace.running is None:
        return f"{job.cluster or '-':<4} {pods(job.pods):<7} {job.stage.value}"
    waited = duration(trace.running - trace.created)
    return f"{job.cluster:<4} {pods(job.pods):<7} running {waited} after create, {job.stage.value}"


def _cut(text: str) -> str:
    return text if len(text) <= WHY_LIMIT else text[: WHY_LIMIT - 1] + "…"
