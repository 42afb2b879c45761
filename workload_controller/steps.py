"""What a decision can ask for: one of these per reconcile."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from workload_controller.facts import (
    Check,
    CopyFacts,
    Decision,
    History,
    JobFacts,
    PolicyFacts,
    WorkloadFacts,
)
from workload_controller.kinds import batch_job
from workload_controller.refusals import Refusal


@dataclass(frozen=True, slots=True)
class Nothing:
    """All is as it should be."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else's turn.

    ``until``: unix time of our next look, None when only an event can change it. ``told`` on the job as an
    event of that type, "" when the wait is a step that everybody's job takes.
    """

    reason: str
    message: str
    until: float | None = None
    told: Literal["", "Normal", "Warning"] = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Choose a cluster; ``until`` is when the quota goes back if there is none.

    ``obstacle``: what keeps the job from every cluster, "" when nothing does.
    """

    check: Check
    until: float
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class KeepWaiting:
    """No cluster can take it now. ``tell``: write ``text`` into the check. ``look_after`` is in seconds."""

    reason: ClassVar[str] = "NoClusterFits"
    check: Check
    text: str
    tell: bool
    look_after: float


@dataclass(frozen=True, slots=True)
class GiveBack:
    """The check becomes Retry: Kueue evicts, and the quota goes back when no pod is left."""

    reason: str
    check: Check
    text: str
    history: History


@dataclass(frozen=True, slots=True)
class SetRequeueAt:
    """The check of an evicted Workload is Retry once more, with a delay in seconds: Kueue notes it."""

    check: Check
    text: str
    delay: int


@dataclass(frozen=True, slots=True)
class ResetCheck:
    """The check is Pending again, as Kueue wants it at the next reservation."""

    check: Check
    text: str
    history: History


@dataclass(frozen=True, slots=True)
class Deactivate:
    """``spec.active`` of the Workload becomes false: it is not tried again before a user says so."""

    workload: WorkloadFacts
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Reject:
    """The check says why and forgets earlier attempts, and the Workload is deactivated: the user has to act.

    No pod may be left.
    """

    check: Check
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Hold:
    """Put our finalizer on the Workload or its job: it stays, even deleted, until its pods have ended."""

    held: WorkloadFacts | JobFacts


@dataclass(frozen=True, slots=True)
class LetGo:
    """Take it off: nothing of the Workload is left anywhere."""

    held: WorkloadFacts | JobFacts


@dataclass(frozen=True, slots=True)
class DeleteWorkload:
    """Delete the Workload of a deleted job, of which nothing is left anywhere."""

    workload: WorkloadFacts


@dataclass(frozen=True, slots=True)
class MarkActive:
    """Tell Kueue that pods may exist, before they can."""

    job: JobFacts


@dataclass(frozen=True, slots=True)
class CreateCopy:
    """Create the copy in the WDS. It moves nowhere until its policy exists.

    ``until``: when the attempt is given up if the WDS does not take it.
    """

    workload: WorkloadFacts
    job: JobFacts
    decision: Decision
    until: float


@dataclass(frozen=True, slots=True)
class CreatePolicy:
    """Have KubeStellar carry the copy; given up at ``until`` if the WDS does not take it."""

    copy: CopyFacts
    until: float


@dataclass(frozen=True, slots=True)
class Mirror:
    """Show the worker's status on the hub job."""

    job: JobFacts
    status: batch_job.Status


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Delete the copy; it stays as a tombstone."""

    copy: CopyFacts
    why: str


@dataclass(frozen=True, slots=True)
class DeletePolicy:
    """KubeStellar withdraws what the policy carried."""

    policy: PolicyFacts


@dataclass(frozen=True, slots=True)
class Unselect:
    """The tombstone is marked: its wave, which carries others, selects it no more."""

    copy: CopyFacts


@dataclass(frozen=True, slots=True)
class LeaveWave:
    """Withdraw a copy whose wave has others in it and no policy, if the WDS itself says that it has none."""

    copy: CopyFacts


@dataclass(frozen=True, slots=True)
class ConfirmGone:
    """Ask WDS and ITS themselves whether Binding and ManifestWork of a leaving copy are gone."""

    copy: CopyFacts


@dataclass(frozen=True, slots=True)
class Release:
    """The tombstone goes: its pods have ended, or its cluster is ``lost`` under a policy that allows it."""

    copy: CopyFacts
    lost: bool = False


@dataclass(frozen=True, slots=True)
class ReportPodsEnded:
    """Tell Kueue that no pod is left."""

    job: JobFacts


Action = (
    Nothing
    | Wait
    | Place
    | GiveBack
    | SetRequeueAt
    | ResetCheck
    | Deactivate
    | Reject
    | Hold
    | LetGo
    | DeleteWorkload
    | MarkActive
    | CreateCopy
    | CreatePolicy
    | Mirror
    | Withdraw
    | DeletePolicy
    | Unselect
    | LeaveWave
    | ConfirmGone
    | Release
    | ReportPodsEnded
)
