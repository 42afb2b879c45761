"""Why a job is where it is, as data: text and JSON are renderings of an ``Explanation``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kueue_ks.reports import document
from vocabulary.reasons import action_of


class Phase(StrEnum):
    """One word for where the job is. Public: part of the JSON."""

    NOT_QUEUED = "NotQueued"
    WAITING_FOR_QUOTA = "WaitingForQuota"
    WAITING_FOR_CLUSTER = "WaitingForCluster"
    STARTING = "Starting"
    RUNNING = "Running"
    LEAVING = "Leaving"
    REFUSED = "Refused"
    STOPPED = "Stopped"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Asks:
    """One pod set; ``requests`` is what one pod asks, as quantities."""

    pod_set: str
    pods: int
    requests: Mapping[str, str]
    flavors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the Workload, as it stands."""

    type: str
    status: str
    reason: str
    message: str
    since: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Our check's entry, verdicts verbatim; cluster and attempt are "" and 0 while nothing is decided."""

    name: str
    state: str
    message: str
    since: str
    retries: int
    cluster: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Step:
    """Something on the job's way that exists or has happened; ``at`` is RFC3339, "" when not recorded."""

    name: str
    at: str
    detail: str


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """The present obstacle. ``until``: when it is looked at again at the latest, "" when news will tell.

    ``action``: who acts on such a reason, "wait", "change" or "admin"; "" for a reason that is not known.
    """

    reason: str
    message: str
    until: str
    action: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "action", action_of(self.reason))


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything, in the order in which it is shown."""

    namespace: str
    name: str
    queue: str
    cluster_queue: str
    phase: Phase
    since: str
    waits_for: WaitsFor | None
    asks: tuple[Asks, ...]
    check: CheckReport | None
    steps: tuple[Step, ...]
    conditions: tuple[Condition, ...]
    workload: str
    unread: Mapping[str, str]

    @property
    def never(self) -> bool:
        """Whether it cannot run as it is: somebody has to change something."""
        return self.phase is Phase.REFUSED

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return document("Explanation", self)
