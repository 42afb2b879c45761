"""How long to wait after a failure."""

import random

MAX_DOUBLINGS = 62  # 2.0 ** 1024 would raise OverflowError; the longest wait is reached long before


class Backoff:
    """Waits that double from ``first`` to ``longest`` seconds, each shortened by up to half at random.

    The randomness keeps many clients of a server that comes back from calling in step.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait now; the next wait is longer."""
        full = min(self._longest, self._first * 2.0**self._failures)
        self._failures = min(self._failures + 1, MAX_DOUBLINGS)
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    def reset(self) -> None:
        """Something worked: begin with ``first`` again."""
        self._failures = 0
