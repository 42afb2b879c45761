"""The client that is checked in is the one that its description gives."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKED_IN = ROOT / "generated"


def generate(output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate_client.py"), "--output", str(output)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("generated")
    result = generate(output)
    assert result.returncode == 0, result.stderr
    return output


def test_the_same_client_byte_for_byte(regenerated: Path) -> None:
    want, got = files(CHECKED_IN / "kubestellar_client"), files(regenerated / "kubestellar_client")
    assert sorted(want) == sorted(got)
    assert [name for name in want if want[name] != got[name]] == [], "run: make generate"


def test_the_same_document_byte_for_byte(regenerated: Path) -> None:
    name = "openapi/kubestellar.yaml"
    assert (CHECKED_IN / name).read_bytes() == (regenerated / name).read_bytes(), "run: make generate"


def test_a_file_that_is_not_generated_any_more_goes(regenerated: Path) -> None:
    left_over = regenerated / "kubestellar_client" / "models" / "left_over.py"
    left_over.touch()
    assert generate(regenerated).returncode == 0
    assert not left_over.exists()


def test_another_version_of_the_generator_is_refused(tmp_path: Path) -> None:
    older = tmp_path / "path" / "openapi_generator_cli-7.25.0.dist-info"
    older.mkdir(parents=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: openapi-generator-cli\nVersion: 7.25.0\n")

    result = generate(tmp_path / "out", PYTHONPATH=str(older.parent))

    assert result.returncode == 1
    assert "openapi-generator-cli is 7.25.0, but only 7.26.0" in result.stderr
    assert "uv sync --group generate" in result.stderr
    assert not (tmp_path / "out").exists()
