"""Who has to act on a reason: the one table behind docs/reasons.md, ``explain``, ``queue`` and ``audit``.

Reasons are public, and so is their class: it is what lets a user decide between waiting and writing a ticket.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Action(StrEnum):
    """Who acts. Public: part of every JSON document that has a reason."""

    WAIT = "wait"  # nobody: it goes on by itself
    CHANGE = "change"  # the user changes the job
    ADMIN = "admin"  # an administrator of hub, WDS, ITS or a worker


def _table(**names: str) -> Mapping[str, Action]:
    return MappingProxyType({name: Action(kind) for kind, text in names.items() for name in text.split()})


OURS: Final = _table(
    wait="""
        ClusterBarred ClusterUnreachable ClustersUsable CopyCreated CopyWithoutWorkload Drained
        FinalizerLeftOver Fits HeartbeatLeftOver InsufficientResources NameStaysTaken
        NameStillLeaving NamespaceLeftOver NoClusterFits NoClusterInTime NominalQuotaChanged
        NotCarried NotListedYet NotReported Placed PodsEnded PodsEnding PolicyWithoutCopy Released ResultWaits
        StillCarried Withdrawing Withdrawn WorkerJobMissing
    """,
    change="""
        ApplyFailed BadAnnotation CrossNamespaceReference ForgedWorkload KindNotSupported NeverFits
        NoMatchingNodes NotManagedByUs PodsNotReady QuotaWithoutPods RefusedByWDS
        RequeuingLimitExceeded ReservedKey SystemNamespace SystemPriorityClass
    """,
    admin="""
        BadPlacementPolicy ClusterLost ClusterSilent ClusterUnusable FlavorNotFound FlavorsOverlap
        ForeignBindingPolicy HeartbeatLate LeaseExpired LeavingTooLong NameLabelDiffers
        NameLabelMissing NameLabelShared NameTaken NameTakenInWDS NamespaceNotCarried
        NoUsableCluster NobodyLeads NodesUnused NotEvicted NotStarted NotUnsuspended
        OtherChecksPending PodsOverdue PodsWithoutWork PolicyNameTaken QuotaKept QuotaNotReturned
        QuotaWishUnreadable QuotaWithoutJob ReportNotWhole RequeueAtNotSet RunsWithoutQuota SamplesLeftOut
        SourceChanged StatusNotMirrored
        StatusRefused StepOverdue
        TwoClusters TwoCopies UnreadableObject WDSForbids WorkWithoutCopy WorkerJobRemoved
        WorkerJobReplaced WorkerJobSuspended WrongAttempt WrongCluster
    """,
)
"""What our programs write: docs/reasons.md, and a test holds both against the code."""

KUEUES: Final = _table(
    wait="""
        AdmissionCheck NodeFailures Pending PendingEvaluation PodsReadyTimeout Preempted
        TopologyPlacementFailed WaitingForPodsReady WaitingForPreemptedWorkloads WaitingForQuota
    """,
    change="""
        AdmissionGated Deactivated DeactivatedDueToAdmissionCheck
        DeactivatedDueToMaximumExecutionTimeExceeded DeactivatedDueToRequeuingLimitExceeded
        ExceedsMaxQuota NoMatchingFlavor Suspended
    """,
    admin="""
        ClusterQueueStopped Inadmissible LocalQueueStopped Misconfigured OnHold
    """,
)
"""Reasons of Kueue 0.19 in QuotaReserved and Evicted, with gate UnadmittedWorkloadsObservability too."""

SHOWN: Final = _table(
    wait="""
        Deleted Placing StepDue
    """,
    change="""
        NoQueueName Refused Stopped
    """,
    admin="""
        NoWorkload
    """,
)
"""What only ``kueue-ks`` says of a job that nobody has written about."""

ACTIONS: Final[Mapping[str, Action]] = MappingProxyType({**KUEUES, **SHOWN, **OURS})


def action_of(reason: str) -> str:
    """Its class; "" for one that is not ours and not known, as of a newer Kueue."""
    return ACTIONS[reason].value if reason in ACTIONS else ""
