"""config/ as kubectl applies it to a real API server, and a controller in the environment of its pod."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml

from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import install
from local_fleet import Fleet, Options
from tests.config.rendering import CONFIG, kustomized
from tests.config.test_chart import by_name
from tests.config.test_deployment import container

pytestmark = [pytest.mark.fleet, pytest.mark.asyncio(loop_scope="module")]
OVERLAYS = ("base", "overlays/prometheus", "overlays/without-admission")
POD_ADDRESS = "127.0.0.2"  # any but the default: the kubelet asks at the pod's address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with Fleet(tmp_path_factory.mktemp("deployment") / "fleet", Options(workers=1)) as running:
        yield running


async def kubectl(fleet: Fleet, *arguments: str) -> str:
    """On the hub; what it prints."""
    process = await asyncio.create_subprocess_exec(
        str(fleet.site.binaries["kubectl"]),
        f"--kubeconfig={fleet.kubeconfig('hub')}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_kubectl_renders_what_our_tests_look_at(fleet: Fleet, overlay: str) -> None:
    rendered = await kubectl(fleet, "kustomize", str(CONFIG / overlay))
    assert by_name(obj for obj in yaml.safe_load_all(rendered) if obj) == by_name(
        kustomized(CONFIG / overlay)
    )


async def test_the_hub_takes_it_dry_and_for_real(fleet: Fleet) -> None:
    folder = str(CONFIG / "base")
    # A dry run makes no namespace, in which the rest could be tried.
    await kubectl(fleet, "create", "namespace", "kueue-kubestellar-system")
    dry = await kubectl(fleet, "apply", "--server-side", "--dry-run=server", "-k", folder)
    real = await kubectl(fleet, "apply", "--server-side", "-k", folder)
    count = len(list(kustomized(CONFIG / "base")))
    assert (len(dry.splitlines()), len(real.splitlines())) == (count, count)
    found = await kubectl(fleet, "-n", "kueue-kubestellar-system", "get", "deployments,pdb", "-o", "name")
    assert len(found.split()) == 4


@pytest.mark.parametrize("name", ["workload-controller", "quota-manager"])
async def test_a_controller_in_its_pods_environment_answers_the_probes(
    fleet: Fleet, name: str, tmp_path: Path
) -> None:
    for space, duty in (("hub", Duty.HUB), ("wds", Duty.WDS), ("its", Duty.ITS)):
        async with fleet.space(space) as connected:
            await install(connected, what=duty)
    with socket.create_server((POD_ADDRESS, 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **{entry["name"]: entry.get("value", POD_ADDRESS) for entry in container(name)["env"]},
        "KUEUE_KS_METRICS_PORT": str(port),
        "KUEUE_KS_HUB_KUBECONFIG": str(fleet.kubeconfig("hub")),
        "KUEUE_KS_WDS_KUBECONFIG": str(fleet.kubeconfig("wds")),
        "KUEUE_KS_ITS_KUBECONFIG": str(fleet.kubeconfig("its")),
    }
    _, *arguments = container(name)["command"]
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=environment, stdout=log, stderr=log
        )
        try:
            for probe in ("liveness", "readiness"):
                path = container(name)[f"{probe}Probe"]["httpGet"]["path"]
                assert await answers(f"http://{POD_ADDRESS}:{port}{path}"), (tmp_path / "log").read_text()
        finally:
            process.terminate()
            assert await process.wait() == 0


async def answers(url: str) -> bool:
    async with aiohttp.ClientSession() as session:
        for _ in range(300):
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return True
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    return False
