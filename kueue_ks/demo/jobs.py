"""What the demo submits: every example, and one of them enlarged until the queue is full.

The examples run three times as fast as they say, so that the demo stays short: on simulated nodes a pod's
annotation is its run time. Nothing else about them is changed.

The enlarged ones are gangs of four pods. Together they ask for a little more cpu than the workers of the
local fleet have (94 and 118 cpu, ``local_fleet.nodes``), so that some wait: for quota, or for a cluster
with room for all four.
"""

import copy
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from typing import Final

import yaml

from kube_runtime.objects import Obj
from kueue_ks.install.manifests import manifest_root

SPEED: Final = 3
RUN_TIME: Final = "pod-complete.stage.kwok.x-k8s.io/delay"
RUN_TIME_RANGE: Final = "pod-complete.stage.kwok.x-k8s.io/jitter-delay"

GANG: Final = "batch-job.yaml"
GANG_PODS: Final = 4
GANG_CPU: Final = "7"
GANGS_PER_WORKER: Final = 4  # 112 cpu for each worker
GANG_SECONDS: Final = 12


def demo_jobs(workers: int) -> list[Obj]:
    """The jobs in the order in which they are submitted."""
    examples = load_examples(manifest_root().joinpath("examples"))
    gangs = [gang(examples[GANG]) for _ in range(GANGS_PER_WORKER * workers)]
    return [*(faster(example) for example in examples.values()), *gangs]


def load_examples(folder: Traversable) -> dict[str, Obj]:
    """File name to Job, in the order of the names."""
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".yaml")), key=lambda f: f.name)
    return {file.name: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def faster(example: Obj) -> Obj:
    """The same job with a third of its simulated run time and without its randomness."""
    annotations = _annotations(example)
    whole = float(str(annotations.get(RUN_TIME, "30s")).removesuffix("s"))
    return _with_run_time(example, max(1, round(whole / SPEED)))


def gang(example: Obj) -> Obj:
    """The example as four large pods that run together."""
    job = _with_run_time(example, GANG_SECONDS)
    job["metadata"]["generateName"] = "gang-"
    job["spec"] |= {"parallelism": GANG_PODS, "completions": GANG_PODS}
    for container in job["spec"]["template"]["spec"]["containers"]:
        container["resources"]["requests"]["cpu"] = GANG_CPU
    return job


def namespaces(jobs: Sequence[Obj]) -> list[str]:
    """Where the jobs go."""
    return sorted({job["metadata"]["namespace"] for job in jobs})


def _with_run_time(example: Obj, seconds: int) -> Obj:
    job = copy.deepcopy(example)
    metadata = job["spec"]["template"].setdefault("metadata", {})
    kept = {key: value for key, value in _annotations(job).items() if key != RUN_TIME_RANGE}
    metadata["annotations"] = {**kept, RUN_TIME: f"{seconds}s"}
    return job


def _annotations(job: Obj) -> dict[str, str]:
    return (job["spec"]["template"].get("metadata") or {}).get("annotations") or {}
