"""Who would go: lowest priority, newest first, and nobody who need not."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quota_manager.facts import Cell
from quota_manager.shrink import Holder, victims

CPU, GPU = Cell("f", "cpu"), Cell("f", "gpu")


def holder(name: str, cpu: int, *, priority: int = 0, since: float = 0.0, gpu: int = 0) -> Holder:
    uses = {cell: amount for cell, amount in ((CPU, cpu), (GPU, gpu)) if amount}
    return Holder(name, f"uid-{name}", priority, since, uses)


class Case(NamedTuple):
    reason: str
    over: Mapping[Cell, int]
    holders: Sequence[Holder]
    want: list[str]


CASES = [
    Case("nothing is over", {CPU: 0}, [holder("a", 4)], []),
    Case("the lowest priority goes", {CPU: 1}, [holder("a", 4, priority=5), holder("b", 4)], ["b"]),
    Case("among equals the newest", {CPU: 1}, [holder("a", 4, since=9), holder("b", 4, since=5)], ["a"]),
    Case("as many as it takes", {CPU: 5}, [holder("a", 4, since=9), holder("b", 4, since=5)], ["a", "b"]),
    Case(
        "a greater one makes a smaller one superfluous",
        {CPU: 4},
        [holder("small", 1, since=9), holder("great", 4, since=5)],
        ["great"],
    ),
    Case(
        "who uses nothing of it stays", {GPU: 1}, [holder("a", 9), holder("b", 1, gpu=1, priority=9)], ["b"]
    ),
    Case(
        "one may cover two cells",
        {CPU: 2, GPU: 2},
        [holder("cpu", 2), holder("both", 2, gpu=2, priority=1)],
        ["both"],
    ),
    Case("even all are not enough", {CPU: 9}, [holder("a", 4)], ["a"]),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_victims(case: Case) -> None:
    assert [each.name for each in victims(case.over, case.holders)] == case.want


HOLDERS = st.lists(
    st.builds(
        holder,
        st.sampled_from("abcdef"),
        st.integers(0, 5),
        priority=st.integers(0, 2),
        since=st.integers(0, 3),
        gpu=st.integers(0, 3),
    ),
    max_size=6,
    unique_by=lambda each: each.name,
)


@given(st.fixed_dictionaries({CPU: st.integers(0, 12), GPU: st.integers(0, 6)}), HOLDERS)
def test_they_are_enough_and_no_part_of_them_is(over: dict[Cell, int], holders: list[Holder]) -> None:
    def enough(some: Sequence[Holder]) -> bool:
        return all(sum(each.uses.get(cell, 0) for each in some) >= amount for cell, amount in over.items())

    chosen = victims(over, holders)
    assert chosen == victims(over, list(reversed(holders)))
    if not enough(holders):
        return
    assert enough(chosen)
    fewer = combinations(chosen, len(chosen) - 1) if chosen else ()
    assert not any(enough(some) for some in fewer)
