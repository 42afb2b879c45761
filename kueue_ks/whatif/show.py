"""What ``kueue-ks whatif`` does once its flags are read: look, suppose, print. Writes nothing."""

import asyncio
import difflib
import json
import sys
from collections.abc import Mapping

from kube_runtime.connections import ConnectionSettings
from kube_runtime.objects import Obj
from kueue_ks.errors import CommandError
from kueue_ks.flags import Output
from kueue_ks.forecast.world import World
from kueue_ks.reports import document
from kueue_ks.views.facts import facts_of
from kueue_ks.views.reading import FOR_VERDICTS, Eyes
from kueue_ks.views.seen import Seen
from kueue_ks.views.terminal import terminal
from kueue_ks.whatif.clusters import cordon, drain
from kueue_ks.whatif.job import submit
from kueue_ks.whatif.report import WhatIf
from kueue_ks.whatif.text import whatif_lines


def show(
    where: Mapping[str, ConnectionSettings],
    deadline: float,
    verb: str,
    cluster: str,
    job: Obj | None,
    namespace: str,
    *,
    output: Output,
) -> WhatIf:
    """Print what would happen; ``verb`` is cordon or drain, or there is a ``job``."""
    seen = asyncio.run(_look(where, deadline, namespace))
    report = _report(seen, verb, cluster, job, namespace)
    screen = terminal(sys.stdout)
    if output is Output.JSON:
        told = {**document("WhatIf", report), "counts": report.counts}
        json.dump(told, sys.stdout, indent=2, ensure_ascii=not screen.unicode)
        print()
    else:
        print("\n".join(screen.plain(line).rstrip() for line in whatif_lines(report, screen.width)))
    return report


async def _look(where: Mapping[str, ConnectionSettings], deadline: float, namespace: str) -> Seen:
    async with Eyes(where, deadline=deadline, namespace=namespace) as eyes:
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
