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
"""

from workload_controller.clock_text import duration, utc_clock
from workload_controller.facts import Contact, CopyFacts, LossPolicy, WorkFacts
from workload_controller.situation import Situation, Timing
from workload_controller.steps import Wait

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
    if contact is None or not work.deleting:
        return False
    moves = moves_at(work, contact, grace, timing)
    return moves is not None and s.now >= moves


def lost_wait(copy: CopyFacts, contact: Contact, now: float, timing: Timing) -> Wait:
    """What a job of a cluster that is not heard of waits for, told with its policy."""
    since = contact.lost_since if contact.lost_since is not None else now
    silent = f"{copy.cluster} has not been heard of since {utc_clock(since)}"
    lost = since + timing.worker_lost_timeout
    moves = moves_at(copy, contact, copy.grace_seconds, timing)
    policy = copy.on_loss.value
    if moves is not None:
        text = (
            f"{silent}; with {policy} it starts elsewhere at {utc_clock(moves)} unless {copy.cluster} is back"
        )
        return Wait("ClusterLost", text, until=moves, told="Warning")
    if now < lost:
        text = f"{silent}; a loss below {duration(timing.worker_lost_timeout)} changes nothing"
        return Wait("ClusterUnreachable", text, until=lost, told="Warning")
    remedy = f"kubectl delete managedcluster {copy.cluster} in the ITS if it will not come back"
    text = f"{silent}; with {policy} it and its quota are held until {copy.cluster} is back: {remedy}"
    return Wait("ClusterLost", text, told="Warning")
