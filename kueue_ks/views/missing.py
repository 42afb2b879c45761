"""What a cluster lacks before its figures can be trusted in full, and what to do about it. Pure.

Only of clusters that are accepted and Available: of the others ``why`` says all that there is to say. The
hub sees a worker through its report alone. A report that never came may mean that our kind, our rights or the
status add-on is not there; one that came empty, that the object was carried there and nobody fills it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from quota_manager.facts import NOT_WRITTEN, ReportFacts
from vocabulary import keys
from workload_controller.facts import ClusterFacts, ManagedClusterFacts

LOOK: Final = f"on that cluster: kubectl -n {keys.SYSTEM_NAMESPACE} get pods; is its metrics agent running?"


@dataclass(frozen=True, slots=True)
class Missing:
    """One thing, and the remedy."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy}"


def missing(
    managed: ManagedClusterFacts,
    judged: ClusterFacts,
    report: ReportFacts | None,
    *,
    age: float | None,
    stale_after: float,
) -> tuple[Missing, ...]:
    """What is missing there; ``age`` is that of the report in seconds, None without one."""
    if not managed.accepted or managed.available != "True":
        return ()
    return tuple(_found(managed.name, judged, report, age, stale_after))


def _found(
    name: str, judged: ClusterFacts, report: ReportFacts | None, age: float | None, stale_after: float
) -> Iterator[Missing]:
    install = f"Install what our agent needs there: kueue-ks install --worker-context {name}"
    if report is None:
        yield Missing(
            "no report has ever come: our CRD, our roles or the status add-on is not there", install
        )
    elif judged.report is None and report.problem == NOT_WRITTEN:
        yield Missing("its ClusterMetrics was carried there and nobody fills it", f"Look {LOOK}")
    elif judged.report is None:
        update = "Run the metrics agent of this release there, and no other writer of that object"
        yield Missing(f"its report cannot be read: {report.problem}", update)
    elif age is not None and age > stale_after:
        yield Missing(f"its agent has been silent for {age:.0f}s", f"Look {LOOK}")
    elif age is not None and age < -stale_after:
        yield Missing(f"its clock is {-age:.0f}s ahead", "Have that cluster's nodes keep time by NTP")
    for each in judged.report.not_counted if judged.report is not None else ():
        yield Missing(f"not counted: {each}", "Correct it there; the figures are without it (docs/agent.md)")
