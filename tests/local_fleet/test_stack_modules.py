"""Pins, fingerprints and versions."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from local_fleet.stack_modules import CONTROLPLANE, STACK, Program, StackModule


@pytest.mark.parametrize("module", STACK, ids=lambda module: module.name)
def test_every_program_and_manifest_is_of_a_pinned_module(module: StackModule) -> None:
    used = {program.module for program in module.programs} | {each.module for each in module.manifests}
    assert all(module.version_of(needed).startswith("v") for needed in used)
    tools = (module.folder / "go.mod").read_text()
    for program in module.programs:
        assert program.package in tools, f"{program.package} is no tool of {module.name}'s go.mod"


def test_a_build_is_named_by_pins_and_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    every = CONTROLPLANE.programs
    name = CONTROLPLANE.fingerprint(every)
    assert CONTROLPLANE.fingerprint(every) == name
    assert CONTROLPLANE.fingerprint(every[1:]) != name

    copy = tmp_path / "stack" / CONTROLPLANE.name
    shutil.copytree(CONTROLPLANE.folder, copy)
    monkeypatch.setattr("local_fleet.stack_modules.resources.files", lambda _: tmp_path)
    assert CONTROLPLANE.folder == copy
    assert CONTROLPLANE.fingerprint(every) == name, "where the pins lie does not matter"
    (copy / "go.sum").write_text("example.com/other v1.0.0 h1:=\n")
    assert CONTROLPLANE.fingerprint(every) != name


def test_a_build_is_named_by_its_manifests_too() -> None:
    fewer = dataclasses.replace(CONTROLPLANE, manifests=CONTROLPLANE.manifests[1:])
    assert fewer.fingerprint(fewer.programs) != CONTROLPLANE.fingerprint(CONTROLPLANE.programs)


def test_the_linker_names_the_pinned_kubernetes() -> None:
    version = CONTROLPLANE.version_of("k8s.io/kubernetes")
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in CONTROLPLANE.linker_flags
    assert "gitMinor=36" in CONTROLPLANE.linker_flags


def test_a_binary_is_looked_for_under_both_names() -> None:
    assert Program("etcd", "p", "m", built_as="server").file_names == ("etcd", "server")
    assert Program("kueue", "p", "m").file_names == ("kueue",)
