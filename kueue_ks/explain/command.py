"""``kueue-ks explain job/NAME``: where a job is and why, read from objects. Writes nothing."""

import asyncio
import json
import sys
from enum import StrEnum
from typing import Annotated, Final

import typer

from kube_runtime.connections import ConnectionSettings
from kueue_ks.errors import CommandError, Exit
from kueue_ks.explain.fold import explain
from kueue_ks.explain.search import find
from kueue_ks.explain.text import text
from kueue_ks.flags import (
    HubContext,
    HubKubeconfig,
    ItsContext,
    ItsKubeconfig,
    WdsContext,
    WdsKubeconfig,
)

KINDS: Final = ("job", "jobs", "job.batch", "jobs.batch")


class Output(StrEnum):
    """What ``-o`` takes."""

    TEXT = "text"
    JSON = "json"


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
    name = job_name(target)
    where = {
        "hub": ConnectionSettings(kubeconfig=hub_kubeconfig, context=hub_context),
        "wds": ConnectionSettings(kubeconfig=wds_kubeconfig, context=wds_context),
        "its": ConnectionSettings(kubeconfig=its_kubeconfig, context=its_context),
    }
    found = asyncio.run(find(where, namespace, name))
    explanation = explain(found)
    if output is Output.JSON:
        json.dump(explanation.to_json(), sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print("\n".join(text(explanation, found.now)))
    raise typer.Exit(Exit.FINDINGS if explanation.never and not exit_zero else Exit.FINE)


def job_name(target: str) -> str:
    """NAME of "job/NAME" or of a bare name. Raises CommandError for another kind."""
    kind, slash, name = target.rpartition("/")
    if slash and kind.lower() not in KINDS:
        what = f"{target!r} is no batch Job"
        raise CommandError(what, fix="name it as job/NAME", code=Exit.USAGE)
    return name
