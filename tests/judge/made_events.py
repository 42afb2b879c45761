"""Audit events made by hand, in the shape that kube-apiserver 1.36 writes them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests import judge
from tests.judge.audit import parse
from tests.judge.facts import PREFIX
from tests.judge.history import History

START = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC).timestamp()

CONTROLLER = "kueue-ks:workload-controller"
KUEUE = "kueue"
AGENT = "work-agent"

Json = dict[str, Any]


def stamp(at: float) -> str:
    return datetime.fromtimestamp(START + at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def pod(
    name: str,
    workload: str = "wl",
    *,
    owner: str = "job",
    node: str = "",
    phase: str = "Pending",
    attempt: str = "1",
    cpu: str = "1",
    **metadata: Any,
) -> Json:
    labels = {PREFIX + "workload-uid": workload} if workload else {}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "labels": labels,
            "annotations": {PREFIX + "attempt": attempt},
            "ownerReferences": [{"kind": "Job", "uid": owner, "name": owner, "controller": True}],
            "creationTimestamp": "2026-11-22T10:00:00Z",
            **metadata,
        },
        "spec": {"nodeName": node, "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
        "status": {"phase": phase},
    }


def job(
    uid: str, workload: str = "wl", *, ended: str = "", attempt: str = "1", owner: str = "", **metadata: Any
) -> Json:
    owners = [{"kind": "AppliedManifestWork", "uid": "amw", "name": "amw"}]
    if owner:
        owners.append({"kind": "JobSet", "uid": owner, "name": owner, "controller": True})  # type: ignore[dict-item]
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {
            "name": uid,
            "namespace": "team",
            "uid": uid,
            "labels": {PREFIX + "workload-uid": workload},
            "annotations": {PREFIX + "attempt": attempt},
            "ownerReferences": owners,
            **metadata,
        },
        "status": {"conditions": [{"type": ended, "status": "True"}] if ended else []},
    }


def workload(
    uid: str = "wl", *, reserved: bool = False, finished: str = "", active: bool = True, **metadata: Any
) -> Json:
    quota = {
        "type": "QuotaReserved",
        "status": str(reserved),
        "reason": "QuotaReserved" if reserved else "Pending",
    }
    conditions = [quota]
    if finished:
        conditions.append({"type": "Finished", "status": "True", "reason": finished})
    return {
        "kind": "Workload",
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "metadata": {"name": f"job-{uid}", "namespace": "team", "uid": uid, **metadata},
        "spec": {"active": active},
        "status": {"conditions": conditions},
    }


def node(name: str = "n1", cpu: str = "4", *, cordoned: bool = False) -> Json:
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"unschedulable": cordoned},
        "status": {"allocatable": {"cpu": cpu, "pods": "110"}},
    }


def thing(kind: str, name: str, **metadata: Any) -> Json:
    return {"kind": kind, "apiVersion": "x/v1", "metadata": {"name": name, "uid": f"uid-{name}", **metadata}}


_PLURALS = {
    "Pod": ("", "pods"),
    "Node": ("", "nodes"),
    "Job": ("batch", "jobs"),
    "Workload": ("kueue.x-k8s.io", "workloads"),
    "ConfigMap": ("", "configmaps"),
    "Namespace": ("", "namespaces"),
    "Lease": ("coordination.k8s.io", "leases"),
    "AdmissionCheck": ("kueue.x-k8s.io", "admissionchecks"),
    "ClusterQueue": ("kueue.x-k8s.io", "clusterqueues"),
    "ClusterMetrics": ("galaxy.kubestellar.io", "clustermetrics"),
    "BindingPolicy": ("control.kubestellar.io", "bindingpolicies"),
    "ManifestWork": ("work.open-cluster-management.io", "manifestworks"),
    "WorkStatus": ("control.kubestellar.io", "workstatuses"),
}


class Log:
    """Events in the order of their making; each took 2 ms unless told otherwise."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Json]] = []

    def add(
        self,
        at: float,
        space: str,
        verb: str,
        obj: Json,
        *,
        user: str = "somebody",
        code: int | None = None,
        sub: str = "",
        request: Json | None = None,
        level: str = "RequestResponse",
        took: float = 0.002,
    ) -> "Log":
        group, plural = _PLURALS[obj["kind"]]
        metadata = obj["metadata"]
        event: Json = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": level,
            "auditID": f"audit-{len(self.events)}",
            "stage": "ResponseComplete",
            "requestURI": f"/{plural}",
            "verb": verb,
            "user": {"username": user, "groups": ["system:authenticated"]},
            "objectRef": {
                "resource": plural,
                "apiVersion": "v1",
                "name": metadata["name"],
                **({"namespace": metadata["namespace"]} if "namespace" in metadata else {}),
                **({"apiGroup": group} if group else {}),
                **({"subresource": sub} if sub else {}),
            },
            "responseStatus": {"metadata": {}, "code": code or (201 if verb == "create" else 200)},
            "requestReceivedTimestamp": stamp(at),
            "stageTimestamp": stamp(at + took),
        }
        if level == "RequestResponse":
            event["responseObject"] = obj
            if request is not None:
                event["requestObject"] = request
        self.events.append((space, event))
        return self

    def create(self, at: float, space: str, obj: Json, **more: Any) -> "Log":
        return self.add(at, space, "create", obj, **more)

    def status(self, at: float, space: str, obj: Json, **more: Any) -> "Log":
        return self.add(at, space, "patch", obj, sub="status", **more)

    def patch(self, at: float, space: str, obj: Json, **more: Any) -> "Log":
        return self.add(at, space, "patch", obj, **more)

    def delete(self, at: float, space: str, obj: Json, **more: Any) -> "Log":
        return self.add(at, space, "delete", obj, **more)

    def history(self) -> History:
        return History.of(write for space, event in self.events for write in parse(space, event))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for space, event in self.events:
            with (folder / f"{space}.log").open("a") as log:
                log.write(json.dumps(event, separators=(",", ":")) + "\n")


def running() -> Log:
    """A Workload that holds quota from 1 s on, and its pod on w1 from 5 s on."""
    return (
        Log()
        .create(0, "hub", workload(), user=KUEUE)
        .status(1, "hub", workload(reserved=True), user=KUEUE)
        .create(5, "w1", pod("a"))
        .status(6, "w1", pod("a", node="n1", phase="Running"))
    )


DELETING: Json = {"deletionTimestamp": "2026-11-22T10:00:40Z"}
GRACE: Json = DELETING | {"deletionGracePeriodSeconds": 30}
TRACKED: Json = {"finalizers": ["batch.kubernetes.io/job-tracking"]}
NO_GRACE: Json = DELETING | {"deletionGracePeriodSeconds": 0}


class Case(NamedTuple):
    reason: str
    given: Log
    want: list[tuple[str, str]]  # invariant, and a part of the violation's text


def expect(case: Case) -> None:
    """The judge finds what the case wants, in the order of time, and nothing else."""
    found = judge.check(case.given.history())

    assert [violation.invariant for violation in found] == [invariant for invariant, _ in case.want], found
    for violation, (_, part) in zip(found, case.want, strict=True):
        assert part in str(violation)
