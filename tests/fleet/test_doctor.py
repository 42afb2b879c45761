"""``kueue-ks doctor`` on a real fleet: sound it finds nothing, and each fault that is put in is named.

One fleet for all; each fault is taken out again, and the next one starts from there.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from kube_runtime.connections import ConnectionSettings
from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from kueue_ks.doctor.examination import examine
from kueue_ks.doctor.facts import Facts
from kueue_ks.doctor.finding import Check, Finding, Level
from kueue_ks.doctor.reading import admission, read
from kueue_ks.install.checks import Duty
from local_fleet import Fleet, Options
from tests.fleet.jobs.programs import (
    Programs,
    eventually,
    install_everywhere,
    quota_is_filled,
    running_programs,
)
from vocabulary import keys
from vocabulary.resources import ADMISSION_CHECKS, CLUSTER_QUEUES, MANAGED_CLUSTERS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

MUTATING = admission("v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy")
MUTATING_BINDINGS = admission("v1", "mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding")
VALIDATING = admission("v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy")
VALIDATING_BINDINGS = admission("v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding")
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
PATIENT = 20.0  # seconds for one API server: the machine may be busy
WITHIN = 40.0  # seconds until a fault shows


class Stand(NamedTuple):
    fleet: Fleet
    programs: Programs
    spaces: dict[str, Space]

    async def facts(self, **dead: ConnectionSettings) -> Facts:
        duties = {"hub": Duty.HUB, "wds": Duty.WDS, "its": Duty.ITS, "w1": Duty.WORKER}
        where = [
            (name, duty, dead.get(name) or ConnectionSettings(kubeconfig=self.fleet.kubeconfig(name)))
            for name, duty in duties.items()
        ]
        return await read(where, deadline=PATIENT)

    async def failures(self) -> list[Finding]:
        return [f for f in examine(await self.facts()) if f.level is Level.FAIL]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    logs = tmp_path_factory.mktemp("programs")
    async with AsyncExitStack() as stack:
        root = tmp_path_factory.mktemp("doctor") / "fleet"
        fleet = await stack.enter_async_context(Fleet(root, Options(workers=1)))
        await install_everywhere(fleet)
        programs = await stack.enter_async_context(running_programs(fleet, logs))
        spaces = {
            name: await stack.enter_async_context(fleet.space(name)) for name in ("hub", "wds", "its", "w1")
        }
        await quota_is_filled(spaces["hub"])
        yield Stand(fleet, programs, spaces)


async def test_a_sound_fleet_has_no_failure_and_every_check_spoke(stand: Stand) -> None:
    await eventually(stand.failures, lambda f: not f, within=WITHIN, what="a sound fleet")
    findings = examine(await stand.facts())
    assert {f.check for f in findings} == set(Check)
    assert [f for f in findings if f.level is Level.WARN] == []
    # Kueue and KubeStellar are processes here: no Deployment tells their options.
    assert {f.subject for f in findings if f.level is Level.UNKNOWN} == {"kueue", "kubestellar"}


async def test_the_command_tells_the_same_in_json(stand: Stand) -> None:
    flags = [
        part
        for name in ("hub", "wds", "its")
        for part in (f"--{name}-kubeconfig", str(stand.fleet.kubeconfig(name)))
    ]
    flags += ["--worker-kubeconfig", str(stand.fleet.kubeconfig("w1")), "--request-timeout", str(PATIENT)]
    code, report = await doctor(*flags)
    print(f"doctor took {report['seconds']}s for {len(report['findings'])} findings")  # noqa: T201  a figure, seen with -s
    assert (code, report["kind"], report["failed"]) == (0, "DoctorReport", 0)
    assert report["passed"] > len(Check)


async def doctor(*flags: str) -> tuple[int, Any]:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kueue_ks.main", "doctor", "-o", "json", *flags, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await running.communicate()
    assert running.returncode is not None
    return running.returncode, json.loads(output)


class Gone(NamedTuple):
    """A fault: an object is deleted, and made again afterwards."""

    space: str
    resource: Resource
    name: str


@asynccontextmanager
async def without(stand: Stand, gone: Gone) -> AsyncIterator[None]:
    space = stand.spaces[gone.space]
    obj = await space.get(gone.resource, gone.name)
    await space.delete(gone.resource, gone.name, uid=obj["metadata"]["uid"])
    try:
        yield
    finally:
        kept = {
            key: obj["metadata"][key] for key in ("name", "labels", "annotations") if key in obj["metadata"]
        }
        await space.create(
            gone.resource, {**{k: v for k, v in obj.items() if k != "status"}, "metadata": kept}
        )


class Changed(NamedTuple):
    """A fault: an object is changed, and changed back afterwards."""

    space: str
    resource: Resource
    name: str
    change: Obj
    back: Obj


@asynccontextmanager
async def with_change(stand: Stand, fault: Changed) -> AsyncIterator[None]:
    space = stand.spaces[fault.space]

    async def patch(change: Obj) -> None:
        uid = (await space.get(fault.resource, fault.name))["metadata"]["uid"]
        body = {**change, "metadata": {"uid": uid, **change.get("metadata", {})}}
        await space.patch(fault.resource, body, name=fault.name)

    await patch(fault.change)
    try:
        yield
    finally:
        await patch(fault.back)


def checked_by(*names: str) -> Obj:
    return {"spec": {"admissionChecksStrategy": {"admissionChecks": [{"name": name} for name in names]}}}


def labelled(value: str) -> Obj:
    return {"metadata": {"labels": {keys.CLUSTER_NAME_LABEL: value}}}


POLICY, GUARD, CARRIED = "kueue-ks-managed-by", "kueue-ks-namespace", "kueue-ks-carried-once"
ROLES = "kueue-ks:workload-controller:hub"
PARAMETERS = {"apiGroup": "kueue.kubestellar.io", "kind": "PlacementPolicy", "name": "nowhere"}
FAULTS: list[tuple[str, Gone | Changed, Check, str]] = [
    ("policy deleted", Gone("hub", MUTATING, POLICY), Check.MANAGED_BY, "is missing"),
    ("policy not bound", Gone("hub", MUTATING_BINDINGS, POLICY), Check.MANAGED_BY, "PolicyBinding"),
    ("guard of a worker deleted", Gone("w1", VALIDATING, GUARD), Check.GUARDS, f"{GUARD} is missing"),
    ("guard of the ITS not bound", Gone("its", VALIDATING_BINDINGS, CARRIED), Check.GUARDS, "is not bound"),
    ("rights taken", Gone("hub", CLUSTER_ROLE_BINDINGS, ROLES), Check.PROGRAM_RIGHTS, "workload-controller"),
    (
        "label of a cluster wrong",
        Changed("its", MANAGED_CLUSTERS, "w1", labelled("other"), labelled("w1")),
        Check.CLUSTERS,
        "label name is 'other'",
    ),
    (
        "cluster not accepted",
        Changed(
            "its",
            MANAGED_CLUSTERS,
            "w1",
            {"spec": {"hubAcceptsClient": False}},
            {"spec": {"hubAcceptsClient": True}},
        ),
        Check.CLUSTERS,
        "hubAcceptsClient is false",
    ),
    (
        "queue with a check that is not ours",
        Changed("hub", CLUSTER_QUEUES, "team-queue", checked_by("foreign"), checked_by("kubestellar")),
        Check.QUEUES,
        "its checks are foreign",
    ),
    (
        "parameters that lead nowhere",
        Changed(
            "hub",
            ADMISSION_CHECKS,
            "kubestellar",
            {"spec": {"parameters": PARAMETERS}},
            {"spec": {"parameters": None}},
        ),
        Check.PARAMETERS,
        "PlacementPolicy nowhere does not exist",
    ),
]


@pytest.mark.parametrize(("fault", "check", "words"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
async def test_a_fault_is_named(stand: Stand, fault: Gone | Changed, check: Check, words: str) -> None:
    foreign = {
        "apiVersion": ADMISSION_CHECKS.api_version,
        "kind": ADMISSION_CHECKS.kind,
        "metadata": {"name": "foreign"},
        "spec": {"controllerName": "example.com/other"},
    }
    if "foreign" not in {o["metadata"]["name"] for o in await stand.spaces["hub"].list(ADMISSION_CHECKS)}:
        await stand.spaces["hub"].create(ADMISSION_CHECKS, foreign)
    broken = without(stand, fault) if isinstance(fault, Gone) else with_change(stand, fault)
    async with broken:
        await named(stand.failures, check, words)
    await eventually(stand.failures, lambda f: not f, within=WITHIN, what="a sound fleet again")


async def named(failures: Callable[[], Awaitable[list[Finding]]], check: Check, words: str) -> None:
    def holds(found: list[Finding]) -> bool:
        return any(f.check is check and words in f.message and f.remedy for f in found)

    await eventually(failures, holds, within=WITHIN, what=f"{check}: {words}")


async def test_a_stopped_controller_is_named(stand: Stand) -> None:
    await stand.programs.kill("quota-manager")
    await named(stand.failures, Check.CONTROLLERS, "is gone")
    await stand.programs.start("quota-manager")
    await eventually(stand.failures, lambda f: not f, within=WITHIN, what="a sound fleet again")


async def test_a_dead_space_hides_nothing_else(stand: Stand) -> None:
    findings = examine(await stand.facts(wds=ConnectionSettings(kubeconfig=stand.fleet.root / "nothing")))
    failed = [(f.check, f.subject) for f in findings if f.level is Level.FAIL]
    assert failed == [(Check.API_SERVER, "wds")]
    assert {Check.ADMISSION_CHECK, Check.QUEUES, Check.CLUSTERS, Check.GUARDS} <= {
        f.check for f in findings if f.level is Level.OK
    }


async def test_a_stopped_agent_is_named(stand: Stand) -> None:
    """The last one: its report must first grow old, so the limit is lowered instead of waiting."""
    await stand.fleet.component("w1/metrics-agent").terminate()

    async def failures() -> list[Finding]:
        facts = await stand.facts()
        impatient = Facts(now=facts.now, spaces=facts.spaces, stale_after=15.0)
        return [f for f in examine(impatient) if f.level is Level.FAIL]

    await named(failures, Check.REPORTS, "its last report is")
