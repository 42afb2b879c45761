"""Programs that write down how they were called and answer as a scenario says: nothing real is started.

The scripts see only these and a few of the system's own tools, so that a machine with Docker and kubectl
gives the same results as one without. They are Bash: a Python would start a thousand times.
"""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts" / "k3d"
TOOLS = ("docker", "k3d", "helm", "kubectl", "kflex", "clusteradm", "kueue-ks", "python-of-ours")
REAL_SLEEP = shutil.which("sleep")
STAYS = -1  # the exit code of an answer that runs until it is ended
SYSTEM = ("bash", "env", "awk", "grep", "tail", "mkdir", "rm", "dirname", "cat")

_PROGRAM = r"""#!/bin/bash
line="{name} $*"
printf '%s\n' "$line" >>{log!r}
for answer in {answers!r}/*; do
  {{ read -r code; IFS= read -r start; }} <"$answer"
  if [[ $line == "$start"* ]]; then
    {{ read -r _; read -r _
       while IFS= read -r out || [[ $out ]]; do printf '%s\n' "$out"; done; }} <"$answer"
    ((code == {stays})) && exec {sleep} 60
    exit "$code"
  fi
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call that begins with ``start`` prints and returns. The first that fits counts; else "", 0."""

    start: str
    out: str = ""
    code: int = 0


@dataclass(frozen=True, slots=True)
class Ran:
    """What a script did."""

    code: int
    out: str
    err: str
    calls: tuple[str, ...]


def run(
    folder: Path,
    script: str,
    arguments: Sequence[str] = (),
    *,
    answers: Iterable[Answer] = (),
    missing: Iterable[str] = (),
) -> Ran:
    """A script of scripts/k3d among fake tools without the ``missing`` ones; ``folder`` may be used twice."""
    tools, log, told = folder / "bin", folder / "calls", folder / "answers"
    for made in (tools, told):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
    log.write_text("")
    for number, answer in enumerate((*answers, Answer("sleep"))):
        (told / f"{number:02}").write_text(f"{answer.code}\n{answer.start}\n{answer.out}")
    for name in (*TOOLS, "sleep"):
        if name not in missing:
            program = tools / name
            program.write_text(
                _PROGRAM.format(name=name, log=str(log), answers=str(told), stays=STAYS, sleep=REAL_SLEEP)
            )
            program.chmod(0o755)
    for name in SYSTEM:
        (tools / name).symlink_to(shutil.which(name) or name)
    environment = {
        "PATH": str(tools),
        "KUEUE_KS": "kueue-ks",
        "KUEUE_KS_PYTHON": "python-of-ours",
        "KUEUE_KS_K3D_STATE": str(folder / "state"),
        "KUEUE_KS_INOTIFY": str(folder / "inotify"),
    }
    ended = subprocess.run(
        [str(SCRIPTS / script), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr, tuple(log.read_text().splitlines()))
