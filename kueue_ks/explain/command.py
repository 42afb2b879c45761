"""``kueue-ks explain job/NAME``: where a job is and why, read from objects. Writes nothing."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Final

import typer

from kube_runtime.connections import ConnectionSettings
from kube_runtime.objects import key_of
from kueue_ks.errors import CommandError, Exit
from kueue_ks.explain.explanation import Explanation
from kueue_ks.explain.facts import Found
from kueue_ks.explain.fold import explain
from kueue_ks.explain.future import Future, future_of
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
from kueue_ks.forecast.world import World
from kueue_ks.reports import plain
from kueue_ks.views.facts import facts_of
from kueue_ks.views.reading import FOR_VERDICTS, Eyes
from kueue_ks.views.seen import Seen
from kueue_ks.views.terminal import terminal

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
    name = job_name(target)
    where = {
        "hub": ConnectionSettings(kubeconfig=hub_kubeconfig, context=hub_context),
        "wds": ConnectionSettings(kubeconfig=wds_kubeconfig, context=wds_context),
        "its": ConnectionSettings(kubeconfig=its_kubeconfig, context=its_context),
    }
    found, seen = asyncio.run(_read(where, namespace, name, request_timeout))
    explanation, future = _told(found, seen)
    if output is Output.JSON:
        json.dump(
            {**explanation.to_json(), **plain(future)},
            sys.stdout,
            indent=2,
            ensure_ascii=not terminal(sys.stdout).unicode,
        )
        print()
    else:
        screen = terminal(sys.stdout)
        lines = text(explanation, found.now, future, screen.width)
        print("\n".join(screen.plain(line).rstrip() for line in lines))
    raise typer.Exit(Exit.FINDINGS if explanation.never and not exit_zero else Exit.FINE)


async def _read(
    where: Mapping[str, ConnectionSettings], namespace: str, name: str, deadline: float
) -> tuple[Found, Seen]:
    """The job's own objects, and then all that its future depends on."""
    found = await find(where, namespace, name)
    if found.workload is None:
        return found, Seen(now=found.now)
    async with Eyes(where, deadline=deadline, namespace=namespace) as eyes:
        return found, replace(await eyes.look(FOR_VERDICTS), now=found.now)


def _told(found: Found, seen: Seen) -> tuple[Explanation, Future]:
    world = World(seen)
    key = ("", "") if found.workload is None else key_of(found.workload)
    own = next((w for w in world.workloads if (w.namespace, w.name) == key), None)
    situation = world.situation(own) if own is not None and not world.lacks else None
    explanation = explain(found, situation=situation, timing=world.options.timing)
    return explanation, future_of(world, facts_of(seen), explanation.phase, *key)


def job_name(target: str) -> str:
    """NAME of "job/NAME" or of a bare name. Raises CommandError for another kind."""
    kind, slash, name = target.rpartition("/")
    if slash and kind.lower() not in KINDS:
        what = f"{target!r} is no batch Job"
        raise CommandError(what, fix="name it as job/NAME", code=Exit.USAGE)
    return name
