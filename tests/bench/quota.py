"""How long QuotaManager decides: 1,000 clusters with 100,000 nodes, cold and per change (design, section 8).

    nice -n 10 python -m tests.bench.quota [--clusters 1000] [--nodes 100]

Every node is a group of its own, the worst that a report can be. Prints milliseconds of processor time.
"""

import argparse
import sys
import time
from dataclasses import replace
from statistics import median, quantiles
from typing import Final

from quota_manager.decision import Memory, Rules, World, decide
from quota_manager.facts import Cell, ReportFacts
from quota_manager.trust import Instant
from quota_manager.wishes import Reserve
from tests.quota_manager.builders import cluster, flavor, nodes, queue, report, world
from vocabulary.cluster_metrics import ClusterReport

RESOURCES: Final = ("cpu", "memory", "nvidia.com/gpu", "pods")
RULES: Final = Rules(stale_after=180.0, shrink_after=15.0)
CHANGES: Final = 200


def a_report(number: int, nodes_each: int, sequence: int = 1) -> ClusterReport:
    """Nodes of which no two are alike."""
    return report(
        *(
            nodes(
                {"cpu": 64_000 + i, "memory": (256 << 30) * 1000, "nvidia.com/gpu": 8000, "pods": 110_000},
                name=f"c{number}-n{i}",
                foreign={"cpu": 500 + sequence + i},
                ours={"cpu": 8000},
                labels={"pool": f"p{i % 4}", "kubernetes.io/arch": "amd64"},
                unschedulable=i % 50 == 0,
            )
            for i in range(nodes_each)
        ),
        sequence=sequence,
    )


def fleet(clusters: int, nodes_each: int) -> World:
    """Four flavors with a reserve, and three queues."""
    flavors = [flavor(f"f{i}", labels={"pool": f"p{i}"}, reserve={"cpu": Reserve(5)}) for i in range(4)]
    cells = {Cell(f"f{i}", resource): 0 for resource in RESOURCES for i in range(4)}
    names = [f"c{i}" for i in range(clusters)]
    reports: dict[str, ClusterReport | None] = {n: a_report(i, nodes_each) for i, n in enumerate(names)}
    queues = [queue(f"q{i}", cells, weight=i + 1) for i in range(3)]
    return world([cluster(name) for name in names], reports, queues, flavors)


def written(facts: World, memory: Memory, at: float) -> tuple[World, Memory, float]:
    """One decision, its processor seconds, and the world after its writes."""
    began = time.process_time()
    decision = decide(facts, memory, Instant(at, at), RULES)
    took = time.process_time() - began
    queues = {
        key: replace(
            q,
            quotas={cell: decision.nominal[key, cell] for cell in q.quotas},
            breakdown=decision.breakdowns.get(key, q.breakdown),
        )
        for key, q in facts.queues.items()
    }
    memory = decision.memory
    for write in decision.writes:
        memory = memory.after(write)
    return replace(facts, queues=queues), memory, took


def main() -> None:
    """Print one line per figure."""
    options = argparse.ArgumentParser()
    options.add_argument("--clusters", type=int, default=1000)
    options.add_argument("--nodes", type=int, default=100)
    asked = options.parse_args()
    facts = fleet(asked.clusters, asked.nodes)
    facts, memory, cold = written(facts, Memory(started_at=-999.0, settled=True), 0.0)
    nodes_there = asked.clusters * asked.nodes
    sys.stdout.write(f"cold, {asked.clusters} clusters, {nodes_there} nodes: {cold * 1000:.0f} ms\n")
    for what, changes in (("heartbeat, nothing new", False), ("change, quotas written", True)):
        times = []
        for i in range(CHANGES):
            number, sequence = i % asked.clusters, memory_sequence(memory, i) if changes else 1
            news = a_report(number, asked.nodes, sequence)
            news = replace(news, sequence=10_000 + i + (CHANGES if changes else 0))
            reports = {**facts.reports, f"c{number}": ReportFacts(f"c{number}", news, "")}
            facts, memory, took = written(
                replace(facts, reports=reports), memory, 0.1 * i + (100 if changes else 0)
            )
            times.append(took * 1000)
        cuts = quantiles(times, n=100)
        sys.stdout.write(
            f"{what}: p50 {median(times):.2f} ms, p90 {cuts[89]:.2f} ms, p99 {cuts[98]:.2f} ms\n"
        )


def memory_sequence(memory: Memory, step: int) -> int:
    """Foreign use that falls with each step: what grows is written at once."""
    return max(2, 400 - step) if memory.settled else 2


if __name__ == "__main__":
    main()
