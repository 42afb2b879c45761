"""The checks of doctor, each as a table of facts and what is said about them; then the reading of rights."""

import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kube_runtime.connections import ConnectionSettings
from kube_runtime.objects import Obj
from kueue_ks.doctor import clusters, controllers, queues, spaces, upstream
from kueue_ks.doctor.examination import CHECKS, examine
from kueue_ks.doctor.facts import Facts, SpaceFacts
from kueue_ks.doctor.finding import Check, Finding, Level, report_of
from kueue_ks.doctor.reading import read
from kueue_ks.doctor.rights import Right, rights_by_program
from kueue_ks.doctor.text import text
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import MANIFESTS
from kueue_ks.install.manifests import load
from tests.kueue_ks.scripted_server import ScriptedServer, serving
from tests.kueue_ks.view_builders import NOW, at, nodes, report
from vocabulary import keys
from workload_controller.published import Options, publish

DOCUMENT = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
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


class Case(NamedTuple):
    reason: str
    facts: Facts
    examined: Any
    check: Check
    level: Level
    words: str


def hub_like(**fields: Any) -> Facts:
    return Facts(now=NOW, spaces=(space(Duty.HUB, SOUND, **fields),))


def two(hub: str, wds: str) -> Facts:
    return Facts(now=NOW, spaces=(space(Duty.HUB, identity=hub), space(Duty.WDS, identity=wds)))


LOW = deployment("x", "--api-groups=batch,galaxy.kubestellar.io", "--wds-qps=200", "--its-qps", "5")
OTHER_GROUPS = deployment("x", "--api-groups=apps", "--wds-qps=200", "--its-qps=200")
WORKER = space(Duty.WORKER, policies("kueue-ks-adoption"), name="w1")
C, L = Check, Level
CASES = [
    Case("alive", world(), controllers.controllers, C.CONTROLLERS, L.OK, "h leads, renewed 1s ago"),
    Case("options", world(), controllers.controllers, C.OPTIONS, L.OK, keys.OPTIONS),
    Case(
        "never led",
        world({"leases": []}),
        controllers.controllers,
        C.CONTROLLERS,
        L.FAIL,
        "no Lease kueue-kubestellar-system/workload-controller",
    ),
    Case(
        "renewed too long ago",
        world({"leases": [lease("quota-manager", age=16)]}),
        controllers.controllers,
        C.CONTROLLERS,
        L.FAIL,
        "renewed 16s ago and lasts 15s: h is gone",
    ),
    Case(
        "given away",
        world({"leases": [lease("quota-manager", holder="")]}),
        controllers.controllers,
        C.CONTROLLERS,
        L.FAIL,
        "has no holder",
    ),
    Case(
        "options not told",
        world({"leases": [lease("workload-controller")]}),
        controllers.controllers,
        C.OPTIONS,
        L.WARN,
        "assume defaults",
    ),
    Case("check Active", world(), queues.admission_checks, C.ADMISSION_CHECK, L.OK, "Active: 1 of 1"),
    Case(
        "check of another controller",
        world({"checks": [check(controller="example.com/x")]}),
        queues.admission_checks,
        C.ADMISSION_CHECK,
        L.FAIL,
        "there are: ks (example.com/x)",
    ),
    Case(
        "check not judged",
        world({"checks": [check() | {"status": {}}]}),
        queues.admission_checks,
        C.ADMISSION_CHECK,
        L.FAIL,
        "nobody has judged it yet",
    ),
    Case("no parameters", world(), queues.admission_checks, C.PARAMETERS, L.OK, "defaults"),
    Case(
        "parameters of another kind",
        world({"checks": [check(parameters={"kind": "ConfigMap", "name": "x"})]}),
        queues.admission_checks,
        C.PARAMETERS,
        L.FAIL,
        "names a ConfigMap",
    ),
    Case("queue leads", world(), queues.queues, C.QUEUES, L.OK, "1 LocalQueues lead to it"),
    Case(
        "no queue leads",
        world({"cluster_queues": []}),
        queues.queues,
        C.QUEUES,
        L.FAIL,
        "none of 0 ClusterQueues",
    ),
    Case(
        "a flavor without our check",
        world({"cluster_queues": [queue({"name": "ks", "onFlavors": ["f1"]})]}),
        queues.queues,
        C.QUEUES,
        L.FAIL,
        "flavor f2 lacks our check",
    ),
    Case(
        "queue not Active",
        world({"cluster_queues": [queue({"name": "ks"}, active="False")]}),
        queues.queues,
        C.QUEUES,
        L.FAIL,
        "is not Active (R: m)",
    ),
    Case(
        "queue stopped",
        world({"cluster_queues": [queue({"name": "ks"}, stopPolicy="Hold")]}),
        queues.queues,
        C.QUEUES,
        L.WARN,
        "stopPolicy Hold",
    ),
    Case(
        "no LocalQueue",
        world({"local_queues": []}),
        queues.queues,
        C.QUEUES,
        L.WARN,
        "no LocalQueue leads to it",
    ),
    Case("policy bound", world(), queues.managed_by, C.MANAGED_BY, L.OK, "served (v1), installed and bound"),
    Case("policy missing", world({"policies_v1": []}), queues.managed_by, C.MANAGED_BY, L.FAIL, "is missing"),
    Case(
        "policy not bound",
        world({"bindings_v1": []}),
        queues.managed_by,
        C.MANAGED_BY,
        L.FAIL,
        "does nothing",
    ),
    Case(
        "policy in beta",
        world({"policies_v1beta1": [POLICY], "bindings_v1beta1": [BOUND]}, drop="policies_v1"),
        queues.managed_by,
        C.MANAGED_BY,
        L.OK,
        "served (v1beta1)",
    ),
    Case(
        "policies not served",
        world(drop="policies_v1"),
        queues.managed_by,
        C.MANAGED_BY,
        L.FAIL,
        "serves no MutatingAdmissionPolicy",
    ),
    Case(
        "policies not to be read",
        world(drop="policies_v1", hub_fields={"unread": {"policies_v1": "403"}}),
        queues.managed_by,
        C.MANAGED_BY,
        L.UNKNOWN,
        "403",
    ),
    Case("jobs managed", world(), queues.jobs_on_hub, C.JOBS_ON_HUB, L.OK, "all 1 unfinished"),
    Case(
        "a job of nobody",
        world({"jobs": [job("bare")]}),
        queues.jobs_on_hub,
        C.JOBS_ON_HUB,
        L.FAIL,
        "would start them: a/bare",
    ),
    Case(
        "a finished one is past",
        world({"jobs": [job(done=True)]}),
        queues.jobs_on_hub,
        C.JOBS_ON_HUB,
        L.OK,
        "all 0",
    ),
    Case(
        "one of another queue is not ours",
        world({"jobs": [job(queued="x")]}),
        queues.jobs_on_hub,
        C.JOBS_ON_HUB,
        L.OK,
        "all 0",
    ),
    Case(
        "gate on by default",
        world({"kueue": [deployment()], "kueue_config": kueue_config("a: b")}),
        upstream.kueue,
        C.KUEUE_GATES,
        L.WARN,
        "FinishOrphanedWorkloads is on",
    ),
    Case(
        "gate off by its configuration",
        world(
            {
                "kueue": [deployment()],
                "kueue_config": kueue_config("featureGates: {FinishOrphanedWorkloads: false}"),
            }
        ),
        upstream.kueue,
        C.KUEUE_GATES,
        L.OK,
        "is off",
    ),
    Case(
        "gate off by its flag",
        world({"kueue": [deployment("k:v0.19.2", "--feature-gates=A=true,FinishOrphanedWorkloads=false")]}),
        upstream.kueue,
        C.KUEUE_GATES,
        L.OK,
        "is off",
    ),
    Case(
        "Kueue slow",
        world({"kueue": [deployment()], "kueue_config": kueue_config("clientConnection: {qps: 30}")}),
        upstream.kueue,
        C.KUEUE_RATE,
        L.WARN,
        "qps is 30, below 50",
    ),
    Case("Kueue not seen", world(), upstream.kueue, C.KUEUE, L.UNKNOWN, "no Deployment"),
    Case(
        "one flag too low",
        world({"kubestellar": [LOW]}),
        upstream.kubestellar,
        C.KUBESTELLAR_RATE,
        L.WARN,
        "--its-qps is 5, below 50",
    ),
    Case("groups carried", world({"kubestellar": [LOW]}), upstream.kubestellar, C.CARRIED, L.OK, "batch"),
    Case(
        "groups left out",
        world({"kubestellar": [OTHER_GROUPS]}),
        upstream.kubestellar,
        C.CARRIED,
        L.FAIL,
        "leaves out batch, galaxy.kubestellar.io",
    ),
    Case(
        "rates enough",
        world({"kubestellar": [OTHER_GROUPS]}),
        upstream.kubestellar,
        C.KUBESTELLAR_RATE,
        L.OK,
        "--its-qps=200",
    ),
    Case("cluster usable", world(), clusters.clusters, C.CLUSTERS, L.OK, "accepted, available, labelled"),
    Case("no cluster", world({}, {"clusters": []}), clusters.clusters, C.CLUSTERS, L.FAIL, "0 Managed"),
    Case(
        "not accepted",
        world({}, {"clusters": [cluster(accepted=False)]}),
        clusters.clusters,
        C.CLUSTERS,
        L.FAIL,
        "hubAcceptsClient is false",
    ),
    Case(
        "wrong label",
        world({}, {"clusters": [cluster(label="x")]}),
        clusters.clusters,
        C.CLUSTERS,
        L.FAIL,
        "label name is 'x'",
    ),
    Case(
        "not available",
        world({}, {"clusters": [cluster(available="Unknown")]}),
        clusters.clusters,
        C.CLUSTERS,
        L.FAIL,
        "Available is Unknown",
    ),
    Case("reported", world(), clusters.clusters, C.REPORTS, L.OK, "reported 4s ago: 2 nodes"),
    Case("no report", world({}, {"statuses": []}), clusters.clusters, C.REPORTS, L.FAIL, "no report"),
    Case(
        "old report",
        world({}, {"statuses": [report("w1", nodes(), age=200)]}),
        clusters.clusters,
        C.REPORTS,
        L.FAIL,
        "3m20s old, limit 180s",
    ),
    Case(
        "report from the future",
        world({}, {"statuses": [report("w1", nodes(), age=-200)]}),
        clusters.clusters,
        C.REPORTS,
        L.FAIL,
        "ahead",
    ),
    Case("guarded", world(), clusters.guards, C.GUARDS, L.OK, "kueue-ks-carried-once installed and bound"),
    Case(
        "worker without one of its guards",
        world({}, {}, WORKER),
        clusters.guards,
        C.GUARDS,
        L.FAIL,
        "kueue-ks-namespace is missing",
    ),
    Case(
        "a guard that nothing binds",
        world({}, {"guard_bindings": []}),
        clusters.guards,
        C.GUARDS,
        L.FAIL,
        "kueue-ks-carried-once is not bound",
    ),
    Case(
        "guards not served",
        Facts(now=NOW, spaces=(space(Duty.ITS, {}),)),
        clusters.guards,
        C.GUARDS,
        L.WARN,
        "serves no ValidatingAdmissionPolicy v1",
    ),
    Case("workers not given", world(), clusters.guards, C.GUARDS, L.UNKNOWN, "guards of w1 cannot be seen"),
    Case("old hub", hub_like(minor=(1, 33)), spaces.spaces, C.VERSION, L.FAIL, "older than 1.34"),
    Case("oldest hub", hub_like(minor=(1, 34)), spaces.spaces, C.VERSION, L.OK, "1.34"),
    Case("clock well", hub_like(ahead=-4.9), spaces.spaces, C.CLOCK, L.OK, "within 5s"),
    Case("clock off", hub_like(ahead=-5.1), spaces.spaces, C.CLOCK, L.WARN, "5.1s behind ours"),
    Case("clock wrong", hub_like(ahead=61), spaces.spaces, C.CLOCK, L.FAIL, "61.0s ahead of ours"),
    Case(
        "a program without rights",
        hub_like(denied={"quota-manager": ("get x",)}, reviewed={"quota-manager": 9}),
        spaces.spaces,
        C.PROGRAM_RIGHTS,
        L.FAIL,
        "quota-manager: may not get x (9 asked)",
    ),
    Case(
        "a caller without rights",
        hub_like(denied={"caller": ("get x",)}, reviewed={"caller": 9}),
        spaces.spaces,
        C.CALLER_RIGHTS,
        L.WARN,
        "your credentials: may not get x",
    ),
    Case(
        "rights that may not be asked for",
        hub_like(unread={"rights of quota-manager": "403"}),
        spaces.spaces,
        C.PROGRAM_RIGHTS,
        L.UNKNOWN,
        "403",
    ),
    Case("no answer", hub_like(problem="refused"), spaces.spaces, C.API_SERVER, L.FAIL, "refused"),
    Case(
        "Kueue not installed",
        hub_like(served={"/apis/kueue.x-k8s.io/v1beta2": frozenset()}),
        spaces.spaces,
        C.SERVED,
        L.FAIL,
        "does not serve workloads.kueue.x-k8s.io (v1beta2)",
    ),
    Case("hub is WDS", two("a", "a"), spaces.two_api_servers, C.TWO_API_SERVERS, L.FAIL, "same API server"),
    Case("hub is not WDS", two("a", "b"), spaces.two_api_servers, C.TWO_API_SERVERS, L.OK, "two API servers"),
    Case("hub or WDS", two("a", ""), spaces.two_api_servers, C.TWO_API_SERVERS, L.UNKNOWN, "cannot be seen"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_a_check(case: Case) -> None:
    found = [f for f in case.examined(case.facts) if f.check is case.check and f.level is case.level]
    assert any(case.words in f.message for f in found), list(case.examined(case.facts))
    assert all(f.remedy for f in found if f.level in {Level.FAIL, Level.WARN})


def test_nothing_read_is_never_ok_nor_a_failure_of_what_was_not_seen() -> None:
    blind = Facts(now=NOW, spaces=(space(Duty.HUB, problem="dead"), space(Duty.ITS, problem="dead")))
    found = examine(blind)
    assert {(f.check, f.level) for f in found if f.level is not Level.UNKNOWN} == {
        (Check.API_SERVER, Level.FAIL)
    }


def test_an_object_that_cannot_be_read_ends_one_check_only() -> None:
    found = examine(world({"checks": [{"metadata": {"name": "ks"}}]}))
    assert [f for f in found if f.level is Level.UNKNOWN and "cannot be read as it should" in f.message]
    assert [f for f in found if f.check is Check.REPORTS and f.level is Level.OK]
    assert len(CHECKS) == len({run for _, run in CHECKS})


def test_text_and_report_count_the_same() -> None:
    findings = (
        Finding(Check.CLOCK, Level.FAIL, "hub", "is wrong", "NTP"),
        Finding(Check.VERSION, Level.OK, "hub", "fine", "never shown"),
    )
    lines = text(report_of(findings, at="", seconds=0.44))
    assert lines[0].split() == ["FAIL", "Clock", "hub:", "is", "wrong"]
    assert lines[1].strip() == "fix: NTP"
    assert "never shown" not in "\n".join(lines)
    assert lines[-2] == "1 failed, 0 warnings, 0 unknown, 1 passed in 0.4s"


@pytest.mark.parametrize("name", list(Check))
def test_each_check_is_explained(name: Check) -> None:
    assert f"## {name}\n" in DOCUMENT


def test_the_document_names_no_other_check() -> None:
    assert {line[3:] for line in DOCUMENT.splitlines() if line.startswith("## ")} == set(Check)


def test_rights_come_from_the_roles() -> None:
    rights = rights_by_program(load("config/rbac/hub.yaml"))
    assert set(rights) == {"workload-controller", "quota-manager"}
    assert Right("patch", "kueue.x-k8s.io", "workloads/status") in rights["workload-controller"]
    lease_ = Right("update", "coordination.k8s.io", "leases", namespace=keys.SYSTEM_NAMESPACE)
    assert lease_ in rights["quota-manager"]
    assert lease_.attributes["namespace"] == keys.SYSTEM_NAMESPACE
    assert not any(right.resource == "jobs" for right in rights["quota-manager"])


WHOSE = {
    Duty.HUB: {"workload-controller", "quota-manager"},
    Duty.WDS: {"workload-controller", "quota-manager"},
    Duty.ITS: {"workload-controller", "quota-manager"},
    Duty.WORKER: {"metrics-agent"},
}


@pytest.mark.parametrize("duty", list(Duty))
def test_all_manifests_of_a_space_can_be_read_for_rights(duty: Duty) -> None:
    objects = [obj for name in MANIFESTS[duty] for obj in load(name)]
    assert set(rights_by_program(objects)) == WHOSE[duty]


async def test_a_server_that_answers_everything_is_asked_for_everything(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(serving(ScriptedServer(denied={("patch", "workloads")})))
        user: Obj = {"clusters": [{"name": "h", "cluster": {"server": hub.server}}]}
        user |= {"users": [{"name": "h", "user": {}}], "current-context": "h"}
        user |= {"contexts": [{"name": "h", "context": {"cluster": "h", "user": "h"}}]}
        (tmp_path / "hub").write_text(json.dumps(user))
        where = [("hub", Duty.HUB, ConnectionSettings(kubeconfig=tmp_path / "hub"))]
        found = (await read(where, deadline=60, clock=lambda: NOW)).of(Duty.HUB)
    assert (found.problem, found.minor) == ("", (1, 36))
    assert found.reviewed["caller"] > 20
    assert "patch workloads.kueue.x-k8s.io" in found.denied["caller"]
    assert found.serves("/apis/kueue.x-k8s.io/v1beta2", "workloads") is True
    assert found.serves("/apis/kueue.kubestellar.io/v1alpha1", "placementpolicies") is False


async def test_the_servers_clock_is_read() -> None:
    async with serving(ScriptedServer()) as hub:
        assert await hub.clock() is not None


async def test_what_is_not_there_is_said_and_nothing_is_raised(tmp_path: Path) -> None:
    nowhere = ConnectionSettings(kubeconfig=tmp_path / "none")
    facts = await read(
        [("hub", Duty.HUB, nowhere), ("wds", Duty.WDS, ConnectionSettings())], deadline=60, clock=lambda: NOW
    )
    assert "does not exist" in facts.of(Duty.HUB).problem
    assert facts.of(Duty.WDS).problem.startswith("it is described on the hub, and that cannot be read")
