"""What kube-apiserver 1.36 refuses in a status update of a Job.

pkg/apis/batch/validation ValidateJobStatusUpdate with the options of pkg/registry/batch/job/strategy.go
getStatusValidationOptions (gate JobManagedBy, GA). Rules about indexes are left out: our jobs have none.
"""

from kube_runtime.objects import Obj


def _true(status: Obj, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions") or ())


def _finished(status: Obj) -> bool:
    return _true(status, "Complete") or _true(status, "Failed")


def refusals(spec: Obj, old: Obj, new: Obj) -> list[tuple[str, str]]:
    """(field, words) for each broken rule."""
    found = [*_never_back(spec, old, new), *_finished_rules(old, new)]
    found += [
        (f"status.{field}", "must be greater than or equal to 0")
        for field in ("active", "ready", "terminating", "succeeded", "failed")
        if _number(new, field) < 0
    ]
    ready_changed = _number(old, "ready") != _number(new, "ready")
    active_changed = _number(old, "active") != _number(new, "active")
    if (ready_changed or active_changed) and _number(new, "ready") > _number(new, "active"):
        found.append(("status.ready", "cannot set more ready pods than active"))
    return found


def _number(status: Obj, field: str) -> int:
    return status.get(field) or 0


def _never_back(spec: Obj, old: Obj, new: Obj) -> list[tuple[str, str]]:
    found = [
        ("status.conditions", f"cannot disable the terminal {kind}=True condition")
        for kind in ("Failed", "Complete", "FailureTarget")
        if _true(old, kind) and not _true(new, kind)
    ]
    found += [
        (f"status.{counter}", f"cannot decrease the {counter} counter")
        for counter in ("failed", "succeeded")
        if _number(new, counter) < _number(old, counter)
    ]
    old_end, new_end = old.get("completionTime"), new.get("completionTime")
    if old_end and new_end and old_end != new_end:
        found.append(("status.completionTime", "field is immutable"))
    old_start, new_start = old.get("startTime"), new.get("startTime")
    resuming = _true(old, "JobSuspended") and any(
        c["type"] == "JobSuspended" and c["status"] == "False" for c in new.get("conditions") or ()
    )
    if old_start and old_start != new_start and not spec.get("suspend") and not resuming:
        found.append(("status.startTime", "field is immutable for unsuspended job once set"))
    if _true(old, "SuccessCriteriaMet") and not _true(new, "SuccessCriteriaMet"):
        found.append(("status.conditions", "cannot disable the SuccessCriteriaMet=True condition"))
    return found


def _finished_rules(old: Obj, new: Obj) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    finished_changed = _finished(old) != _finished(new)
    complete_changed = _true(old, "Complete") != _true(new, "Complete")
    failed_changed = _true(old, "Failed") != _true(new, "Failed")
    start_changed = old.get("startTime") != new.get("startTime")
    end_changed = old.get("completionTime") != new.get("completionTime")
    if (complete_changed or failed_changed) and _true(new, "Complete") and _true(new, "Failed"):
        found.append(("status.conditions", "cannot set Complete=True and Failed=true conditions"))
    if complete_changed or end_changed:
        if new.get("completionTime") and not _true(new, "Complete"):
            words = "cannot set completionTime when there is no Complete=True condition"
            found.append(("status.completionTime", words))
        if _true(new, "Complete") and not new.get("completionTime"):
            found.append(("status.completionTime", "completionTime is required for Complete jobs"))
    both = new.get("startTime") and new.get("completionTime")
    if (start_changed or end_changed) and both and new["completionTime"] < new["startTime"]:
        found.append(("status.completionTime", "must be equal to or after `startTime`"))
    if failed_changed and _true(new, "Failed") and not _true(new, "FailureTarget"):
        words = "cannot set Failed=True condition without the FailureTarget=true condition"
        found.append(("status.conditions", words))
    if complete_changed and _true(new, "Complete") and not _true(new, "SuccessCriteriaMet"):
        words = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
        found.append(("status.conditions", words))
    if not _finished(new):
        return found
    active_changed = _number(old, "active") != _number(new, "active")
    if (finished_changed or active_changed) and _number(new, "active") > 0:
        found.append(("status.active", "active>0 is invalid for finished job"))
    if (finished_changed or start_changed) and not new.get("startTime"):
        found.append(("status.startTime", "startTime is required for finished job"))
    terminating_changed = _number(old, "terminating") != _number(new, "terminating")
    if (finished_changed or terminating_changed) and _number(new, "terminating") > 0:
        found.append(("status.terminating", "terminating>0 is invalid for finished job"))
    uncounted = new.get("uncountedTerminatedPods") or {}
    if finished_changed and (uncounted.get("succeeded") or uncounted.get("failed")):
        found.append(("status.uncountedTerminatedPods", "must be empty for finished job"))
    return found
