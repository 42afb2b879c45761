"""``python -m tests.bench [decisions|commands|latency …] [-o json]``: the figures of docs/benchmarks.md."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from kube_runtime.program import collect_rarely
from tests.bench import commands, decisions, latency
from tests.bench.figures import Figure, Run, table

PARTS = ("decisions", "commands", "latency")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="How long things take.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="all but latency, which needs a fleet")
    parser.add_argument("--jobs", type=int, default=100, help="jobs of the burst whose latency is measured")
    parser.add_argument("-o", dest="output", choices=("table", "json"), default="table")
    options = parser.parse_args(arguments)
    parts = options.parts or PARTS[:2]
    collect_rarely()  # as the programs do
    calibration = decisions.calibrate()
    run = Run(round(calibration, 2), tuple(_figures(parts, calibration, options.jobs)))
    told = table(run) if options.output == "table" else json.dumps(run.to_json(), indent=2)
    sys.stdout.write(f"{told}\n")
    return 0


def _figures(parts: Sequence[str], calibration: float, jobs: int) -> Iterator[Figure]:
    if "decisions" in parts:
        yield from decisions.figures(calibration)
    if "commands" in parts:
        yield from commands.figures(calibration)
    if "latency" in parts:
        with tempfile.TemporaryDirectory() as folder:
            yield from latency.figures(Path(folder), jobs)


if __name__ == "__main__":
    sys.exit(main())
