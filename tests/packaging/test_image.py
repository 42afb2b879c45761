"""The Dockerfile, as far as it can be looked at without Docker: what it copies, and as whom it runs."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.config.test_deployment import PROGRAMS, container, pod

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]


def test_the_context_has_what_the_wheel_is_made_of() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert lines[0] == "*"
    assert {package.partition("/")[0] for package in WHEEL["packages"]} | set(WHEEL["force-include"]) <= kept
    assert all((ROOT / name).exists() for name in kept)


def test_what_is_copied_by_name_is_in_the_context() -> None:
    kept = (ROOT / ".dockerignore").read_text().split()
    (names,) = re.findall(r"^COPY (pyproject.*) \./$", DOCKERFILE, re.MULTILINE)
    assert all(f"!{name}" in kept for name in names.split())


@pytest.mark.parametrize("name", PROGRAMS)
def test_image_and_deployment_agree(name: str) -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert pod(name)["securityContext"]["runAsUser"] == int(user)
    tags = re.findall(r"docker build --tag (\S+)", (ROOT / "Makefile").read_text())
    assert tags == [container(name)["image"]]


def test_only_the_environment_reaches_the_image() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^COPY .*$", last, re.MULTILINE) == ["COPY --from=build /venv /venv"]
    assert "RUN" not in last
