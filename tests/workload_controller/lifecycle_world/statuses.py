"""What statuses say."""

from datetime import datetime

from kube_runtime.objects import Obj


def is_true(workload: Obj, kind: str) -> bool:
    conditions = workload["status"].get("conditions") or ()
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def terminal(status: Obj) -> bool:
    return any(c["type"] in ("Complete", "Failed") for c in status.get("conditions") or ())


def unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
