"""All checks on one history."""

from collections.abc import Iterator

from tests.judge.authors import only_our_own
from tests.judge.capacity import within_capacity
from tests.judge.history import History
from tests.judge.once import in_one_place, none_on_the_hub, not_after_the_end
from tests.judge.release import quota_outlives_pods
from tests.judge.rules import Rules, Violation

_CHECKS = (
    in_one_place,
    quota_outlives_pods,
    not_after_the_end,
    within_capacity,
    only_our_own,
    none_on_the_hub,
)


def check(history: History, rules: Rules | None = None) -> list[Violation]:
    """Every broken promise, in the order of time."""

    def found() -> Iterator[Violation]:
        for one in _CHECKS:
            yield from one(history, rules or Rules())

    return sorted(found(), key=lambda violation: violation.time)
