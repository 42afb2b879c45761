"""The site builds from docs/ without a warning: a link or anchor that leads nowhere ends the build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
BUILDER: Final = shutil.which("zensical", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")

pytestmark = pytest.mark.skipif(BUILDER is None, reason="zensical is not installed: make sync")


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    assert BUILDER is not None
    command = [BUILDER, "build", "--strict", "--config-file", "mkdocs.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    return tmp_path


def test_the_site_builds(sources: Path) -> None:
    done = build(sources)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {page.stem for page in (sources / "docs").glob("*.md")} - {"index"}
    assert {page.parent.name for page in (sources / "site").glob("*/index.html")} >= pages


def test_a_link_that_leads_nowhere_ends_the_build(sources: Path) -> None:
    with (sources / "docs" / "index.md").open("a") as page:
        page.write("\n[nowhere](nowhere.md)\n")
    assert build(sources).returncode != 0
