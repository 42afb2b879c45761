"""``python -m tests.judge DIR``: prints the verdict on the audit logs in DIR or DIR/audit.

Exit status: 0 no violation, 3 at least one, 2 nothing to judge.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests import judge
from tests.judge.audit import NoAuditLogs


def main(arguments: list[str] | None = None) -> int:
    """Print one line per violation and leftover; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.judge", description="Judge a fleet by its audit logs."
    )
    parser.add_argument(
        "directory", type=Path, help="holds hub.log, control.log, w1.log, …, or a folder audit with them"
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="a pod may outlive its quota this long",
    )
    parser.add_argument(
        "--keep", action="append", default=[], metavar="PATTERN", help="names that may be left over"
    )
    options = parser.parse_args(arguments)
    try:
        history = judge.read(options.directory)
    except NoAuditLogs as nothing:
        sys.stderr.write(f"{options.directory}: {nothing}\n")
        return 2
    rules = judge.Rules(release_tolerance=options.tolerance)
    sys.stdout.writelines(f"{line}\n" for line in _report(history, rules, options.keep))
    return 3 if judge.check(history, rules) else 0


def _report(history: judge.History, rules: judge.Rules, keep: Sequence[str]) -> Iterator[str]:
    violations = judge.check(history, rules)
    yield history.summary()
    if history.unreadable:
        yield f"{len(history.unreadable)} lines unreadable, first {history.unreadable[0]}"
    for one in violations:
        yield f"VIOLATION {datetime.fromtimestamp(one.time, UTC).isoformat(timespec='milliseconds')} {one}"
    for left in judge.leftovers(history, rules, keep):
        yield f"left over: {left}"
    yield f"{len(violations)} violations"


if __name__ == "__main__":
    sys.exit(main())
