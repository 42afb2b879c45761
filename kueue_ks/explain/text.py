"""An explanation for people. The same data as the JSON, in lines that may be piped."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from kueue_ks.amounts import age, duration
from kueue_ks.explain.explanation import Asks, CheckReport, Condition, Explanation, Phase, Step
from kueue_ks.explain.fold import NO_ROOM
from kueue_ks.explain.future import Future
from kueue_ks.explain.future_text import future_lines
from kueue_ks.views.cells import with_action
from kueue_ks.views.table import wrapped

HEADLINES: Final = {
    Phase.NOT_QUEUED: "NOT QUEUED",
    Phase.WAITING_FOR_QUOTA: "WAITING FOR QUOTA",
    Phase.WAITING_FOR_CLUSTER: "WAITING FOR A CLUSTER",
    Phase.STARTING: "STARTING",
    Phase.RUNNING: "RUNNING",
    Phase.LEAVING: "LEAVING ITS CLUSTER",
    Phase.REFUSED: "REFUSED, CAN NEVER RUN AS WRITTEN",
    Phase.STOPPED: "STOPPED BY SOMEBODY",
    Phase.SUCCEEDED: "SUCCEEDED",
    Phase.FAILED: "FAILED",
}
INDENT: Final = " " * 10
NEXT_VERDICT: Final = re.compile(r"; (?=[a-z0-9][a-z0-9.-]*: )")  # before "w2: "


def text(
    explanation: Explanation, now: float, future: Future | None = None, width: int | None = None
) -> list[str]:
    """Lines, not longer than ``width`` if it is given; ``now`` in unix seconds, for the ages."""
    told = future or Future(options_known=True)
    lines = _lines(explanation, now, told, width)
    return [part for line in lines for part in wrapped(line, width)]


def _lines(explanation: Explanation, now: float, told: Future, width: int | None) -> list[str]:
    return [
        *_head(explanation, now),
        *(f"  {'asks':<8}{_asks(asks)}" for asks in explanation.asks),
        *_waits(explanation, now, brief=bool(told.verdicts)),
        *_options(explanation, told),
        *_check(explanation.check, now, brief=bool(told.verdicts)),
        *future_lines(told, now, width),
        *_kueue(explanation, now),
        *_steps(explanation.steps),
        *(f"  {'unread':<8}{space}: {why}" for space, why in explanation.unread.items()),
    ]


def _head(e: Explanation, now: float) -> Iterator[str]:
    where = f" on {e.check.cluster}" if e.check and e.check.cluster else ""
    since = f" {_age(e.since, now)}" if e.since else ""
    reason = f"   {with_action(e.waits_for.reason, e.waits_for.action)}" if e.waits_for else ""
    yield f"{e.name}  Job, {e.namespace}   {HEADLINES[e.phase]}{where}{since}{reason}"


def _asks(asks: Asks) -> str:
    requests = ", ".join(f"{resource} {amount}" for resource, amount in asks.requests.items()) or "nothing"
    each = f"{asks.pods} pod{'' if asks.pods == 1 else 's'} x ({requests})"
    return each + (f", flavor {', '.join(asks.flavors)}" if asks.flavors else "")


def _waits(e: Explanation, now: float, *, brief: bool) -> Iterator[str]:
    if e.waits_for is None:
        return
    message = e.waits_for.message
    if brief and message.startswith(NO_ROOM):  # the table says the rest, and newer
        message = f"{NO_ROOM}, see below"
    yield from _block("waits", message)
    if e.waits_for.until:
        left = _seconds(e.waits_for.until) - now
        yield f"{INDENT}until {e.waits_for.until}" + (f", in {duration(left)}" if left > 0 else "")


def _options(e: Explanation, future: Future) -> Iterator[str]:
    if e.waits_for is not None and e.waits_for.until and not future.options_known:
        yield f"{INDENT}assuming default options: those of the controller could not be read from its Lease"


def _check(check: CheckReport | None, now: float, *, brief: bool) -> Iterator[str]:
    if check is None:
        return
    since = f" since {_age(check.since, now)}" if check.since else ""
    retries = f", {check.retries} retries" if check.retries else ""
    yield f"  {'check':<8}{check.name} {check.state}{since}{retries}"
    if not brief:  # the table says the same, newer
        yield from (f"{INDENT}{line}" for line in _verdicts(check.message))


def _kueue(e: Explanation, now: float) -> Iterator[str]:
    queue = f"LocalQueue {e.queue or '-'}" + (f", ClusterQueue {e.cluster_queue}" if e.cluster_queue else "")
    yield f"  {'Kueue':<8}{queue}" + (f", Workload {e.workload}" if e.workload else "")
    yield from _table([_condition_row(condition, now) for condition in e.conditions])


def _condition_row(c: Condition, now: float) -> tuple[str, ...]:
    return (c.type, c.status, _age(c.since, now), c.reason, c.message)


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    yield "  steps"
    yield from _table([(step.at or "-", step.name, step.detail) for step in steps])


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield (INDENT + "  ".join(cells)).rstrip()


def _block(label: str, message: str) -> Iterator[str]:
    for number, line in enumerate(_verdicts(message)):
        yield f"  {label:<8}{line}" if number == 0 else f"{INDENT}{line}"


def _verdicts(message: str) -> list[str]:
    """A message in lines: one verdict each. Only line breaks are added."""
    *parts, last = NEXT_VERDICT.split(message.replace("\n", " "))
    return [*(f"{part};" for part in parts), last]


def _age(at: str, now: float) -> str:
    return age(now - _seconds(at)) if at else "-"


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()
