"""A what-if for people, in lines of at most the screen's width."""

from collections.abc import Iterator, Sequence

from kube_runtime.quantity import parse_milli_down
from kueue_ks.amounts import amount, short_name
from kueue_ks.explain.future_text import verdict_lines
from kueue_ks.forecast.quota import QuotaNeed
from kueue_ks.views.cells import asks, seconds
from kueue_ks.views.table import Cell, Column, table, words, wrapped
from kueue_ks.whatif.report import JobForecast, Move, QuotaChange, WhatIf

NOTHING_CHANGED = "nothing is changed by this command"


def whatif_lines(report: WhatIf, width: int | None = None) -> list[str]:
    """Lines; ``width`` None cuts nothing."""
    lines = [*_job(report, width), *_cluster(report, width), *_end(report)]
    return [part for line in lines for part in wrapped(line, width)]


def _job(report: WhatIf, width: int | None) -> Iterator[str]:
    job = report.job
    if job is None:
        return
    yield f"If {job.namespace}/{job.name} were created now: {NOTHING_CHANGED}"
    yield f"  {_outcome(job)}"
    for need in job.quota:
        yield f"  {'quota':<8}{_need(need, job.cluster_queue)}"
    yield from verdict_lines(job.verdicts, seconds(report.at), width)


def _outcome(job: JobForecast) -> str:
    where = " or ".join(job.clusters)
    match job.outcome:
        case "Placed":
            return f"PLACED  on {where}"
        case "WaitsForQuota":
            return f"WAITS FOR QUOTA  {job.why}" + (f"; with quota it would go to {where}" if where else "")
        case "Never":
            return f"NEVER RUNS  {job.why}"
        case _:
            return f"WAITS FOR A CLUSTER  {job.why}"


def _need(need: QuotaNeed, queue: str) -> str:
    shown = {name: _shown(getattr(need, name), need.resource) for name in ("asked", "free", "nominal")}
    missing = f", {_shown(need.missing, need.resource)} missing" if need.missing else ""
    what = f"{short_name(need.resource)} of flavor {need.flavor} in {queue}"
    return f"{what}: asks {shown['asked']}, free {shown['free']} of {shown['nominal']}{missing}"


def _cluster(report: WhatIf, width: int | None) -> Iterator[str]:
    if not report.cluster:
        return
    done = {"cordon": "cordoned", "drain": "drained"}[report.verb]
    yield f"If {report.cluster} were {done} now: {NOTHING_CHANGED}"
    if report.stays:
        yield f"  {'STAY':<8}{len(report.stays)} to their end: {', '.join(report.stays)}"
    yield from _moves("MOVE", [m for m in report.moves if m.to], width)
    yield from _moves("WAIT", [m for m in report.moves if not m.to], width)
    yield from _moves("LOSE", report.loses, width)
    if not (report.stays or report.moves or report.loses):
        yield "  no job is there, and none that waits loses its last cluster"
    for change in report.quota:
        yield f"  {'QUOTA':<8}{_change(change)}"


def _moves(word: str, moves: Sequence[Move], width: int | None) -> Iterator[str]:
    if not moves:
        return
    yield f"  {word:<8}{len(moves)} job{'' if len(moves) == 1 else 's'}" + (
        ": waiting, and no other cluster could hold them" if word == "LOSE" else ""
    )
    rows = [
        [
            Cell(f"{m.namespace}/{m.name}"),
            Cell(asks(m.asks, 0)),
            Cell(f"-> {m.to}, starts anew" if m.to else m.why),
        ]
        for m in moves
    ]
    columns = (Column("JOB"), Column("ASKS"), Column("THEN", flexible=True, least=20))
    for line in table(columns, rows, width=None if width is None else width - 10, heads=False):
        yield f"{' ' * 10}{words(line)}"


def _change(change: QuotaChange) -> str:
    before, after, reserved = (
        _shown(q, change.resource) for q in (change.before, change.after, change.reserved)
    )
    less = "; Kueue evicts nobody by itself" if _milli(change.reserved) > _milli(change.after) else ""
    what = f"{change.cluster_queue} {change.flavor} {short_name(change.resource)}"
    return f"{what} {before} -> {after}, reserved {reserved}{less}"


def _end(report: WhatIf) -> Iterator[str]:
    for unknown in report.unknown:
        yield f"  {'not seen':<10}{unknown}"
    if not report.options_known:
        yield f"  {'assumed':<10}default options: those of the controller could not be read from its Lease"


def _shown(quantity: str, resource: str) -> str:
    return amount(_milli(quantity), resource)


def _milli(quantity: str) -> int:
    return parse_milli_down(quantity)
