"""What ``kueue-ks explain`` does once its flags are read: look, put together, print. Writes nothing."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import replace

from kube_runtime.connections import ConnectionSettings
from kube_runtime.objects import key_of
from kueue_ks.explain.explanation import Explanation
from kueue_ks.explain.facts import Found
from kueue_ks.explain.fold import explain
from kueue_ks.explain.future import Future, future_of
from kueue_ks.explain.search import find
from kueue_ks.explain.text import text
from kueue_ks.flags import Output
from kueue_ks.forecast.world import World
from kueue_ks.reports import plain
from kueue_ks.views.facts import facts_of
from kueue_ks.views.reading import FOR_VERDICTS, Eyes
from kueue_ks.views.seen import Seen
from kueue_ks.views.terminal import terminal


def show(
    where: Mapping[str, ConnectionSettings], namespace: str, name: str, deadline: float, output: Output
) -> bool:
    """Print what there is to say about a job; returns whether it can never run."""
    found, seen = asyncio.run(_read(where, namespace, name, deadline))
    explanation, future = _told(found, seen)
    screen = terminal(sys.stdout)
    if output is Output.JSON:
        told = {**explanation.to_json(), **plain(future)}
        json.dump(told, sys.stdout, indent=2, ensure_ascii=not screen.unicode)
        print()
    else:
        lines = text(explanation, found.now, future, screen.width)
        print("\n".join(screen.plain(line).rstrip() for line in lines))
    return explanation.never


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
