"""What ``kueue-ks cordon``, ``uncordon`` and ``drain`` do once their flags are read."""

import asyncio
import json
import sys
from collections.abc import Mapping

import typer

from kube_runtime.connections import ConnectionSettings
from kueue_ks.cordon import its as clusters
from kueue_ks.cordon.change import CordonReport, Verb, text
from kueue_ks.errors import CommandError, Exit
from kueue_ks.flags import Output
from kueue_ks.views.terminal import terminal

__all__ = ["Verb", "change", "drain"]


def change(
    where: Mapping[str, ConnectionSettings], cluster: str, verb: Verb, reason: str, output: Output
) -> None:
    """Cordon or uncordon, and say what is so now."""
    _print(asyncio.run(_change(where, cluster, verb, reason)), output)


def drain(
    where: Mapping[str, ConnectionSettings],
    cluster: str,
    reason: str,
    timeout: float,
    *,
    yes: bool,
    output: Output,
) -> CordonReport:
    """Ask, drain, wait as long as asked to, and say what is left."""
    report = asyncio.run(_drain(where, cluster, reason, timeout, yes=yes))
    _print(report, output)
    return report


async def _change(
    where: Mapping[str, ConnectionSettings], cluster: str, verb: Verb, reason: str
) -> CordonReport:
    async with clusters.connected(where) as space:
        who = "" if verb is Verb.UNCORDON else await clusters.who_am_i(space)
        return await clusters.change(space, cluster, verb, who=who, reason=reason)


async def _drain(
    where: Mapping[str, ConnectionSettings], cluster: str, reason: str, timeout: float, *, yes: bool
) -> CordonReport:
    async with clusters.connected(where) as space:
        if not yes:
            _ask(await clusters.read(space, cluster, Verb.DRAIN))
        who = await clusters.who_am_i(space)
        report = await clusters.change(space, cluster, Verb.DRAIN, who=who, reason=reason)
        return await clusters.until_empty(space, report, timeout, _tell)


def _ask(before: CordonReport) -> None:
    """List what would move, and ask; raises CommandError when that is refused or cannot be asked."""
    if not before.jobs:
        return
    number = f"{len(before.jobs)} job{'' if len(before.jobs) == 1 else 's'}"
    what = f"draining {before.cluster} makes {number} start anew elsewhere"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        names = ", ".join(f"{job.namespace}/{job.name}" for job in before.jobs[:3])
        fix = f"add --yes, or: kueue-ks cordon {before.cluster}"
        raise CommandError(what, why=f"there are {names}", fix=fix, code=Exit.USAGE)
    print(
        "\n".join(f"  {job.namespace}/{job.name}  attempt {job.attempt}" for job in before.jobs),
        file=sys.stderr,
    )
    if not typer.confirm(f"{what}. Go on?", err=True):
        raise CommandError("nothing was changed")


def _tell(report: CordonReport) -> None:
    print(f"{report.cluster}: {len(report.jobs)} left", file=sys.stderr, flush=True)


def _print(report: CordonReport, output: Output) -> None:
    screen = terminal(sys.stdout)
    if output is Output.JSON:
        json.dump(report.to_json(), sys.stdout, indent=2, ensure_ascii=not screen.unicode)
        print()
    else:
        print("\n".join(screen.plain(line).rstrip() for line in text(report, screen.width)))
