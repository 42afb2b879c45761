"""Which file runs for each program: a ready one that fits the pins, a cached build, or a new build.

Order: folders that the user named (``--binaries``, KUEUE_KS_BINARIES, KUBEBUILDER_ASSETS), complete cached
builds, PATH, then a build of what is still missing.
"""

import mmap
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_fleet.build import build, cache_root, cached_build
from local_fleet.errors import FleetError
from local_fleet.progress import Progress
from local_fleet.stack_modules import STACK, Program, StackModule

ETCD_SERIES = ("3.6", "3.7")  # what Kubernetes 1.36 is tested with


@dataclass(frozen=True, slots=True)
class Binaries:
    """The file of each program by its name, and the folders with upstream's manifests (JSON)."""

    programs: Mapping[str, Path]
    manifests: tuple[Path, ...]

    def __getitem__(self, program: str) -> Path:
        return self.programs[program]

    def manifest(self, name: str) -> Path:
        """The JSON file with upstream's objects called ``name`` (stack_modules.Manifests.name)."""
        for folder in self.manifests:
            if (path := folder / f"{name}.json").exists():
                return path
        msg = f"The cached build lacks {name}.json. Remove {self.manifests[0].parent.parent} and build again."
        raise FleetError(msg)


def provide(progress: Progress, *, named: Path | None = None, cache: Path | None = None) -> Binaries:
    """Find or build everything that a fleet runs. Raises FleetError, BuildFailed."""
    cache = cache or cache_root()
    folders = named_folders(named, os.environ)
    programs: dict[str, Path] = {}
    manifests: list[Path] = []
    for module in STACK:
        ready = _ready(module, folders)
        missing = tuple(p for p in module.programs if p.name not in ready)
        made = cached_build(module, missing, cache) or cached_build(module, module.programs, cache)
        if made is None:
            ready |= _ready(module, _path_folders(), only=missing)
            missing = tuple(p for p in missing if p.name not in ready)
            made = build(module, missing, cache, progress)
        programs |= {p.name: made / "bin" / p.name for p in missing} | ready
        manifests.append(made / "manifests")
    return Binaries(programs, tuple(manifests))


def named_folders(named: Path | None, environment: Mapping[str, str]) -> list[Path]:
    """Folders that the user pointed at; one that does not exist is an error, not a silent build."""
    folders = [named] if named else []
    folders += [
        Path(environment[key]) for key in ("KUEUE_KS_BINARIES", "KUBEBUILDER_ASSETS") if environment.get(key)
    ]
    for folder in folders:
        if not folder.is_dir():
            msg = (
                f"The folder with ready programs, {folder}, does not exist. Name another one, or none "
                "to have them built."
            )
            raise FleetError(msg)
    return folders


def fits(program: Program, module: StackModule, *, says: str) -> bool:
    """Whether the answer to ``--version`` is of the pinned series (1.36.x), for etcd of ETCD_SERIES."""
    if program.name == "etcd":
        found = re.search(r"etcd Version: (\d+\.\d+)\.", says)
        return found is not None and found[1] in ETCD_SERIES
    pinned = module.version_of(program.module)
    series = pinned.rpartition(".")[0]
    return re.search(rf"(?<![\w.]){re.escape(series)}\.\d+\b", says) is not None


def _ready(
    module: StackModule, folders: Iterable[Path], only: tuple[Program, ...] | None = None
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for program in only if only is not None else module.programs:
        for path in (folder / name for folder in folders for name in program.file_names):
            if path.is_file() and os.access(path, os.X_OK) and _runs_as_pinned(program, module, path):
                found[program.name] = path.absolute()
                break
    return found


def _runs_as_pinned(program: Program, module: StackModule, path: Path) -> bool:
    """Kubernetes, etcd and kwok are asked; the others cannot say, so their build information is read."""
    if program.name.startswith("kube") and program.module == "k8s.io/kubernetes":
        question = ["version", "--client"] if program.name == "kubectl" else ["--version"]
        return fits(program, module, says=_answer(path, question))
    if program.name in ("etcd", "kwok"):
        return fits(program, module, says=_answer(path, ["--version"]))
    mark = f"\nmod\t{program.module}\t{module.version_of(program.module)}\t"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(mark.encode()) >= 0


def _answer(path: Path, question: list[str]) -> str:
    try:
        result = subprocess.run(
            [path, *question],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout + result.stderr


def _path_folders() -> list[Path]:
    """Folders of PATH that hold at least one of our programs."""
    names = [name for module in STACK for program in module.programs for name in program.file_names]
    hits = {Path(hit).parent for name in names if (hit := shutil.which(name))}
    return sorted(hits)
