"""``make install run`` as the README says, with the fleet's contexts in the place of somebody's clusters."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from kube_runtime.objects import Obj
from local_fleet import Fleet, Options
from tests.fleet.jobs.programs import eventually, quota_is_filled
from vocabulary.resources import JOBS, PODS

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with Fleet(tmp_path_factory.mktemp("own") / "fleet", Options(workers=2)) as running:
        yield running


async def make(fleet: Fleet, *arguments: str) -> asyncio.subprocess.Process:
    """``make`` with the fleet's contexts as the user's kubeconfig; the hub is the current one."""
    return await asyncio.create_subprocess_exec(
        "make",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": str(fleet.root / "kubeconfigs" / "all.yaml")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def test_install_run_submit_stop(fleet: Fleet) -> None:
    # WDS and ITS are found through KubeFlex's ControlPlanes on the hub, by install as by run. The fleet's
    # workers have what they need from their start.
    installing = await make(fleet, "install", "ARGS=--samples")
    output, _ = await asyncio.wait_for(installing.communicate(), 120)
    assert installing.returncode == 0, output.decode()
    done = {line.split()[0] for line in output.decode().splitlines() if line.strip()}
    assert done >= {"hub", "wds", "its"}, output.decode()
    running = await make(fleet, "run")
    try:
        async with fleet.space("hub") as hub:
            await quota_is_filled(hub)
            example = yaml.safe_load((ROOT / "examples" / "batch-job.yaml").read_text())
            example["spec"]["template"]["metadata"]["annotations"] = {}
            job = await hub.create(JOBS, example)

            async def status() -> Obj:
                read = await hub.get(JOBS, job["metadata"]["name"], job["metadata"]["namespace"])
                found: Obj = read.get("status", {})
                return found

            await eventually(status, lambda s: bool(s.get("succeeded")), within=60, what="the job's success")
            assert not await hub.list(PODS)
        os.killpg(running.pid, signal.SIGINT)  # Ctrl-C in a terminal reaches the whole group
        output, _ = await asyncio.wait_for(running.communicate(), 30)
        assert "Traceback" not in output.decode(), output.decode()
    finally:
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGKILL)
