"""A real Prometheus server for tests: where its program comes from, and one that runs.

The program is not one of the fleet's: nobody needs it who runs kueue-kubestellar. So it is looked for in
KUEUE_KS_BINARIES and PATH, and else taken out of Debian's package ``prometheus``, which needs no
installation and no root, into the cache where the fleet's programs are. Elsewhere the tests that need it
are skipped, and say so.
"""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from local_fleet.build import cache_root

PACKAGE = "prometheus"


def find_prometheus() -> tuple[Path | None, str]:
    """The program, or why there is none."""
    named = os.environ.get("KUEUE_KS_BINARIES")
    for path in (Path(named, PACKAGE) if named else None, shutil.which(PACKAGE), _cached()):
        if path and os.access(path, os.X_OK):
            return Path(path), ""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return (
            None,
            "no program prometheus in PATH or KUEUE_KS_BINARIES, and this is no Debian to take it from",
        )
    failure = _unpack(_cached().parents[2])
    return (None, failure) if failure else (_cached(), "")


def _cached() -> Path:
    return cache_root() / "prometheus" / "usr" / "bin" / PACKAGE


def _unpack(target: Path) -> str:
    """Fetch the package and lay its files beside the cached builds; why that failed, if it did."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        failure = _run("apt-get", "download", "-qq", PACKAGE, folder=scratch)
        if failure and os.geteuid() == 0:  # a new machine has no lists of packages
            failure = _run("apt-get", "update", "-qq", folder=scratch) or _run(
                "apt-get", "download", "-qq", PACKAGE, folder=scratch
            )
        if failure:
            return f"Debian's package {PACKAGE} cannot be had: {failure}"
        (package,) = Path(scratch).glob("*.deb")
        files = Path(scratch, "files")
        failure = _run("dpkg-deb", "--extract", str(package), str(files), folder=scratch)
        if not failure and not target.exists():
            files.rename(target)
        return failure


def _run(*command: str, folder: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    return "" if done.returncode == 0 else (done.stderr.strip() or str(done.returncode)).splitlines()[-1]


Targets = Mapping[str, tuple[str, int]]
"""What is scraped: by its name in the path, of which cluster it tells, and the port on this machine."""


class PrometheusServer:
    """One that runs on this machine and keeps its data in ``folder``."""

    def __init__(self, program: Path, folder: Path, port: int, targets: Targets) -> None:
        self._program, self._folder, self.url = program, folder, f"http://127.0.0.1:{port}"
        self._port, self._targets = port, len(targets)
        self._process: asyncio.subprocess.Process | None = None
        scrapes = [
            {
                "job_name": f"kube-state-metrics-{name}",
                "metrics_path": f"/{name}/metrics",
                "static_configs": [{"targets": [f"127.0.0.1:{at}"], "labels": {"cluster": cluster}}],
            }
            for name, (cluster, at) in targets.items()
        ]
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": scrapes}
        folder.mkdir()
        (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML

    async def start(self) -> None:
        """Start it and wait until it has scraped everything: it looks for targets after 5 s at first."""
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program,
                f"--config.file={self._folder / 'config.yaml'}",
                f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await self._ready(session):
                assert self._process.returncode is None, (self._folder / "log").read_text()
                await asyncio.sleep(0.2)

    async def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/api/v1/targets") as answer:
                targets = (await answer.json())["data"]["activeTargets"] if answer.status == 200 else []
                return len(targets) == self._targets and all(t["health"] == "up" for t in targets)
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running_prometheus(
    program: Path, folder: Path, port: int, targets: Targets
) -> AsyncIterator[PrometheusServer]:
    """A server until the end of the block."""
    server = PrometheusServer(program, folder, port, targets)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
