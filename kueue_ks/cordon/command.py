"""``kueue-ks cordon``, ``uncordon`` and ``drain``: the verbs of kubectl for nodes, for whole clusters.

Each can be repeated: what is so already is left as it is, and said.
"""

import asyncio
import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from kube_runtime.connections import ConnectionSettings
from kueue_ks.cordon import its as clusters
from kueue_ks.cordon.change import CordonReport, Verb, text
from kueue_ks.errors import CommandError, Exit
from kueue_ks.flags import HubContext, HubKubeconfig, ItsContext, ItsKubeconfig


class Output(StrEnum):
    """What ``-o`` takes."""

    TEXT = "text"
    JSON = "json"


Cluster = Annotated[str, typer.Argument(help="Name of the ManagedCluster in the ITS.", metavar="CLUSTER")]
Reason = Annotated[str, typer.Option("--reason", help="Why; shown wherever the cluster is left out.")]
Format = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]


def cordon_command(
    cluster: Cluster,
    *,
    reason: Reason = "",
    output: Format = Output.TEXT,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Give a cluster no new jobs. Those there run to their end; OCM's Placements leave it out too."""
    hub = ConnectionSettings(kubeconfig=hub_kubeconfig, context=hub_context)
    its = ConnectionSettings(kubeconfig=its_kubeconfig, context=its_context)
    _print(asyncio.run(_change(hub, its, cluster, Verb.CORDON, reason)), output)


def uncordon_command(
    cluster: Cluster,
    *,
    output: Format = Output.TEXT,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Give it jobs again; ends a drain, too. Taints of others stay and are named."""
    hub = ConnectionSettings(kubeconfig=hub_kubeconfig, context=hub_context)
    its = ConnectionSettings(kubeconfig=its_kubeconfig, context=its_context)
    _print(asyncio.run(_change(hub, its, cluster, Verb.UNCORDON, "")), output)


def drain_command(  # noqa: PLR0913  these are the flags
    cluster: Cluster,
    *,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; its jobs start anew.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until no job is there; 0 does not wait.")
    ] = 0,
    output: Format = Output.TEXT,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Cordon a cluster, and have its jobs queue again and start anew on others.

    Kueue evicts them by our AdmissionCheck; no attempt is counted as failed, no delay is added. Exit code 4
    when jobs are still there at the end of --timeout.
    """
    hub = ConnectionSettings(kubeconfig=hub_kubeconfig, context=hub_context)
    its = ConnectionSettings(kubeconfig=its_kubeconfig, context=its_context)
    report = asyncio.run(_drain(hub, its, cluster, reason, timeout, yes=yes))
    _print(report, output)
    raise typer.Exit(Exit.DEADLINE if timeout and report.jobs else Exit.FINE)


async def _change(
    hub: ConnectionSettings, its: ConnectionSettings, cluster: str, verb: Verb, reason: str
) -> CordonReport:
    async with clusters.connected({"hub": hub, "its": its}) as space:
        who = "" if verb is Verb.UNCORDON else await clusters.who_am_i(space)
        return await clusters.change(space, cluster, verb, who=who, reason=reason)


async def _drain(
    hub: ConnectionSettings, its: ConnectionSettings, cluster: str, reason: str, timeout: float, *, yes: bool
) -> CordonReport:
    async with clusters.connected({"hub": hub, "its": its}) as space:
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
    if output is Output.JSON:
        json.dump(report.to_json(), sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print("\n".join(text(report)))
