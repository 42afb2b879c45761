"""What ``kueue-ks audit`` does once its flags are read: look twice, ask, mend.

Two looks at least lie between a suspicion and a finding, so that jobs that start and end meanwhile are none.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import typer

from kube_runtime import telemetry
from kube_runtime.connections import ConnectionSettings
from kueue_ks.audit.look import Look, Spaces, look, reached
from kueue_ks.audit.repair import carry_out, plan
from kueue_ks.audit.report import AuditReport, Repaired, report_of
from kueue_ks.audit.text import text
from kueue_ks.errors import CommandError, Exit
from kueue_ks.flags import Output
from kueue_ks.views.terminal import terminal
from workload_controller.audit.finding import Finding
from workload_controller.audit.settling import Identity, Verdict, settled

LOOK_EVERY: Final = 5.0  # seconds between two looks, each of which lists everything


def run(
    where: Mapping[str, ConnectionSettings],
    timeout: float,
    agreed: Callable[[list[Finding]], bool],
    *,
    repair: bool,
    output: Output,
) -> AuditReport:
    """Compare, mend what ``agreed`` says, and print."""
    telemetry.configure_logging(json=False, level="critical")  # what cannot be read is a finding here
    report = asyncio.run(_audit(where, timeout, repair=repair, agreed=agreed))
    print_report(report, output)
    return report


def print_report(report: AuditReport, output: Output) -> None:
    """As wide as the terminal is; nothing is cut in a pipe."""
    screen = terminal(sys.stdout)
    if output is Output.JSON:
        json.dump(report.to_json(), sys.stdout, indent=2, ensure_ascii=not screen.unicode)
        print()
    else:
        print("\n".join(screen.plain(line).rstrip() for line in text(report, screen.width)))


def exit_code(report: AuditReport, *, exit_zero: bool) -> Exit:
    """Findings that nobody mended count before what could not be read."""
    if report.left and not exit_zero:
        return Exit.FINDINGS
    return Exit.ERROR if report.unread else Exit.FINE


async def followed(
    see: Callable[[], Awaitable[Look]],
    pause: Callable[[float], Awaitable[None]],
    timeout: float,
) -> tuple[Look, Verdict]:
    """Look until each suspicion of the first look has passed or lasted, or ``timeout`` is over."""
    seen = await see()
    began = seen.now
    verdict = settled(seen.suspicions, {}, seen.now, clock_skew=seen.options.timing.clock_skew)
    while any(finding.kind.settle <= timeout for finding in verdict.open) and seen.now - began < timeout:
        _say(f"{len(verdict.open)} suspicions, looking again")
        await pause(LOOK_EVERY)
        seen = await see()
        skew = seen.options.timing.clock_skew
        verdict = settled(_of(seen, verdict.first), verdict.first, seen.now, clock_skew=skew)
    return seen, verdict


def _of(seen: Look, first: Mapping[Identity, float]) -> list[Finding]:
    """Only what the first look suspected: on a busy fleet each look has suspicions of its own."""
    return [finding for finding in seen.suspicions if finding.identity in first]


async def _audit(
    where: Mapping[str, ConnectionSettings],
    timeout: float,
    *,
    repair: bool,
    agreed: Callable[[list[Finding]], bool],
) -> AuditReport:
    began = time.monotonic()
    async with reached(where) as spaces:
        seen, verdict = await followed(lambda: look(spaces), asyncio.sleep, timeout)
        repaired: list[Repaired] = []
        planned = plan(verdict.lasting) if repair else []
        if planned and agreed(planned):
            repaired = await _repair(spaces, planned)
        return report_of(seen, verdict, seconds=time.monotonic() - began, repaired=repaired)


async def _repair(spaces: Spaces, planned: list[Finding]) -> list[Repaired]:
    """A person took a while to agree: only what still stands is mended."""
    standing = {finding.identity for finding in (await look(spaces)).suspicions}
    return await carry_out(spaces, [finding for finding in planned if finding.identity in standing])


def agreement(*, dry_run: bool, yes: bool) -> Callable[[list[Finding]], bool]:
    """Who is asked before a repair, after the plan was told."""

    def agreed(planned: list[Finding]) -> bool:
        for finding in planned:
            typer.echo(f"will {finding.remedy}", err=True)
        if dry_run:
            return False
        if not yes and not sys.stdin.isatty():
            raise CommandError("nothing was repaired, because nobody can be asked here", fix="add --yes")
        return yes or typer.confirm(f"Repair these {len(planned)}?", err=True)

    return agreed


def _say(words: str) -> None:
    if sys.stderr.isatty():
        print(words, file=sys.stderr, flush=True)
