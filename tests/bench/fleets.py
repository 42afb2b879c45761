"""Made facts: clusters with many node groups, the same for the same sizes."""

from vocabulary.cluster_metrics import ClusterReport, NodeGroup, Taint
from workload_controller.facts import ClusterFacts, Flavor, Held, PodSet, Toleration

GIB = 2**30 * 1000
GPU = "nvidia.com/gpu"
GPU_TAINT = Taint(GPU, "present", "NoSchedule")
TOLERATES = (Toleration(GPU, "Exists", "", "NoSchedule"),)
POOLS = 5
FLAVORS = {
    "standard": Flavor("standard", {"node-class": "standard"}, ()),
    "gpu": Flavor("gpu", {"node-class": "gpu"}, TOLERATES),
}


def clusters(count: int, groups: int) -> list[ClusterFacts]:
    """Each has ``groups`` groups of nodes in five pools, the last with GPUs; no two groups are used alike."""
    return [ClusterFacts(f"cluster-{n:04}", "", report(n, groups), fresh=True) for n in range(count)]


def report(number: int, groups: int) -> ClusterReport:
    """Of one cluster; between a quarter and three quarters of each node are taken."""
    return ClusterReport(1000.0, 1, tuple(_group(number, g) for g in range(groups)), ())


def _group(cluster: int, number: int) -> NodeGroup:
    pool = number % POOLS
    gpus = 8 if pool == POOLS - 1 else 0
    taken = 16 + (cluster * 7 + number * 13) % 33  # of 64 cpus
    allocatable = {"cpu": 64_000, "memory": 256 * GIB, "ephemeral-storage": 400 * GIB, "pods": 110_000}
    requested = {"cpu": taken * 1000, "memory": taken * 4 * GIB, "pods": taken * 1000}
    if gpus:
        allocatable[GPU] = gpus * 1000
        requested[GPU] = taken * gpus // 64 * 1000
    return NodeGroup(
        name=f"node-{number}",
        count=1 + (cluster + number) % 4,
        allocatable=allocatable,
        requested=requested,
        foreign=requested,
        labels={
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/os": "linux",
            "node-class": "gpu" if gpus else "standard",
            "pool": f"pool-{pool}",
        },
        taints=(GPU_TAINT,) if gpus else (),
        unschedulable=False,
        ready=True,
    )


def held(count: int, each: int = 1) -> list[Held]:
    """``each`` promised jobs on every cluster."""
    return [
        Held(f"held-{n}-{k}", f"cluster-{n:04}", (pods(4, cpu=4, memory=16),))
        for n in range(count)
        for k in range(each)
    ]


def pods(count: int, *, cpu: int, memory: int, gpu: int = 0, name: str = "main") -> PodSet:
    """Pods with these requests, in cpus, GiB and GPUs, of the flavor that has them."""
    requests = {"cpu": cpu * 1000, "memory": memory * GIB, "pods": 1000} | ({GPU: gpu * 1000} if gpu else {})
    return PodSet(name, count, requests, flavors=frozenset({"gpu" if gpu else "standard"}))
