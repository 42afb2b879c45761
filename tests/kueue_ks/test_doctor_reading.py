"""What doctor reads: rights from the roles, and whatever the servers answer."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from kube_runtime.connections import ConnectionSettings
from kube_runtime.objects import Obj
from kueue_ks.doctor.reading import read
from kueue_ks.doctor.rights import Right, rights_by_program
from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import MANIFESTS
from kueue_ks.install.manifests import load
from tests.kueue_ks.scripted_server import ScriptedServer, serving
from tests.kueue_ks.view_builders import NOW
from vocabulary import keys


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
