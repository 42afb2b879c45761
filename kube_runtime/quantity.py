"""Kubernetes quantities, exactly.

The grammar is that of ``resource.Quantity`` (apimachinery, pkg/api/resource/quantity.go): a signed
decimal number, then a binary suffix (Ki..Ei), a decimal one (n u m k M G T P E) or a decimal
exponent (e3, E-2). Go's parser also reads strings without any digit ("", "+", "Ki", ".") as zero or
refuses them by accident of its code; we refuse them all, as the schema of a generated CRD does.

Inside our programs an amount is an integer of milli-units. Rounding happens here and nowhere else,
in the direction that the caller names: what there is goes down, what is asked for goes up.
"""

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

_SCALES: Final = {suffix: Fraction(10) ** power for suffix, power in _DECIMAL.items()} | {
    suffix: Fraction(2) ** power for suffix, power in _BINARY.items()
}

# Canonical output never has a fraction: the greatest suffix first that divides the amount.
_DECIMAL_MILLI: Final = [
    (suffix, 10 ** (power + 3)) for suffix, power in reversed(_DECIMAL.items()) if power >= -3
]
_BINARY_MILLI: Final = [(suffix, 1000 << power) for suffix, power in reversed(_BINARY.items())]

_FORM: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]+))?"
)

MAX_LENGTH: Final = 64
"""Characters. Go's largest amount has 19 digits; a longer text is an attack on our arithmetic."""

MAX_EXPONENT: Final = 63
"""Decimal places. Go's range ends at 2**63 and at 1n; past this, exact integers only cost memory."""


def parse(value: str | float) -> Fraction:
    """The exact value of a quantity, in the unit of its resource (cores, bytes, devices).

    Numbers are taken as JSON wrote them: 0.1 is one tenth, not the binary fraction beside it.
    Raises ValueError, with the value in its text, for everything that is not a quantity.
    """
    text = _as_written(value)
    form = _FORM.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if form is None:
        raise _not_a_quantity(value)
    number = Fraction(form["number"].rstrip("."))
    if form["exponent"] is None:
        return number * _SCALES[form["suffix"] or ""]
    exponent = int(form["exponent"])
    if abs(exponent) > MAX_EXPONENT:
        raise _not_a_quantity(value)
    return number * Fraction(10) ** exponent


def parse_milli_down(value: str | float) -> int:
    """Milli-units, rounded down: for what is available. Raises ValueError like ``parse``."""
    return _milli(value)[0] if isinstance(value, str) else math.floor(parse(value) * 1000)


def parse_milli_up(value: str | float) -> int:
    """Milli-units, rounded up: for what is asked for or in use. Raises ValueError like ``parse``."""
    return _milli(value)[1] if isinstance(value, str) else math.ceil(parse(value) * 1000)


@lru_cache(maxsize=4096)
def _milli(text: str) -> tuple[int, int]:
    """Rounded down and up. Objects repeat the same few amounts, and exact fractions take their time."""
    exact = parse(text) * 1000
    return math.floor(exact), math.ceil(exact)


def format_milli(amount: int, resource: str) -> str:
    """Write milli-units as ``Quantity.String()`` prints an amount of this resource.

    Memory, ephemeral-storage and hugepages-* (with or without a ``requests.`` or ``limits.`` prefix) are
    BinarySI: "64Gi"; below 1024 bytes, or with a part of a byte, Go prints them as decimals, and so
    do we. Everything else is DecimalSI: "1500m", "4", "110", "2k".
    """
    if amount == 0:
        return "0"
    binary = _is_binary(resource) and abs(amount) >= 1024 * 1000 and amount % 1000 == 0
    suffixes = [*_BINARY_MILLI, ("", 1000)] if binary else _DECIMAL_MILLI
    suffix, scale = next((suffix, scale) for suffix, scale in suffixes if amount % scale == 0)
    return f"{amount // scale}{suffix}"


def _is_binary(resource: str) -> bool:
    name = resource.removeprefix("requests.").removeprefix("limits.")
    return name in {"memory", "ephemeral-storage", "storage"} or name.startswith("hugepages-")


def _as_written(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _not_a_quantity(value)
    try:
        return value if isinstance(value, str) else repr(value)
    except ValueError as too_long:  # Python writes no integer of more than 4300 digits
        raise _not_a_quantity("an integer of thousands of digits") from too_long


def _not_a_quantity(value: object) -> ValueError:
    shown = repr(value)
    shown = shown if len(shown) <= MAX_LENGTH else shown[:MAX_LENGTH] + "…"
    return ValueError(f"{shown} is not a quantity; write a number like 2, 0.5, 1500m, 64Gi or 1e3")
