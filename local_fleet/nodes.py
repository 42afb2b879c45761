"""The simulated nodes of a worker: small, but with a cordoned node and a tainted GPU node.

Workers differ a little in size, so that a placement that ignores sizes shows.
"""

from typing import Any

from kube_runtime.objects import Obj

GPU = "nvidia.com/gpu"
GPU_TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
NODE_CLASS = "node-class"  # label: "standard" or "gpu"; ResourceFlavors select by it


def nodes_of(worker: str, index: int) -> list[Obj]:
    """Six nodes; ``index`` counts workers from 0 and makes each second one a little larger.

    standard-0, standard-1, gpu-0: free for all; gpu-1: tainted, only for pods that tolerate it; standard-2:
    cordoned; standard-3: only on every second worker.
    """
    cpus = 16 + 8 * (index % 2)
    nodes = [
        _node(worker, "standard-0", cpu=cpus, memory_gib=64),
        _node(worker, "standard-1", cpu=cpus, memory_gib=64),
        _node(worker, "gpu-0", cpu=32, memory_gib=256, gpus=8),
        _node(worker, "gpu-1", cpu=32, memory_gib=256, gpus=4, taints=[GPU_TAINT]),
        _node(worker, "standard-2", cpu=cpus, memory_gib=64, cordoned=True),
    ]
    if index % 2:
        nodes.append(_node(worker, "standard-3", cpu=8, memory_gib=32))
    return nodes


def _node(
    worker: str,
    name: str,
    *,
    cpu: int,
    memory_gib: int,
    gpus: int = 0,
    taints: list[dict[str, str]] | None = None,
    cordoned: bool = False,
) -> Obj:
    full = f"{worker}-{name}"
    capacity = {"cpu": str(cpu), "memory": f"{memory_gib}Gi", "ephemeral-storage": "200Gi", "pods": "110"}
    # A kubelet keeps something for the system: allocatable is less than capacity.
    allocatable = {**capacity, "cpu": f"{cpu * 1000 - 500}m", "memory": f"{memory_gib - 2}Gi"}
    if gpus:
        capacity[GPU] = allocatable[GPU] = str(gpus)
    spec: dict[str, Any] = {"taints": taints} if taints else {}
    if cordoned:
        spec["unschedulable"] = True
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": full,
            "labels": {
                NODE_CLASS: "gpu" if gpus else "standard",
                "kubernetes.io/hostname": full,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": f"{worker}-a",
                "type": "kwok",
            },
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
        "spec": spec,
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "nodeInfo": {"architecture": "amd64", "operatingSystem": "linux"},
        },
    }
