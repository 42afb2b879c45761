"""How figures, ages and amounts stand in a cell; "?" is unknown, "-" is nothing."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from kube_runtime.quantity import parse_milli_down
from kueue_ks.amounts import age, amount, duration, short_name
from kueue_ks.views.clusters import is_gpu
from kueue_ks.views.table import Cell

UNKNOWN: Final = Cell("?", "warn")
NOTHING: Final = Cell("-", "dim")


def number(value: int | None) -> Cell:
    """A count."""
    return UNKNOWN if value is None else Cell(str(value))


def quantity(value: str | None, resource: str, tone: str = "") -> Cell:
    """A quantity in the resource's usual unit."""
    return UNKNOWN if value is None else Cell(shown(value, resource), tone)


def shown(value: str, resource: str) -> str:
    """As ``quantity``, as text: "85.5", "322Gi"."""
    return amount(parse_milli_down(value), resource)


def seconds(at: str) -> float:
    """RFC3339 → unix seconds."""
    return datetime.fromisoformat(at).timestamp()


def since(at: str | None, now: str) -> Cell:
    """The age of something."""
    return Cell(age(seconds(now) - seconds(at))) if at else NOTHING


def until(at: str, now: str) -> Cell:
    """How long it is until then."""
    left = seconds(at) - seconds(now) if at else 0.0
    return Cell(f"{duration(left)}") if left > 0 else NOTHING


def text(value: str) -> Cell:
    """A name or sentence."""
    return Cell(value) if value else NOTHING


def asks(amounts: Mapping[str, str], pods: int) -> str:
    """What a job asks in one cell: "3 pods 12 gpu 84 cpu 384Gi"."""
    parts = [f"{pods} pod{'' if pods == 1 else 's'}"] if pods else []
    for resource in sorted(amounts, key=lambda r: (not is_gpu(r), r != "cpu", r)):
        said = shown(amounts[resource], resource)
        parts.append(said if resource == "memory" else f"{said} {short_name(resource)}")
    return " ".join(parts) or "-"


def milli(value: int, resource: str) -> str:
    """Milli-units in the resource's usual unit."""
    return amount(value, resource)


def with_action(reason: str, action: str) -> str:
    """A reason with its class, "NoClusterFits (wait)"; one without is shown alone."""
    return f"{reason} ({action})" if action else reason
