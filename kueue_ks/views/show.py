"""Reads, folds and prints one view, once or again and again."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TextIO

from kube_runtime.connections import ConnectionSettings
from kube_runtime.errors import KubeError
from kueue_ks.reports import document
from kueue_ks.views import reading
from kueue_ks.views.clusters import ClustersReport, Rules, clusters_report
from kueue_ks.views.clusters_text import clusters_lines
from kueue_ks.views.facts import Facts, facts_of
from kueue_ks.views.queue import QueueReport, queue_report
from kueue_ks.views.queue_text import queue_lines
from kueue_ks.views.table import Line
from kueue_ks.views.terminal import Terminal, terminal
from kueue_ks.views.top import TopReport, top_report
from kueue_ks.views.top_text import top_lines

EVERY: Final = 2.0
"""Seconds between two looks of a live view: at 1,000 jobs one look costs the API servers ten lists."""


class Output(StrEnum):
    """What ``-o`` takes."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The flags that the views share."""

    where: Mapping[str, ConnectionSettings]
    deadline: float
    output: Output = Output.TABLE
    heads: bool = True
    namespace: str = ""
    stale_after: float | None = None  # None: as the controller's Lease says
    settle: float | None = None

    def rules(self, facts: Facts) -> Rules:
        """By which clusters are judged: as asked for, else as the controller does."""
        known = facts.options
        return Rules(
            stale_after=known.stale_after if self.stale_after is None else self.stale_after,
            settle=known.timing.settle if self.settle is None else self.settle,
        )


def show_clusters(options: Options, out: TextIO, err: TextIO) -> None:
    """``kueue-ks clusters``."""

    def lines(report: ClustersReport, screen: Terminal) -> list[Line]:
        wide = options.output is Output.WIDE
        return clusters_lines(report, wide=wide, width=screen.width, heads=options.heads)

    facts = asyncio.run(_look(options, reading.FOR_CLUSTERS))
    report = clusters_report(facts, options.rules(facts))
    _print(report, "ClustersReport", lines, options, out, err)
    if not report.clusters and not report.unread:
        print("No ManagedCluster in the ITS: register a worker with OCM", file=err)


def show_queue(options: Options, name: str, out: TextIO, err: TextIO) -> None:
    """``kueue-ks queue``."""

    def lines(report: QueueReport, screen: Terminal) -> list[Line]:
        wide = options.output is Output.WIDE
        return queue_lines(report, wide=wide, width=screen.width, heads=options.heads)

    facts = asyncio.run(_look(options, reading.FOR_QUEUE))
    report = queue_report(facts, namespace=options.namespace, name=name)
    _print(report, "QueueReport", lines, options, out, err)
    if not (report.queues or report.waiting or report.running or report.unread):
        where = f" in {options.namespace} namespace" if options.namespace else ""
        print(f"No resources found{where}.", file=err)


def show_top(options: Options, *, once: bool, watch: bool, every: float, out: TextIO, err: TextIO) -> None:
    """``kueue-ks top``: live on a terminal, lines with ``watch`` elsewhere, else one frame."""
    screen = terminal(out)
    live = not once and screen.width is not None and options.output is not Output.JSON
    if once or not (live or watch):
        facts = asyncio.run(_look(options, reading.FOR_TOP))
        report = top_report(facts, options.rules(facts), namespace=options.namespace)
        _print(report, "TopReport", _once, options, out, err)
        return
    from kueue_ks.views.screen import Lines, LiveScreen  # noqa: PLC0415  rich takes its time to import

    if live:
        with LiveScreen(out) as drawn:
            asyncio.run(_follow(options, drawn.show, every))
    else:
        asyncio.run(_follow(options, Lines(out, err, as_json=options.output is Output.JSON).show, every))


def _once(report: TopReport, screen: Terminal) -> list[Line]:
    return top_lines(report, width=screen.width, unicode=screen.unicode)


async def _look(options: Options, wanted: frozenset[str]) -> Facts:
    async with reading.Eyes(options.where, deadline=options.deadline, namespace=options.namespace) as eyes:
        return facts_of(await eyes.look(wanted))


async def _follow(options: Options, show: Callable[[TopReport], None], every: float) -> None:
    """For ever. When nothing answers any more, the last report goes on being shown, and says so."""
    report: TopReport | None = None
    async with reading.Eyes(options.where, deadline=options.deadline, namespace=options.namespace) as eyes:
        while True:
            began = time.monotonic()
            try:
                facts = facts_of(await eyes.look(reading.FOR_TOP))
                report = top_report(facts, options.rules(facts), namespace=options.namespace)
            except KubeError as silent:
                if report is None:
                    raise
                report = replace(report, unread={"anything": f"{silent} (seen last at {report.at})"})
            show(report)
            await asyncio.sleep(max(0.0, began + every - time.monotonic()))


def _print(
    report: Any,  # noqa: ANN401  one of the reports
    kind: str,
    lines: Callable[[Any, Terminal], list[Line]],
    options: Options,
    out: TextIO,
    err: TextIO,
) -> None:
    """Data to ``out``; what could not be read to ``err``."""
    screen = terminal(out)
    if options.output is Output.JSON:
        json.dump(document(kind, report), out, indent=2, ensure_ascii=not screen.unicode)
        print(file=out)
    else:
        shown = lines(report, screen)
        if shown:
            print(screen.render(shown), file=out)
    for what, why in report.unread.items():
        print(f"warning: {what} was not read: {why}", file=err)
