"""Which file runs: ready programs that fit, cached builds, new builds."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from local_fleet import binaries
from local_fleet.binaries import Binaries, fits, named_folders, provide
from local_fleet.errors import FleetError
from local_fleet.progress import Silent
from local_fleet.stack_modules import CONTROLPLANE, STACK, Program, StackModule

PROGRAMS = {program.name: program for program in CONTROLPLANE.programs}


class Case(NamedTuple):
    reason: str
    program: str
    says: str
    want: bool


CASES = [
    Case("another patch of the pinned minor fits", "kube-apiserver", "Kubernetes v1.36.0", True),
    Case("an older minor does not", "kube-apiserver", "Kubernetes v1.35.9", False),
    Case("a minor that begins alike does not", "kube-apiserver", "Kubernetes v1.360.1", False),
    Case(
        "a build without a version does not", "kube-scheduler", "Kubernetes v0.0.0-master+$Format:%H$", False
    ),
    Case("kubectl says more", "kubectl", "Client Version: v1.36.3\nKustomize Version: v5.8.1", True),
    Case("a dispatcher is none of ours", "kubectl", "Client Version: v1.32.4-dispatcher", False),
    Case("etcd 3.6", "etcd", "etcd Version: 3.6.1\nGo Version: go1.26.8", True),
    Case("etcd 3.5 is too old for 1.36", "etcd", "etcd Version: 3.5.21", False),
    Case("kwok of the pinned minor", "kwok", "kwok version v0.8.3 go1.26.8 (linux/amd64)", True),
    Case("no answer", "kwok", "", False),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.reason)
def test_fits(case: Case) -> None:
    assert fits(PROGRAMS[case.program], CONTROLPLANE, says=case.says) is case.want


def test_a_named_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"/nowhere, does not exist"):
        named_folders(tmp_path / "nowhere", {})
    with pytest.raises(FleetError, match="gone"):
        named_folders(None, {"KUBEBUILDER_ASSETS": str(tmp_path / "gone")})


def test_named_folders_come_in_the_documented_order(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    environment = {"KUEUE_KS_BINARIES": str(folders[1]), "KUBEBUILDER_ASSETS": str(folders[2])}
    assert named_folders(folders[0], environment) == folders


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, list[str]]]:
    """What would be compiled; nothing is cached, and PATH holds no program of ours."""
    asked: list[tuple[str, list[str]]] = []

    def build(module: StackModule, programs: tuple[Program, ...], cache: Path, progress: Silent) -> Path:
        asked.append((module.name, [program.name for program in programs]))
        return cache / module.name

    monkeypatch.setattr(binaries, "build", build)
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs-here"))
    for key in ("KUEUE_KS_BINARIES", "KUBEBUILDER_ASSETS"):
        monkeypatch.delenv(key, raising=False)
    return asked


def test_ready_programs_are_used_and_only_the_rest_is_built(
    builds: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    folder = tmp_path / "ready"
    folder.mkdir()
    answering(folder / "kube-apiserver", "Kubernetes v1.36.9")
    answering(folder / "kube-scheduler", "Kubernetes v1.20.0")
    answering(folder / "server", "etcd Version: 3.6.4")
    built_from(folder / "kueue", "sigs.k8s.io/kueue", CONTROLPLANE.version_of("sigs.k8s.io/kueue"))
    built_from(folder / "work", "open-cluster-management.io/ocm", "v0.1.0")

    found = provide(Silent(), named=folder, cache=tmp_path / "cache")

    assert found["kube-apiserver"] == folder / "kube-apiserver"
    assert found["etcd"] == folder / "server"
    assert found["kueue"] == folder / "kueue"
    assert found["kube-scheduler"] == tmp_path / "cache" / "controlplane" / "bin" / "kube-scheduler"
    assert found["work"] == tmp_path / "cache" / "work-agent" / "bin" / "work", (
        "another version than the pinned"
    )
    assert dict(builds)["controlplane"] == ["kube-controller-manager", "kube-scheduler", "kubectl", "kwok"]
    assert dict(builds)["work-agent"] == ["work"]


def test_a_complete_cached_build_needs_nothing_else(
    builds: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    for module in STACK:
        folder = tmp_path / "stack" / f"{module.name}-{module.fingerprint(module.programs)}-go1.26"
        (folder / "manifests").mkdir(parents=True)
        (folder / "manifests" / f"{module.name}.json").write_text(json.dumps([]))

    found = provide(Silent(), cache=tmp_path)

    assert builds == []
    assert all(path.is_relative_to(tmp_path / "stack") for path in found.programs.values())
    assert found.manifest("kubestellar").parent.parent.name.startswith("kubestellar-")


def test_a_missing_manifest_says_what_to_remove(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match=r"lacks kueue-crds\.json. Remove .*stack"):
        Binaries({}, (tmp_path / "stack" / "controlplane-1-go1.26" / "manifests",)).manifest("kueue-crds")


def answering(path: Path, answer: str) -> None:
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)


def built_from(path: Path, module: str, version: str) -> None:
    """A file with the build information that Go leaves in a binary."""
    path.write_bytes(b"\x7fELF\0" + f"path\t{module}/cmd/x\nmod\t{module}\t{version}\th1:abc=\n".encode())
    path.chmod(0o755)
