"""The wheel in an empty environment: the programs start, and the manifests that install needs are inside.

Of the dependencies nothing is fetched: the environment sees those of the one that runs the tests, but not the
checkout, so whatever comes of us comes from the wheel.
"""

import os
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from kueue_ks.install.checks import Duty
from kueue_ks.install.installation import SAMPLES, manifests

ROOT = Path(__file__).parents[2]
PROGRAMS = ("workload_controller", "quota_manager", "metrics_agent")
UV = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".tools" / "bin"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if UV is None:
        pytest.skip("uv is not on PATH; make test has it")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", str(folder)], cwd=ROOT, check=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    assert UV
    subprocess.run(
        [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)],
        check=True,
    )
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def ran(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Far from the checkout, and without the variables that would lead there."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(python.parent)}
    return subprocess.run(
        arguments,
        cwd=python.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_wheel_has_every_manifest(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = {SAMPLES, *(name for duty in Duty for name in manifests(duty))}
    needed |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "config").rglob("*.yaml")}
    assert {f"kueue_ks/manifests/{name}" for name in needed} <= names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


def test_version(python: Path) -> None:
    version = ran(python, str(python.with_name("kueue-ks")), "version")
    assert version.returncode == 0, version.stderr
    assert version.stdout.startswith("kueue-kubestellar 0.")


def test_install_finds_its_manifests_in_the_wheel(python: Path) -> None:
    code = (
        "from kueue_ks.install.manifests import load, manifest_root\n"
        "print(manifest_root(), len(load('config/rbac/hub.yaml')))"
    )
    found = ran(python, str(python), "-c", code)
    assert found.returncode == 0, found.stderr
    root, count = found.stdout.split()
    assert Path(root).is_relative_to(python.parents[1])
    assert int(count) > 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_program_starts(program: str, python: Path) -> None:
    told = ran(python, str(python), "-m", program, "--help")
    assert told.returncode == 0, told.stderr
    assert program in told.stdout
