"""``kueue-ks install`` and ``kueue-ks uninstall``.

The hub always, WDS, ITS and workers when they are given. All are checked before the first is written to.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from kube_runtime.connections import ConnectionFailed, ConnectionSettings, connect, discover_control_plane
from kube_runtime.preflight import require_different
from kube_runtime.space import Space
from kueue_ks.errors import EXPECTED, CommandError, report
from kueue_ks.flags import (
    HubContext,
    HubKubeconfig,
    ItsContext,
    ItsKubeconfig,
    WdsContext,
    WdsKubeconfig,
)
from kueue_ks.install import held_jobs
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import Change, Deed, Plan, carry_out, delete, installed, prepare

ONE_API_SERVER: Final = (
    "The WDS must be another one, because KubeStellar would carry the hub's own jobs away; "
    "choose it with --wds-kubeconfig and --wds-context."
)


WorkerKubeconfig = Annotated[
    Path | None, typer.Option(help="Kubeconfig that has the contexts of the workers.")
]
WorkerContext = Annotated[
    list[str] | None, typer.Option(help="Context of a worker; may be given several times.")
]
Hub = Annotated[bool, typer.Option("--hub/--no-hub", help="The hub is left alone with --no-hub.")]
Samples = Annotated[bool, typer.Option("--samples", help="Also the queues of config/samples, on the hub.")]


@dataclass(frozen=True, slots=True)
class Target:
    """An API server that was named on the command line, and what it is to us."""

    name: str
    duty: Duty
    settings: ConnectionSettings


def install_command(  # noqa: PLR0913  these are the flags
    *,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
    worker_kubeconfig: WorkerKubeconfig = None,
    worker_context: WorkerContext = None,
    hub: Hub = True,
    samples: Samples = False,
    without_admission: Annotated[
        bool,
        typer.Option("--without-admission", help="No policy that writes spec.managedBy (hubs before 1.36)."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and write nothing.")] = False,
) -> None:
    """Put roles, admission policies and the ClusterMetrics kind where the programs need them.

    Everything is checked first, by dry runs too; running it again changes nothing. What others made under
    one of our names is never overwritten.
    """
    targets = _targets(
        hub=(hub_kubeconfig, hub_context) if hub else None,
        wds=(wds_kubeconfig, wds_context),
        its=(its_kubeconfig, its_context),
        workers=(worker_kubeconfig, worker_context or []),
    )
    _run(_install(targets, samples=samples, admission=not without_admission, dry_run=dry_run))


def uninstall_command(  # noqa: PLR0913  these are the flags
    *,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
    worker_kubeconfig: WorkerKubeconfig = None,
    worker_context: WorkerContext = None,
    hub: Hub = True,
    samples: Samples = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    abandon_jobs: Annotated[
        bool,
        typer.Option("--abandon-jobs", help="Also when jobs still run on workers: they are nobody's then."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be deleted.")] = False,
) -> None:
    """Delete what install made: only objects with our label, listed before.

    Refused while jobs still run or end on workers, because nobody would free their quota then.

    With --samples the namespaces team-a and team-b go too, and every job in them.
    """
    targets = _targets(
        hub=(hub_kubeconfig, hub_context) if hub else None,
        wds=(wds_kubeconfig, wds_context),
        its=(its_kubeconfig, its_context),
        workers=(worker_kubeconfig, worker_context or []),
    )
    _run(_uninstall(targets, samples=samples, yes=yes, abandon_jobs=abandon_jobs, dry_run=dry_run))


_Where = tuple[Path | None, str | None]


def _targets(
    *, hub: _Where | None, wds: _Where, its: _Where, workers: tuple[Path | None, Sequence[str]]
) -> list[Target]:
    """The hub unless it is None; WDS and ITS if a file or context was given; one worker for each context."""
    named: list[tuple[str, Duty, _Where]] = [("hub", Duty.HUB, hub)] if hub else []
    named += [(duty.value, duty, where) for duty, where in ((Duty.WDS, wds), (Duty.ITS, its)) if any(where)]
    kubeconfig, contexts = workers
    if kubeconfig and not contexts:
        named.append(("worker", Duty.WORKER, (kubeconfig, None)))
    named += [(context, Duty.WORKER, (kubeconfig, context)) for context in contexts]
    return [
        Target(name, duty, ConnectionSettings(kubeconfig=kubeconfig, context=context))
        for name, duty, (kubeconfig, context) in named
    ]


async def _install(targets: Iterable[Target], *, samples: bool, admission: bool, dry_run: bool) -> None:
    async with _connected(targets) as spaces:
        await _require_hub_is_not_wds(spaces)
        plans = [
            await prepare(space, what=duty, samples=samples and duty is Duty.HUB, admission=admission)
            for space, duty in spaces
        ]
        for plan in plans:
            _print(planned(plan) if dry_run else await carry_out(plan))


async def _uninstall(
    targets: Iterable[Target], *, samples: bool, yes: bool, abandon_jobs: bool, dry_run: bool
) -> None:
    async with _connected(targets) as spaces:
        jobs = await held_jobs.held(spaces)
        if not (abandon_jobs or dry_run):
            held_jobs.require_none(jobs)
        plans = [
            await installed(space, what=duty, samples=samples and duty is Duty.HUB) for space, duty in spaces
        ]
        doomed = [change for plan in plans for change in planned(plan, outcome="would be deleted")]
        if not doomed:
            typer.echo("Nothing of ours was found.")
            return
        if dry_run or not yes:
            _print(doomed)
        if dry_run:
            return
        if not yes:
            _ask(len(doomed))
        _print(await held_jobs.abandon(jobs))
        for plan in plans:
            _print(await delete(plan))


def planned(plan: Plan, outcome: str = "") -> list[Change]:
    """What a plan comes to, without doing it."""
    words = {Deed.APPLY: "would be applied", Deed.CREATE: "would be created", Deed.KEEP: "stays as it is"}
    steps = [Change(plan.space.name, step.name, outcome or words[step.deed]) for step in plan.steps]
    return [*steps, *plan.left_out]


@asynccontextmanager
async def _connected(targets: Iterable[Target]) -> AsyncIterator[list[tuple[Space, Duty]]]:
    async with AsyncExitStack() as stack:
        spaces = [
            (await stack.enter_async_context(await connect(target.name, target.settings)), target.duty)
            for target in targets
        ]
        named = {duty: space for space, duty in spaces}
        for duty in (Duty.WDS, Duty.ITS):
            if Duty.HUB in named and duty not in named:
                found = await _found_by_kubeflex(named[Duty.HUB], duty)
                if found is not None:
                    spaces.append((await stack.enter_async_context(found), duty))
        yield spaces


async def _found_by_kubeflex(hub: Space, duty: Duty) -> Space | None:
    """The WDS or ITS that the controllers would find too; None, said on stderr, if there is not just one."""
    try:
        return await discover_control_plane(hub, duty.value, in_cluster=False)
    except ConnectionFailed as failed:
        typer.echo(f"note: nothing is done in the {duty.value.upper()}: {failed}", err=True)
        return None


async def _require_hub_is_not_wds(spaces: Iterable[tuple[Space, Duty]]) -> None:
    by_duty = {duty: space for space, duty in spaces}
    if Duty.HUB in by_duty and Duty.WDS in by_duty:
        await require_different(by_duty[Duty.HUB], by_duty[Duty.WDS], ONE_API_SERVER)


def _ask(count: int) -> None:
    """Go on only after a yes; without a terminal nobody can answer, so that is a no."""
    if not sys.stdin.isatty():
        raise CommandError("nothing was deleted, because nobody can be asked here", fix="add --yes")
    typer.confirm(f"Delete these {count} objects?", abort=True)


def _print(changes: Iterable[Change]) -> None:
    for change in changes:
        typer.echo(f"{change.space:<8} {change}")


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except EXPECTED as failed:
        raise typer.Exit(report(failed, sys.stderr)) from None
