"""``kueue-ks clusters``, ``kueue-ks queue``, ``kueue-ks top``: what there is and happens. Writes nothing.

What reads and renders is imported when a command really runs: ``--help`` does not wait for it.
"""

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kueue_ks.flags import HubContext, HubKubeconfig, ItsContext, ItsKubeconfig, WdsContext, WdsKubeconfig

if TYPE_CHECKING:
    from kueue_ks.views.show import Options

OUTPUTS: Final = ("table", "wide", "json")


def _output(value: str) -> str:
    if value not in OUTPUTS:
        msg = f"it is one of {', '.join(OUTPUTS)}"
        raise typer.BadParameter(msg)
    return value


Output = Annotated[
    str, typer.Option("--output", "-o", callback=_output, metavar="|".join(OUTPUTS), help="How to print it.")
]
NoHeaders = Annotated[bool, typer.Option("--no-headers", help="Only rows.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Only jobs and queues of this one.")]
All = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces; so it is without -n.")
]
RequestTimeout = Annotated[
    float,
    typer.Option(
        "--request-timeout", min=0.1, help="Seconds for each of hub, WDS and ITS; then it shows as unknown."
    ),
]
StaleAfter = Annotated[
    float | None,
    typer.Option(
        "--stale-after",
        min=1,
        envvar="KUEUE_KS_STALE_AFTER",
        help="Seconds after which a report is not believed; as on the controller's Lease.",
    ),
]
Settle = Annotated[
    float | None,
    typer.Option(
        "--settle",
        min=0,
        envvar="KUEUE_KS_SETTLE",
        help="Seconds that a returned cluster must stay before it is used; as on the controller's Lease.",
    ),
]

PATIENCE: Final = 2.0
"""Seconds for one space. A live server answers all our lists of 1,000 jobs well within it."""


def clusters_command(  # noqa: PLR0913  these are the flags
    *,
    output: Output = "table",
    no_headers: NoHeaders = False,
    request_timeout: RequestTimeout = PATIENCE,
    stale_after: StaleAfter = None,
    settle: Settle = None,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Whether each worker cluster takes jobs, or why not, and who has what of it.

    CAPACITY: of nodes that take pods now. HELD: promised to our jobs. FOREIGN: asked by others' pods.

    FREE: what the placement would find there.
    """
    flags = locals()
    from kueue_ks.views import show  # noqa: PLC0415  see the module's docstring

    show.show_clusters(_options(flags), sys.stdout, sys.stderr)


def queue_command(  # noqa: PLR0913  these are the flags
    name: Annotated[str, typer.Argument(help="A ClusterQueue or LocalQueue; all without it.")] = "",
    *,
    namespace: Namespace = "",
    all_namespaces: All = False,
    output: Output = "table",
    no_headers: NoHeaders = False,
    request_timeout: RequestTimeout = PATIENCE,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Queues with their quotas, what waits in which order and why, and what runs where.

    POS: a job's place in Kueue's queue. WHY: the words of Kueue or of our check; explain says more.

    Without -n all namespaces are shown.
    """
    flags = locals()
    from kueue_ks.views import show  # noqa: PLC0415  see the module's docstring

    show.show_queue(_options(flags), name, sys.stdout, sys.stderr)


def top_command(  # noqa: PLR0913  these are the flags
    *,
    once: Annotated[bool, typer.Option("--once", help="One frame, as text.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Into a pipe: a line per change, or a report with -o json.")
    ] = False,
    every: Annotated[float, typer.Option("--every", min=1.0, help="Seconds between two looks.")] = 2.0,
    namespace: Namespace = "",
    all_namespaces: All = False,
    output: Output = "table",
    request_timeout: RequestTimeout = PATIENCE,
    stale_after: StaleAfter = None,
    settle: Settle = None,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Clusters, queues and jobs on one screen, live until Ctrl-C.

    Into a pipe one frame, or with -w a line per change.
    """
    flags = locals()
    from kueue_ks.views import show  # noqa: PLC0415  see the module's docstring

    show.show_top(_options(flags), once=once, watch=watch, every=every, out=sys.stdout, err=sys.stderr)


def _options(flags: dict[str, Any]) -> "Options":
    from kueue_ks.errors import CommandError, Exit  # noqa: PLC0415  see the module's docstring
    from kueue_ks.views import reading, show  # noqa: PLC0415

    if flags.get("namespace") and flags.get("all_namespaces"):
        raise CommandError("-n and -A exclude each other", fix="leave one out", code=Exit.USAGE)
    return show.Options(
        where=reading.settings(**flags),
        deadline=flags["request_timeout"],
        output=show.Output(flags["output"]),
        heads=not flags.get("no_headers", False),
        namespace=flags.get("namespace", ""),
        stale_after=flags.get("stale_after"),
        settle=flags.get("settle"),
    )
