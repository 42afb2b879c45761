"""Growing at once, shrinking late.

A node that restarts, or a pod that is replaced, takes capacity for seconds only; a quota that followed
would stop admissions and report a shortage that nobody has. So an amount is lowered to what it never
exceeded during the last ``shrink_after`` seconds: the greatest target of that window. More is granted at
once.

Decisions only. Times are seconds of one clock, amounts are integers.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Held(NamedTuple):
    """A greater target of the past, which counts until its time."""

    amount: int
    until: float


@dataclass(frozen=True, slots=True)
class Window:
    """The present target and the greater ones before it: amounts fall, times rise."""

    target: int
    held: tuple[Held, ...] = ()

    @property
    def amount(self) -> int:
        """What counts now."""
        return self.held[0].amount if self.held else self.target

    @property
    def next_change(self) -> float | None:
        """When ``amount`` falls if no new target comes."""
        return self.held[0].until if self.held else None


def follow(window: Window, target: int, *, now: float, shrink_after: float) -> Window:
    """The window once ``target`` is known at ``now``; ``window.target`` held until now."""
    past = [held for held in window.held if held.until > now and held.amount > max(target, window.target)]
    if window.target > target and shrink_after > 0:
        past.append(Held(window.target, now + shrink_after))
    return Window(target, tuple(past))
