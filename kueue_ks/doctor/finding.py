"""What doctor says, as data: text and JSON are renderings of a ``DoctorReport``."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a check ended. Public: part of the JSON."""

    OK = "ok"
    WARN = "warn"  # works, but slower or less safe than it could
    FAIL = "fail"  # jobs do not run, or not where they should
    UNKNOWN = "unknown"  # it could not be seen from here


class Check(StrEnum):
    """What was looked at. Public: part of the JSON, and a heading of docs/doctor.md. Never rename one."""

    API_SERVER = "ApiServer"
    VERSION = "KubernetesVersion"
    CLOCK = "Clock"
    SERVED = "KindsServed"
    CALLER_RIGHTS = "CallerRights"
    PROGRAM_RIGHTS = "ProgramRights"
    TWO_API_SERVERS = "HubIsNotWDS"
    ADMISSION_CHECK = "AdmissionCheck"
    PARAMETERS = "CheckParameters"
    QUEUES = "Queues"
    MANAGED_BY = "ManagedByPolicy"
    JOBS_ON_HUB = "JobsWithoutManager"
    KUEUE = "KueueVersion"
    KUEUE_GATES = "KueueGates"
    KUEUE_RATE = "KueueRate"
    CARRIED = "CarriedKinds"
    KUBESTELLAR_RATE = "KubeStellarRate"
    CLUSTERS = "ManagedClusters"
    REPORTS = "ClusterReports"
    GUARDS = "Guards"
    CONTROLLERS = "Controllers"
    OPTIONS = "PublishedOptions"


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer. ``subject`` is what it is about: a space, a cluster, an object."""

    check: Check
    level: Level
    subject: str
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class DoctorReport:
    """Everything, in the order in which it is shown."""

    at: str
    seconds: float
    failed: int
    warnings: int
    unknown: int
    passed: int
    findings: tuple[Finding, ...]


def report_of(findings: tuple[Finding, ...], *, at: str, seconds: float) -> DoctorReport:
    """The findings and how many there are of each level."""
    count = {level: sum(finding.level is level for finding in findings) for level in Level}
    return DoctorReport(
        at=at,
        seconds=round(seconds, 1),
        failed=count[Level.FAIL],
        warnings=count[Level.WARN],
        unknown=count[Level.UNKNOWN],
        passed=count[Level.OK],
        findings=findings,
    )
