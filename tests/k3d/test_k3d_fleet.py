"""End to end on the fleet of scripts/k3d, with real nodes: scripts/k3d/up.sh, then pytest -m k3d."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts" / "k3d"
KUBECONFIG = ROOT / ".k3d" / "kubeconfig"
HUB = "k3d-kueue-ks-hub"

pytestmark = [
    pytest.mark.k3d,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        shutil.which("docker") is None or shutil.which("k3d") is None, reason="no Docker or k3d"
    ),
    pytest.mark.skipif(not KUBECONFIG.exists(), reason="no fleet: run scripts/k3d/up.sh"),
]


def ran(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(KUBECONFIG)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


def listed(context: str, kind: str, *arguments: str) -> list[dict[str, Any]]:
    found = ran("kubectl", "--context", context, "get", kind, *arguments, "-o", "json")
    assert found.returncode == 0, found.stderr
    items: list[dict[str, Any]] = json.loads(found.stdout)["items"]
    return items


def test_up_again_changes_nothing() -> None:
    """What runs keeps running, and the second installation finds all as it is."""
    assert ran(str(SCRIPTS / "up.sh")).returncode == 0
    log = (KUBECONFIG.parent / "up.log").read_text()
    installed = log.partition("== kueue-ks install")[2]
    assert " unchanged" in installed
    assert " created" not in installed
    assert " configured" not in installed


def test_jobs_finish_without_a_pod_on_the_hub() -> None:
    demo = ran(str(SCRIPTS / "demo.sh"), "batch")
    assert demo.returncode == 0, demo.stderr
    assert listed(HUB, "pods", "-n", "team-a") == []
    finished = [job for job in listed(HUB, "jobs", "-n", "team-a") if job["status"].get("succeeded")]
    assert finished
    assert {job["spec"]["managedBy"] for job in finished} == {"kubestellar.io/ks-kueue"}
