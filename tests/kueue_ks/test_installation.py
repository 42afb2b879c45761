"""What stands in the way of an installation is said in a sentence, and before anything is written."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from kubernetes.aio.client import Configuration

from kube_runtime.connections import ConnectionFailed
from kube_runtime.errors import Forbidden, KubeError
from kube_runtime.objects import Obj
from kube_runtime.space import Space
from kueue_ks.install import admission_probe
from kueue_ks.install.admission_probe import NotEffectiveError
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import Deed, InstallError, decide, install, installed, uninstall
from tests.kueue_ks.scripted_server import RESOURCES, ScriptedServer, serving
from vocabulary.keys import MANAGED_BY, MANAGED_BY_LABEL

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLE = f"{RBAC}/clusterroles/kueue-ks:workload-controller:hub"
NAMESPACE = "/api/v1/namespaces/kueue-kubestellar-system"
LEASE_ROLE = f"{RBAC}/namespaces/kueue-kubestellar-system/roles/kueue-ks:workload-controller:lease"


def obj(kind: str = "ClusterRole", name: str = "x", **metadata: object) -> Obj:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "uid": "u1", **metadata}}


OURS = {MANAGED_BY_LABEL: MANAGED_BY}


class Decision(NamedTuple):
    reason: str
    wanted: Obj
    found: Obj | None
    only_create: bool
    want: Deed | str


DECISIONS = [
    Decision("what is missing is applied", obj(), None, False, Deed.APPLY),
    Decision("a sample that is missing is created", obj(), None, True, Deed.CREATE),
    Decision("what is ours is applied again", obj(), obj(labels=OURS), False, Deed.APPLY),
    Decision("a sample that exists is never touched, whoever made it", obj(), obj(), True, Deed.KEEP),
    Decision("not even when it is ours", obj(), obj(labels=OURS), True, Deed.KEEP),
    Decision(
        "a namespace that was there before us is used", obj("Namespace"), obj("Namespace"), False, Deed.KEEP
    ),
    Decision(
        "what others made is not overwritten",
        obj(),
        obj(),
        False,
        "ClusterRole x exists and was not made by us",
    ),
    Decision(
        "nor what another tool manages",
        obj(),
        obj(labels={MANAGED_BY_LABEL: "Helm"}),
        False,
        f"kubectl label clusterrole x {MANAGED_BY_LABEL}={MANAGED_BY}",
    ),
    Decision(
        "what is going away cannot be relied on",
        obj("Namespace"),
        obj("Namespace", labels=OURS, deletionTimestamp="2026-01-01T00:00:00Z"),
        False,
        "wait until it is gone",
    ),
]


@pytest.mark.parametrize("case", DECISIONS, ids=lambda case: case.reason)
def test_decide(case: Decision) -> None:
    if isinstance(case.want, Deed):
        assert decide(case.wanted, case.found, only_create=case.only_create) is case.want
    else:
        with pytest.raises(InstallError, match=case.want):
            decide(case.wanted, case.found, only_create=case.only_create)


class Obstacle(NamedTuple):
    reason: str
    server: Callable[[], ScriptedServer]
    says: tuple[str, ...]


def without(path: str, kind: str) -> dict[str, dict[str, str]]:
    return {**RESOURCES, path: {k: v for k, v in RESOURCES[path].items() if k != kind}}


OBSTACLES = [
    Obstacle(
        "a hub that is too old", lambda: ScriptedServer(version="v1.33.9"), ("v1.33.9", "upgrade", "1.34")
    ),
    Obstacle(
        "a server that fails",
        lambda: ScriptedServer(refusals={("GET", "/version"): (500, "etcd is gone")}),
        ("hub", "500"),
    ),
    Obstacle(
        "no Kueue",
        lambda: ScriptedServer(served={k: v for k, v in RESOURCES.items() if "kueue" not in k}),
        ("workloads.kueue.x-k8s.io (v1beta2)", "Install Kueue"),
    ),
    Obstacle(
        "a hub before 1.36",
        lambda: ScriptedServer(
            served=without("/apis/admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy")
        ),
        ("mutatingadmissionpolicies", "--without-admission"),
    ),
    Obstacle(
        "no rights",
        lambda: ScriptedServer(denied={("create", "clusterroles"), ("patch", "clusterroles")}),
        ("may not create/patch clusterroles.rbac.authorization.k8s.io.", "cluster-admin"),
    ),
    Obstacle(
        "an object of our name that is not ours",
        lambda: ScriptedServer(objects={ROLE: obj(name="kueue-ks:workload-controller:hub")}),
        (
            "hub",
            "ClusterRole kueue-ks:workload-controller:hub exists and was not made by us",
            "kubectl label",
        ),
    ),
    Obstacle(
        "the server refuses a dry run",
        lambda: ScriptedServer(refusals={("PATCH", ROLE): (403, "attempting to grant extra privileges")}),
        (
            "clusterrole.rbac.authorization.k8s.io/kueue-ks:workload-controller:hub",
            "nothing was written",
            "extra",
        ),
    ),
    Obstacle(
        "a dry run does not find what this installation does not bring",
        lambda: ScriptedServer(refusals={("PATCH", ROLE): (404, "no such thing")}),
        ("nothing was written", "no such thing"),
    ),
]


@pytest.mark.parametrize("case", OBSTACLES, ids=lambda case: case.reason)
async def test_an_obstacle_is_named_and_nothing_is_written(case: Obstacle) -> None:
    server = case.server()
    async with serving(server) as space:
        with pytest.raises(KubeError) as failure:
            await install(space, what=Duty.HUB)
    for words in case.says:
        assert words in str(failure.value)
    assert server.writes == []


async def test_a_server_that_is_not_there_is_named() -> None:
    async with serving(ScriptedServer()) as gone:
        pass
    async with Space("hub", Configuration(host=gone.server)) as space:
        with pytest.raises(ConnectionFailed, match="hub"):
            await install(space, what=Duty.HUB)


async def test_objects_in_a_namespace_that_is_still_to_be_made_pass_the_dry_run() -> None:
    """A server answers 404 to a dry run in a namespace that does not exist yet."""

    server = ScriptedServer(refusals={("PATCH", LEASE_ROLE): (404, "namespaces not found")})
    async with serving(server) as space:
        with pytest.raises(KubeError, match="namespaces not found"):  # from the write itself, after the rest
            await install(space, what=Duty.HUB)
    assert ("PATCH", NAMESPACE, False) in server.writes


async def test_a_new_installation_writes_each_object_once_the_namespace_first() -> None:
    server = ScriptedServer()
    async with serving(server) as space:
        changes = await install(space, what=Duty.HUB)
    assert server.writes[0].path == NAMESPACE
    assert len(server.writes) == len({w.path for w in server.writes}) == len(changes)
    assert {change.outcome for change in changes} == {"created"}
    *rehearsed, probe = [a.path for a in server.asked if a.dry_run]
    assert rehearsed == [w.path for w in server.writes]
    assert probe == "/apis/batch/v1/namespaces/kueue-kubestellar-system/jobs"


async def test_an_admission_policy_that_does_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example because its plugin is switched off; queued jobs would run on the hub itself."""
    monkeypatch.setattr(admission_probe, "EFFECTIVE_WITHIN", 0.05)
    async with serving(ScriptedServer(manages_jobs=False)) as space:
        with pytest.raises(NotEffectiveError, match="a queued Job still gets no"):
            await install(space, what=Duty.HUB)


async def test_without_admission_no_probe_is_made() -> None:
    async with serving(ScriptedServer(manages_jobs=False)) as space:
        await install(space, what=Duty.HUB, admission=False)


async def test_a_worker_gets_its_guard_and_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ScriptedServer()
    async with serving(server) as space:
        changes = await install(space, what=Duty.WORKER)
    assert {change.outcome for change in changes} == {"created"}
    assert "validatingadmissionpolicies/kueue-ks-adoption" in " ".join(w.path for w in server.writes)

    monkeypatch.setattr(admission_probe, "EFFECTIVE_WITHIN", 0.05)
    async with serving(ScriptedServer(guards_namespaces=False)) as space:
        with pytest.raises(NotEffectiveError, match="validatingadmissionpolicy kueue-ks-namespace"):
            await install(space, what=Duty.WORKER)


async def test_a_worker_that_is_too_old_for_the_guard_is_installed_without_and_it_is_said() -> None:
    old = without("/apis/admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy")
    server = ScriptedServer(version="v1.29.9", served=old, guards_namespaces=False)
    async with serving(server) as space:
        changes = await install(space, what=Duty.WORKER)
    assert [str(change).partition(",")[0] for change in changes if change.outcome != "created"] == [
        "validatingadmissionpolicy/kueue-ks-adoption left out: it needs Kubernetes 1.30",
        "validatingadmissionpolicy/kueue-ks-namespace left out: it needs Kubernetes 1.30",
    ]
    assert not [w for w in server.writes if "admission" in w.path]


async def test_what_refuses_a_probe_for_another_reason_is_told() -> None:
    jobs = "/apis/batch/v1/namespaces/kueue-kubestellar-system/jobs"
    async with serving(ScriptedServer(refusals={("POST", jobs): (403, "nobody may")})) as space:
        with pytest.raises(Forbidden, match="nobody may"):
            await install(space, what=Duty.WORKER)


async def test_uninstall_takes_the_guard_away_binding_first() -> None:
    path = "/apis/admissionregistration.k8s.io/v1"
    policy, binding = (
        f"{path}/validatingadmissionpolic{plural}/kueue-ks-namespace" for plural in ("ies", "ybindings")
    )
    server = ScriptedServer(
        objects={
            policy: obj("ValidatingAdmissionPolicy", "kueue-ks-namespace", labels=OURS),
            binding: obj("ValidatingAdmissionPolicyBinding", "kueue-ks-namespace", labels=OURS),
        }
    )
    async with serving(server) as space:
        await uninstall(space, what=Duty.WORKER)
    assert [w.path for w in server.writes] == [binding, policy]


async def test_without_admission_and_without_samples_nothing_of_them_is_written() -> None:
    server = ScriptedServer()
    async with serving(server) as space:
        await install(space, what=Duty.HUB, admission=False)
    assert not [w for w in server.writes if "admission" in w.path or "kueue.x-k8s.io" in w.path]


async def test_uninstall_deletes_our_objects_last_made_first_and_nothing_else() -> None:
    server = ScriptedServer(
        objects={
            NAMESPACE: obj("Namespace", "kueue-kubestellar-system", labels=OURS),
            ROLE: obj(name="kueue-ks:workload-controller:hub", labels=OURS),
            LEASE_ROLE: obj("Role", "kueue-ks:workload-controller:lease", labels={MANAGED_BY_LABEL: "Helm"}),
        }
    )
    async with serving(server) as space:
        found = [step.name for step in (await installed(space, what=Duty.HUB)).steps]
        changes = await uninstall(space, what=Duty.HUB)
    assert [w.path for w in server.writes] == [ROLE, NAMESPACE]
    assert [change.object for change in changes] == found


@pytest.mark.parametrize("status", [404, 409])
async def test_what_is_gone_or_somebody_elses_by_now_is_not_reported_as_deleted(status: int) -> None:
    server = ScriptedServer(
        objects={ROLE: obj(name="kueue-ks:workload-controller:hub", labels=OURS)},
        refusals={("DELETE", ROLE): (status, "uid differs")},
    )
    async with serving(server) as space:
        assert await uninstall(space, what=Duty.HUB) == []


async def test_uninstall_where_kueue_is_gone_already() -> None:
    server = ScriptedServer(served={k: v for k, v in RESOURCES.items() if "kueue" not in k})
    async with serving(server) as space:
        assert await uninstall(space, what=Duty.HUB, samples=True) == []
