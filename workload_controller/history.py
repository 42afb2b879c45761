"""The attempts that failed, kept where they outlive an eviction: in the check's podSetUpdates.

Kueue resets our check to Pending at every eviction and clears its message, but the podSetUpdates stay: they
are owned by our field manager and Kueue's apply lacks them (kueue pkg/workload/evict resetChecksOnEviction;
seen). One apply carries the verdict Retry and the history, so no crash can part them (I8).

It is an annotation and goes to the pods of the next attempt, so it is short: the last ``KEPT`` attempts with
the worker's words cut to ``WORDS`` characters.
"""

import json
from collections.abc import Mapping
from typing import Any

from workload_controller.facts import NO_HISTORY, FailedAttempt, History

KEPT = 8
WORDS = 200


def with_failure(history: History, failure: FailedAttempt) -> History:
    """The history after one more failure."""
    return History(history.total + 1, (*history.recent, failure)[-KEPT:])


def format_history(history: History) -> str:
    """As an annotation's value."""
    return json.dumps(
        {
            "total": history.total,
            "recent": [
                {
                    "attempt": f.attempt,
                    "cluster": f.cluster,
                    "reason": f.reason,
                    "at": round(f.at, 3),
                    "words": f.words[:WORDS],
                }
                for f in history.recent
            ],
        },
        separators=(",", ":"),
    )


def parse_history(value: str) -> History:
    """Read it back; what cannot be read counts as none: only our field manager writes there."""
    try:
        read: Mapping[str, Any] = json.loads(value)
        recent = tuple(
            FailedAttempt(
                int(f["attempt"]), str(f["cluster"]), str(f["reason"]), float(f["at"]), str(f["words"])
            )
            for f in read["recent"]
        )
        return History(int(read["total"]), recent)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return NO_HISTORY
