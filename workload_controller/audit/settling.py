"""From suspicions to findings: what normal transitions look like too counts only when it lasts.

The same suspicion, on the same objects, has to be there at each look for as long as its kind says. Where a
worker's report is part of it, the worker must have said so once more since: an old report repeats the past.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workload_controller.audit.finding import Finding

Identity = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """``lasting`` are findings, ``open`` those that may still pass. ``first`` is for the next look.

    ``first``: identity → unix time of the look that saw it first. When it is lost, everything settles anew.
    """

    lasting: tuple[Finding, ...] = ()
    open: tuple[Finding, ...] = ()
    first: Mapping[Identity, float] = field(default_factory=dict)


def settled(
    suspicions: Iterable[Finding],
    first: Mapping[Identity, float],
    now: float,
    *,
    clock_skew: float,
    longest: float | None = None,
) -> Verdict:
    """Tell lasting suspicions from those that may pass.

    ``clock_skew``: seconds by which a worker's clock may be ahead. ``longest``: no kind is waited for longer,
    None where each is waited for as long as it says.
    """
    lasting: list[Finding] = []
    still_open: list[Finding] = []
    seen: dict[Identity, float] = {}
    for finding in sorted(set(suspicions), key=_order):
        since = seen[finding.identity] = first.get(finding.identity, now)
        settle = finding.kind.settle if longest is None else min(finding.kind.settle, longest)
        again = not settle or finding.seen_at is None or finding.seen_at > since + clock_skew
        began = since if finding.since is None else finding.since
        told = replace(finding, since=began)
        (lasting if now - since >= settle and again else still_open).append(told)
    return Verdict(tuple(lasting), tuple(still_open), seen)


def _order(finding: Finding) -> tuple[str, str, str]:
    """Total: errors first, then by code and objects."""
    return (finding.kind.level.value, finding.code, repr(finding.objects))
