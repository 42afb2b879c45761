"""Amounts of a resource as exact integers of 10^-9: the finest step that Kubernetes stores.

What is asked for is rounded up, what there is down, so that a sum never looks smaller than it is.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

NANO = 10**9
"""One unit (core, byte, device) of our integers."""

Amounts = dict[str, int]
"""Resource name to 10^-9 units."""

_SUFFIXES = {
    suffix: Fraction(1000) ** power
    for power, suffix in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), start=-3)
}
_SUFFIXES |= {f"{suffix}i": Fraction(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)}


@lru_cache(maxsize=4096)
def exact(text: str) -> Fraction:
    """Value of a quantity ("1500m", "64Gi", "1e3", "0.5"); ValueError when it is none."""
    try:
        return Fraction(text)  # a plain number, or one with a decimal exponent
    except ValueError:
        number = text.rstrip("KMGTPEinumk")
        return Fraction(number) * _SUFFIXES[text[len(number) :]]


def asked(amounts: Mapping[str, Any] | None) -> Amounts:
    """What is requested, rounded up."""
    return {name: math.ceil(exact(str(value)) * NANO) for name, value in (amounts or {}).items()}


def available(amounts: Mapping[str, Any]) -> Amounts:
    """What there is, rounded down."""
    return {name: math.floor(exact(str(value)) * NANO) for name, value in amounts.items()}


def add(total: Amounts, more: Mapping[str, int], sign: int = 1) -> None:
    """``total += sign * more``, in place."""
    for name, amount in more.items():
        total[name] = total.get(name, 0) + sign * amount


def pod_requests(spec: Mapping[str, Any]) -> Amounts:
    """What the scheduler reserves for a pod, and the one pod that it is.

    Kubernetes: the containers run beside the restartable init containers (KEP-753); each other init
    container runs alone beside the restartable ones before it; the greater of both counts, plus
    overhead; pod-level requests (KEP-2837) replace the sum for the resources that they name.
    """
    running: Amounts = {}
    beside: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        wants = asked((container.get("resources") or {}).get("requests"))
        if container.get("restartPolicy") == "Always":
            add(beside, wants)
            wants = {}
        at_once = dict(beside)
        add(at_once, wants)
        peak = {name: max(peak.get(name, 0), at_once.get(name, 0)) for name in {*peak, *at_once}}
    for container in spec.get("containers") or ():
        add(running, asked((container.get("resources") or {}).get("requests")))
    add(running, beside)
    total = {name: max(peak.get(name, 0), running.get(name, 0)) for name in {*peak, *running}}
    total.update(asked((spec.get("resources") or {}).get("requests")))
    add(total, asked(spec.get("overhead")))
    total["pods"] = NANO
    return total


def show(amount: int) -> str:
    """An amount for a sentence: "1.5", "68719476736"."""
    whole, rest = divmod(amount, NANO)
    return f"{whole}.{rest:09d}".rstrip("0") if rest else str(whole)
