"""The judge's rules about pods and Kueue's permission: they start with it, where it says, and stop after it.

Permission is what the hub's objects say: a Workload that holds quota, the cluster that our check names in
its pod set updates, an eviction, a deletion.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from kube_runtime.objects import Obj
from tests.simulation.api_server import ApiServer, Event
from tests.simulation.worker import SERIAL_LABEL, Pod, Worker
from tests.simulation.workload_objects import CHECK, is_true
from tests.simulation.world import World
from vocabulary.resources import JOBS, WORKLOADS

CLUSTER = "kueue.kubestellar.io/cluster"
STOPPED_WITHIN = 90.0  # seconds, undisturbed; a write may sleep for a minute beyond the end of its fault

Violate = Callable[[str, str], None]


class Permission:
    """``disturbed_until`` says until when a fault may keep everybody from acting."""

    def __init__(
        self,
        world: World,
        hub: ApiServer,
        workers: Mapping[str, Worker],
        violate: Violate,
        disturbed_until: Callable[[], float],
    ) -> None:
        self._world, self._hub, self._workers = world, hub, workers
        self._violate, self._disturbed_until = violate, disturbed_until
        self._stops: dict[str, float] = {}  # serial → since when it has to stop
        self._deleted: set[str] = set()  # serials: those stop for ever
        hub.on_commit(WORKLOADS, self._workload)
        hub.on_commit(JOBS, self._job)

    def pod_created(self, pod: Pod) -> None:
        """I2: its own Workload holds quota. I1: it is on the cluster that the Workload's check names."""
        workload = self._workload_of(pod)
        if workload is None or "admission" not in (workload.get("status") or {}):
            gone = "is gone" if workload is None else "holds no quota"
            self._violate("I2", f"{pod.serial} starts a pod on {pod.cluster} and its Workload {gone}")
        elif (placed := _placed_on(workload)) not in ("", pod.cluster):
            self._violate("I1", f"{pod.serial} starts a pod on {pod.cluster} and is placed on {placed}")

    def _workload_of(self, pod: Pod) -> Obj | None:
        found = (w for w in self._hub.all(WORKLOADS) if w["metadata"]["uid"] == pod.workload_uid)
        return next(found, None)

    def _workload(self, event: Event) -> None:
        serial = _serial(event.new["spec"]["podSets"][0]["template"])
        stopped = is_true(event.new, "Evicted") or "deletionTimestamp" in event.new["metadata"]
        if event.kind != "DELETED" and not stopped and is_true(event.new, "Admitted"):
            if serial not in self._deleted:
                self._stops.pop(serial, None)
        elif stopped and not is_true(event.new, "Finished"):
            self._has_to_stop(serial)

    def _job(self, event: Event) -> None:
        if "deletionTimestamp" in event.new["metadata"] or event.kind == "DELETED":
            serial = _serial(event.new["spec"]["template"])
            self._deleted.add(serial)
            self._has_to_stop(serial)

    def _has_to_stop(self, serial: str) -> None:
        if serial not in self._stops:
            self._stops[serial] = self._world.now
            self._world.after(STOPPED_WITHIN, partial(self._judge_stop, serial, self._world.now))

    def _judge_stop(self, serial: str, since: float) -> None:
        """I5: the quota of a job that has to stop does not stay with pods that nobody has told to end."""
        if self._stops.get(serial) != since:
            return
        running = [pod for pod in self._going_on(serial) if pod.created < since]
        if not running:
            return
        calm = self._disturbed_until() + STOPPED_WITHIN
        if calm > self._world.now:
            self._world.at(calm, partial(self._judge_stop, serial, since))
            return
        where = ", ".join(sorted({pod.cluster for pod in running}))
        for_long = self._world.now - since
        self._violate(
            "I5", f"{serial} has to stop since {for_long:.0f} s and nobody ends its pods on {where}"
        )

    def _going_on(self, serial: str) -> Iterable[Pod]:
        for worker in self._workers.values():
            for pod in worker.pods:
                if pod.serial == serial and pod.ended is None and pod.terminating_since is None:
                    yield pod


def _placed_on(workload: Obj) -> str:
    """Where our check says that it is, "" when it says nothing that counts."""
    for check in (workload.get("status") or {}).get("admissionChecks") or ():
        if check["name"] == CHECK and check["state"] == "Ready":
            for update in check.get("podSetUpdates") or ():
                return str((update.get("annotations") or {}).get(CLUSTER, ""))
    return ""


def _serial(template: Obj) -> str:
    return str(((template.get("metadata") or {}).get("labels") or {}).get(SERIAL_LABEL, ""))
