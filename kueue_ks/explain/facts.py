"""The raw objects that one explanation is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kube_runtime.objects import Obj


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The raw objects about one job; None or empty when there is none or it could not be read.

    ``unread`` says per space why it could not be read.
    """

    now: float  # unix seconds
    job: Obj
    workload: Obj | None = None
    checks: Sequence[Obj] = ()  # AdmissionChecks
    copy: Obj | None = None
    policies: Sequence[Obj] = ()
    bound: bool = False
    works: Sequence[Obj] = ()
    statuses: Sequence[Obj] = ()  # WorkStatuses of this job
    unread: Mapping[str, str]


def condition(obj: Obj | None, kind: str) -> Obj:
    """One of ``status.conditions`` by its type, {} when there is none."""
    raw = ((obj or {}).get("status") or {}).get("conditions") or ()
    found: Obj = next((c for c in raw if c["type"] == kind), {})
    return found


def created(obj: Obj) -> str:
    """``metadata.creationTimestamp``."""
    at: str = obj["metadata"].get("creationTimestamp", "")
    return at
