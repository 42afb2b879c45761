"""Answers of a Prometheus for tests: a small cluster that each row changes in one place."""

from collections.abc import Mapping, Sequence

from quota_manager.sources.queries import Wanted
from quota_manager.sources.samples import Answers, Sample

GI = 2**30
WANTED = Wanted(frozenset({"cpu", "memory", "nvidia.com/gpu"}), frozenset({"pool", "example.com/gpu"}))


def sample(value: object, /, **labels: str) -> Sample:
    return Sample({"cluster": "w1", **labels}, str(value))


def node(value: object, name: str = "n1", /, **labels: str) -> Sample:
    return sample(value, node=name, **labels)


def cpu(value: object, name: str = "n1", unit: str = "core", **labels: str) -> Sample:
    return node(value, name, resource="cpu", unit=unit, **labels)


def memory(value: object, name: str = "n1", unit: str = "byte") -> Sample:
    return node(value, name, resource="memory", unit=unit)


ONE_NODE: Mapping[str, Sequence[Sample]] = {
    "allocatable": [cpu(8), memory("1.7179869184e+10"), node(4, resource="nvidia_com_gpu", unit="integer")],
    "conflicting": [],
    "unschedulable": [node(0)],
    "ready": [node(1)],
    "taints": [],
    "labels": [node(1, label_pool="a", label_example_com_gpu="h100")],
    "foreign": [cpu("0.5")],
    "requested": [cpu("2.5")],
    "bad_requests": [],
    "pods": [sample(3)],
    "scraped_at": [sample("1764000000.25")],
}


def answers(**changed: Sequence[Sample]) -> Answers:
    assert changed.keys() <= ONE_NODE.keys()
    return {**ONE_NODE, **changed}
