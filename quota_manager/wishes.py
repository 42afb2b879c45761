"""What people ask of us by annotations on ResourceFlavors, ClusterQueues and Cohorts.

A value that cannot be read is refused by name and the quotas that it concerns stay as they are: to guess
what somebody meant would write a guess into everybody's quota.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kube_runtime.quantity import parse_milli_up
from vocabulary import keys

GREATEST_WEIGHT: Final = 1_000_000
"""More says nothing that less could not say, and keeps messages short."""


class BadWish(ValueError):
    """An annotation that cannot be read; the text names it, its value and what is allowed."""

    def __init__(self, key: str, value: str, allowed: str) -> None:
        shown = value if len(value) <= 64 else value[:64] + "…"
        super().__init__(
            f"annotation {key} is {shown!r}, and should be {allowed}. Until then its quotas stay"
        )


@dataclass(frozen=True, slots=True)
class Reserve:
    """What is kept out of the quota: a part of what there is, or an amount over the whole fleet."""

    percent: int = 0
    amount: int = 0  # milli-units

    def of(self, total: int) -> int:
        """Rounded up, and never more than there is."""
        return min(total, -(-total * self.percent // 100) + self.amount)


def read_reserve(annotations: Mapping[str, str]) -> Mapping[str, Reserve]:
    """By resource: "cpu=10%, memory=64Gi". Raises BadWish."""
    text = annotations.get(keys.RESERVE, "")
    found: dict[str, Reserve] = {}
    for entry in filter(None, (each.strip() for each in text.split(","))):
        resource, _, value = entry.partition("=")
        try:
            if not resource or resource in found:
                raise ValueError(entry)  # noqa: TRY301  one text for all that is wrong
            found[resource] = _reserve(value.strip())
        except ValueError as bad:
            allowed = "each resource once, with a part or a quantity, as in cpu=10%,memory=64Gi"
            raise BadWish(keys.RESERVE, text, allowed) from bad
    return found


def read_weight(annotations: Mapping[str, str]) -> int:
    """1 where nothing is said. Raises BadWish."""
    text = annotations.get(keys.QUOTA_WEIGHT, "1")
    weight = int(text) if text.isascii() and text.isdigit() and len(text) <= 7 else 0
    if not 1 <= weight <= GREATEST_WEIGHT:
        raise BadWish(keys.QUOTA_WEIGHT, text, f"a whole number from 1 to {GREATEST_WEIGHT}")
    return weight


def read_scope(annotations: Mapping[str, str]) -> tuple[tuple[str, str], ...] | None:
    """Flavor and resource of the quotas that are ours, "" for every one; None when none is."""
    text = annotations.get(keys.MANAGE_QUOTA, "")
    match text:
        case "true":
            return (("", ""),)
        case "" | "false":
            return None
        case _:
            entries = filter(None, (each.strip() for each in text.split(",")))
            return tuple((flavor, resource) for flavor, _, resource in (e.partition("/") for e in entries))


def _reserve(value: str) -> Reserve:
    number, percent, rest = value.partition("%")
    if percent:
        if rest or not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) <= 100):
            raise ValueError(value)
        return Reserve(percent=int(number))
    amount = parse_milli_up(value)
    if amount < 0:
        raise ValueError(value)
    return Reserve(amount=amount)
