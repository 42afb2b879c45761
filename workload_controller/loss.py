"""When a cluster counts as lost, and when its jobs may start elsewhere.

A cluster that cannot be heard may still run everything it was given. A loss shorter than
``worker_lost_timeout`` does nothing at all. After it the policy of each job counts:

- ``atMostOnce``: held until the ManifestWork is really gone, which the worker's agent does on its return, or
  an administrator by removing the ManagedCluster.
- ``leased``: we stop our heartbeat to that cluster. Its metrics agent ends the job when the last heartbeat
  that it can have got is older than the lease, so after that, and the pods' grace, nothing runs (HTCondor's
  JobLeaseDuration).
- ``atLeastOnce``: at once; a second run is what the user chose.

The policy is an annotation of the copy, so it is the one of the moment when the job left, and the
ManifestWork still bears it when the copy is gone.

A cluster that came back a moment ago may be working while it still counts as lost: OCM's agent tells of its
return once a minute (``--cluster-healthcheck-period``). So what the cluster itself has told since then
counts (``view.contact``), and nothing is left behind before the cluster had time to confirm its withdrawal,
which a cluster that is back does within 0.5 s. After that a returning one finds the withdrawal before
it can start what it was given while it was away.
"""

from workload_controller.clock_text import duration, utc_clock
from workload_controller.facts import Contact, CopyFacts, LossPolicy, WorkFacts
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Wait

WITHDRAWAL_ANSWER = 5.0  # seconds; ten times what a ManifestWork's deletion was seen to take
AGENT_LOOK = 15.0  # seconds between two looks of the metrics agent at its leases, at most


def moves_at(carried: CopyFacts | WorkFacts, contact: Contact, grace: float, timing: Timing) -> float | None:
    """When a job of a lost cluster may start elsewhere; None: never while it may be there."""
    if contact.lost_since is None:
        return None
    lost = contact.lost_since + timing.worker_lost_timeout
    match carried.on_loss:
        case LossPolicy.AT_MOST_ONCE:
            return None
        case LossPolicy.AT_LEAST_ONCE:
            return lost
        case LossPolicy.LEASED:
            lease = float(carried.lease_seconds or timing.lease)
            heard = max(contact.beat_at, carried.leased_from, contact.lost_since)
            ended = heard + lease + AGENT_LOOK + timing.clock_skew + grace + timing.pods_end_margin
            return max(lost, ended)


def abandoned(work: WorkFacts, s: Situation, grace: float, timing: Timing) -> bool:
    """Whether a ManifestWork that is being deleted on a lost cluster needs no more waiting for."""
    contact = s.contacts.get(work.cluster)
    if contact is None or work.deleting_since is None:
        return False
    at = abandoned_at(work, contact, grace, timing)
    return at is not None and s.now >= at


def abandoned_at(work: WorkFacts, contact: Contact, grace: float, timing: Timing) -> float | None:
    """When that is, given that its deletion does not begin later; None: never while it may be there."""
    moves = moves_at(work, contact, grace, timing)
    if moves is None or work.deleting_since is None:
        return moves
    return max(moves, work.deleting_since + WITHDRAWAL_ANSWER)


def lost_wait(copy: CopyFacts, contact: Contact, moves: float | None, now: float, timing: Timing) -> Wait:
    """What a job of a cluster that is not heard of waits for, told with its policy; ``moves`` is when."""
    since = contact.lost_since if contact.lost_since is not None else now
    silent = f"{copy.cluster} has not been heard of since {utc_clock(since)}"
    lost = since + timing.worker_lost_timeout
    policy = copy.on_loss.value
    if moves is not None:
        text = (
            f"{silent}; with {policy} it starts elsewhere at {utc_clock(moves)} unless {copy.cluster} is back"
        )
        until = moves if moves > now else now + timing.recheck
        return Wait("ClusterLost", text, until=until, told="Warning")
    if now < lost:
        text = f"{silent}; a loss below {duration(timing.worker_lost_timeout)} changes nothing"
        return Wait("ClusterUnreachable", text, until=lost, told="Warning")
    remedy = f"kubectl delete managedcluster {copy.cluster} in the ITS if it will not come back"
    text = f"{silent}; with {policy} it and its quota are held until {copy.cluster} is back: {remedy}"
    return Wait("ClusterLost", text, told="Warning")
