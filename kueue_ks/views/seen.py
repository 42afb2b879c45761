"""The raw objects that one view is made of, and what could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kube_runtime.objects import Obj

Objects = Sequence[Obj] | None
"""None: not read. An empty list is an answer, None is none (rule: unknown is "?", never 0)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything that was read at one moment; ``unread`` says per space or list why it was not."""

    now: float  # unix seconds
    # hub
    workloads: Objects = None
    jobs: Objects = None
    checks: Objects = None
    flavors: Objects = None
    cluster_queues: Objects = None
    cohorts: Objects = None
    local_queues: Objects = None
    hub_namespaces: Objects = None
    placement_policies: Objects = None
    leases: Objects = None
    # WDS
    copies: Objects = None
    policies: Objects = None
    bindings: Objects = None
    beats: Objects = None
    twins: Objects = None
    # ITS
    clusters: Objects = None
    statuses: Objects = None
    works: Objects = None
    decisions: Objects = None
    unread: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""  # the only one whose Workloads may be read, "" for all
