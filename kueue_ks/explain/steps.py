"""The job's way from hub to worker and back: which objects are on it, since when, in which state."""

from collections.abc import Iterator
from datetime import UTC, datetime

from kube_runtime.objects import Obj
from kueue_ks.explain.explanation import Step
from kueue_ks.explain.facts import Found, condition, created
from vocabulary import keys
from workload_controller import reading
from workload_controller.facts import WorkloadFacts


def steps_of(found: Found, workload: WorkloadFacts | None) -> Iterator[Step]:
    """Everything that exists or is recorded, from the hub to the worker and back."""
    yield Step("created", created(found.job), f"Job {found.job['metadata']['name']} on the hub")
    yield from _failed_attempts(workload)
    for kind in ("QuotaReserved", "Admitted"):
        reached = condition(found.workload, kind)
        if reached.get("status") == "True":
            yield Step(kind, reached.get("lastTransitionTime", ""), reached.get("message", ""))
    if found.copy:
        yield Step("copy", created(found.copy), _copy_detail(found.copy))
    for policy in found.policies:
        yield Step("BindingPolicy", created(policy), policy["metadata"]["name"])
    for work in found.works:
        yield Step("ManifestWork", created(work), _work_detail(work))
    for status in found.statuses:
        yield Step("WorkStatus", created(status), _status_detail(status))
    finished = condition(found.workload, "Finished")
    if finished.get("status") == "True":
        yield Step("Finished", finished.get("lastTransitionTime", ""), finished.get("message", ""))


def _failed_attempts(workload: WorkloadFacts | None) -> Iterator[Step]:
    """What WorkloadController keeps in its check about attempts that it gave up."""
    for check in workload.checks if workload else ():
        for failure in check.history.recent:
            at = datetime.fromtimestamp(failure.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            yield Step("failed", at, str(failure))


def _copy_detail(copy: Obj) -> str:
    metadata = copy["metadata"]
    cluster, attempt = metadata["labels"].get(keys.CLUSTER), metadata["annotations"].get(keys.ATTEMPT)
    leaving = metadata.get("deletionTimestamp")
    return f"in the WDS for {cluster}, attempt {attempt}" + (
        f", being withdrawn since {leaving}" if leaving else ""
    )


def _work_detail(work: Obj) -> str:
    applied = condition(work, "Applied")
    facts = reading.read_work(work)
    error = facts.apply_error if facts else ""
    said = (
        f"Applied {applied['status']} since {applied.get('lastTransitionTime', '?')}"
        if applied
        else "not applied yet"
    )
    return f"for {work['metadata']['namespace']}: {said}" + (f"; the worker says: {error}" if error else "")


def _status_detail(status: Obj) -> str:
    told = status.get("status") or {}
    numbers = [
        f"{name} {told[name]}" for name in ("active", "ready", "succeeded", "failed") if told.get(name)
    ]
    started = f"started {told['startTime']}" if told.get("startTime") else "not started"
    return f"from {status['metadata']['namespace']}: " + ", ".join([started, *numbers])
