"""What is told of things in a report that make no sense. ``vocabulary.report_reading`` leaves them out."""

from collections.abc import Sequence
from typing import Final

from vocabulary.cluster_metrics import NotCounted

LEFT_OUT_SHOWN: Final = 3  # an Event holds 1024 characters


def not_counted(cluster: str, left_out: Sequence[NotCounted]) -> str:
    """What of a cluster's report makes no sense, and is no part of any amount."""
    shown = "; ".join(map(str, left_out[:LEFT_OUT_SHOWN]))
    more = len(left_out) - LEFT_OUT_SHOWN
    return f"{cluster}: not counted: {shown}" + (f" and {more} things more" if more > 0 else "")
