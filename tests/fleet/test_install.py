"""Installing on real API servers, beside a real Kueue with its webhooks.

A fleet of its own, because these tests install and uninstall. They run in the order of the file: the
last one takes everything away.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
import typer
from typer.testing import CliRunner

from kube_runtime.errors import Conflict, Forbidden, KubeError, NotFound
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.install.checks import Duty
from kueue_ks.install.command import install_command, uninstall_command
from kueue_ks.install.installation import MANIFESTS, SAMPLES, install
from kueue_ks.install.manifests import Kinds, load
from local_fleet import Fleet, Options
from vocabulary import keys
from vocabulary.resources import (
    BINDING_POLICIES,
    CLUSTER_QUEUES,
    CONFIG_MAPS,
    JOBS,
    LOCAL_QUEUES,
    NAMESPACES,
    WORKLOADS,
)

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

SECRETS = Resource("", "v1", "secrets", "Secret")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
WITHIN = 30.0  # seconds for what controllers do on their own


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with Fleet(tmp_path_factory.mktemp("install") / "fleet", Options(workers=1)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(fleet: Fleet) -> AsyncIterator[Space]:
    async with fleet.space("hub") as space:
        yield space


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installed_hub(hub: Space) -> Space:
    await install(hub, what=Duty.HUB, samples=True)
    return hub


async def existing(space: Space, *names: str) -> dict[str, Obj]:
    """What there is of the manifests, by file order, kind, namespace and name."""
    kinds, found = Kinds(space), {}
    for name in names:
        for obj in load(name):
            metadata = obj["metadata"]
            with suppress(NotFound):
                resource = await kinds.resource_of(obj)
                key = f"{obj['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
                found[key] = await space.get(resource, metadata["name"], metadata.get("namespace"))
    return found


def versions(objects: dict[str, Obj]) -> dict[str, str]:
    return {key: obj["metadata"]["resourceVersion"] for key, obj in objects.items()}


def example(name: str, *, namespace: str, queue: str | None) -> Obj:
    (job,) = load(f"examples/{name}.yaml")
    job["metadata"]["namespace"] = namespace
    job["metadata"]["labels"] = {keys.QUEUE_NAME: queue} if queue else {}
    return job


def app() -> typer.Typer:
    commands = typer.Typer()
    commands.command("install")(install_command)
    commands.command("uninstall")(uninstall_command)
    return commands


async def invoke(*arguments: str) -> Any:
    """Run a command as a user does; in a thread, since it has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, app(), arguments)


async def test_foreign_objects_end_the_installation_before_it_begins(hub: Space) -> None:
    name = "kueue-ks:workload-controller:hub"
    foreign = await hub.create(CLUSTER_ROLES, {"metadata": {"name": name}, "rules": []})
    with pytest.raises(KubeError, match=f"ClusterRole {name} exists and was not made by us"):
        await install(hub, what=Duty.HUB)
    assert list(await existing(hub, *MANIFESTS[Duty.HUB])) == [f"ClusterRole /{name}"]
    await hub.delete(CLUSTER_ROLES, name, uid=foreign["metadata"]["uid"])


async def test_without_rights_nothing_is_written(fleet: Fleet, hub: Space) -> None:
    async with fleet.space("hub", "workload-controller") as nobody:
        with pytest.raises(KubeError, match="may not get/create/patch namespaces"):
            await install(nobody, what=Duty.HUB)
    assert await existing(hub, *MANIFESTS[Duty.HUB]) == {}


async def test_the_hub_is_refused_as_a_wds(fleet: Fleet) -> None:
    kubeconfig = str(fleet.kubeconfig("hub"))
    result = await invoke("install", "--hub-kubeconfig", kubeconfig, "--wds-kubeconfig", kubeconfig)
    assert result.exit_code == 1
    assert "is the same API server as hub" in result.stderr
    assert "--wds-kubeconfig" in result.stderr


async def test_a_worker_is_refused_as_a_hub(fleet: Fleet) -> None:
    async with fleet.space("w1") as worker:
        with pytest.raises(KubeError, match=r"workloads\.kueue\.x-k8s\.io \(v1beta2\).*Install Kueue"):
            await install(worker, what=Duty.HUB)


async def test_a_second_installation_changes_nothing(installed_hub: Space) -> None:
    before = await existing(installed_hub, *MANIFESTS[Duty.HUB], SAMPLES)
    changes = await install(installed_hub, what=Duty.HUB, samples=True)
    assert {change.outcome for change in changes} == {"unchanged"}
    after = await existing(installed_hub, *MANIFESTS[Duty.HUB])
    assert len(before) == sum(len(load(name)) for name in (*MANIFESTS[Duty.HUB], SAMPLES))
    assert versions(after) == {key: version for key, version in versions(before).items() if key in after}


async def test_samples_that_somebody_changed_are_left_alone(installed_hub: Space) -> None:
    for _ in range(5):  # Kueue writes the status of the same object
        queue = await installed_hub.get(CLUSTER_QUEUES, "team-queue")
        queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] = "47"
        with suppress(Conflict):
            await installed_hub.update(CLUSTER_QUEUES, queue)
            break
    await install(installed_hub, what=Duty.HUB, samples=True)
    queue = await installed_hub.get(CLUSTER_QUEUES, "team-queue")
    assert queue["spec"]["resourceGroups"][0]["flavors"][0]["resources"][0]["nominalQuota"] == "47"


@pytest.mark.parametrize("name", ["batch-job", "gpu-job", "parallel-job", "sweep-job"])
async def test_a_queued_job_becomes_ours_and_kueue_takes_it(installed_hub: Space, name: str) -> None:
    job = await installed_hub.create(JOBS, example(name, namespace="team-a", queue="default-queue"))
    assert job["spec"]["managedBy"] == keys.CONTROLLER_NAME
    assert job["spec"]["suspend"] is True
    await until_workload_of(installed_hub, job)


async def test_a_job_without_a_queue_stays_the_hubs_own(installed_hub: Space) -> None:
    job = await installed_hub.create(JOBS, example("batch-job", namespace="team-a", queue=None))
    assert "managedBy" not in job["spec"]


async def test_what_a_user_says_about_managed_by_stands(installed_hub: Space) -> None:
    job = example("batch-job", namespace="team-a", queue="default-queue")
    job["spec"]["managedBy"] = "example.com/mine"
    assert (await installed_hub.create(JOBS, job))["spec"]["managedBy"] == "example.com/mine"


async def test_a_namespace_can_stay_out(installed_hub: Space) -> None:
    labels = {keys.MANAGE_JOBS: "false"}
    await installed_hub.create(NAMESPACES, {"metadata": {"name": "out", "labels": labels}})
    job = await installed_hub.create(JOBS, example("batch-job", namespace="out", queue="default-queue"))
    assert "managedBy" not in job["spec"]


async def test_a_job_that_kueue_puts_into_the_default_queue_becomes_ours(installed_hub: Space) -> None:
    """Kueue's webhook adds the label after our policy looked, so the policy has to look again."""
    await installed_hub.create(NAMESPACES, {"metadata": {"name": "defaulted"}})
    queue = {
        "apiVersion": LOCAL_QUEUES.api_version,
        "kind": LOCAL_QUEUES.kind,
        "metadata": {"name": "default", "namespace": "defaulted"},
        "spec": {"clusterQueue": "team-queue"},
    }
    await installed_hub.create(LOCAL_QUEUES, queue)
    deadline = time.monotonic() + WITHIN
    while True:  # until Kueue's cache has the queue
        job = await installed_hub.create(JOBS, example("batch-job", namespace="defaulted", queue=None))
        if keys.QUEUE_NAME in (job["metadata"].get("labels") or {}):
            break
        assert "managedBy" not in job["spec"]
        assert time.monotonic() < deadline, "Kueue does not default the queue"
        await asyncio.sleep(0.2)
    assert job["metadata"]["labels"][keys.QUEUE_NAME] == "default"
    assert job["spec"]["managedBy"] == keys.CONTROLLER_NAME


async def test_all_spaces_by_one_command(fleet: Fleet, installed_hub: Space) -> None:
    flags = [
        part
        for name in ("hub", "wds", "its")
        for part in (f"--{name}-kubeconfig", str(fleet.kubeconfig(name)))
    ]
    flags += ["--worker-kubeconfig", str(fleet.kubeconfig("w1"))]
    first, second = await invoke("install", *flags), await invoke("install", *flags)
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert {line.split()[-1] for line in second.stdout.splitlines()} == {"unchanged"}
    assert {line.split()[0] for line in second.stdout.splitlines()} == {"hub", "wds", "its", "worker"}


class Right(NamedTuple):
    context: str
    identity: str
    resource: Resource
    namespace: str | None
    allowed: bool


RIGHTS = [
    Right("hub", "workload-controller", WORKLOADS, None, allowed=True),
    Right("hub", "workload-controller", JOBS, None, allowed=True),
    Right("hub", "workload-controller", SECRETS, "kueue-kubestellar-system", allowed=False),
    Right("hub", "quota-manager", CLUSTER_QUEUES, None, allowed=True),
    Right("hub", "quota-manager", JOBS, None, allowed=False),
    Right("wds", "workload-controller", BINDING_POLICIES, None, allowed=True),
    Right("wds", "workload-controller", SECRETS, "default", allowed=False),
    Right("w1", "metrics-agent", SECRETS, "default", allowed=False),
    Right("w1", "metrics-agent", JOBS, None, allowed=True),
    Right("w1", "metrics-agent", CONFIG_MAPS, "default", allowed=False),
]


@pytest.mark.parametrize(
    "right",
    RIGHTS,
    ids=lambda r: f"{r.identity} {'lists' if r.allowed else 'may not list'} {r.resource}@{r.context}",
)
async def test_the_programs_have_their_rights(fleet: Fleet, installed_hub: Space, right: Right) -> None:
    async with fleet.space(right.context, right.identity) as space:
        if right.allowed:
            await space.list(right.resource, right.namespace)
        else:
            with pytest.raises(Forbidden):
                await space.list(right.resource, right.namespace)


async def test_uninstall_asks_first(fleet: Fleet, installed_hub: Space) -> None:
    result = await invoke("uninstall", "--hub-kubeconfig", str(fleet.kubeconfig("hub")))
    assert result.exit_code == 1
    assert "--yes" in result.stderr
    assert "kueue-ks:workload-controller:hub would be deleted" in result.stdout
    assert "Terminating" not in str(await existing(installed_hub, *MANIFESTS[Duty.HUB]))


async def test_uninstall_leaves_nothing_of_ours_and_everything_else(
    fleet: Fleet, installed_hub: Space
) -> None:
    result = await invoke("uninstall", "--samples", "--yes", "--hub-kubeconfig", str(fleet.kubeconfig("hub")))
    assert result.exit_code == 0, result.output
    deadline = time.monotonic() + WITHIN
    while left := await existing(installed_hub, *MANIFESTS[Duty.HUB], SAMPLES):
        assert time.monotonic() < deadline, f"still there: {list(left)}"
        await asyncio.sleep(0.2)
    names = {n["metadata"]["name"] for n in await installed_hub.list(NAMESPACES)}
    assert {"out", "defaulted", "kube-system", "kueue-system"} <= names


async def test_uninstall_gives_no_running_job_up_unasked(fleet: Fleet, installed_hub: Space) -> None:
    """The last test: it needs an installation of its own."""
    await install(installed_hub, what=Duty.HUB, samples=True)
    wanted = example("batch-job", namespace="team-a", queue="default-queue")
    wanted["metadata"]["finalizers"] = [keys.PODS_MAY_RUN]
    job = await installed_hub.create(JOBS, wanted)
    name = job["metadata"]["name"]
    hub = ("--hub-kubeconfig", str(fleet.kubeconfig("hub")))
    refused = await invoke("uninstall", "--yes", *hub)
    assert refused.exit_code == 1
    assert f"team-a/{name}" in refused.stderr
    assert "--abandon-jobs" in refused.stderr
    assert await existing(installed_hub, *MANIFESTS[Duty.HUB])
    done = await invoke("uninstall", "--yes", "--abandon-jobs", *hub)
    assert done.exit_code == 0, done.output
    after = await installed_hub.get(JOBS, name, "team-a")
    assert keys.PODS_MAY_RUN not in after["metadata"].get("finalizers", ())


async def until_workload_of(hub: Space, job: Obj) -> None:
    deadline = time.monotonic() + WITHIN
    selector = f"{keys.KUEUE_JOB_UID}={job['metadata']['uid']}"
    while not await hub.list(WORKLOADS, "team-a", label_selector=selector):
        assert time.monotonic() < deadline, f"Kueue made no Workload for {job['metadata']['name']}"
        await asyncio.sleep(0.2)
