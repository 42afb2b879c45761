"""I6 of a simulated run: what a write of ours changed that is not ours to change."""

from kube_runtime.objects import Obj, key_of
from tests.simulation.api_server import ApiServer, Write
from tests.simulation.workload_objects import CHECK, owner_of
from vocabulary.resources import JOBS

OURS = ("app.kubernetes.io/managed-by", "kueue-kubestellar")
OUR_FINALIZER = "kueue.kubestellar.io/"


def ours(obj: Obj) -> bool:
    """Whether it bears our label."""
    return (obj["metadata"].get("labels") or {}).get(OURS[0]) == OURS[1]


def meddles(write: Write, hub: ApiServer) -> str:
    """What a write changed that is not ours to change, "" when nothing."""
    old, new = write.old, write.new
    if write.server == "its":
        return "we write nothing but Leases there"
    if write.server == "wds":
        before = old if old is not None else new
        return "" if before is not None and ours(before) else "it is not ours"
    if (write.plural, write.verb) == ("workloads", "delete") and old is not None:
        return _ends_a_living_jobs_workload(old, hub)
    if old is not None and new is None and "deletionTimestamp" in old["metadata"]:
        left = old["metadata"].get("finalizers") or ()
        return "" if all(f.startswith(OUR_FINALIZER) for f in left) else f"it ended with finalizers {left}"
    if old is None or new is None:
        return "we create and delete nothing on the hub"
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    if write.plural == "workloads":
        return _meddles_with_workload(old, new, changed)
    metadata = {
        name
        for name in old["metadata"].keys() | new["metadata"].keys()
        if old["metadata"].get(name) != new["metadata"].get(name)
    }
    if changed - {"status", "metadata"} or metadata - {"resourceVersion", "finalizers"}:
        return f"{changed}, metadata {metadata}"
    return _meddles_with_finalizers(old, new)


def _ends_a_living_jobs_workload(workload: Obj, hub: ApiServer) -> str:
    owner = owner_of(workload)
    job = hub.find(JOBS, (key_of(workload)[0], owner["name"]))
    if job is None or job["metadata"]["uid"] != owner["uid"] or "deletionTimestamp" in job["metadata"]:
        return ""
    return "its job lives"


def _meddles_with_workload(old: Obj, new: Obj, changed: set[str]) -> str:
    if changed - {"status", "metadata"} and new["spec"] != {**old["spec"], "active": False}:
        return str(changed)
    if found := _meddles_with_finalizers(old, new):
        return found

    def rest(obj: Obj) -> Obj:
        status = dict(obj.get("status") or {})
        status["admissionChecks"] = [c for c in status.get("admissionChecks") or () if c["name"] != CHECK]
        return status

    return "" if rest(old) == rest(new) else "status beyond our check"


def _meddles_with_finalizers(old: Obj, new: Obj) -> str:
    before, after = (set(o["metadata"].get("finalizers") or ()) for o in (old, new))
    others = {f for f in before ^ after if not f.startswith(OUR_FINALIZER)}
    return f"finalizers {sorted(others)}" if others else ""
