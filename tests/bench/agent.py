"""What the metrics agent costs on a worker of 5,000 nodes and 30,000 pods.

``python -m tests.bench.agent [--nodes 5000] [--pods 30000]`` prints memory for the facts, CPU for reading and
folding, and the size of the report in four worlds: idle, shared by large Workloads, shared by Workloads of
one pod each, and with machines that hardly resemble each other. No API server takes part.
"""

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from metrics_agent.facts import NodeFacts, PodFacts
from metrics_agent.fold import fold
from metrics_agent.reading import node_facts, pod_facts
from vocabulary import keys
from vocabulary.cluster_metrics import format_report
from vocabulary.report_reading import BadReport, parse_report

ZONES, TYPES = 3, 10
GI = 2**30


def a_node(number: int) -> dict[str, Any]:
    """As a cloud makes one: 15 labels, five resources."""
    kind = number % TYPES
    labels = {
        "kubernetes.io/hostname": f"ip-10-{number // 256}-{number % 256}",
        "topology.kubernetes.io/zone": f"zone-{number % ZONES}",
        "node.kubernetes.io/instance-type": f"type-{kind}",
        "node-class": f"class-{kind}",
        **{f"label.example.com/feature-{i}": f"value-{i}-of-type-{kind}" for i in range(11)},
    }
    amounts = {"cpu": "15890m", "memory": f"{61 * GI}", "pods": "110", "ephemeral-storage": "95551679124"}
    return {
        "metadata": {"name": f"ip-10-{number // 256}-{number % 256}.compute.internal", "labels": labels},
        "spec": {},
        "status": {
            "allocatable": {**amounts, "nvidia.com/gpu": "8" if kind < 2 else "0"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def a_pod(number: int, node: str, workload: str) -> dict[str, Any]:
    requests = {"cpu": f"{100 + 50 * (number % 37)}m", "memory": f"{256 + 128 * (number % 23)}Mi"}
    return {
        "metadata": {
            "name": f"pod-{number}",
            "namespace": "batch",
            "labels": {keys.WORKLOAD_UID: workload} if workload else {},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"nodeName": node, "containers": [{"name": "main", "resources": {"requests": requests}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def pods_of(nodes: list[NodeFacts], count: int, *, each: int) -> Iterator[PodFacts]:
    """One pod in five is foreign; ``each`` of the others belong to one Workload."""
    chance = random.Random(1)  # the same world in each run
    for number in range(count):
        own = number % 5 != 0
        uid = f"00000000-0000-4000-8000-{number // each:012}" if own else ""
        yield pod_facts(a_pod(number, chance.choice(nodes).name, uid))


def told(world: str, nodes: list[NodeFacts], pods: list[PodFacts]) -> None:
    """Fold, write and read once, and print what it was."""
    began = time.process_time()
    report = fold(nodes, pods, now=1.0, sequence=1)
    folded = time.process_time() - began
    text = json.dumps(format_report(report), separators=(",", ":"))
    began = time.process_time()
    try:
        parse_report(json.loads(text))
    except BadReport as bad:
        say(f"{world}: NOT BELIEVED: {bad}")
    read = time.process_time() - began
    say(
        f"{world:31} {len(text) / 1000:5.0f} kB {len(report.nodes):4} entries"
        f" {len(report.workloads):6} Workloads"
        f"  fold {folded:5.2f} s  read {read:5.2f} s"
    )
    for cost in report.not_counted:
        say(f"    {cost}")


def say(line: str) -> None:
    """To whoever started this."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Print one line for each world."""
    options = argparse.ArgumentParser()
    options.add_argument("--nodes", type=int, default=5_000)
    options.add_argument("--pods", type=int, default=30_000)
    given = options.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    nodes = [node_facts(a_node(number)) for number in range(given.nodes)]
    pods = list(pods_of(nodes, given.pods, each=1))
    took = time.process_time() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    say(
        f"{given.nodes} nodes, {given.pods} pods: facts {grown / 1024:.0f} MiB, made and read in {took:.1f} s"
    )
    told("no pods", nodes, [])
    told("Workloads of 100 pods", nodes, list(pods_of(nodes, given.pods, each=100)))
    told("Workloads of one pod", nodes, pods)
    unlike = [
        replace(
            node,
            labels={**node.labels, "serial": node.name},
            allocatable={**node.allocatable, "memory": node.allocatable["memory"] - number * 4_096_000},
        )
        for number, node in enumerate(nodes)
    ]
    told("machines unlike, labels unlike", unlike, pods)
    say(f"in all {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
