"""A report for people: one line each, what is wrong with its remedy below."""

from typing import Final

from kueue_ks.doctor.finding import DoctorReport, Level

WORDS: Final = {Level.OK: "ok", Level.WARN: "WARN", Level.FAIL: "FAIL", Level.UNKNOWN: "?"}


def text(report: DoctorReport) -> list[str]:
    """Lines."""
    width = max((len(finding.check) for finding in report.findings), default=0)
    lines: list[str] = []
    for finding in report.findings:
        head = f"{WORDS[finding.level]:<4}  {finding.check:<{width}}  "
        lines.append(f"{head}{finding.subject}: {finding.message}")
        if finding.remedy and finding.level is not Level.OK:
            lines.append(f"{'':<{6 + width + 2}}fix: {finding.remedy}")
    lines.append(
        f"{report.failed} failed, {report.warnings} warnings, {report.unknown} unknown, "
        f"{report.passed} passed in {report.seconds:.1f}s"
    )
    if report.failed or report.warnings or report.unknown:
        lines.append("more: docs/doctor.md explains each check")
    return lines
