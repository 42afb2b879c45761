"""The history of failed attempts outlives an eviction as an annotation: it reads back what was written."""

import json

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from workload_controller.facts import NO_HISTORY, FailedAttempt, History
from workload_controller.history import KEPT, WORDS, format_history, parse_history, with_failure

FAILURES = st.builds(
    FailedAttempt,
    attempt=st.integers(1, 10**6),
    cluster=st.text(max_size=20),
    reason=st.text(max_size=20),
    at=st.integers(0, 10**13).map(lambda milliseconds: milliseconds / 1000),
    words=st.text(max_size=WORDS),
)
HISTORIES = st.lists(FAILURES, max_size=KEPT).flatmap(
    lambda recent: st.builds(History, st.integers(len(recent), 10**6), st.just(tuple(recent)))
)


@given(HISTORIES)
def test_what_was_written_is_read_back(history: History) -> None:
    assert parse_history(format_history(history)) == history


@given(st.lists(FAILURES, max_size=3 * KEPT))
def test_all_are_counted_and_the_newest_are_kept(failures: list[FailedAttempt]) -> None:
    history = NO_HISTORY
    for failure in failures:
        history = with_failure(history, failure)
    assert history == History(len(failures), tuple(failures[-KEPT:]))


def test_it_stays_short_whatever_a_worker_says() -> None:
    history = NO_HISTORY
    for attempt in range(1, 100):
        history = with_failure(
            history, FailedAttempt(attempt, "w" * 63, "ApplyFailed", 1.8e9, "\u2028" * 9999)
        )
    value = format_history(history)
    assert len(value) < 16_000  # it goes to every pod; all annotations of one may have 262144 bytes
    assert [len(f.words) for f in parse_history(value).recent] == [WORDS] * KEPT


GARBAGE = [
    "",
    "null",
    "[]",
    "3",
    '"text"',
    "{}",
    '{"total": 1}',
    '{"total": 1, "recent": null}',
    '{"total": 1, "recent": [3]}',
    '{"total": 1, "recent": [{"attempt": 1}]}',
    '{"total": "many", "recent": []}',
    '{"total": null, "recent": []}',
    '{"total": Infinity, "recent": []}',
    '{"total": NaN, "recent": []}',
    '{"total": ' + "9" * 5000 + ', "recent": []}',
    "[" * 100_000,
]


@pytest.mark.parametrize("value", GARBAGE, ids=lambda value: value[:40] or "empty")
def test_what_cannot_be_read_counts_as_none(value: str) -> None:
    assert parse_history(value) == NO_HISTORY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["total", "recent", "attempt", "at", "words"]), inner, max_size=5)
    ),
    max_leaves=8,
)


@given(st.text() | JSON.map(json.dumps))
@example('{"total": -Infinity, "recent": []}')
def test_no_text_raises(value: str) -> None:
    assert isinstance(parse_history(value), History)
