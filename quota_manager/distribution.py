"""How an amount is divided between the ClusterQueues that want it.

Shares by weight with the largest remainder (Hamilton): nobody is further than one unit from the exact
share, and the shares sum up to the amount. The unit is what Kueue can hand out: a thousandth of a cpu,
otherwise a whole byte, pod or device. What is less than one unit goes to nobody.

Decisions only. Amounts are integer milli-units.
"""

from collections.abc import Mapping
from typing import Final

_MILLI: Final = 1
_WHOLE: Final = 1000


def unit(resource: str) -> int:
    """The smallest share of a resource, in milli-units."""
    return _MILLI if resource == "cpu" else _WHOLE


def divide(amount: int, weights: Mapping[str, int], *, unit: int) -> dict[str, int]:
    """Shares of ``amount`` by name; their sum is ``amount`` rounded down to the unit.

    Remainders that are equal go by name, so that the order of the queues changes nothing. Raises
    ValueError for negative amounts or weights, and when there is nobody to give to.
    """
    total = sum(weights.values())
    if amount < 0 or total <= 0 or min(weights.values()) < 0:
        msg = f"cannot divide {amount} by the weights {dict(weights)}"
        raise ValueError(msg)
    units = amount // unit
    shares = {name: units * weight // total for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: (-(units * weights[name] % total), name))
    for name in by_remainder[: units - sum(shares.values())]:
        shares[name] += 1
    return {name: share * unit for name, share in shares.items()}
