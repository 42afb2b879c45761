"""``python -m tests.soak [--minutes 30] [--seed N] [--workers 2] [--dir FOLDER]``: exits 0 when all held."""

import argparse
import asyncio
import resource
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.run import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, help="the events of an earlier soak; by default new ones")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dir", type=Path, help="for all logs, kept; by default kept only after a failure")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    folder: Path = options.dir or Path(tempfile.mkdtemp(prefix="soak-"))
    _say(f"seed {seed}: {options.minutes:g} minutes on {options.workers} workers, logs in {folder}")
    report = asyncio.run(soak(folder, seed=seed, minutes=options.minutes, workers=options.workers))
    for line in report.lines():
        _say(line)
    _say(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    failed = bool(report.violations or report.problems)
    if not failed and options.dir is None:
        shutil.rmtree(folder)
    return 1 if failed else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
