"""An audit for people. The same data as the JSON, in lines that may be piped."""

from collections.abc import Iterator
from typing import Final

from kueue_ks.amounts import age
from kueue_ks.audit.report import AuditReport, By, mended_by
from kueue_ks.views.table import Cell, Column, table, words, wrapped
from vocabulary.reasons import action_of
from workload_controller.audit.finding import Finding, Level

COLUMNS: Final = (
    Column("LEVEL"),
    Column("FINDING"),
    Column("CLASS"),
    Column("OBJECT", flexible=True),
    Column("FOR"),
    Column("REPAIR"),
)
REPAIRS: Final = {By.REPAIR: "safe", By.CONTROLLER: "by itself", By.PERSON: "decide"}


def text(report: AuditReport, width: int | None = None) -> list[str]:
    """Lines; with a width the table is fitted to it, and sentences are wrapped."""
    return [part for line in _lines(report, width) for part in wrapped(line, width)]


def _lines(report: AuditReport, width: int | None) -> list[str]:
    lines: list[str] = []
    if report.findings:
        rows = [[Cell(cell) for cell in _row(finding, report.at)] for finding in report.findings]
        lines += [words(line) for line in table(COLUMNS, rows, width=width)]
        for finding in report.findings:
            lines += ["", *_details(finding)]
        lines.append("")
    lines += [f"repaired     {each.object} {each.outcome}" for each in report.repaired]
    lines += [f"unconfirmed  {_short(finding)}" for finding in report.unconfirmed]
    lines += [f"unread       {space}: {why}" for space, why in sorted(report.unread.items())]
    if not report.options_known:
        lines.append(
            "options      WorkloadController's could not be read from its Lease, assuming its defaults"
        )
    lines.append(_summary(report))
    if any(mended_by(finding) is By.REPAIR for finding in report.findings) and not report.repaired:
        lines.append("help: kueue-ks audit --repair --dry-run")
    return lines


def _row(finding: Finding, now: float) -> tuple[str, ...]:
    lasts = age(now - finding.since) if finding.since is not None else "-"
    what = str(finding.objects[0])
    action = action_of(finding.code)
    return (finding.kind.level.value, finding.code, action, what, lasts, REPAIRS[mended_by(finding)])


def _details(finding: Finding) -> Iterator[str]:
    yield f"{finding.code}: {finding.kind.meaning}"
    yield f"  {finding.message}"
    for label, each in zip(("object", *("with",) * len(finding.objects)), finding.objects, strict=False):
        yield f"  {label:<8}{each}"  # all of them: the table may have cut the first
    yield f"  repair  {finding.remedy}"
    yield f"  more    docs/reasons.md#{finding.code.lower()}"


def _short(finding: Finding) -> str:
    settle = finding.kind.settle
    return f"{finding.code} {finding.objects[0]}: seen, may still pass (it has to last {settle:.0f}s)"


def _summary(report: AuditReport) -> str:
    counts = report.counts
    errors, warnings = report.count(Level.ERROR), report.count(Level.WARNING)
    found = ", ".join(
        f"{number} {word}{'' if number == 1 else 's'}"
        for number, word in ((errors, "error"), (warnings, "warning"))
        if number
    )
    compared = (
        f"{counts.workloads_with_quota} Workloads with quota, {_known(counts.copies)} copies, "
        f"{_known(counts.manifest_works)} ManifestWorks, {_known(counts.work_statuses)} WorkStatuses, "
        f"{_known(counts.clusters)} clusters"
    )
    return f"{found or 'nothing found'} in {compared} ({report.seconds:.1f}s)"


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)
