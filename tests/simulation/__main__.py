"""Play seeds: ``python -m tests.simulation --seed 123 [--trace]``, or ``--seeds 0:2000``."""

import argparse
import sys

from tests.simulation.many import replay_line, run_many
from tests.simulation.run import play, run
from tests.simulation.scenario import wave_scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one and print what it led to")
    parser.add_argument("--trace", action="store_true", help="with its whole history")
    parser.add_argument("--seeds", default="", metavar="FROM:TO", help="play many; print those that fail")
    parser.add_argument("--waves", action="store_true", help="the same seeds with copies that share waves")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, trace=options.trace, waves=options.waves)
    first, _, last = (options.seeds or "0:2000").partition(":")
    failing = 0
    for outcome in run_many(range(int(first), int(last)), waves=options.waves):
        if outcome.violations:
            failing += 1
            print(replay_line(outcome.seed), "#", outcome.violations[0], flush=True)  # noqa: T201
    print(f"{failing} of {int(last) - int(first)} seeds failed")  # noqa: T201
    return 1 if failing else 0


def _one(seed: int, *, trace: bool, waves: bool) -> int:
    outcome = play(wave_scenario(seed)) if waves else run(seed)
    for line in outcome.trace if trace else ():
        print(line)  # noqa: T201
    for serial, job in sorted(outcome.jobs.items()):
        print(f"{serial}: {job.result}, started {job.starts} times")  # noqa: T201
    for violation in outcome.violations:
        print(violation)  # noqa: T201
    figures = f"{len(outcome.violations)} violations, {outcome.writes} writes, {outcome.ended_at:.0f} s"
    print(f"seed {seed}: {figures}")  # noqa: T201
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())
