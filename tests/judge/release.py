"""I2: quota goes back only when no pod of its Workload lives, and no pod runs without quota."""

from collections.abc import Iterator

from tests.judge.history import History, Hold, PodLife, WorkloadLife, grouped
from tests.judge.rules import Rules, Violation

SECOND = 1_000_000


def quota_outlives_pods(history: History, rules: Rules) -> Iterator[Violation]:
    """Releases before the last pod's end, and pods that began after a release and before the next hold."""
    ours = (pod for pod in history.pods if pod.workload and rules.is_worker(pod.cluster))
    pods_of = grouped(ours, lambda pod: pod.workload)
    for workload in history.workloads.values():
        if workload.uid in rules.may_run_twice:
            continue
        pods = pods_of.get(workload.uid, [])
        for hold in workload.holds:
            yield from _early_release(workload, hold, pods, rules)
        if workload.holds:
            yield from _without_quota(workload, pods)


def _early_release(
    workload: WorkloadLife, hold: Hold, pods: list[PodLife], rules: Rules
) -> Iterator[Violation]:
    if hold.released is None:
        return
    tolerance = round(rules.release_tolerance * SECOND)
    living = [pod for pod in pods if pod.lives_across(hold.released, beyond=tolerance)]
    if not living:
        return
    ends = [pod.ended.earliest if pod.ended else None for pod in living]
    last = max((end for end in ends if end is not None), default=0)
    after = (
        "is still alive" if None in ends else f"ended {(last - hold.released.latest) / SECOND:.3f} s later"
    )
    yield Violation(
        "I2",
        hold.released.latest / SECOND,
        f"Workload {workload.namespace}/{workload.name}",
        f"quota released ({hold.cause}) with {len(living)} pods alive, "
        f"first {living[0].title}; the last one {after}",
    )


def _without_quota(workload: WorkloadLife, pods: list[PodLife]) -> Iterator[Violation]:
    """Pods that began between two holds. Those that began after Finished are I3's."""
    for pod in pods:
        if workload.finished and pod.appeared.latest > workload.finished.earliest:
            continue
        if any(_may_cover(hold, pod) for hold in workload.holds):
            continue
        yield Violation(
            "I2",
            pod.appeared.earliest / SECOND,
            pod.title,
            f"created while Workload {workload.namespace}/{workload.name} held no quota",
        )


def _may_cover(hold: Hold, pod: PodLife) -> bool:
    begun = hold.reserved.earliest <= pod.appeared.latest
    return begun and (hold.released is None or hold.released.latest >= pod.appeared.earliest)
