"""``kueue-ks demo`` as a user starts it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local_fleet import state

pytestmark = pytest.mark.fleet

CHECKOUT = Path(__file__).parents[2]
WITHIN = 240  # seconds for all of it, on a machine that is busy with other things; it takes about 80


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "kueue_ks.main", "demo", "--plain", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env={key: value for key, value in os.environ.items() if not key.startswith("KUEUE_KS_")},
    )


def left_over(folder: Path) -> list[str]:
    """Command lines of processes that know the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found


@pytest.mark.timeout(WITHIN + 30)
def test_all_examples_run_and_nothing_is_left(tmp_path: Path) -> None:
    with start("--dir", str(tmp_path / "fleet")) as demo:
        out, err = demo.communicate(timeout=WITHIN)
    assert demo.returncode == 0, f"{out}\n{err}"
    assert re.search(r"^12 of 12 jobs finished$", out, re.MULTILINE)
    assert re.search(r"^pods on the hub     0$", out, re.MULTILINE)
    assert re.search(r"^create → running    p50 [\d.]+s  p99 [\d.]+s", out, re.MULTILINE)
    assert re.search(r"cpu 85\.5 → 70 → 85\.5   w1-standard-0 cordoned, then back", out)
    assert " waits for quota: " in out
    assert len(re.findall(r"^  team-[ab]/\S+ +w[12] ", out, re.MULTILINE)) == 12
    assert left_over(tmp_path) == []


@pytest.mark.timeout(WITHIN + 30)
def test_keep_leaves_a_system_that_can_be_asked_and_ended(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    with start("--dir", str(folder), "--workers=1", "--keep") as demo:
        out, err = demo.communicate(timeout=WITHIN)
    try:
        assert demo.returncode == 0, f"{out}\n{err}"
        kept = state.read(folder)
        assert kept is not None
        assert kept.running
        assert f"export KUBECONFIG={folder / 'kubeconfigs' / 'all.yaml'}" in out
        job = re.search(r"^  team-a/(gang-\S+)", out, re.MULTILINE)
        assert job is not None
        explained = subprocess.run(
            [sys.executable, "-m", "kueue_ks.main", "explain", f"job/{job[1]}", "-n", "team-a", "-o", "json"],
            env={**os.environ, "KUBECONFIG": str(folder / "kubeconfigs" / "all.yaml")},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        )
        document = json.loads(explained.stdout)
        assert (document["phase"], document["unread"]) == ("Succeeded", {})
    finally:
        assert state.end(folder)
    assert left_over(tmp_path) == []


@pytest.mark.timeout(WITHIN + 30)
def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    with start("--dir", str(tmp_path / "fleet")) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "1/4" in line:
                break
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert left_over(tmp_path) == []
