"""``kueue-ks audit``: compare everything, tell what should not be, and mend what is safe when asked to.

Two looks at least lie between a suspicion and a finding, so that jobs that start and end meanwhile are none.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Annotated, Final

import typer

from kube_runtime import telemetry
from kube_runtime.connections import ConnectionSettings
from kueue_ks.audit.look import Look, Spaces, look, reached
from kueue_ks.audit.repair import carry_out, plan
from kueue_ks.audit.report import AuditReport, Repaired, report_of
from kueue_ks.audit.text import text
from kueue_ks.errors import CommandError, Exit
from kueue_ks.flags import (
    HubContext,
    HubKubeconfig,
    ItsContext,
    ItsKubeconfig,
    WdsContext,
    WdsKubeconfig,
)
from workload_controller.audit.finding import Finding
from workload_controller.audit.settling import Identity, Verdict, settled

LOOK_EVERY: Final = 5.0  # seconds between two looks, each of which lists everything


class Output(StrEnum):
    """What ``-o`` takes."""

    TEXT = "text"
    JSON = "json"


def audit_command(  # noqa: PLR0913  these are the flags
    *,
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what is safe; it is listed first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --repair: only list it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for what may pass by itself; a report takes 60.")
    ] = 90.0,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 also with findings.")] = False,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Compare Workloads, copies, policies, ManifestWorks and workers' reports, and tell what should not be.

    Exit code 3 with findings, 0 without, 1 when something could not be read.
    """
    telemetry.configure_logging(json=False, level="critical")  # what cannot be read is a finding here
    where = {
        "hub": ConnectionSettings(kubeconfig=hub_kubeconfig, context=hub_context),
        "wds": ConnectionSettings(kubeconfig=wds_kubeconfig, context=wds_context),
        "its": ConnectionSettings(kubeconfig=its_kubeconfig, context=its_context),
    }
    report = asyncio.run(_audit(where, timeout, repair=repair, agreed=agreement(dry_run=dry_run, yes=yes)))
    if output is Output.JSON:
        json.dump(report.to_json(), sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print("\n".join(text(report)))
    raise typer.Exit(exit_code(report, exit_zero=exit_zero))


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
