"""What the audit says: a code, the objects by name, numbers and times, and what would mend it.

The codes are public (JSON, metric label, docs/reasons.md): add new ones, never rename.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Level(StrEnum):
    """How bad it is. An error breaks a promise of ours or is about to; a warning is in the way."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Kind:
    """What all findings of one code have in common.

    ``settle``: seconds that a suspicion has to last, since a normal transition looks the same for less.
    """

    level: Level
    meaning: str
    settle: float


TRANSITION: Final = 10.0
"""Seconds; withdrawals, carryings and writes of ours take at most 3 on an idle machine (docs/design.md,
section 10). At twice the value a person waits twice as long for the answer."""

SLOW_TRANSITION: Final = 30.0
"""Seconds, where somebody else has to act: Kueue, or a user's next command."""

NO_PODS: Final = 660.0
"""Seconds; between two pods of a failing Job its controller waits up to 10 minutes (kubernetes
pkg/controller/job, MaxJobPodFailureBackOff)."""

_E, _W = Level.ERROR, Level.WARNING
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "TwoClusters": Kind(_E, "one job runs on two clusters at once", TRANSITION),
        "TwoCopies": Kind(_E, "one job has two copies, and would run twice", TRANSITION),
        "WrongCluster": Kind(_E, "a job is elsewhere than where it was placed", TRANSITION),
        "WrongAttempt": Kind(_E, "an earlier or later attempt is in place of the present one", TRANSITION),
        "RunsWithoutQuota": Kind(
            _E, "a job is carried to a cluster and Kueue counts no quota for it", TRANSITION
        ),
        "CopyWithoutWorkload": Kind(_E, "a job runs for a Workload that is gone", TRANSITION),
        "WorkWithoutCopy": Kind(_E, "a cluster keeps a job whose copy in the WDS is gone", TRANSITION),
        "PodsWithoutWork": Kind(_E, "pods run on a cluster to which nothing carries their job", TRANSITION),
        "ForeignBindingPolicy": Kind(
            _E, "somebody else's BindingPolicy selects a copy and may run it twice", TRANSITION
        ),
        "NotStarted": Kind(_E, "quota is held, and the job is not on its way", TRANSITION),
        "QuotaNotReturned": Kind(
            _E, "quota is held that should have gone back to the queue", SLOW_TRANSITION
        ),
        "QuotaWithoutJob": Kind(_E, "quota is held for a job that does not exist", SLOW_TRANSITION),
        "QuotaWithoutPods": Kind(_W, "quota is held for a started job that has no pods", NO_PODS),
        "StatusNotMirrored": Kind(_E, "the worker's news do not reach the hub", TRANSITION),
        "LeavingTooLong": Kind(_W, "a withdrawn job has not left its cluster in its time", TRANSITION),
        "PolicyWithoutCopy": Kind(_W, "a BindingPolicy of ours carries nothing", TRANSITION),
        "FinalizerLeftOver": Kind(_W, "our finalizer keeps an object that nothing needs", TRANSITION),
        "HeartbeatLate": Kind(_E, "leased jobs are about to be ended for want of a heartbeat", TRANSITION),
        "HeartbeatLeftOver": Kind(_W, "a heartbeat is kept for a cluster without leased jobs", TRANSITION),
        "NamespaceLeftOver": Kind(_W, "a carried namespace has none on the hub any more", TRANSITION),
        "StepOverdue": Kind(_W, "WorkloadController does not take its next step", SLOW_TRANSITION),
        "UnreadableObject": Kind(
            _W, "an object of ours cannot be read, so the controller does not see it", 0.0
        ),
        "NobodyLeads": Kind(_E, "no WorkloadController is at work", 0.0),
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """An object by name. ``space`` is "hub", "wds", "its", or a worker cluster's name."""

    space: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.space}: {self.kind} {where}{self.name}"


@dataclass(frozen=True, slots=True)
class Look:
    """What WorkloadController has to look at again; in the words of its requests (``concerns``)."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ByController:
    """It does this by itself at its next look, so nobody else should."""

    step: str
    look: Look

    def __str__(self) -> str:
        return f"WorkloadController does it by itself ({self.step}) at its next look, within two minutes"


@dataclass(frozen=True, slots=True)
class Delete:
    """Safe: delete this object. ``why`` says why nothing can be started or freed by it."""

    what: Ref
    why: str

    def __str__(self) -> str:
        return f"delete {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """Safe: take this finalizer of ours off."""

    what: Ref
    finalizer: str
    why: str

    def __str__(self) -> str:
        return f"take finalizer {self.finalizer} off {self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class Decide:
    """No repair is safe: a person has to decide; ``text`` names the choice."""

    text: str

    def __str__(self) -> str:
        return self.text


Remedy = ByController | Delete | DropFinalizer | Decide


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not be, at this instant.

    ``objects``: what it is about, the main one first. ``message``: with numbers and times.
    ``version``: resourceVersions that must stay for it to be the same finding: a step that is due on a
    changed object is another one. ``seen_at``: when a worker observed it, by its clock; None where no report
    is part of it. ``since``: unix seconds since which it lasts by the objects' own words, None where none
    tells.
    """

    code: str
    objects: tuple[Ref, ...]
    message: str
    remedy: Remedy
    version: str = ""
    seen_at: float | None = None
    since: float | None = None

    @property
    def kind(self) -> Kind:
        """What its code means."""
        return KINDS[self.code]

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for the same thing at two looks."""
        return (self.code, self.objects, self.version)
