"""Compile one stack module into the cache, once, whoever asks first.

A build lies in ``<cache>/stack/<module>-<fingerprint>-<go minor>/`` with ``bin/`` and ``manifests/*.json``.
It is made in a temporary folder and renamed when complete, so that a folder of that name is always whole; a
file lock lets a second builder wait for the first and then find its work done.

Upstream's YAML is stored as JSON: PyYAML needs seconds for Kueue's CRDs, at every start of a fleet.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import platformdirs
import yaml

from local_fleet.errors import BuildFailed
from local_fleet.progress import Progress, elapsed
from local_fleet.stack_modules import Program, StackModule
from local_fleet.toolchain import Go, find_go, lacks_network, last_line

REMINDER = 60.0  # seconds between two lines about a build that is still going on
_KEPT_OUTPUT = 400  # lines of the compiler's output that are searched for the reason of a failure


def cache_root() -> Path:
    """Where builds and toolchains are kept: outside any checkout, shared by all fleets of the user."""
    return platformdirs.user_cache_path("kueue-kubestellar")


def cached_build(module: StackModule, programs: tuple[Program, ...], cache: Path) -> Path | None:
    """The folder of a complete build by any Go, the newest one; None when there is none."""
    prefix = f"{module.name}-{module.fingerprint(programs)}-go"
    builds = [path for path in (cache / "stack").glob(f"{prefix}*") if (path / "manifests").is_dir()]
    return max(builds, key=lambda path: path.stat().st_mtime, default=None)


def build(module: StackModule, programs: tuple[Program, ...], cache: Path, progress: Progress) -> Path:
    """Return the folder of the build, making it when it is not there. Raises BuildFailed."""
    if found := cached_build(module, programs, cache):
        return found
    (cache / "stack").mkdir(parents=True, exist_ok=True)
    with _lock(cache / "stack" / f"{module.name}.lock", module, progress):
        if found := cached_build(module, programs, cache):
            return found
        progress.stage(module.name, "looking for Go")
        go = find_go(cache)
        target = cache / "stack" / f"{module.name}-{module.fingerprint(programs)}-{go.minor}"
        with tempfile.TemporaryDirectory(prefix=f"{module.name}-", dir=cache / "stack") as scratch:
            made = Path(scratch) / "build"
            _compile(module, programs, go, Path(scratch), made / "bin", progress)
            _keep_manifests(module, go, Path(scratch), made / "manifests")
            made.rename(target)
        return target


def _compile(
    module: StackModule,
    programs: tuple[Program, ...],
    go: Go,
    scratch: Path,
    target: Path,
    progress: Progress,
) -> None:
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(module.folder / name, scratch / name)
    target.mkdir(parents=True)
    if not programs:
        return
    command = [str(go.command), "build", "-v", "-ldflags", module.linker_flags, "-o", f"{target}{os.sep}"]
    _follow([*command, *(p.package for p in programs)], module, go, scratch, progress)
    for program in programs:
        if program.built_as:
            (target / program.built_as).rename(target / program.name)


def _follow(command: list[str], module: StackModule, go: Go, scratch: Path, progress: Progress) -> None:
    """Run the compiler; ``-v`` makes it name each package when it is done with it."""
    began = time.monotonic()
    usual = elapsed(module.usual_seconds)
    progress.stage(module.name, f"compiling, cold about {usual} on 2 cores")
    with subprocess.Popen(
        command, cwd=scratch, env=go.environment(), stderr=subprocess.PIPE, text=True, process_group=0
    ) as compiler:
        assert compiler.stderr is not None
        with _reminders(module.name, began, usual, progress):
            try:
                output = _read(compiler.stderr, module.name, began, usual, progress)
            except BaseException:  # Ctrl-C reaches only us: the compiler has a process group of its own
                os.killpg(compiler.pid, 15)
                raise
    if compiler.returncode:
        raise BuildFailed(_why_failed(module, "\n".join(output)))
    progress.stage(module.name, f"compiled in {elapsed(time.monotonic() - began)}")


def _read(lines: IO[str], name: str, began: float, usual: str, progress: Progress) -> list[str]:
    output: list[str] = []
    for count, line in enumerate(lines, start=1):
        output.append(line.rstrip())
        del output[:-_KEPT_OUTPUT]
        spent = elapsed(time.monotonic() - began)
        progress.detail(name, f"{spent} of about {usual}, step {count}: {line.strip()[:80]}")
    return output


@contextmanager
def _reminders(name: str, began: float, usual: str, progress: Progress) -> Iterator[None]:
    """A line a minute: whoever reads a log should see that the compiler still works."""
    done = threading.Event()

    def remind() -> None:
        while not done.wait(REMINDER):
            progress.stage(name, f"still compiling, {elapsed(time.monotonic() - began)} of about {usual}")

    thread = threading.Thread(target=remind, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _keep_manifests(module: StackModule, go: Go, scratch: Path, target: Path) -> None:
    """Copy the YAML that a start needs, as JSON lists of objects, one file per name."""
    target.mkdir(parents=True)
    collected: dict[str, list[object]] = {}
    for manifests in module.manifests:
        source = _module_folder(manifests.module, module, go, scratch)
        files = sorted(source.glob(manifests.pattern))
        if not files:
            msg = (
                f"{manifests.module} has no {manifests.pattern}; the pins in {module.folder} do not "
                "fit this release."
            )
            raise BuildFailed(msg)
        for file in files:
            objects = [obj for obj in yaml.load_all(file.read_text(), _yaml_loader()) if obj]
            collected.setdefault(manifests.name, []).extend(objects)
    for name, objects in collected.items():
        (target / f"{name}.json").write_text(json.dumps(objects))


def _module_folder(path: str, module: StackModule, go: Go, scratch: Path) -> Path:
    download = [str(go.command), "mod", "download", "-json", f"{path}@{module.version_of(path)}"]
    result = subprocess.run(
        download, cwd=scratch, env=go.environment(), capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise BuildFailed(_why_failed(module, result.stderr + result.stdout))
    return Path(json.loads(result.stdout)["Dir"])


def _yaml_loader() -> type[yaml.SafeLoader]:
    fast: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return fast


def _why_failed(module: StackModule, output: str) -> str:
    if lacks_network(output):
        return (
            f"The Go modules of {module.name} could not be fetched ({last_line(output)}). They are needed "
            "once: connect this machine, or point GOPROXY at a proxy that it reaches, or give ready programs "
            "by --binaries."
        )
    if "no space left on device" in output.lower():
        return (
            f"The disk is full while compiling {module.name}. "
            f"About 10 GiB are needed for Go's own cache (GOCACHE) and {cache_root()}."
        )
    return f"Compiling {module.name} failed: {last_line(output)}"


@contextmanager
def _lock(path: Path, module: StackModule, progress: Progress) -> Iterator[None]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.stage(module.name, "waiting: another process is compiling it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
