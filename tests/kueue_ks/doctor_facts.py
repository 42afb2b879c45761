"""Facts for the checks of doctor: a sound fleet, and ways to make one thing wrong."""

from typing import Any

from kube_runtime.objects import Obj
from kueue_ks.doctor.facts import Facts, SpaceFacts
from kueue_ks.install.checks import Duty
from tests.kueue_ks.view_builders import NOW, at, nodes, report
from vocabulary import keys
from workload_controller.published import Options, publish

POLICY = {"metadata": {"name": "kueue-ks-managed-by"}}
BOUND = {"metadata": {"name": "b"}, "spec": {"policyName": "kueue-ks-managed-by"}}


def check(name: str = "ks", controller: str = keys.CONTROLLER_NAME, **spec: Any) -> Obj:
    active = {"type": "Active", "status": "True", "reason": "ClustersUsable", "message": "1 of 1"}
    metadata = {"name": name, "uid": "u"}
    return {
        "metadata": metadata,
        "spec": {"controllerName": controller, **spec},
        "status": {"conditions": [active]},
    }


def queue(*checks: Obj, name: str = "cq", managed: bool = True, active: str = "True", **spec: Any) -> Obj:
    return {
        "metadata": {"name": name, "annotations": {keys.MANAGE_QUOTA: "true"} if managed else {}},
        "spec": {
            "admissionChecksStrategy": {"admissionChecks": list(checks)},
            "resourceGroups": [{"flavors": [{"name": "f1"}, {"name": "f2"}]}],
            **spec,
        },
        "status": {"conditions": [{"type": "Active", "status": active, "reason": "R", "message": "m"}]},
    }


def job(name: str = "j", *, queued: str = "lq", done: bool = False, **spec: Any) -> Obj:
    conditions = [{"type": "Complete", "status": "True"}] if done else []
    metadata = {"name": name, "namespace": "a", "labels": {keys.QUEUE_NAME: queued}}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": conditions}}


def lease(name: str, *, age: float = 1, holder: str = "h", annotations: Any = None) -> Obj:
    spec = {"holderIdentity": holder, "renewTime": at(age), "leaseDurationSeconds": 15}
    return {"metadata": {"name": name, "annotations": annotations or {}}, "spec": spec}


def cluster(name: str = "w1", *, label: str = "w1", accepted: bool = True, available: str = "True") -> Obj:
    condition = {"type": "ManagedClusterConditionAvailable", "status": available}
    return {
        "metadata": {"name": name, "uid": name, "labels": {"name": label}},
        "spec": {"hubAcceptsClient": accepted},
        "status": {"conditions": [condition]},
    }


def policies(*names: str) -> dict[str, list[Obj]]:
    return {
        "guards": [{"metadata": {"name": name}} for name in names],
        "guard_bindings": [{"metadata": {"name": name}, "spec": {"policyName": name}} for name in names],
    }


LOCAL = {"metadata": {"name": "lq", "namespace": "a"}, "spec": {"clusterQueue": "cq"}}
SOUND: dict[str, list[Obj]] = {
    "checks": [check()],
    "cluster_queues": [queue({"name": "ks"})],
    "local_queues": [LOCAL],
    "placement_policies": [],
    "jobs": [job(managedBy=keys.CONTROLLER_NAME)],
    "leases": [
        lease("workload-controller", annotations=publish(Options(known=True))),
        lease("quota-manager"),
    ],
    "policies_v1": [POLICY],
    "bindings_v1": [BOUND],
}
REPORTED: dict[str, list[Obj]] = {
    "clusters": [cluster()],
    "statuses": [report("w1", nodes(2))],
    **policies("kueue-ks-carried-once"),
}


def deployment(image: str = "registry/kueue:v0.19.2", *args: str) -> Obj:
    container = {"image": image, "args": list(args)}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def kueue_config(text_: str) -> list[Obj]:
    return [{"data": {"controller_manager_config.yaml": text_}}]


def space(duty: Duty, lists: Any = None, **fields: Any) -> SpaceFacts:
    return SpaceFacts(name=fields.pop("name", duty.value), duty=duty, lists=lists or {}, **fields)


def world(
    hub: Any = None, its: Any = None, *others: SpaceFacts, drop: str = "", hub_fields: Any = None
) -> Facts:
    lists = {name: found for name, found in {**SOUND, **(hub or {})}.items() if name != drop}
    return Facts(
        now=NOW,
        spaces=(
            space(Duty.HUB, lists, **(hub_fields or {})),
            space(Duty.ITS, {**REPORTED, **(its or {})}),
            *others,
        ),
    )


def hub_like(**fields: Any) -> Facts:
    return Facts(now=NOW, spaces=(space(Duty.HUB, SOUND, **fields),))


def two(hub: str, wds: str) -> Facts:
    return Facts(now=NOW, spaces=(space(Duty.HUB, identity=hub), space(Duty.WDS, identity=wds)))


LOW = deployment("x", "--api-groups=batch,galaxy.kubestellar.io", "--wds-qps=200", "--its-qps", "5")
OTHER_GROUPS = deployment("x", "--api-groups=apps", "--wds-qps=200", "--its-qps=200")
WORKER = space(Duty.WORKER, policies("kueue-ks-adoption"), name="w1")
