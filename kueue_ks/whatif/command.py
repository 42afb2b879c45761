"""``kueue-ks whatif JOB.yaml | cordon CLUSTER | drain CLUSTER``: reads and tells, and writes nothing."""

import asyncio
import difflib
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

from kube_runtime.objects import Obj
from kueue_ks.errors import CommandError, Exit
from kueue_ks.explain.command import Output
from kueue_ks.flags import HubContext, HubKubeconfig, ItsContext, ItsKubeconfig, WdsContext, WdsKubeconfig
from kueue_ks.forecast.world import World
from kueue_ks.reports import document
from kueue_ks.views.facts import facts_of
from kueue_ks.views.reading import FOR_VERDICTS, Eyes, settings
from kueue_ks.views.seen import Seen
from kueue_ks.views.terminal import terminal
from kueue_ks.whatif.clusters import cordon, drain
from kueue_ks.whatif.job import submit
from kueue_ks.whatif.report import WhatIf
from kueue_ks.whatif.text import whatif_lines

CONDITION: Final = re.compile(r"\s*(waiting|moving|never)\s*(>=|<=|==|>|<)\s*(\d+)\s*")


def whatif_command(  # noqa: PLR0913  these are the flags
    what: Annotated[
        str, typer.Argument(help="The file of a Job, or cordon, or drain.", metavar="JOB.yaml|cordon|drain")
    ],
    cluster: Annotated[str, typer.Argument(help="For cordon and drain.", metavar="CLUSTER")] = "",
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where the job would be created, if not as it says.")
    ] = "",
    output: Annotated[Output, typer.Option("--output", "-o", help="text or json.")] = Output.TEXT,
    fail_if: Annotated[
        str,
        typer.Option("--fail-if", help="Exit 3 if so: waiting, moving or never, compared: 'waiting>0'."),
    ] = "",
    request_timeout: Annotated[
        float, typer.Option("--request-timeout", min=0.1, help="Seconds for each of hub, WDS and ITS.")
    ] = 5.0,
    hub_kubeconfig: HubKubeconfig = None,
    hub_context: HubContext = None,
    wds_kubeconfig: WdsKubeconfig = None,
    wds_context: WdsContext = None,
    its_kubeconfig: ItsKubeconfig = None,
    its_context: ItsContext = None,
) -> None:
    """What would happen, by the controllers' own code; nothing is changed.

    JOB.yaml: would it get quota, which cluster would it go to, and why to no other.

    cordon, drain CLUSTER: which jobs would move, wait, or lose their last cluster, and what of the quotas.
    """
    flags = locals()
    condition = _condition(fail_if)
    job = None if what in ("cordon", "drain") else _job_file(what)
    if bool(cluster) == (job is not None):
        problem = f"{what} needs a cluster" if job is None else "a job is asked about without a cluster"
        raise CommandError(problem, fix="kueue-ks whatif --help", code=Exit.USAGE)
    seen = asyncio.run(_look(flags, request_timeout, namespace))
    report = _report(seen, what, cluster, job, namespace)
    if output is Output.JSON:
        told = {**document("WhatIf", report), "counts": report.counts}
        json.dump(told, sys.stdout, indent=2, ensure_ascii=not terminal(sys.stdout).unicode)
        print()
    else:
        screen = terminal(sys.stdout)
        print("\n".join(screen.plain(line).rstrip() for line in whatif_lines(report, screen.width)))
    raise typer.Exit(Exit.FINDINGS if condition and holds(condition, report.counts) else Exit.FINE)


def holds(condition: tuple[str, str, int], counts: dict[str, int]) -> bool:
    """Whether a condition of ``--fail-if`` is true."""
    name, compared, limit = condition
    value = counts[name]
    return {
        ">": value > limit,
        "<": value < limit,
        ">=": value >= limit,
        "<=": value <= limit,
        "==": value == limit,
    }[compared]


def _condition(text: str) -> tuple[str, str, int] | None:
    if not text:
        return None
    found = CONDITION.fullmatch(text)
    if found is None:
        what = f"--fail-if {text!r} is no condition"
        raise CommandError(
            what, fix="waiting, moving or never, then >, >=, ==, <= or <, then a number", code=Exit.USAGE
        )
    return found[1], found[2], int(found[3])


def _job_file(path: str) -> Obj:
    try:
        found: Any = yaml.safe_load(sys.stdin if path == "-" else Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as bad:
        what = f"{path} cannot be read as YAML"
        fix = "give the file of a Job, or cordon CLUSTER, or drain CLUSTER"
        raise CommandError(what, why=str(bad), fix=fix, code=Exit.USAGE) from bad
    if not isinstance(found, dict) or not isinstance(found.get("spec"), dict):
        what = f"{path} holds no Job"
        raise CommandError(what, fix="give the file of one Job", code=Exit.USAGE)
    return found


async def _look(flags: dict[str, Any], deadline: float, namespace: str) -> Seen:
    async with Eyes(settings(**flags), deadline=deadline, namespace=namespace) as eyes:
        return await eyes.look(FOR_VERDICTS)


def _report(seen: Seen, verb: str, cluster: str, job: Obj | None, namespace: str) -> WhatIf:
    facts = facts_of(seen)
    world = World(seen)
    if world.lacks:
        why = "; ".join(f"{name}: {text}" for name, text in facts.unread.items())
        what = f"not everything that decides could be read: {', '.join(world.lacks)}"
        raise CommandError(
            what,
            why=why,
            fix="an answer without it would be a guess; ask again, or with more rights",
        )
    if job is not None:
        return submit(seen, facts, job, namespace)
    if cluster not in world.managed:
        near = difflib.get_close_matches(cluster, sorted(world.managed), n=3)
        there = ", ".join(sorted(world.managed)) or "none"
        fix = f"did you mean {' or '.join(near)}?" if near else "name another one"
        what = f"no ManagedCluster {cluster!r}"
        raise CommandError(what, why=f"registered are {there}", fix=fix)
    return (cordon if verb == "cordon" else drain)(world, facts, cluster)
