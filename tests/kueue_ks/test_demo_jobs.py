"""Examples → what the demo submits."""

from collections.abc import Mapping
from typing import Any

from kube_runtime.quantity import parse_milli_up
from kueue_ks.demo.jobs import RUN_TIME, RUN_TIME_RANGE, demo_jobs, faster, gang, load_examples
from kueue_ks.install.manifests import manifest_root
from local_fleet.nodes import nodes_of
from vocabulary import keys
from vocabulary.pod_requests import pod_requests

EXAMPLES = load_examples(manifest_root() / "examples")


def annotations(job: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = job["spec"]["template"]["metadata"]["annotations"]
    return found


def test_every_example_is_submitted() -> None:
    submitted = [job["metadata"]["generateName"] for job in demo_jobs(2)]
    for name, example in EXAMPLES.items():
        assert example["metadata"]["generateName"] in submitted, name
        assert keys.QUEUE_NAME in example["metadata"]["labels"], name


def test_examples_are_only_made_faster() -> None:
    for example in EXAMPLES.values():
        quick = faster(example)
        seconds = float(annotations(quick)[RUN_TIME].removesuffix("s"))
        assert 1 <= seconds <= 20
        assert RUN_TIME_RANGE not in annotations(quick)
        annotations(quick)[RUN_TIME] = annotations(example)[RUN_TIME]
        annotations(quick)[RUN_TIME_RANGE] = annotations(example)[RUN_TIME_RANGE]
        assert quick == example


def test_examples_themselves_stay_as_they_are() -> None:
    before = load_examples(manifest_root() / "examples")
    demo_jobs(3)
    gang(EXAMPLES["batch-job.yaml"])
    assert before == EXAMPLES


def test_together_they_ask_for_more_cpu_than_the_fleet_has() -> None:
    for workers in (1, 2, 5):
        asked = sum(
            pod_requests(job["spec"]["template"]["spec"])["cpu"] * pods(job) for job in demo_jobs(workers)
        )
        nodes = [n for index in range(workers) for n in nodes_of(f"w{index}", index)]
        free = [n for n in nodes if not n["spec"].get("unschedulable")]
        there = sum(parse_milli_up(n["status"]["allocatable"]["cpu"]) for n in free)
        assert there < asked < 1.5 * there


def pods(job: Mapping[str, Any]) -> int:
    spec = job["spec"]
    return min(int(spec.get("parallelism", 1)), int(spec.get("completions", 1)))
