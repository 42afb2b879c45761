import math
from contextlib import suppress
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from kubernetes.utils import parse_quantity

from kube_runtime.quantity import format_milli, parse, parse_milli_down, parse_milli_up


class Case(NamedTuple):
    reason: str
    given: str | float
    want: Fraction


CASES = [
    Case("plain integer", "4", Fraction(4)),
    Case("zero", "0", Fraction(0)),
    Case("milli", "1500m", Fraction(3, 2)),
    Case("micro", "7u", Fraction(7, 10**6)),
    Case("nano", "999n", Fraction(999, 10**9)),
    Case("binary", "64Gi", Fraction(64 << 30)),
    Case("the greatest binary suffix", "1Ei", Fraction(1 << 60)),
    Case("E is exa when nothing follows", "1E", Fraction(10**18)),
    Case("E with digits is an exponent", "1E3", Fraction(1000)),
    Case("negative exponent", "15e-1", Fraction(3, 2)),
    Case("signed exponent", "2e+2", Fraction(200)),
    Case("a fraction of a binary unit", "0.5Gi", Fraction(1 << 29)),
    Case("leading dot", ".5", Fraction(1, 2)),
    Case("trailing dot (Go: 'we currently allow 1.G')", "1.G", Fraction(10**9)),
    Case("leading zeros", "007", Fraction(7)),
    Case("plus sign", "+1k", Fraction(1000)),
    Case("negative", "-100m", Fraction(-1, 10)),
    Case("finer than Go keeps: exact here", "1e-12", Fraction(1, 10**12)),
    Case("JSON integer", 3, Fraction(3)),
    Case("JSON number: the decimal that was written", 0.1, Fraction(1, 10)),
    Case("JSON number in Python's exponent form", 1e22, Fraction(10**22)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_parse(case: Case) -> None:
    assert parse(case.given) == case.want


BAD: list[object] = [
    *(
        "",
        " ",
        "1 ",
        " 1",
        "+",
        "-",
        ".",
        "-.",
        "Ki",
        "m",
        "e3",
        "1e",
        "1ee3",
        "1e1.5",
        "1e3Ki",
        "1mi",
        "1ki",
        "1K",
    ),
    *(
        "1Gi2",
        "1_000",
        "0x10",
        "1,5",
        "--1",
        "nan",
        "inf",
        "\u0661",
        "1\n",
        "1e64",
        "1e999999999",
        "9" * 65,
        "a" * 9999,
    ),
    *(True, None, float("nan"), float("inf"), [1], 10**5000),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: "10**5000" if isinstance(bad, int) else repr(bad)[:20])
def test_anything_else_is_refused_by_name(bad: object) -> None:
    with pytest.raises(ValueError, match="is not a quantity") as refused:
        parse(bad)  # type: ignore[arg-type]
    assert len(str(refused.value)) < 200
    if isinstance(bad, str) and len(bad) < 60:
        assert repr(bad) in str(refused.value)


def test_rounding_goes_where_its_name_says() -> None:
    assert (parse_milli_down("1.0005"), parse_milli_up("1.0005")) == (1000, 1001)
    assert (parse_milli_down("-1.0005"), parse_milli_up("-1.0005")) == (-1001, -1000)
    assert (parse_milli_down("1n"), parse_milli_up("1n")) == (0, 1)
    assert parse_milli_down(0.1) == parse_milli_up(0.1) == 100


class Printed(NamedTuple):
    """``want`` is what resource.NewDecimalQuantity(…).String() of apimachinery 0.36.3 printed."""

    milli: int
    resource: str
    want: str


PRINTED = [
    Printed(0, "cpu", "0"),
    Printed(1_500, "cpu", "1500m"),
    Printed(4_000, "cpu", "4"),
    Printed(100, "cpu", "100m"),
    Printed(-1_500, "cpu", "-1500m"),
    Printed(110_000, "pods", "110"),
    Printed(1_000_000, "pods", "1k"),
    Printed(8_000, "nvidia.com/gpu", "8"),
    Printed((64 << 30) * 1000, "memory", "64Gi"),
    Printed((1 << 20) * 1000, "memory", "1Mi"),
    Printed(1_025_000, "memory", "1025"),
    Printed(1_536_000, "memory", "1536"),
    Printed(1_024_000, "memory", "1Ki"),
    Printed(1_023_000, "memory", "1023"),
    Printed(1_000_000, "memory", "1k"),
    Printed(2_048_500, "memory", "2048500m"),
    Printed(-(1 << 30) * 1000, "memory", "-1Gi"),
    Printed((2 << 30) * 1000, "ephemeral-storage", "2Gi"),
    Printed((2 << 20) * 1000, "hugepages-2Mi", "2Mi"),
    Printed((2 << 20) * 1000, "requests.memory", "2Mi"),
    Printed((64 << 30) * 1000, "example.com/bytes", "68719476736"),
    Printed(5 * 10**21, "cpu", "5E"),
]


@pytest.mark.parametrize("case", PRINTED, ids=lambda case: f"{case.resource} {case.want}")
def test_format_as_apimachinery_prints(case: Printed) -> None:
    assert format_milli(case.milli, case.resource) == case.want


RESOURCES = st.sampled_from(["cpu", "memory", "pods", "ephemeral-storage", "hugepages-1Gi", "nvidia.com/gpu"])
AMOUNTS = st.one_of(
    st.integers(-(2**63), 2**63),
    st.builds(
        lambda n, shift: (n << shift) * 1000, st.integers(-4096, 4096), st.sampled_from([0, 10, 20, 30, 40])
    ),
)
NUMBERS = st.from_regex(r"[+-]?([0-9]{1,9}(\.[0-9]{0,6})?|\.[0-9]{1,6})", fullmatch=True)
SUFFIXES = st.sampled_from(["", *"numkMGTPE", *(f"{c}i" for c in "KMGTPE")])


@given(AMOUNTS, RESOURCES)
def test_what_is_written_is_read_back(milli: int, resource: str) -> None:
    text = format_milli(milli, resource)
    assert parse_milli_down(text) == parse_milli_up(text) == milli
    assert format_milli(parse_milli_down(text), resource) == text


@given(NUMBERS, SUFFIXES)
def test_agrees_with_the_official_client(number: str, suffix: str) -> None:
    with localcontext(prec=60):  # its Decimals round to 28 digits otherwise
        official: Decimal = parse_quantity(number + suffix)
    assert parse(number + suffix) == Fraction(official)


@given(NUMBERS, SUFFIXES)
def test_roundings_enclose_the_exact_value(number: str, suffix: str) -> None:
    exact = parse(number + suffix) * 1000
    down, up = parse_milli_down(number + suffix), parse_milli_up(number + suffix)
    assert down <= exact <= up
    assert up - down == (0 if exact.denominator == 1 else 1)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e18, max_value=1e18))
def test_a_float_means_its_shortest_decimal(value: float) -> None:
    assume(value == 0 or abs(value) > 1e-60)
    assert math.isclose(float(parse(value)), value)
    assert parse(value) == Fraction(repr(value))


@given(st.text(max_size=12))
def test_no_text_raises_anything_but_value_error(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(parse(text), Fraction)
