from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota_manager.distribution import divide, unit

WEIGHTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 100), min_size=1).filter(
    lambda w: sum(w.values()) > 0
)
UNITS = st.sampled_from([1, 1000])


@given(st.integers(0, 2**70), WEIGHTS, UNITS)
def test_the_sum_is_exact(amount: int, weights: dict[str, int], unit: int) -> None:
    shares = divide(amount, weights, unit=unit)
    assert sum(shares.values()) == amount - amount % unit
    assert all(share % unit == 0 for share in shares.values())


@given(st.integers(0, 2**70), WEIGHTS, UNITS)
def test_nobody_is_further_than_one_unit_from_the_exact_share(
    amount: int, weights: dict[str, int], unit: int
) -> None:
    total = sum(weights.values())
    for name, share in divide(amount, weights, unit=unit).items():
        assert abs(Fraction(share, unit) - Fraction(amount // unit * weights[name], total)) < 1


@given(st.integers(0, 2**70), WEIGHTS, UNITS)
def test_the_order_changes_nothing(amount: int, weights: dict[str, int], unit: int) -> None:
    backwards = dict(reversed(weights.items()))
    assert divide(amount, weights, unit=unit) == divide(amount, backwards, unit=unit)


@given(st.integers(0, 2**70), WEIGHTS)
def test_without_weight_there_is_no_share(amount: int, weights: dict[str, int]) -> None:
    shares = divide(amount, weights, unit=1)
    assert all(shares[name] == 0 for name, weight in weights.items() if weight == 0)


def test_the_one_that_is_alone_has_all() -> None:
    assert divide(12_345, {"cq": 3}, unit=1) == {"cq": 12_345}


def test_the_largest_remainders_get_what_is_left() -> None:
    assert divide(10, {"a": 6, "b": 5, "c": 2}, unit=1) == {"a": 5, "b": 4, "c": 1}


def test_equal_remainders_go_by_name() -> None:
    assert divide(8, {"c": 1, "a": 1, "b": 1}, unit=1) == {"a": 3, "b": 3, "c": 2}


def test_only_cpus_are_divided_into_thousandths() -> None:
    assert unit("cpu") == 1
    assert {unit(resource) for resource in ("memory", "pods", "nvidia.com/gpu")} == {1000}


@pytest.mark.parametrize(
    ("amount", "weights"), [(-1, {"a": 1}), (1, {}), (1, {"a": 0}), (1, {"a": 2, "b": -1})]
)
def test_what_cannot_be_divided(amount: int, weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot divide"):
        divide(amount, weights, unit=1)
