"""Compiling into the cache, with a shell script in the place of Go."""

import json
import threading
from pathlib import Path

import pytest

from local_fleet import build as building
from local_fleet.build import build, cached_build
from local_fleet.errors import BuildFailed
from local_fleet.progress import Silent
from local_fleet.stack_modules import WORK_AGENT

GO = """#!/bin/sh
case "$1" in
  version) echo "go version go1.26.8 linux/amd64";;
  build)
    echo built >> "{log}"
    test "$GOTOOLCHAIN $GOWORK" = "local off" || exit 9
    test -f go.mod -a -f go.sum || exit 8
    while test "$1" != "-o"; do shift; done
    {compile}
    echo "example.com/some/package" >&2
    echo program > "$2/work";;
  mod) echo '{{"Dir": "{module}"}}';;
esac
"""


class Recorder(Silent):
    """Remembers every stage."""

    def __init__(self) -> None:
        self.stages: list[str] = []

    def stage(self, name: str, text: str) -> None:
        self.stages.append(f"{name}: {text}")


def install_go(folder: Path, monkeypatch: pytest.MonkeyPatch, *, compile_: str = "") -> Path:
    """A Go on PATH; returns the file in which it notes each build."""
    module = folder / "module"
    for manifests in WORK_AGENT.manifests:
        file = module / manifests.pattern.replace("*", "0000_00")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("kind: CustomResourceDefinition\nmetadata: {name: one}\n---\n")
    log = folder / "builds"
    go = folder / "bin" / "go"
    go.parent.mkdir()
    go.write_text(GO.format(log=log, module=module, compile=compile_))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent), prepend=":")
    return log


def test_a_build_has_programs_and_manifests_and_is_made_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = install_go(tmp_path, monkeypatch)
    progress = Recorder()
    made = build(WORK_AGENT, WORK_AGENT.programs, tmp_path / "cache", progress)

    assert (made / "bin" / "work").read_text() == "program\n"
    crds = json.loads((made / "manifests" / "ocm-crds.json").read_text())
    assert [crd["metadata"]["name"] for crd in crds] == ["one", "one"]
    assert made.name.endswith("-go1.26")
    assert progress.stages[1] == "work-agent: compiling, cold about 3m20s on 2 cores"
    assert build(WORK_AGENT, WORK_AGENT.programs, tmp_path / "cache", progress) == made
    assert log.read_text() == "built\n"


def test_two_builders_at_once_build_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = install_go(tmp_path, monkeypatch, compile_="sleep 0.3")
    made: list[Path] = []
    both = [
        threading.Thread(
            target=lambda: made.append(build(WORK_AGENT, WORK_AGENT.programs, tmp_path / "cache", Silent()))
        )
        for _ in range(2)
    ]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert made[0] == made[1]
    assert log.read_text() == "built\n"


@pytest.mark.parametrize(
    ("compiler_says", "want"),
    [
        (
            "go: example.com/x: dial tcp: lookup proxy: no such host",
            "could not be fetched .* GOPROXY .* --binaries",
        ),
        ("go: module lookup disabled by GOPROXY=off", "could not be fetched"),
        ("write /x: no space left on device", "disk is full"),
        ("./main.go:3: undefined: y", r"Compiling work-agent failed: ./main.go:3: undefined: y"),
    ],
)
def test_a_failed_build_leaves_nothing_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler_says: str, want: str
) -> None:
    install_go(tmp_path, monkeypatch, compile_=f"echo '{compiler_says}' >&2; exit 1")
    cache = tmp_path / "cache"
    with pytest.raises(BuildFailed, match=want):
        build(WORK_AGENT, WORK_AGENT.programs, cache, Silent())
    assert cached_build(WORK_AGENT, WORK_AGENT.programs, cache) is None
    assert [path.name for path in (cache / "stack").iterdir()] == ["work-agent.lock"]


def test_a_long_build_is_heard_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(building, "REMINDER", 0.05)
    install_go(tmp_path, monkeypatch, compile_="sleep 0.3")
    progress = Recorder()
    build(WORK_AGENT, WORK_AGENT.programs, tmp_path / "cache", progress)
    assert any("still compiling" in stage for stage in progress.stages)


def test_without_go_and_without_network_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text("#!/bin/sh\necho 'error: Failed to fetch: dns error' >&2\nexit 2\n")
    uv.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BuildFailed, match=r"no network\). Install Go, or give ready programs by --binaries"):
        build(WORK_AGENT, WORK_AGENT.programs, tmp_path / "cache", Silent())
