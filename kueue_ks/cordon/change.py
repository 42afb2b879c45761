"""What the taints of a cluster should be, and what is told about it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kube_runtime.objects import Obj
from kueue_ks.reports import API_VERSION
from kueue_ks.views.table import wrapped
from vocabulary import keys
from vocabulary.cordon import EFFECT, read_cordon, with_cordon, without_cordon, words


class Verb(StrEnum):
    """What was asked, as the participle that is printed."""

    CORDON = "cordoned"
    UNCORDON = "uncordoned"
    DRAIN = "draining"


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that the cluster still has, or has been sent."""

    namespace: str
    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CordonReport:
    """What became of the cluster. ``words``: who and why; ``other_taints`` keep jobs away too."""

    cluster: str
    verb: Verb
    changed: bool
    words: str
    other_taints: tuple[str, ...]
    jobs: tuple[RunningJob, ...]

    def to_json(self) -> dict[str, Any]:
        """The published form."""
        return {
            "apiVersion": API_VERSION,
            "kind": "CordonReport",
            "cluster": self.cluster,
            "state": self.verb.value,
            "changed": self.changed,
            "words": self.words,
            "otherTaints": list(self.other_taints),
            "jobs": [{"namespace": j.namespace, "name": j.name, "attempt": j.attempt} for j in self.jobs],
        }


@dataclass(frozen=True, slots=True)
class Saying:
    """Who asks, why ("" when he gives no reason), and when (RFC3339)."""

    who: str
    reason: str
    now: str


def wanted_taints(cluster: Obj, verb: Verb, saying: Saying) -> list[dict[str, Any]]:
    """``spec.taints`` as they should be; what is not ours stays. A drain is not undone by a cordon.

    Who asks for what is so already changes its words only if he gives a reason.
    """
    taints = _taints(cluster)
    if verb is Verb.UNCORDON:
        return without_cordon(taints)
    return with_cordon(
        taints,
        words(saying.who, saying.reason),
        draining=verb is Verb.DRAIN,
        anew=bool(saying.reason),
        now=saying.now,
    )


def report_on(cluster: Obj, verb: Verb, works: Sequence[Obj], *, changed: bool) -> CordonReport:
    """``cluster`` is as it is now, ``works`` are the ManifestWorks in its namespace."""
    taints = _taints(cluster)
    cordon = read_cordon(taints)
    others = {t["key"] for t in without_cordon(taints) if t.get("effect") == EFFECT}
    jobs = {job for job in map(_job_of, works) if job is not None}
    return CordonReport(
        cluster=cluster["metadata"]["name"],
        verb=verb,
        changed=changed,
        words=cordon.words if cordon else "",
        other_taints=tuple(sorted(others)),
        jobs=tuple(sorted(jobs, key=lambda j: (j.namespace, j.name, j.attempt))),
    )


def text(report: CordonReport, width: int | None = None) -> list[str]:
    """Lines, the first as kubectl prints it; with a width, long ones are wrapped."""
    return [part for line in _lines(report) for part in wrapped(line, width)]


def _lines(report: CordonReport) -> list[str]:
    state = report.verb.value if report.changed else f"already {report.verb}"
    if report.verb is Verb.UNCORDON and not report.changed:
        state = "was not cordoned"
    lines = [f"managedcluster/{report.cluster} {state}" + (f" ({report.words})" if report.words else "")]
    if report.other_taints:
        lines.append(f"  it gets no jobs all the same: NoSelect taint {', '.join(report.other_taints)}")
    lines.append(f"  {_rest(report)}")
    lines += [f"    {job.namespace}/{job.name}  attempt {job.attempt}" for job in report.jobs]
    return lines


def _rest(report: CordonReport) -> str:
    number = f"{len(report.jobs)} job{'' if len(report.jobs) == 1 else 's'}"
    if not report.jobs:
        return "no job is there"
    match report.verb:
        case Verb.CORDON:
            return f"{number} there, to their end:"
        case Verb.DRAIN:
            return f"{number} there, moving away:"
        case _:
            return f"{number} there:"


def _taints(cluster: Obj) -> Sequence[Mapping[str, Any]]:
    return (cluster.get("spec") or {}).get("taints") or ()


def _job_of(work: Obj) -> RunningJob | None:
    """The copy of ours that a ManifestWork carries, if it carries one."""
    manifests = ((work.get("spec") or {}).get("workload") or {}).get("manifests") or [{}]
    metadata = manifests[0].get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    attempt = annotations.get(keys.ATTEMPT, "")
    if not attempt.isdecimal():
        return None
    return RunningJob(metadata.get("namespace", ""), metadata["name"], int(attempt))
