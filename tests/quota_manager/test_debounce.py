from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota_manager.debounce import Window, follow


class Case(NamedTuple):
    reason: str
    targets: list[tuple[float, int]]  # (time, target), the window begins with 10
    at: float
    want: int


CASES = [
    Case("more is granted at once", [(0, 12)], 0, 12),
    Case("less is not", [(0, 6)], 0, 10),
    Case("nor a moment before its time", [(0, 6)], 14.9, 10),
    Case("but after it", [(0, 6)], 15, 6),
    Case("a dip is forgotten when it is over", [(0, 6), (10, 10)], 100, 10),
    Case("two dips in a row do not add up", [(0, 6), (10, 10), (11, 6)], 20, 10),
    Case("the second one counts from its own beginning", [(0, 6), (10, 10), (11, 6)], 26, 6),
    Case("a dip in a dip is lowered to what was never exceeded", [(0, 6), (10, 3)], 15, 6),
    Case("and then further", [(0, 6), (10, 3)], 25, 3),
    Case("a small recovery within the window", [(0, 3), (10, 6)], 15, 6),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_follow(case: Case) -> None:
    window = Window(10)
    for now, target in case.targets:
        window = follow(window, target, now=now, shrink_after=15)
    window = follow(window, window.target, now=case.at, shrink_after=15)
    assert window.amount == case.want


HISTORY = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), min_size=1, max_size=12)


@given(HISTORY, st.integers(0, 9), st.integers(0, 30))
def test_the_amount_is_the_greatest_target_of_the_window(
    history: list[tuple[int, int]], first: int, shrink_after: int
) -> None:
    now = 0
    window = Window(first)
    told = [(-1_000, first)]  # (from, target)
    for pause, target in history:
        now += pause
        window = follow(window, target, now=now, shrink_after=shrink_after)
        told.append((now, target))
        ends = [*(begin for begin, _ in told[1:]), float("inf")]
        begun = zip(told, ends, strict=True)
        inside = [t for (_, t), end in begun if end > now - shrink_after]
        assert window.amount == max([target, *inside])


@given(HISTORY, st.integers(0, 9))
def test_it_says_when_to_look_again(history: list[tuple[int, int]], first: int) -> None:
    now, window = 0, Window(first)
    for pause, target in history:
        now += pause
        window = follow(window, target, now=now, shrink_after=15)
    while (then := window.next_change) is not None:
        before = follow(window, window.target, now=then - 0.5, shrink_after=15)
        after = follow(window, window.target, now=then, shrink_after=15)
        assert before.amount == window.amount
        assert after.amount < window.amount
        window = after
    assert window.amount == window.target


@given(HISTORY, st.integers(0, 9))
def test_looking_twice_changes_nothing(history: list[tuple[int, int]], first: int) -> None:
    now, window = 0, Window(first)
    for pause, target in history:
        now += pause
        window = follow(window, target, now=now, shrink_after=15)
        assert follow(window, target, now=now, shrink_after=15) == window
