"""The audit on a real fleet: silent while jobs come and go, exact about what was planted, careful in mending.

What is planted is planted while nobody leads: what the controller does by itself would be gone too soon.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from kube_runtime.objects import Obj
from kube_runtime.resources import Resource
from kube_runtime.space import Space
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack, running_stack
from tests.judge.rules import PERMISSIONS, WORKLOAD_CONTROLLER, Permission, Rules
from vocabulary import keys
from vocabulary.resources import (
    BINDING_POLICIES,
    BINDINGS,
    CONFIG_MAPS,
    JOBS,
    MANIFEST_WORKS,
    NAMESPACES,
    WORKLOADS,
)
from workload_controller.heartbeat import name_of

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(420)]

CHECKOUT = Path(__file__).parents[2]
OURS = {keys.MANAGED_BY_LABEL: keys.MANAGED_BY}
NOWHERE = {"clusterSelectors": [{"matchLabels": {"name": "nowhere"}}]}
PLANTED = Rules(  # what bears our marks is taken for ours, although an administrator made it
    permissions=(
        *PERMISSIONS,
        Permission(WORKLOAD_CONTROLLER, "jobs.batch", verbs=frozenset({"delete", "patch"})),
        Permission(WORKLOAD_CONTROLLER, "namespaces", verbs=frozenset({"delete"})),
    )
)
POD = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("audit")
    async with running_stack(folder) as running:
        yield running


class Said:
    """What one call of the command gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.report: dict[str, Any] = json.loads(out) if out.startswith("{") else {}

    @property
    def found(self) -> dict[str, list[dict[str, Any]]]:
        """Findings by code."""
        by_code: dict[str, list[dict[str, Any]]] = {}
        for finding in self.report["findings"]:
            by_code.setdefault(finding["code"], []).append(finding)
        return by_code

    def names(self, code: str) -> list[str]:
        """Of the main objects of one code."""
        return [finding["objects"][0]["name"] for finding in self.found.get(code, [])]


async def audit(stack: Stack, *arguments: str) -> Said:
    """Call it as an administrator does."""
    kubeconfigs = [f"--{space}-kubeconfig={stack.fleet.kubeconfig(space)}" for space in ("hub", "wds", "its")]
    command = [sys.executable, "-m", "kueue_ks.main", "audit", *kubeconfigs, *arguments]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


async def test_jobs_that_start_and_end_are_no_finding(stack: Stack) -> None:
    async def keep_busy() -> list[Obj]:
        jobs = []
        for number in range(14):
            jobs.append(await stack.submit(runs=f"{1 + number % 4}s", name=f"busy-{number}"))
            await asyncio.sleep(1.5)
        return jobs

    busy = asyncio.create_task(keep_busy())
    seen = 0
    while not busy.done():
        said = await audit(stack, "-o", "json")
        assert (said.code, said.report["findings"]) == (0, []), said.out
        seen += said.report["compared"]["copies"]
    for job in await busy:
        await stack.condition(job, "Finished")
    assert seen, "no look fell on a running job"
    await stack.nothing_left()
    assert (await audit(stack)).out.startswith("nothing found in ")


async def test_what_was_planted_is_found_and_only_what_is_safe_is_mended(stack: Stack) -> None:
    job = await stack.submit(runs="600s", name="stays")
    await stack.running(job)
    await stack.programs.kill("workload-controller")
    await plant(stack)

    said = await audit(stack, "-o", "json")
    assert said.code == 3
    assert said.names("PolicyWithoutCopy") == ["wave-w1-of-nobody"]
    assert said.names("CopyWithoutWorkload") == ["orphan"]
    assert said.names("HeartbeatLeftOver") == [name_of("w2")]
    assert said.names("NamespaceLeftOver") == ["team-gone"]
    assert said.names("FinalizerLeftOver") == ["forgotten"]
    assert said.names("UnreadableObject") == ["wave-w1-unreadable"]
    foreign = [[each["name"] for each in found["objects"]] for found in said.found["ForeignBindingPolicy"]]
    assert sorted(foreign) == [["all-jobs", "orphan"], ["all-jobs", "stays"]]
    assert {
        code: found[0]["remedy"]["by"] for code, found in said.found.items() if code != "NobodyLeads"
    } == {
        "PolicyWithoutCopy": "repair",
        "HeartbeatLeftOver": "repair",
        "FinalizerLeftOver": "repair",
        "CopyWithoutWorkload": "controller",
        "NamespaceLeftOver": "controller",
        "UnreadableObject": "person",
        "ForeignBindingPolicy": "person",
    }

    before = await inventory(stack)  # the planted namespace has got to the workers meanwhile
    said = await audit(stack, "--repair", "--dry-run")
    assert said.code == 3
    assert said.err.count("will ") == 3
    said = await audit(stack, "--repair")
    assert said.code == 1
    assert "nobody can be asked here" in said.err
    assert await inventory(stack) == before

    said = await audit(stack, "--repair", "-y", "-o", "json")
    assert said.code == 3  # what a person has to decide is left
    assert said.names("NobodyLeads") == ["workload-controller"]
    assert [each["done"] for each in said.report["repaired"]] == [True, True, True], said.report["repaired"]
    await eventually(
        lambda: inventory(stack),
        lambda now: (
            before - now
            == {
                ("wds", "bindingpolicies", "", "wave-w1-of-nobody", ""),
                ("wds", "configmaps", keys.SYSTEM_NAMESPACE, name_of("w2"), ""),
            }
            | {("hub", "jobs", "team-a", "forgotten", keys.PODS_MAY_RUN)}
        ),
        within=30,
        what="what was repaired, and nothing else",
    )
    assert await inventory(stack) - before == {("hub", "jobs", "team-a", "forgotten", "")}


async def test_the_controller_mends_its_part_counts_the_rest_and_people_do_theirs(stack: Stack) -> None:
    await stack.programs.start("workload-controller")

    async def left() -> set[str]:
        return {finding["code"] for finding in (await audit(stack, "-o", "json")).report["findings"]}

    people = {"ForeignBindingPolicy", "UnreadableObject"}
    await eventually(
        left, lambda codes: codes == people, within=90, what="only what people have to do", every=1
    )
    url = await metrics_of(stack)
    await eventually(
        lambda: gauges(url),
        lambda seen: seen.get("ForeignBindingPolicy") == 1.0 and seen.get("UnreadableObject") == 1.0,
        within=120,
        what="the findings as metrics",
        every=2,
    )
    assert sum((await gauges(url)).values()) == 2.0
    told = [
        line
        for line in stack.programs.log("workload-controller").splitlines()
        if "reason=ForeignBindingPolicy" in line
    ]
    assert len([line for line in told if "remedy=" in line]) == 1
    for name in ("all-jobs", "wave-w1-unreadable"):
        found = await stack.wds.get(BINDING_POLICIES, name)
        await stack.wds.delete(BINDING_POLICIES, name, uid=found["metadata"]["uid"])
    await eventually(left, lambda codes: not codes, within=60, what="a clean audit", every=1)

    job = await stack.hub.get(JOBS, "stays", "team-a")
    assert (await stack.running(job))["metadata"]["uid"] == job["metadata"]["uid"]
    pods = await stack.pods(await stack.workload_of(job))
    assert len(pods) == 1, "the job that was there ran through all this"
    await stack.hub.delete(JOBS, "stays", "team-a", uid=job["metadata"]["uid"])
    await stack.nothing_left()
    stack.rules = PLANTED
    stack.judged()


async def plant(stack: Stack) -> None:
    """One of each kind, by hand."""
    wave = {"name": "wave-w1-of-nobody", "labels": OURS | {keys.WORKLOAD_UID: "gone", keys.CLUSTER: "w1"}}
    way_back = {keys.WORKLOAD: "team-a/job-gone-12345"}
    await create(
        stack.wds, BINDING_POLICIES, wave | {"annotations": way_back}, spec=NOWHERE | {"downsync": []}
    )
    unreadable = wave | {"name": "wave-w1-unreadable"}
    await create(stack.wds, BINDING_POLICIES, unreadable, spec=NOWHERE | {"downsync": []})
    all_jobs = {"apiGroup": "batch", "resources": ["jobs"], "createOnly": True}
    await create(stack.wds, BINDING_POLICIES, {"name": "all-jobs"}, spec=NOWHERE | {"downsync": [all_jobs]})
    beat = {"name": name_of("w2"), "namespace": keys.SYSTEM_NAMESPACE, "labels": OURS | {keys.CLUSTER: "w2"}}
    await create(stack.wds, CONFIG_MAPS, beat)
    twin = {"name": "team-gone", "labels": OURS | {keys.CARRIED: "true"}}
    await create(stack.wds, NAMESPACES, twin | {"annotations": {keys.HUB_NAMESPACE_UID: "gone"}})
    copy = {
        "name": "orphan",
        "namespace": "team-a",
        "labels": OURS | {keys.WORKLOAD_UID: "gone-too", keys.CLUSTER: "w1", keys.WAVE: "wave-w1-none"},
        "annotations": {keys.WORKLOAD: "team-a/job-orphan-12345", keys.JOB_UID: "gone", keys.ATTEMPT: "1"},
        "finalizers": [keys.PODS_LEAVING],
    }
    await create(stack.wds, JOBS, copy, spec={"template": {"spec": POD}})
    forgotten = {"name": "forgotten", "namespace": "team-a", "finalizers": [keys.PODS_MAY_RUN]}
    await create(stack.hub, JOBS, forgotten, spec={"suspend": True, "template": {"spec": POD}})

    async def bound() -> str:
        return json.dumps(
            [b["spec"] for b in await stack.wds.list(BINDINGS) if b["metadata"]["name"] == "all-jobs"]
        )

    await eventually(bound, lambda spec: '"stays"' in spec, within=30, what="the job in the foreign Binding")


async def create(space: Space, resource: Resource, metadata: Obj, **body: Any) -> None:
    kind = {"apiVersion": resource.api_version, "kind": resource.kind}
    await space.create(resource, kind | {"metadata": metadata} | body)


async def inventory(stack: Stack) -> set[tuple[str, str, str, str, str]]:
    """All that a repair could reach: space, plural, namespace, name, and our finalizer where it is on."""
    everything: set[tuple[str, str, str, str, str]] = set()
    kinds: tuple[tuple[Space, Resource], ...] = (
        (stack.hub, JOBS),
        (stack.hub, WORKLOADS),
        (stack.wds, JOBS),
        (stack.wds, BINDING_POLICIES),
        (stack.wds, CONFIG_MAPS),
        (stack.wds, NAMESPACES),
        (stack.its, MANIFEST_WORKS),
    )
    for space, resource in kinds:
        for obj in await space.list(resource):
            metadata = obj["metadata"]
            finalizers = metadata.get("finalizers") or ()
            ours = next((f for f in finalizers if f.startswith(keys.PREFIX)), "")
            everything.add(
                (space.name, resource.plural, metadata.get("namespace", ""), metadata["name"], ours)
            )
    return everything


async def metrics_of(stack: Stack) -> str:
    """Where the running controller serves its metrics, by its log."""

    async def addresses() -> list[tuple[str, str]]:
        log = stack.programs.log("workload-controller")
        return re.findall(r"serving metrics.*?\('([0-9.]+)', (\d+)\)", re.sub(r"\x1b\[[0-9;]*m", "", log))

    found = await eventually(
        addresses, lambda seen: len(seen) > 1, within=20, what="the second start's address"
    )
    return f"http://{found[-1][0]}:{found[-1][1]}/metrics"


async def gauges(url: str) -> dict[str, float]:
    """``kueue_ks_audit_findings`` by code."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
    found = re.findall(r'^kueue_ks_audit_findings\{code="(\w+)"\} (\S+)$', text, re.MULTILINE)
    return {code: float(value) for code, value in found}
