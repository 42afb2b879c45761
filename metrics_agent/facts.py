"""What the agent knows of a node, of a pod, of a Job of ours and of a refusal to let a Job make a pod.

Two facts that are equal describe objects between which nobody here sees a difference, so a node's
heartbeat or a container's restart wakes nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from metrics_agent.problems import Problem
from vocabulary.cluster_metrics import Amounts, Taint


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node without what makes it unlike its twins. ``allocatable`` is in milli-units, rounded down."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool  # cordoned, or being deleted
    ready: bool  # condition Ready is True; Unknown is not
    allocatable: Amounts
    conditions: tuple[str, ...] = ()  # other ones that are True
    unreadable: tuple[tuple[str, str], ...] = ()  # resources that are not in allocatable, and why


@dataclass(frozen=True, slots=True)
class PodFacts:
    """A pod in its node's books. ``requests`` are milli-units, rounded up, with "pods": 1000."""

    node: str  # "" while no node was chosen
    workload: str  # uid of our Workload; "" when the pod is not ours
    terminating: bool  # deletionTimestamp is set
    ended: bool  # Succeeded or Failed: its containers are gone, kube-scheduler counts it no more
    requests: Amounts
    ready: bool = False  # condition Ready is True
    created_at: float = 0.0  # unix seconds
    problem: Problem | None = None  # None too when it is ending: then it need not run
    started: bool = True  # its phase is not Pending
    ends_by: float = 0.0  # unix seconds; when its grace period ends, 0 unless terminating
    by_claim: bool = False  # asks for devices that no amount shows
    unreadable: tuple[tuple[str, str], ...] = ()  # resources that are not in requests, and why
    name: str = ""  # "ns/name" of one to be named: by_claim or unreadable; 100,000 others save the room


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A Job of a Workload of ours."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    workload: str
    running: bool  # neither suspended, nor finished, nor being deleted
    wanted: int  # pods that its controller tries to have
    created_at: float  # unix seconds
    leased_from: float  # unix seconds of the hub's clock
    lease: float | None  # seconds without a heartbeat after which it has to end; None for no such end


@dataclass(frozen=True, slots=True)
class Refusal:
    """That a Job was not let make a pod, as its controller's event tells it."""

    job: str  # uid
    at: float  # unix seconds of the last time
    text: str
