"""``kueue-ks cordon``, ``uncordon`` and ``drain``: the verbs of kubectl for nodes, for whole clusters.

Each can be repeated: what is so already is left as it is, and said.

What reads and writes is imported when a command really runs: ``--help`` does not wait for it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kueue_ks.errors import Exit
from kueue_ks.flags import HubContext, HubKubeconfig, ItsContext, ItsKubeconfig, Output

if TYPE_CHECKING:
    from kube_runtime.connections import ConnectionSettings

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
    flags = locals()
    from kueue_ks.cordon.run import Verb, change  # noqa: PLC0415  see the module's docstring

    change(_where(flags), cluster, Verb.CORDON, reason, output)


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
    flags = locals()
    from kueue_ks.cordon.run import Verb, change  # noqa: PLC0415  see the module's docstring

    change(_where(flags), cluster, Verb.UNCORDON, "", output)


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
    flags = locals()
    from kueue_ks.cordon.run import drain  # noqa: PLC0415  see the module's docstring

    report = drain(_where(flags), cluster, reason, timeout, yes=yes, output=output)
    raise typer.Exit(Exit.DEADLINE if timeout and report.jobs else Exit.FINE)


def _where(flags: dict[str, Any]) -> "Mapping[str, ConnectionSettings]":
    from kueue_ks.views.reading import settings  # noqa: PLC0415  see the module's docstring

    return settings(**flags)
