"""``kueue-ks explain job/NAME``: where a job is and why, read from objects. Writes nothing.

What reads and renders is imported when the command really runs: ``--help`` does not wait for it.
"""

from typing import Annotated, Final

import typer

from kueue_ks.errors import CommandError, Exit
from kueue_ks.flags import (
    HubContext,
    HubKubeconfig,
    ItsContext,
    ItsKubeconfig,
    Output,
    WdsContext,
    WdsKubeconfig,
)

KINDS: Final = ("job", "jobs", "job.batch", "jobs.batch")


def explain_command(  # noqa: PLR0913  these are the flags
    target: Annotated[str, typer.Argument(help="job/NAME", metavar="TYPE/NAME")],
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Its namespace on the hub.")
    ] = "default",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    exit_zero: Annotated[
        bool, typer.Option("--exit-zero", help="Exit 0 also for a job that can never run.")
    ] = False,
    request_timeout: Annotated[
        float,
        typer.Option("--request-timeout", min=0.1, help="Seconds for what each space says of the fleet."),
    ] = 2.0,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """Say where a job is, what it waits for and why, with the numbers of each cluster.

    Exit code 3 when it can never run as it is written.
    """
    flags = locals()
    name = job_name(target)
    from kueue_ks.explain.show import show  # noqa: PLC0415  see the module's docstring
    from kueue_ks.views.reading import settings  # noqa: PLC0415

    never = show(settings(**flags), namespace, name, request_timeout, output)
    raise typer.Exit(Exit.FINDINGS if never and not exit_zero else Exit.FINE)


def job_name(target: str) -> str:
    """NAME of "job/NAME" or of a bare name. Raises CommandError for another kind or none."""
    kind, slash, name = target.rpartition("/")
    if slash and kind.lower() not in KINDS:
        what = f"{target!r} is no batch Job"
        raise CommandError(what, fix="name it as job/NAME", code=Exit.USAGE)
    if not name:
        what = f"{target!r} names no job"
        raise CommandError(what, fix="name it as job/NAME", code=Exit.USAGE)
    return name
