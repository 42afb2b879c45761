"""Where manifests are found, and how a kind becomes a resource."""

import subprocess
import sys
from pathlib import Path

import pytest

from kube_runtime.resources import Resource
from kueue_ks.install.manifests import Kinds, NotServedError, load
from tests.kueue_ks.scripted_server import Asked, ScriptedServer, serving


def test_several_objects_in_their_order() -> None:
    assert [o["kind"] for o in load("config/admission/managed-by.yaml")] == [
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    ]


async def test_a_kind_becomes_a_resource() -> None:
    server = ScriptedServer()
    async with serving(server) as space:
        kinds = Kinds(space)
        core = await kinds.resource_of({"apiVersion": "v1", "kind": "ServiceAccount"})
        role = await kinds.resource_of({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"})
    assert core == Resource("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True)
    assert role == Resource(
        "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False
    )


async def test_a_version_is_asked_for_once() -> None:
    server = ScriptedServer()
    async with serving(server) as space:
        kinds = Kinds(space)
        for kind in ("Namespace", "ServiceAccount", "Namespace"):
            await kinds.resource_of({"apiVersion": "v1", "kind": kind})
    assert server.asked == [Asked("GET", "/api/v1", dry_run=False)]


@pytest.mark.parametrize("api_version", ["v1", "nobody.example.com/v1"])
async def test_a_kind_that_is_not_served_is_named(api_version: str) -> None:
    async with serving(ScriptedServer()) as space:
        with pytest.raises(NotServedError, match=f"hub .* does not serve Thing of {api_version}"):
            await Kinds(space).resource_of({"apiVersion": api_version, "kind": "Thing"})


def test_the_installed_package_brings_its_manifests(tmp_path: Path) -> None:
    """As hatchling lays the wheel out: kueue_ks/manifests/config beside kueue_ks/manifests.py."""
    root = Path(__file__).resolve().parents[2]
    site = tmp_path / "site"
    for package in ("kueue_ks", "kube_runtime", "vocabulary"):
        for file in (root / package).rglob("*.py"):
            target = site / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    packed = site / "kueue_ks" / "manifests" / "config" / "its.yaml"
    packed.parent.mkdir(parents=True)
    packed.write_text("kind: FromThePackage\n")

    code = "from kueue_ks.install.manifests import load; print(load('config/its.yaml'))"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(site)},
        cwd=tmp_path,
    ).stdout
    assert printed.strip() == "[{'kind': 'FromThePackage'}]"
