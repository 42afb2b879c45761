"""What cannot work is said in one sentence with its remedy, exit code 1, before anything is written."""

import asyncio
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from kube_runtime.objects import Obj
from tests.fleet.jobs.programs import eventually
from tests.fleet.jobs.stack import Stack
from vocabulary.resources import LOCAL_QUEUES, NAMESPACES

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="package")]

ROOT = Path(__file__).parents[3]


class Case(NamedTuple):
    reason: str
    flags: tuple[str, ...]  # {hub}, {wds}, {its}, {w1}, {agent} stand for kubeconfig files
    says: str
    code: int = 1


CASES = [
    Case("the WDS is the hub", ("--wds-kubeconfig={hub}",), "is the same API server as hub"),
    Case("no such file", ("--hub-kubeconfig=no-such-file.yaml",), "no-such-file.yaml"),
    Case("no such context", ("--hub-context=nowhere",), "nowhere"),
    Case("Kueue is not there", ("--hub-kubeconfig={w1}", "--wds-kubeconfig={wds}"), "Install Kueue"),
    Case("the ITS is no ITS", ("--its-kubeconfig={w1}",), "does not serve"),
    Case("missing rights", ("--hub-kubeconfig={agent}",), "kueue-ks:metrics-agent"),
    Case("an unknown option", ("--no-such-option=1",), "no-such-option", code=2),
    Case("a value that makes no sense", ("--retry-delay=-1",), "retry-delay", code=2),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
@pytest.mark.parametrize("module", ["workload_controller", "quota_manager"])
async def test_one_sentence_and_no_start(stack: Stack, case: Case, module: str) -> None:
    if case.flags == ("--retry-delay=-1",) and module == "quota_manager":
        case = case._replace(flags=("--stale-after=-1",), says="stale-after")
    fleet = stack.fleet
    files = {space: fleet.kubeconfig(space) for space in ("hub", "wds", "its", "w1")}
    files["agent"] = fleet.kubeconfig("hub", "metrics-agent")
    given = {flag.partition("=")[0]: flag.partition("=")[2].format(**files) for flag in case.flags}
    for space in ("hub", "wds", "its"):
        given.setdefault(f"--{space}-kubeconfig", str(files[space]))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *(f"{flag}={value}" for flag, value in given.items()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    text = output.decode()
    assert process.returncode == case.code, text
    assert case.says in text, text[-3000:]
    assert "Traceback" not in text
    assert "error: " in text


async def test_a_namespace_of_somebody_else_in_the_wds_is_named_and_waited_for(stack: Stack) -> None:
    name = "taken"
    foreign = await stack.wds.create(NAMESPACES, namespace(name))
    await stack.hub.create(NAMESPACES, namespace(name))
    queue = {
        "apiVersion": LOCAL_QUEUES.api_version,
        "kind": LOCAL_QUEUES.kind,
        "metadata": {"name": "default-queue", "namespace": name},
        "spec": {"clusterQueue": "team-queue"},
    }
    await stack.hub.create(LOCAL_QUEUES, queue)
    job = await stack.submit(namespace=name)

    async def message() -> str:
        checks = (await stack.workload_of(job)).get("status", {}).get("admissionChecks", [])
        return str(checks[0]["message"]) if checks else ""

    await eventually(message, lambda text: "is not ours" in text, within=20, what="the obstacle's name")
    assert "The quota goes back at" in await message()
    await stack.wds.delete(NAMESPACES, name, uid=foreign["metadata"]["uid"])
    await stack.condition(job, "Finished")
    await stack.nothing_left()


def namespace(name: str) -> Obj:
    return {"apiVersion": NAMESPACES.api_version, "kind": NAMESPACES.kind, "metadata": {"name": name}}
