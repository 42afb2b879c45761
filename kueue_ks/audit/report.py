"""What the audit says, as data: text and JSON are renderings of an ``AuditReport``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from kueue_ks.audit.look import Counts, Look
from kueue_ks.reports import API_VERSION
from vocabulary.reasons import action_of
from workload_controller.audit.finding import ByController, Decide, Finding, Level
from workload_controller.audit.settling import Verdict


class By(StrEnum):
    """Who mends it. Public: part of the JSON."""

    REPAIR = "repair"  # --repair does it
    CONTROLLER = "controller"  # WorkloadController does it by itself
    PERSON = "person"  # somebody has to decide


@dataclass(frozen=True, slots=True)
class Repaired:
    """What ``--repair`` did with one object; ``outcome``: "deleted", or why it was left alone."""

    object: str
    outcome: str
    done: bool


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything, in the order in which it is shown. Times are unix seconds."""

    at: float
    seconds: float
    counts: Counts
    findings: tuple[Finding, ...]
    unconfirmed: tuple[Finding, ...]
    unread: Mapping[str, str]
    options_known: bool
    """Whether the deadlines are the controller's own, or the defaults."""
    repaired: tuple[Repaired, ...] = ()

    @property
    def left(self) -> int:
        """Findings that nobody has mended."""
        return len(self.findings) - sum(each.done for each in self.repaired)

    def count(self, level: Level) -> int:
        """Findings of one level."""
        return sum(finding.kind.level is level for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "apiVersion": API_VERSION,
            "kind": "AuditReport",
            "at": _rfc3339(self.at),
            "seconds": round(self.seconds, 1),
            "compared": {
                "workloadsWithQuota": self.counts.workloads_with_quota,
                "copies": self.counts.copies,
                "manifestWorks": self.counts.manifest_works,
                "workStatuses": self.counts.work_statuses,
                "clusters": self.counts.clusters,
            },
            "findings": [_finding(each) for each in self.findings],
            "unconfirmed": [_finding(each) for each in self.unconfirmed],
            "unread": dict(self.unread),
            "optionsKnown": self.options_known,
            "repaired": [
                {"object": each.object, "outcome": each.outcome, "done": each.done} for each in self.repaired
            ],
        }


def report_of(
    look: Look, verdict: Verdict, *, seconds: float, repaired: Sequence[Repaired] = ()
) -> AuditReport:
    """The report of the last look; ``seconds`` is what the whole audit took."""
    return AuditReport(
        at=look.now,
        seconds=seconds,
        counts=look.counts,
        findings=verdict.lasting,
        unconfirmed=verdict.open,
        unread=look.unread,
        options_known=look.options.known,
        repaired=tuple(repaired),
    )


def mended_by(finding: Finding) -> By:
    """Who mends it."""
    match finding.remedy:
        case ByController():
            return By.CONTROLLER
        case Decide():
            return By.PERSON
        case _:
            return By.REPAIR


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "level": finding.kind.level.value,
        "action": action_of(finding.code),
        "meaning": finding.kind.meaning,
        "objects": [
            {
                "space": ref.space,
                "kind": ref.kind,
                "namespace": ref.namespace,
                "name": ref.name,
                "uid": ref.uid,
            }
            for ref in finding.objects
        ],
        "message": finding.message,
        "since": _rfc3339(finding.since) if finding.since is not None else "",
        "remedy": {"by": mended_by(finding).value, "text": str(finding.remedy)},
    }


def _rfc3339(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
